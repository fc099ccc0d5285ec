"""Which errors prove that a transaction was not taken. Every other error may come from a node that took it.

A node that fails after it has put a transaction into its pool, or a proxy before it, answers with an error too. A
client that believes such an error reports a loss, or sends a second time what then lands twice.
"""

from __future__ import annotations

from harness.ports import Refused

_DEFINITE = (
    "not a transaction",
    "invalid chain id",
    "exceeds block gas limit",
    "nonce too low",
    "replacement transaction underpriced",
    "txpool is full",
)
"""How `Mempool.add` begins to say why it will not hold a transaction, in geth's words."""


def is_definite(refused: Refused) -> bool:
    """Whether the node says that it does not hold the transaction, and why."""
    return bool(refused.args) and str(refused.args[0]).startswith(_DEFINITE)


def is_revert(refused: Refused) -> bool:
    """Whether a read was answered by its contract, with a revert, and not refused by the node."""
    return bool(refused.args) and str(refused.args[0]).startswith("0x")
