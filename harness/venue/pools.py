"""Isolated margin pools: where an owner's account in each is, and the calls that take collateral there and back."""

from __future__ import annotations

from functools import lru_cache

from harness.evm.abi import asset_word
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


def encode_open_coin_pool(pool: int, token: str, asset: str) -> bytes:
    """To the vault, by the owner of the clearing house: the next pool, with this coin as its collateral."""
    return interfaces()["vault"].encode_call("openCoinPool", pool, token, asset_word(asset))


def encode_deposit_coin(pool: int, amount_native: int) -> bytes:
    """To the vault: from the owner's wallet to its account in a coin pool, which it opens."""
    return interfaces()["vault"].encode_call("depositCoin", pool, amount_native)


def encode_withdraw_coin(pool: int, amount_native: int) -> bytes:
    """To the vault: from the owner's account in a coin pool to its wallet."""
    return interfaces()["vault"].encode_call("withdrawCoin", pool, amount_native)


def encode_pool_count() -> bytes:
    """To the vault: how many isolated pools there are."""
    return interfaces()["vault"].encode_call("poolCount")


def decode_pool_count(data: bytes) -> int:
    return int(interfaces()["vault"].decode_result("poolCount", data)[0])
