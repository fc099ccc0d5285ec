"""What the interface needs of a chain, whichever layer it is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from harness.ports import Engine, Json
from harness.roles.mempool import Mempool
from harness.rollup.blocks import ExecutedBlock, Hash
from harness.rollup.heads import Head, Label


class ChainSource(Protocol):
    """One node's chain as its clients may see it. Heads move only between two awaits of the role."""

    @property
    def layer(self) -> str:
        """`l1` or `l2`, for messages and the client version."""
        ...

    @property
    def chain_id(self) -> int: ...

    @property
    def gas_limit(self) -> int:
        """Of a block, and of a call."""
        ...

    @property
    def block_interval_ns(self) -> int:
        """How far apart blocks are meant to be."""
        ...

    @property
    def genesis_hash(self) -> Hash: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def pool(self) -> Mempool: ...

    def head(self, label: Label) -> Head:
        """`latest` is the unsafe head."""
        ...

    def block(self, name: Hash) -> ExecutedBlock | None:
        """A block this node executed, on any branch; None for genesis and what it does not hold."""
        ...

    def base_fee(self) -> int:
        """Of the next block, in wei."""
        ...

    def when_changed(self, changed: Callable[[], None]) -> None:
        """Call back after any head has moved."""
        ...

    async def submit(self, raw: bytes) -> str:
        """Take a raw transaction into the pool that builds blocks and return its hash.

        Raises:
            mempool.Rejected: the pool does not want it. PortError: it could not be reached, and may have it or not.
        """
        ...

    def explain(self, revert_data: bytes) -> str:
        """Revert data in words, where it is an error of contracts that are known; else something else."""
        ...

    def peers(self) -> int:
        """How many other nodes of its chain there are."""
        ...

    def status(self) -> Mapping[str, Json]:
        """What `rollup_syncStatus` adds to the heads."""
        ...
