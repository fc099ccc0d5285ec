"""The L1-attributes transaction: how an L2 block learns which L1 block it has seen."""

from __future__ import annotations

from typing import Any

from harness.evm.keccak import keccak
from harness.rollup.blocks import L1Origin

L1_INFO_ADDRESS = "0x4200000000000000000000000000000000000015"
DEPOSITOR_ADDRESS = "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001"
"""Nobody has its key; the node impersonates it. Both addresses are the OP Stack's."""

SYSTEM_GAS = 1_000_000
"""Gas limit of the system transaction; users share the rest of the block's."""

_SELECTOR = keccak(b"setL1Block(uint64,bytes32,uint64,bool)")[:4].hex()


def attributes_call(origin: L1Origin, *, nonce: int, auto: bool = False) -> dict[str, Any]:
    """Parameters of `eth_sendTransaction` for the block's first transaction.

    The nonce is given, not asked of the node: looking it up would let later sends of the same array overtake.
    """
    words = (f"{origin.number:064x}", origin.hash[2:], f"{origin.timestamp:064x}", f"{int(auto):064x}")
    return {
        "from": DEPOSITOR_ADDRESS,
        "to": L1_INFO_ADDRESS,
        "gas": hex(SYSTEM_GAS),
        "gasPrice": "0x0",
        "nonce": hex(nonce),
        "data": f"0x{_SELECTOR}{''.join(words)}",
    }
