"""A second node that answers about blocks whose state the first has let go, as the safe and finalized head may be.

Where L1 is slow to finalize, or the batcher is down, they lie thousands of blocks back. The second node is made when
somebody first asks, executes the same blocks on a thread of its own, and so costs the blocks to come no time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.anvil.engine import AnvilEngine, OutOfReach
from harness.anvil.spec import ChainSpec
from harness.ports import EngineFailure
from harness.rollup.blocks import ExecutedBlock, Hash

HISTORY = 2_048
"""States it keeps, so that reads at the safe and at the finalized head do not move it back and forth."""
REWIND_PAUSE_S = 30.0
"""Between two moves back beyond that: each is a replay from genesis, and a client may ask for any block."""


class Archive:
    """Lives on one thread, the only one to call it."""

    def __init__(self, spec: ChainSpec, *, name: str, home: Path | None) -> None:
        """Starts the node and does not wait for it. Raises what `AnvilEngine` does."""
        self._engine = AnvilEngine(
            replace(spec, history=HISTORY), name=f"{name}-archive", home=None if home is None else home / "archive"
        )
        self._rewound_at = -REWIND_PAUSE_S

    def learn(self, blocks: Sequence[ExecutedBlock]) -> None:
        """Blocks that the first node executed, parents first; what is known already changes nothing."""
        for block in blocks:
            self._engine.adopt(block)

    def query(self, method: str, params: Sequence[Any], *, at: Hash) -> Any:
        """As `AnvilEngine.query`, wherever the block is that was learned.

        Raises:
            OutOfReach: it lies far behind where the node stands, and the node was moved back a moment ago.
        """
        try:
            return self._engine.query(method, params, at=at)
        except OutOfReach:
            self._go_to(at)
            return self._engine.query(method, params, at=at)

    def close(self) -> None:
        self._engine.close()

    def _go_to(self, block: Hash) -> None:
        if self._engine.distance_back(block) > HISTORY:
            left = self._rewound_at + REWIND_PAUSE_S - time.monotonic()
            if left > 0:
                raise OutOfReach(
                    f"blocks so far apart are executed anew, at most once in {REWIND_PAUSE_S:g} s; "
                    f"ask again in {left:.0f} s"
                )
            self._rewound_at = time.monotonic()
        try:
            self._engine.move_to(block)
        except EngineFailure as error:
            raise OutOfReach(f"the state could not be brought back: {error}") from error
