"""Isolated margin pools: where an owner's account in each is, and the call that takes collateral there."""

from __future__ import annotations

from functools import lru_cache

from harness.evm.keccak import keccak
from harness.venue.deployment import interfaces

CROSS = 0
"""The pool in which an account is its owner's own address."""


@lru_cache(maxsize=4096)
def account_of(owner: str, pool: int) -> str:
    """An owner's account in a pool, open or not; lower-case 0x-hex."""
    if pool == CROSS:
        return owner
    return "0x" + keccak(bytes.fromhex(owner[2:]).rjust(32, b"\0") + pool.to_bytes(32, "big"))[12:].hex()


def encode_move_collateral(source: int, target: int, amount_native: int) -> bytes:
    """To the vault, by the owner: from its account in one pool to that in another, which it opens."""
    return interfaces()["vault"].encode_call("moveCollateral", source, target, amount_native)


def encode_pool_count() -> bytes:
    """To the vault: how many isolated pools there are."""
    return interfaces()["vault"].encode_call("poolCount")


def decode_pool_count(data: bytes) -> int:
    return int(interfaces()["vault"].decode_result("poolCount", data)[0])
