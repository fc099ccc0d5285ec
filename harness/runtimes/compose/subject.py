"""The compose runtime as the conformance checks see it: a world of real containers, for what faults may do to roles.

The other ports are, in a container, the very classes of the local runtime; `tests/runtimes/compose` runs their checks
inside one.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from harness.ports import FaultControl
from harness.runtimes.compose.runtime import ComposeRuntime
from harness.runtimes.conformance.echo import echo_factory, echo_plan
from harness.runtimes.local.subject import GENESIS, LocalUnderTest


class ComposeUnderTest(LocalUnderTest):
    """A `RuntimeUnderTest` whose worlds are containers."""

    name = "compose"

    @contextlib.asynccontextmanager
    async def world(self, names: Sequence[str]) -> AsyncIterator[FaultControl]:
        with tempfile.TemporaryDirectory(prefix="harness-conformance-") as folder:
            runtime = ComposeRuntime(
                echo_plan(names), echo_factory, folder=Path(folder), genesis_timestamp=GENESIS, network="conformance"
            )
            async with runtime:
                yield runtime
            assert not runtime.problems, runtime.problems
