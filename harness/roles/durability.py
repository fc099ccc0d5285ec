"""A role ends when its store fails, wherever that happened.

`StoreFailure` is a `PortError`, and roles forgive those: an unreachable peer is nothing special. A row that is not
durable is: a vote, a nonce or a round may have been given away that a restart would give away again. So the first
failure ends the role, and until it has ended no flush succeeds any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from harness.ports import Json, Store, StoreFailure
from harness.roles.context import Role


class StoreLost(Exception):
    """The role cannot go on: its store refused to make rows durable. Free the disk, then start it again."""


class WatchedStore:
    """The `Store` port over a role's own store, remembering that it failed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failure: StoreFailure | None = None
        self._has_failed = asyncio.Event()

    def put(self, table: str, key: str, value: Json) -> None:
        self._store.put(table, key, value)

    def get(self, table: str, key: str) -> Json | None:
        return self._store.get(table, key)

    def delete(self, table: str, key: str) -> None:
        self._store.delete(table, key)

    def scan(self, table: str, *, start: str = "", end: str | None = None) -> Iterator[tuple[str, Json]]:
        return self._store.scan(table, start=start, end=end)

    def flush(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            self._store.flush()
        except StoreFailure as failure:
            self._failure = failure
            self._has_failed.set()
            raise

    async def wait_for_failure(self) -> None:
        """Return never, or raise `StoreLost`."""
        await self._has_failed.wait()
        raise StoreLost(str(self._failure)) from self._failure


class EndingWithItsStore:
    """The role, until it ends by itself or its store fails."""

    def __init__(self, role: Role, store: WatchedStore) -> None:
        self.role = role
        self._store = store

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._store.wait_for_failure())
                await self.role.run()
                watch.cancel()
        except BaseExceptionGroup as group:  # of one, or of several of which the first led to the others
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None
