"""The spot pool's calls and answers, typed, and its arithmetic as whoever trades with it works it out beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from harness.venue.deployment import interfaces

FEE_BPS: Final = 30
BPS: Final = 10_000
UNDERLYING_UNIT: Final = 10**18
QUOTE_UNIT: Final = 10**6


@dataclass(frozen=True, slots=True)
class Reserves:
    """What is in the pool, native units of each token, and the supply of its shares."""

    underlying: int
    quote: int
    shares: int

    def amount_out(self, *, buys: bool, amount_in: int) -> int:
        """What a swap gives: contracts/RULES.md; 0 where there is nothing to have."""
        reserve_in, reserve_out = (self.quote, self.underlying) if buys else (self.underlying, self.quote)
        worth = amount_in * (BPS - FEE_BPS)
        return worth * reserve_out // (reserve_in * BPS + worth) if reserve_in and worth > 0 else 0

    def after(self, *, buys: bool, amount_in: int) -> Reserves:
        """The pool after that swap."""
        out = self.amount_out(buys=buys, amount_in=amount_in)
        if buys:
            return Reserves(self.underlying - out, self.quote + amount_in, self.shares)
        return Reserves(self.underlying + amount_in, self.quote - out, self.shares)

    @property
    def price_wad(self) -> int:
        """Marginal price before fee, 1e18 quote per 1 underlying, floored; 0 of an empty pool."""
        scale = UNDERLYING_UNIT * 10**18 // QUOTE_UNIT
        return self.quote * scale // self.underlying if self.underlying else 0


@dataclass(frozen=True, slots=True)
class Swap:
    """A call of `swap`, as it stands in a transaction."""

    buys: bool
    amount_in: int
    min_out: int
    deadline: int


def encode_swap(swap: Swap) -> bytes:
    return _encode("swap", swap.buys, swap.amount_in, swap.min_out, swap.deadline)


def decode_swap(data: bytes) -> Swap | None:
    """The swap that calldata to the pool asks for; None where it is another call, or none."""
    decoded = interfaces()["spot_amm"].decode_call(data)
    if decoded is None or decoded[0] != "swap":
        return None
    return Swap(*decoded[1])


def encode_add_liquidity(underlying: int, quote: int, *, min_shares: int, deadline: int) -> bytes:
    return _encode("addLiquidity", underlying, quote, min_shares, deadline)


def encode_remove_liquidity(shares: int, *, min_underlying: int, min_quote: int, deadline: int) -> bytes:
    return _encode("removeLiquidity", shares, min_underlying, min_quote, deadline)


def encode_reserves() -> bytes:
    return _encode("reserves")


def decode_reserves(data: bytes) -> Reserves:
    return Reserves(*interfaces()["spot_amm"].decode_result("reserves", data))


def _encode(function: str, *arguments: Any) -> bytes:
    return interfaces()["spot_amm"].encode_call(function, *arguments)
