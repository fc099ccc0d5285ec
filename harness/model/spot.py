"""The spot pool as contracts/RULES.md has it: what each call gives, or the first rule that turns it away.

Written from that text alone, so that it can judge the contract to the unit. Amounts are native units of each token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any, Final

from harness.model.fixed import BPS, floor_div

if TYPE_CHECKING:
    from harness.model.context import Context

FEE_BPS: Final = 30
LOCKED_SHARES: Final = 1_000
"""Of the first shares: nobody's, for ever."""
RESERVE_END: Final = 1 << 112
"""Reserves and amounts stay below it."""


class Refused(Exception):
    """The call reverts with this error; nothing changes."""

    def __init__(self, name: str, *values: int) -> None:
        super().__init__(f"{name}({','.join(map(str, values))})")
        self.name = name
        self.values = values


@dataclass(frozen=True, slots=True)
class SpotPool:
    """Reserves as stored (tokens sent to the pool without a call are in neither), and the supply of shares."""

    underlying: int = 0
    quote: int = 0
    shares: int = 0

    def amount_out(self, *, buys: bool, amount_in: int) -> int:
        """What a swap would give, whatever else forbids it; 0 for amounts beyond every reserve, and from nothing."""
        into, out_of = (self.quote, self.underlying) if buys else (self.underlying, self.quote)
        if amount_in >= RESERVE_END or into <= 0:
            return 0
        kept = amount_in * (BPS - FEE_BPS)
        return floor_div(kept * out_of, BPS * into + kept)

    def swap(self, *, buys: bool, amount_in: int, min_out: int, deadline: int, now: int) -> tuple[SpotPool, int]:
        """The pool after a swap, and what it gave. Raises Refused."""
        _in_time(deadline, now)
        if amount_in == 0:
            raise Refused("NothingIn")
        if self.shares == 0:
            raise Refused("NoLiquidity")
        out = self.amount_out(buys=buys, amount_in=amount_in)
        if out == 0:
            raise Refused("NothingOut")
        if out < min_out:
            raise Refused("SlippageExceeded", out, min_out)
        return self.moved(*((-out, amount_in) if buys else (amount_in, -out))), out

    def add(
        self, *, underlying: int, quote: int, min_shares: int, deadline: int, now: int
    ) -> tuple[SpotPool, int, int, int]:
        """The pool after liquidity came in, the pair it took, and the shares its provider got. Raises Refused."""
        _in_time(deadline, now)
        for given in (underlying, quote):
            if given >= RESERVE_END:
                raise Refused("ReserveOverflow", given)
        if self.shares == 0:
            root = isqrt(underlying * quote)
            if root <= LOCKED_SHARES:
                raise Refused("NothingIn")
            taken, locked, shares = (underlying, quote), LOCKED_SHARES, root - LOCKED_SHARES
        else:
            taken, locked = self.pair_within(underlying, quote), 0
            shares = self.shares_for(*taken)
        if shares == 0:
            raise Refused("NothingOut")
        if shares < min_shares:
            raise Refused("SlippageExceeded", shares, min_shares)
        return self.moved(*taken, shares + locked), *taken, shares

    def pair_within(self, underlying: int, quote: int) -> tuple[int, int]:
        """The largest amounts in the pool's ratio that are within both."""
        matching = floor_div(underlying * self.quote, self.underlying)
        if matching <= quote:
            return underlying, matching
        return floor_div(quote * self.underlying, self.quote), quote

    def shares_for(self, underlying: int, quote: int) -> int:
        return min(floor_div(underlying * self.shares, self.underlying), floor_div(quote * self.shares, self.quote))

    def remove(
        self, *, shares: int, min_underlying: int, min_quote: int, deadline: int, now: int
    ) -> tuple[SpotPool, int, int]:
        """The pool after shares, whosever they are, were redeemed, and what they brought. Raises Refused."""
        _in_time(deadline, now)
        if shares == 0:
            raise Refused("NothingIn")
        if self.shares == 0:
            raise Refused("NoLiquidity")
        brought = self.worth(shares)
        for got, least in zip(brought, (min_underlying, min_quote), strict=True):
            if got < least:
                raise Refused("SlippageExceeded", got, least)
        return SpotPool(self.underlying - brought[0], self.quote - brought[1], self.shares - shares), *brought

    def worth(self, shares: int) -> tuple[int, int]:
        return floor_div(shares * self.underlying, self.shares), floor_div(shares * self.quote, self.shares)

    def moved(self, underlying: int, quote: int, shares: int = 0) -> SpotPool:
        """With that much more in it. Raises Refused where a reserve would no longer fit."""
        after = SpotPool(self.underlying + underlying, self.quote + quote, self.shares + shares)
        for reserve in (after.underlying, after.quote):
            if reserve >= RESERVE_END:
                raise Refused("ReserveOverflow", reserve)
        return after


def _in_time(deadline: int, now: int) -> None:
    if now > deadline:
        raise Refused("DeadlineOver", deadline, now)


def swapped(context: Context, args: Mapping[str, Any]) -> None:
    """Goes on with what the rules give; where they give nothing, with what was told."""
    pool, now = context.book.spot, context.book.now
    buys, amount_in, told = args["buys"], args["amountIn"], args["amountOut"]
    try:
        after, out = pool.swap(buys=buys, amount_in=amount_in, min_out=args["minOut"], deadline=args["deadline"],
                               now=now)
        context.expect("Swapped.amountOut", out, told)
    except Refused as refused:
        context.differ("Swapped", str(refused), told)
        after = SpotPool(pool.underlying + (-told if buys else amount_in),
                         pool.quote + (amount_in if buys else -told), pool.shares)
    context.book.spot = after


def liquidity_added(context: Context, args: Mapping[str, Any]) -> None:
    """What was offered is not told, so only that the pair is one the ratio can give; its shares follow from it."""
    pool = context.book.spot
    underlying, quote, told = args["underlying"], args["quote"], args["shares"]
    locked = 0 if pool.shares else LOCKED_SHARES
    if locked:
        shares = isqrt(underlying * quote) - LOCKED_SHARES
    elif pool.underlying <= 0 or pool.quote <= 0:
        shares = told            # only after a discrepancy that was told already
    else:
        shares = pool.shares_for(underlying, quote)
        by_quote = pool.pair_within(underlying, RESERVE_END)[1]
        if quote != by_quote and underlying != floor_div(quote * pool.underlying, pool.quote):
            context.differ("LiquidityAdded.quote", by_quote, quote)
    if shares <= 0:
        context.differ("LiquidityAdded.shares", "more than none", told)
    else:
        context.expect("LiquidityAdded.shares", shares, told)
    try:
        context.book.spot = pool.moved(underlying, quote, shares + locked)
    except Refused as refused:
        context.differ("LiquidityAdded", str(refused), told)


def liquidity_removed(context: Context, args: Mapping[str, Any]) -> None:
    pool, shares = context.book.spot, args["shares"]
    if not 0 < shares <= pool.shares - LOCKED_SHARES:
        context.differ("LiquidityRemoved.shares", f"1 to {pool.shares - LOCKED_SHARES}", shares)
        return
    brought = pool.worth(shares)
    context.expect("LiquidityRemoved", list(brought), [args["underlying"], args["quote"]])
    context.book.spot = SpotPool(pool.underlying - brought[0], pool.quote - brought[1], pool.shares - shares)
