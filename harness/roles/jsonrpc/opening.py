"""Opens a node's JSON-RPC interface to the public, where its runtime has a place for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.roles.context import RoleContext
from harness.roles.jsonrpc.service import JsonRpc
from harness.roles.jsonrpc.source import ChainSource
from harness.roles.jsonrpc.sources import L1Source, L2Source

if TYPE_CHECKING:  # they call what is here
    from harness.roles.l1 import L1Chain
    from harness.roles.node import Node


def serve_l2(node: Node) -> JsonRpc | None:
    """A sequencer's or replica's interface, answering from now on; its owner runs it. None where nobody may ask."""
    return _serve(node.context, L2Source(node))


def serve_l1(chain: L1Chain, *, builder: str | None, base_fee: Callable[[], int]) -> JsonRpc | None:
    """An L1 node's; the rest as for `L1Source`."""
    return _serve(chain.context, L1Source(chain, builder=builder, base_fee=base_fee))


def _serve(context: RoleContext, source: ChainSource) -> JsonRpc | None:
    if context.public is None:
        return None
    service = JsonRpc(source, context.clock, context.record)
    context.public.serve(service)
    return service
