"""A harness to be killed: `python -m tests.runtimes.compose.victim FOLDER` boots four roles, puts faults on, and waits.

Says `project …` and `ready` on its standard output.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from harness.ports import LinkRule
from harness.runtimes.compose.runtime import ComposeRuntime
from harness.runtimes.conformance.echo import echo_factory, echo_plan
from harness.runtimes.local.subject import GENESIS


async def main(folder: Path) -> None:
    runtime = ComposeRuntime(echo_plan(list("abcd")), echo_factory, folder=folder, genesis_timestamp=GENESIS,
                             network="victim")  # fmt: skip
    async with runtime:
        print("project", runtime.layout.project, flush=True)
        await runtime.set_link("a", "b", {"f1": LinkRule(loss=0.5, rate_bps=64_000, via="kernel")})
        await runtime.pause("b")
        await runtime.disconnect("c")
        await runtime.limit_cpu("d", 0.1)
        print("ready", flush=True)
        await asyncio.sleep(300)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
