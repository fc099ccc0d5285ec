"""What clients want to hear of by themselves: subscriptions over WebSocket, and filters that are polled over HTTP.

Heads move inside the role's own work, so nothing is sent there: changes are queued, and a task of its own tells them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

from harness.evm.wallet import DecodedTransaction
from harness.ports import RpcSession
from harness.roles.jsonrpc.canonical import Change
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.faults import RpcFault, limited, refused
from harness.roles.jsonrpc.logs import LogFilter, LogQuery, matching_logs, wants_system_logs
from harness.rollup.blocks import ExecutedBlock

SUBSCRIPTIONS_PER_SESSION_MAX: Final = 64
SUBSCRIPTIONS_MAX: Final = 16_384
FILTERS_MAX: Final = 1_024
FILTER_LIFE_NS: Final = 300 * 10**9
"""A filter that is not polled for so long is gone, as in geth."""
FILTER_ITEMS_MAX: Final = 10_000
CHANGES_MAX: Final = 4_096
NOTIFIED_AT_ONCE: Final = 64
"""Clients told before whoever else waits gets the loop."""

Kind = Literal["newHeads", "logs", "newPendingTransactions"]
_ANYTHING: Final = LogFilter(None, ())


@dataclass(slots=True)
class Subscription:
    id: str
    session: RpcSession
    kind: Kind
    wanted: LogFilter
    is_announced: bool = False
    """Whether the client was told its id; before that it must hear of nothing."""

    def tell(self, result: bytes) -> None:
        self.session.notify(
            b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"%b","result":%b}}'
            % (self.id.encode(), result)
        )


@dataclass(slots=True)
class Filter:
    kind: Kind
    query: LogQuery | None
    polled_ns: int
    items: list[Any] = field(default_factory=list)


class News:
    """One node's subscribers and filters."""

    def __init__(self, desk: Desk, listener: RpcSession) -> None:
        """`listener` is in whose name the node is asked for what is told."""
        self._desk = desk
        self._listener = listener
        self._subscriptions: dict[RpcSession, dict[str, Subscription]] = {}
        self._count = 0
        self._filters: dict[str, Filter] = {}
        self._changes: asyncio.Queue[Change] = asyncio.Queue(CHANGES_MAX)
        self._last_id = 0

    # -- subscriptions

    def subscribe(self, session: RpcSession, kind: Kind, wanted: LogFilter = _ANYTHING) -> str:
        """Raises `RpcFault` where the session cannot be told, or has too many already."""
        if not session.can_notify:
            raise refused("notifications not supported: subscribe over a WebSocket, or poll a filter")
        mine = self._subscriptions.setdefault(session, {})
        if len(mine) >= SUBSCRIPTIONS_PER_SESSION_MAX or self._count >= SUBSCRIPTIONS_MAX:
            raise limited(f"this connection has {len(mine)} subscriptions, the node {self._count}; unsubscribe first")
        name = self._new_id()
        mine[name] = Subscription(name, session, kind, wanted)
        self._count += 1
        return name

    def unsubscribe(self, session: RpcSession, name: str) -> bool:
        mine = self._subscriptions.get(session, {})
        if mine.pop(name, None) is None:
            return False
        self._count -= 1
        if not mine:
            del self._subscriptions[session]
        return True

    def announced(self, session: RpcSession) -> None:
        """The session's client has been told its subscriptions' ids."""
        for each in self._subscriptions.get(session, {}).values():
            each.is_announced = True

    def forget(self, session: RpcSession) -> None:
        self._count -= len(self._subscriptions.pop(session, {}))

    # -- filters

    def new_filter(self, kind: Kind, query: LogQuery | None = None) -> str:
        """Raises `RpcFault` where there are too many."""
        self._expire()
        if len(self._filters) >= FILTERS_MAX:
            raise limited(f"the node holds {len(self._filters)} filters; uninstall one first")
        name = self._new_id()
        self._filters[name] = Filter(kind, query, self._desk.clock.monotonic())
        return name

    def filter(self, name: str) -> Filter:
        """Raises `RpcFault`."""
        self._expire()
        found = self._filters.get(name)
        if found is None:
            raise refused("filter not found: it was never made, uninstalled, or not polled for five minutes")
        found.polled_ns = self._desk.clock.monotonic()
        return found

    def poll(self, name: str) -> list[Any]:
        """What has happened since the last poll. Raises `RpcFault`."""
        found = self.filter(name)
        items, found.items = found.items, []
        return items

    def uninstall(self, name: str) -> bool:
        return self._filters.pop(name, None) is not None

    def _expire(self) -> None:
        now = self._desk.clock.monotonic()
        for name in [n for n, each in self._filters.items() if now - each.polled_ns > FILTER_LIFE_NS]:
            del self._filters[name]

    def _new_id(self) -> str:
        self._last_id += 1
        return f"0x{self._last_id:032x}"

    # -- telling

    def on_change(self, change: Change) -> None:
        """Queue what changed. Whoever cannot be told everything any more is dropped instead of being misled."""
        if not self._subscriptions and not self._filters:
            return
        if self._changes.full():
            self._filters.clear()
            for session in list(self._subscriptions):
                session.drop(f"more than {CHANGES_MAX} changes could not be told; connect again")
            return
        self._changes.put_nowait(change)

    def on_pending(self, transaction: DecodedTransaction) -> None:
        encoded = b'"%b"' % transaction.hash.encode()
        for each in self._of_kind("newPendingTransactions"):
            each.tell(encoded)
        for found in self._filters.values():
            if found.kind == "newPendingTransactions":
                self._put(found, [transaction.hash])

    async def tell_forever(self) -> None:
        while True:
            change = await self._changes.get()
            for block in change.removed:
                await self._tell_logs(block, removed=True)
            for block in change.added:
                await self._tell_head(block)
                await self._tell_logs(block, removed=False)

    async def _tell_head(self, block: ExecutedBlock) -> None:
        for found in self._filters.values():
            if found.kind == "newHeads":
                self._put(found, [block.hash])
        listening = self._of_kind("newHeads")
        if not listening:
            return
        try:
            header = orjson.dumps((await self._desk.rich(self._listener, block.hash)).header)
        except RpcFault:
            return  # the node has left that block already: the change that undoes it is in the queue
        for at, each in enumerate(listening):
            each.tell(header)
            if at % NOTIFIED_AT_ONCE == NOTIFIED_AT_ONCE - 1:
                await asyncio.sleep(0)

    async def _tell_logs(self, block: ExecutedBlock, *, removed: bool) -> None:
        listening = self._of_kind("logs")
        filters = [(found, found.query) for found in self._filters.values() if found.query is not None]
        wanted = [each.wanted for each in listening] + [query.filter for _, query in filters]
        if not wanted:
            return
        system_hash = await self._system_hash(block, wanted)
        for at, each in enumerate(listening):
            for log in matching_logs(block, each.wanted, system_hash=system_hash, removed=removed):
                each.tell(orjson.dumps(log))
            if at % NOTIFIED_AT_ONCE == NOTIFIED_AT_ONCE - 1:
                await asyncio.sleep(0)
        for found, query in filters:
            if self._is_in_range(block, query):
                logs = matching_logs(block, query.filter, system_hash=system_hash, removed=removed)
                self._put(found, list(logs))

    async def _system_hash(self, block: ExecutedBlock, wanted: list[LogFilter]) -> str:
        if not any(wants_system_logs(block, each) for each in wanted):
            return ""
        try:
            return str((await self._desk.rich(self._listener, block.hash)).transactions[0]["hash"])
        except RpcFault:
            return ""

    def _is_in_range(self, block: ExecutedBlock, query: LogQuery) -> bool:
        """A filter's numbers bound what it hears of; its tags do not."""
        low = int(query.start, 16) if isinstance(query.start, str) and query.start.startswith("0x") else 0
        high = int(query.end, 16) if isinstance(query.end, str) and query.end.startswith("0x") else block.number
        return low <= block.number <= high

    def _put(self, found: Filter, items: list[Any]) -> None:
        if len(found.items) + len(items) > FILTER_ITEMS_MAX:
            found.polled_ns = -FILTER_LIFE_NS  # it would have a hole: it expires instead
            found.items.clear()
            return
        found.items.extend(items)

    def _of_kind(self, kind: Kind) -> list[Subscription]:
        return list(self._each(kind))

    def _each(self, kind: Kind) -> Iterator[Subscription]:
        for mine in self._subscriptions.values():
            for each in mine.values():
                if each.kind == kind and each.is_announced:
                    yield each
