"""The spot pool's own rules (contracts/RULES.md): what they promise, however it is computed, and whom they turn away.

How it is computed is A6's: harness/model/spot.py is told every swap and all liquidity, and storage must be as it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import SpotState

FEE_BPS = 30
BPS = 10_000
LOCKED_SHARES = 1_000


@dataclass(slots=True)
class Pool:
    """Reserves and shares as the events so far make them."""

    underlying: int = 0
    quote: int = 0
    shares: int = 0

    def apply(self, name: str, args: Mapping[str, Any]) -> None:
        if name == "Swapped":
            paid, got = args["amountIn"], args["amountOut"]
            self.underlying += -got if args["buys"] else paid
            self.quote += paid if args["buys"] else -got
            return
        sign = 1 if name == "LiquidityAdded" else -1
        locked = LOCKED_SHARES if not self.shares and sign > 0 else 0
        self.underlying += sign * args["underlying"]
        self.quote += sign * args["quote"]
        self.shares += sign * args["shares"] + locked


def constant_product(subject: Subject) -> Finding:
    """Guarded by swaps; what comes out is the most that keeps x·y after the fee: neither side gets a unit too much."""
    cases, swaps, read = Cases(), 0, 0
    pool = Pool()
    for block in subject.chain:
        for event in block.events:
            if event.name not in ("Swapped", "LiquidityAdded", "LiquidityRemoved"):
                continue
            before = Pool(pool.underlying, pool.quote, pool.shares)
            pool.apply(event.name, event.args)
            what = _wrong(before, pool, event.name, event.args)
            swaps += event.name == "Swapped"
            if what:
                cases.add(severity=event.args.get("amountOut", 0), block=block.number, tx=event.tx, event=event.name,
                          what=what, reserves_before=[before.underlying, before.quote], **dict(event.args))
        for state in subject.history.states.get(block.hash, ()):
            if state.spot is not None:
                read += 1
                if state.spot != SpotState(pool.underlying, pool.quote, pool.shares):
                    cases.add(block=block.number, node=state.node, what="storage is not what the events made",
                              underlying=pool.underlying, got_underlying=state.spot.underlying, quote=pool.quote,
                              got_quote=state.spot.quote, shares=pool.shares, got_shares=state.spot.shares)
    return cases.finding(
        swaps,
        holds=f"{swaps} swaps gave the most that the constant product leaves after the fee, and {read} readings of the "
              "pool are what its events made",
        violated="a swap or its pool broke the constant product",
        nothing="nobody swapped in a spot pool",
    )


def _wrong(before: Pool, after: Pool, name: str, args: Mapping[str, Any]) -> str:
    """What one event broke; empty where nothing."""
    if min(after.underlying, after.quote, after.shares) < 0:
        return "more left the pool than was in it"
    if name == "Swapped":
        reserve_in, reserve_out = (before.quote, before.underlying) if args["buys"] else (
            before.underlying, before.quote)
        paid = reserve_in * BPS + args["amountIn"] * (BPS - FEE_BPS)   # what counts of the way in, in ten-thousandths
        least = reserve_in * BPS * reserve_out
        if paid * (reserve_out - args["amountOut"]) < least:
            return "it got more than the constant product leaves"
        if paid * (reserve_out - args["amountOut"] - 1) >= least:
            return "it got less than the constant product leaves"
    elif before.shares and after.shares:
        poorer = after.underlying * before.shares < before.underlying * after.shares
        if poorer or after.quote * before.shares < before.quote * after.shares:
            return "a share is worth less than before"
    return ""


def refused_for_cause(subject: Subject) -> Finding:
    """Guarded by refused swaps whose sender said what it asked for; the model's pool must find the same reason."""
    cases = Cases()
    refusals = subject.replay.swap_refusals
    for refusal in refusals:
        if not refusal.is_right:
            cases.add(severity=0 if refusal.due else 1, block=refusal.block, tx=refusal.tx, account=refusal.account,
                      error=refusal.error, rules_say=refusal.due or "nothing forbids it")
    return cases.finding(
        len(refusals),
        holds=f"each of {len(refusals)} refused swaps had the reason it was given, to the unit",
        violated="a swap was refused that nothing forbids, or for another reason than it was given",
        nothing="no swap in a spot pool was refused",
    )


CHECKS = (
    Check("AM1", "constant product", "a swap in the spot pool gives exactly what the constant product leaves after the "
          "fee, and storage is what its events made", constant_product, occasion="a swap in a spot pool"),
    Check("AM2", "swaps refused for cause", "a swap in the spot pool is refused only as its rules say, to the unit",
          refused_for_cause, occasion="a refused swap in a spot pool"),
)
