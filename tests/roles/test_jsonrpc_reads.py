"""What a node's clients read is our chain, under our heads, whichever way they name a block."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from world import SET, Run, World

from harness.roles.jsonrpc.service import NO_SESSION
from harness.rollup.heads import Label

pytestmark = pytest.mark.node

NODES = ("l1-0", "l1-1", *SET, "replica-0", "batcher-0")
ME = "trader-0"


async def rpc(world: World, role: str, method: str, *params: Any) -> Any:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    reply = await world.runtime.rpc_of(role).answer(body, NO_SESSION)
    assert reply is not None
    answer = orjson.loads(reply)
    assert "error" not in answer, answer
    return answer["result"]


def test_tags_name_the_nodes_own_heads(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("replica-0", Label.FINALIZED) > 0, within=60)
        for tag, label in (("latest", Label.UNSAFE), ("safe", Label.SAFE), ("finalized", Label.FINALIZED)):
            block = await rpc(world, "replica-0", "eth_getBlockByNumber", tag, False)
            head = world.head("replica-0", label)
            assert (int(block["number"], 16), block["hash"]) == (head.number, head.hash)

    run(story, *NODES, idle=[ME])
