"""Gas per operation of the venue, and of the worst portfolios' liquidation beside their limit (LL6).

Run it directly; it prints one line of JSON for each figure. Gas is exact and the same on every machine. A figure that
breaks its limit says so, and the exit code is 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace

from harness.evm.accounts import KEEPERS, MAKER, OWNER, account
from harness.plan import VenueParameters
from harness.venue import exchange as ex
from harness.venue import governance as gov
from harness.venue.book import MODES, TICK_WAD, Order, encode_cancel, encode_open_market, encode_place, encode_update
from harness.venue.pools import encode_move_collateral
from harness.venue.spot import Swap, encode_add_liquidity, encode_remove_liquidity, encode_swap
from tests.contracts.conftest import PARAMS, STRICT, T0, TRADERS, USD, Outcome, Venue, W, standing_venue

ALICE, BOB, CAROL, DAVE = TRADERS
KEEPER = KEEPERS[0]
BLOCK_GAS = 30_000_000
WORST_SERIES = 32


FOREVER = 2**64 - 1
SHARE = 10**9                   # of the spot pool
RELIEF = 1                      # the option margin that looks at the whole book

over_limit: list[str] = []


def show(operation: str, outcome: Outcome, *, limit: int | None = None) -> None:
    assert outcome.error == "", f"{operation}: {outcome.error}"
    bound = {} if limit is None else {"limit": limit, "ok": outcome.gas <= limit}
    if limit is not None and outcome.gas > limit:
        over_limit.append(operation)
    print(json.dumps({"operation": operation, "gas": outcome.gas, **bound}), flush=True)


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


def book(venue: Venue) -> None:
    """Placing and taking, at a level with others and at a level of one's own."""
    venue.system()
    venue.observe(2000 * W)
    venue.list_series("future")
    for who in (MAKER, ALICE, BOB):
        venue.deposit(who, 1_000_000)
    open_market = encode_open_market(1, tick=TICK_WAD, lot=PARAMS.lot_wad)
    show("open a book", venue.ok(OWNER, "order_book", open_market))

    def place(who: int, size: int, price: int, mode: str = "limit") -> Outcome:
        order = Order(1, size, price, MODES[mode], FOREVER)
        return venue.send(who, "order_book", encode_place(order))

    show("place, first of its price", place(MAKER, -W, 2001 * W))
    show("place, at a price with others", place(MAKER, -W, 2001 * W))
    show("place, post-only", place(MAKER, W, 1990 * W, "post-only"))
    show("cancel, last of its price", venue.ok(MAKER, "order_book", encode_cancel(3)))
    show("cancel, one of several", venue.ok(MAKER, "order_book", encode_cancel(2)))
    show("market order, 1 fill, opening", place(ALICE, W, 0, "market"))
    show("immediate-or-cancel, nothing there", place(ALICE, W, 2001 * W, "ioc"))
    for levels in (1, 5, 10, 24):
        for level in range(levels):
            assert place(MAKER, -W // 10, (2001 + level) * W).error == ""
        show(f"immediate-or-cancel, {levels} fills at {levels} prices",
             place(ALICE, levels * W // 10, 2100 * W, "ioc"), limit=BLOCK_GAS // 2)
    for number in range(24):
        assert place(BOB, -W // 10, (2001 + number) * W).error == ""
    requests = [Order(1, -W // 10, (2030 + number) * W, MODES["post-only"], FOREVER) for number in range(10)]
    first = venue.ask("order_book", "lastOrderId")[0]
    show("update, 10 cancelled and 10 placed",
         venue.ok(BOB, "order_book", encode_update(range(first - 9, first + 1), requests)))


def relief(venue: Venue) -> None:
    """As many options of one expiry as one may hold, all relieving each other: the margin most dear to reckon."""
    venue.system()
    venue.observe(2000 * W)
    venue.deposit(MAKER, 10_000_000)
    venue.deposit(ALICE, 1_000_000)
    for number in range(WORST_SERIES):
        kind, strike = ("call", "put")[number % 2], (1600 + 25 * number) * W
        listed = ex.encode_list_series_with(ex.KINDS[kind], "ETH", strike, T0 + 3_600, (RELIEF, 0, 0, 0, 0))
        series = int(venue.ok(OWNER, "clearing_house", listed).one("SeriesListed")["id"])
        size = W if number % 4 < 2 else -W           # long a call and a put, short the next ones
        outcome = venue.trade(ALICE, series, size, 0)
        assert outcome.error == ""
    # A call more than is paired: what the book can lose then grows with the price.
    show(f"trade an option, {WORST_SERIES} held in a relief book", venue.trade(ALICE, series - 1, -W // 2, 0))
    held = venue.of(ALICE)
    spare = (held.cash - held.im) // 10**12 - 1
    show(f"withdraw, {WORST_SERIES} held in a relief book", venue.ok(ALICE, "vault", ex.encode_withdraw(spare)))
    venue.deposit(KEEPER, 10_000_000)
    price = 2000
    while not venue.liquidatable(ALICE):
        price += 50
        assert price < 4_000, "the book is hedged against everything"
        live(venue, 1, price * W)
    show(f"liquidate, {WORST_SERIES} held in a relief book", venue.liquidate(KEEPER, ALICE), limit=BLOCK_GAS // 4)


def disputes(venue: Venue) -> None:
    venue.system()
    venue.observe(2000 * W)
    venue.deposit(MAKER, 1_000_000)
    venue.deposit(ALICE, 10_000)
    for _ in range(3):
        venue.list_series("future", expires=60)
    for series in (1, 2, 3):
        assert venue.trade(ALICE, series, W, 2000 * W).error == ""
    silent(venue, T0 + 60 + STRICT.dispute_patience_s)
    show("finalize, opening a dispute", venue.finalize(1))
    assert venue.finalize(2).error == ""
    live(venue, STRICT.override_delay_s, 2000 * W)
    show("override a price", venue.ok(OWNER, "settlement", ex.encode_override_price(1, 2000 * W)))
    show("resolve, by the next quorum", venue.ok(ALICE, "settlement", ex.encode_resolve(2)))
    show("settle after a dispute", venue.settle(ALICE, 2))


def silent(venue: Venue, until: int) -> None:
    """The chain is up and nobody observes anything."""
    while venue.now < until:
        venue.now = min(venue.now + PARAMS.uptime_gap_s, until)
        venue.system()


def spot(venue: Venue) -> None:
    venue.system()
    for who in (ALICE, BOB):
        venue.ok(OWNER, "spot_token", venue.raw("spot_token", "mint", account(who).address, 10**6 * W))
        for token in ("spot_token", "collateral_token"):
            venue.ok(who, token, ex.encode_approve(venue.at["spot_amm"], 2**256 - 1))

    def add(who: int) -> Outcome:
        data = encode_add_liquidity(1_000 * W, 2_000_000 * USD, min_shares=0, deadline=FOREVER)
        return venue.send(who, "spot_amm", data)

    show("add liquidity, first", add(ALICE))
    show("add liquidity", add(BOB))
    for buys, amount in ((True, 1_000 * USD), (False, W)):
        swap = encode_swap(Swap(buys, amount, 0, FOREVER))
        show(f"swap, {'buying' if buys else 'selling'}", venue.send(ALICE, "spot_amm", swap))
    data = encode_remove_liquidity(SHARE, min_underlying=0, min_quote=0, deadline=FOREVER)
    show("remove liquidity", venue.send(BOB, "spot_amm", data))


def governance(venue: Venue) -> None:
    venue.system()
    delay = PARAMS.timelock_delay_s
    show("pause", venue.ok(OWNER, "pauses", gov.encode_pause(7)))
    show("unpause", venue.ok(OWNER, "pauses", gov.encode_unpause(7)))
    factors = gov.Factors(1500, PARAMS.mm_bps, PARAMS.option_im_bps, PARAMS.option_min_im_bps, PARAMS.option_mm_bps)
    upgrade = gov.encode_upgrade(venue.at["liquidator_v2"], gov.encode_initialize(PARAMS.keeper_share_bps))
    for what, call in (
        ("new factors", gov.Call(venue.at["clearing_house"], gov.encode_set_factors(factors))),
        ("an upgrade of the liquidator", gov.Call(venue.at["liquidator"], upgrade)),
    ):
        show(f"schedule {what}", venue.ok(OWNER, "timelock", gov.encode_schedule(call, delay)))
        silent(venue, venue.now + delay)
        show(f"execute {what}", venue.ok(OWNER, "timelock", gov.encode_execute(call)))


def pools(venue: Venue) -> None:
    venue.system()
    venue.observe(2000 * W)
    listed = ex.encode_list_series_with(0, "ETH", 0, T0 + 3_600, (0, 1, 0, 0, 0))
    show("list a series in a new pool", venue.ok(OWNER, "clearing_house", listed))
    for who in (MAKER, ALICE, KEEPER):
        venue.deposit(who, 100_000)
        moved = venue.ok(who, "vault", encode_move_collateral(0, 1, 10_000 * USD))
    show("move collateral, opening an account", moved)
    show("move collateral", venue.ok(KEEPER, "vault", encode_move_collateral(0, 1, USD)))
    show("trade future in a pool, open", venue.trade(ALICE, 1, W, 2000 * W))
    show("fund the insurance of a pool", venue.ok(OWNER, "vault", ex.encode_fund_insurance(USD, 1)))


STORIES: tuple[tuple[Callable[[Venue], None], VenueParameters], ...] = (
    (everyday, PARAMS), (book, PARAMS), (ladder, PARAMS), (disputes, STRICT), (pools, PARAMS), (spot, PARAMS),
    (governance, PARAMS), (worst, PARAMS), (relief, replace(PARAMS, band_bps=2_000)),
)


def main() -> int:
    for story, params in STORIES:
        with standing_venue(params) as venue:
            story(venue)
    if over_limit:
        print(f"over their limit: {', '.join(over_limit)}", file=sys.stderr)
    return 1 if over_limit else 0


if __name__ == "__main__":
    sys.exit(main())
