"""Gas per operation of the venue, and of the worst portfolio's liquidation beside its limit (LL6).

Run it directly; it prints one line of JSON for each figure. Gas is exact and the same on every machine.
"""

from __future__ import annotations

import json

from harness.evm.accounts import KEEPERS, MAKER, account
from harness.venue import exchange as ex
from tests.contracts.conftest import PARAMS, TRADERS, USD, Outcome, Venue, W, standing_venue

ALICE, BOB, CAROL, DAVE = TRADERS
KEEPER = KEEPERS[0]
BLOCK_GAS = 30_000_000
WORST_SERIES = 32


def show(operation: str, outcome: Outcome, **more: int) -> None:
    assert outcome.error == "", f"{operation}: {outcome.error}"
    print(json.dumps({"operation": operation, "gas": outcome.gas, **more}), flush=True)


def live(venue: Venue, seconds: int, price: int) -> None:
    end = venue.now + seconds
    while venue.now < end:
        venue.now = min(venue.now + PARAMS.uptime_gap_s, end)
        venue.system()
        venue.observe(price)


def everyday(venue: Venue) -> None:
    venue.system()
    show("oracle round, 3 signatures", venue.observe(2000 * W))
    for kind, strike in (("future", 0), ("call", 2000 * W), ("put", 2000 * W), ("perpetual", 0)):
        venue.list_series(kind, strike=strike, expires=90)
    venue.deposit(MAKER, 10_000_000)
    venue.deposit(BOB, 100_000)
    show("deposit, first", venue.ok(ALICE, "vault", ex.encode_deposit(100_000 * USD)))
    show("deposit", venue.ok(ALICE, "vault", ex.encode_deposit(USD)))
    for series, name, price in ((1, "future", 2000), (2, "call", 100), (3, "put", 100), (4, "perpetual", 2001)):
        assert venue.trade(BOB, series, W, price * W).error == ""
        show(f"trade {name}, open", venue.trade(ALICE, series, W, price * W))
        show(f"trade {name}, reduce, 4 series held", venue.trade(ALICE, series, -W // 2, price * W))
    show("withdraw, 4 series held", venue.ok(ALICE, "vault", ex.encode_withdraw(USD)))
    live(venue, PARAMS.premium_window_s, 2000 * W)
    show("accrue funding", venue.ok(BOB, "perpetuals", ex.encode_accrue(4)))
    live(venue, 5, 2000 * W)
    show("settle funding", venue.ok(BOB, "clearing_house", ex.encode_settle_funding(account(BOB).address, 4)))
    live(venue, 90, 2000 * W)
    show("finalize", venue.finalize(1))
    show("settle future", venue.settle(ALICE, 1))


def ladder(venue: Venue) -> None:
    venue.system()
    venue.observe(2000 * W)
    venue.list_series("future")
    venue.deposit(MAKER, 10_000_000)
    venue.deposit(KEEPER, 1_000_000)
    for who in (ALICE, BOB, CAROL, DAVE):
        venue.deposit(who, 300)
        assert venue.trade(who, 1, W, 2000 * W).error == ""
    live(venue, 1, 1800 * W)
    show("liquidate, partial, 1 series", venue.liquidate(KEEPER, ALICE))
    live(venue, 1, 1731 * W)
    show("liquidate, start auction", venue.liquidate(KEEPER, BOB))
    live(venue, 4, 1731 * W)
    bid = ex.encode_bid(account(BOB).address)
    show("bid, 1 series", venue.ok(KEEPER, "liquidator", bid))
    live(venue, 1, 1500 * W)
    show("liquidate, deleverage, 1 series", venue.liquidate(KEEPER, CAROL))


def worst(venue: Venue) -> None:
    """As many series as an account may hold, each a perpetual, which cost most."""
    venue.system()
    venue.observe(2000 * W)
    venue.deposit(MAKER, 10_000_000)
    venue.deposit(ALICE, 500_000)
    for series in range(1, WORST_SERIES + 1):
        venue.list_series("perpetual")
        assert venue.trade(ALICE, series, W, 2000 * W).error == ""
    venue.ok(ALICE, "vault", ex.encode_withdraw((500_000 - 8_000) * USD))
    venue.deposit(KEEPER, 10_000_000)
    live(venue, 1, 1850 * W)
    show(f"liquidate, partial, {WORST_SERIES} series", venue.liquidate(KEEPER, ALICE), limit=BLOCK_GAS // 4)
    live(venue, 1, 1000 * W)
    show(f"liquidate, deleverage, {WORST_SERIES} series", venue.liquidate(KEEPER, ALICE), limit=BLOCK_GAS // 4)


def main() -> None:
    for story in (everyday, ladder, worst):
        with standing_venue() as venue:
            story(venue)


if __name__ == "__main__":
    main()
