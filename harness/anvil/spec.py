"""What one chain's nodes share: equal specs, equal blocks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

U64_MAX = 2**64 - 1
KEPT_STATES_DEFAULT = 128  # finality depth in blocks plus a margin; memory grows with it (anvil.md, rule 12)


class ChainKind(StrEnum):
    """Which layer a chain is; it names the node in messages and decides nothing about execution."""

    L1 = "l1"
    L2 = "l2"


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """Everything that fixes a chain before its first block. All nodes of a chain get the same one."""

    chain_id: int
    genesis_timestamp: int       # seconds; block 1 may have the same
    gas_limit: int               # per block; 30-100 M, since it also bounds how long a call can stall the node
    genesis_file: Path | None    # geth's genesis.json; only `alloc` counts. None: no account has anything
    kind: ChainKind = ChainKind.L2
    history: int = KEPT_STATES_DEFAULT  # states kept: how deep a rollback or an old read goes without a replay
    l1_info: bool = False        # send the L1-attributes transaction in every block that has an origin

    def __post_init__(self) -> None:
        # Numbers above u64 abort the process (anvil.md §6), so none is ever handed over.
        bounds = {"chain_id": (self.chain_id, 1), "genesis_timestamp": (self.genesis_timestamp, 0),
                  "gas_limit": (self.gas_limit, 21_000), "history": (self.history, 2)}
        for field, (value, least) in bounds.items():
            if not least <= value <= U64_MAX:
                raise ValueError(f"ChainSpec.{field} is {value}; it must be from {least} to 2**64 - 1")
