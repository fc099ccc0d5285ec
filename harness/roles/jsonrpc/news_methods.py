"""Methods that make, poll and end filters and subscriptions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import get_args

from harness.ports import Json, RpcSession
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.block_methods import logs_of
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.faults import invalid, refused
from harness.roles.jsonrpc.logs import log_query
from harness.roles.jsonrpc.news import Kind, News
from harness.roles.jsonrpc.values import Params

Method = Callable[[Desk, Params, RpcSession], Awaitable[Json]]


def news_methods(news: News) -> dict[str, Method]:
    """The methods, over one node's news."""

    async def subscribe(desk: Desk, params: Params, session: RpcSession) -> Json:
        kind = params.take("subscription", _kind)
        if kind == "logs":
            query = params.optional("filter", log_query) or log_query({}, "filter")
            params.done()
            return news.subscribe(session, kind, query.filter)
        if params.optional("full", values.anything):
            raise invalid("only hashes of pending transactions are told; ask for each by its hash")
        params.done()
        return news.subscribe(session, kind)

    async def unsubscribe(desk: Desk, params: Params, session: RpcSession) -> Json:
        name = params.take("subscription", values.text)
        params.done()
        if not news.unsubscribe(session, name):
            raise refused(f"subscription not found: {values.shown(name)} is none of this connection")
        return True

    async def new_filter(desk: Desk, params: Params, session: RpcSession) -> Json:
        query = params.take("filter", log_query)
        params.done()
        if query.block_hash is not None:
            raise invalid("a filter waits for new logs; for those of one block use eth_getLogs with blockHash")
        for bound, name in ((query.start, "fromBlock"), (query.end, "toBlock")):
            desk.number_named(bound, name)  # malformed ones are refused now
        return news.new_filter("logs", query)

    async def new_block_filter(desk: Desk, params: Params, session: RpcSession) -> Json:
        params.done()
        return news.new_filter("newHeads")

    async def new_pending_filter(desk: Desk, params: Params, session: RpcSession) -> Json:
        params.optional("full", values.anything)
        params.done()
        return news.new_filter("newPendingTransactions")

    async def get_filter_changes(desk: Desk, params: Params, session: RpcSession) -> Json:
        name = params.take("filter", values.text)
        params.done()
        return news.poll(_filter_id(name))

    async def get_filter_logs(desk: Desk, params: Params, session: RpcSession) -> Json:
        name = params.take("filter", values.text)
        params.done()
        query = news.filter(_filter_id(name)).query
        if query is None:
            raise refused("filter not found: that one is not of logs")
        return await logs_of(desk, session, query)

    async def uninstall_filter(desk: Desk, params: Params, session: RpcSession) -> Json:
        name = params.take("filter", values.text)
        params.done()
        return news.uninstall(_filter_id(name))

    return {
        "eth_subscribe": subscribe,
        "eth_unsubscribe": unsubscribe,
        "eth_newFilter": new_filter,
        "eth_newBlockFilter": new_block_filter,
        "eth_newPendingTransactionFilter": new_pending_filter,
        "eth_getFilterChanges": get_filter_changes,
        "eth_getFilterLogs": get_filter_logs,
        "eth_uninstallFilter": uninstall_filter,
    }


def _kind(value: Json, name: str) -> Kind:
    for kind in get_args(Kind):
        if value == kind:
            return kind  # type: ignore[no-any-return]  # get_args knows no types
    raise invalid(f"{name} is {values.shown(value)}; there are {', '.join(get_args(Kind))}")


def _filter_id(name: str) -> str:
    """Some libraries drop an id's leading zeros."""
    parsed = values.parsed_or_none(values.quantity, name, "filter")
    return name if parsed is None else f"0x{parsed:032x}"
