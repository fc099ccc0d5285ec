"""The price that takes somebody down the ladder was observed after its own last move: what is one, and to the second.

Each kind of move and of what is none, played as a history. What an account may hold and owe by it is the model's, which
tests/model compares with the contracts; here is what the check (LS3) makes of it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.checks.results import Verdict
from tests.checks.builder import BOUNDS, Run, W, address
from tests.checks.stories import market

ALICE = address("alice")
Story = Callable[[], Run]


def ready() -> Run:
    """A quiet market; nobody has observed a price for some seconds, so that one may come in late."""
    return market(expires_in=500).blocks(5)


def long(run: Run, name: str = "alice") -> Run:
    return run.block().trade(name, "maker", 9, 100)


def made() -> Run:
    return ready().block().trade("maker", "alice", -9, 100)


def taken_from_the_book() -> Run:
    return ready().open_market().block().place("maker", -9, 100).place("alice", 9, 100)


def filled_in_the_book() -> Run:
    return ready().open_market().block().place("alice", 9, 100).block().place("maker", -9, 100)


def withdrawn() -> Run:
    return ready().block().trade("alice", "maker", 5, 100).blocks(3).block().withdraw("alice", 45)


def moved_away() -> Run:
    run = ready().list_series(0, expires_in=500).terms(pool=1).block().trade("alice", "maker", 5, 100)
    return run.blocks(3).block().move("alice", 45, to=1)


def brought_back() -> Run:
    """Out of the isolated pool, by the account there."""
    run = ready().list_series(0, expires_in=500).terms(pool=1).move("alice", 95, to=1).move("maker", 1000, to=1)
    return run.block().trade("alice@1", "maker@1", 5, 100, series=4).blocks(3).block().move(
        "alice", 40, to=0, source=1)


def coins_withdrawn() -> Run:
    run = ready().coin_pool().list_series(4, expires_in=500).terms(pool=1).deposit_coin("alice", 2 * W)
    run.deposit_coin("maker", 90 * W).block().trade("alice@1", "maker@1", 1_000, 100, series=4)
    return run.blocks(3).block().withdraw_coin("alice", W * 9 // 10)


def took_over() -> Run:
    """As a keeper, a part of what bob held."""
    run = long(market(expires_in=500), "bob").block().price(94).blocks(5)
    return run.block().liquidate("bob", "alice")


def bid() -> Run:
    """The whole of what bob held, at the end of an auction."""
    run = long(market(expires_in=500), "bob").deposit("alice", 100).block().price(91).blocks(5)
    return run.start_auction("bob").block().liquidate("bob", "alice")


def took_the_rest() -> Run:
    """Bob's position when nobody is left with a profit on it: carol is short from today's price."""
    run = long(market(expires_in=500, insurance=0), "bob").deposit("alice", 300).deposit("carol", 10_000)
    run.block().price(84).blocks(5).block().trade("maker", "carol", 9, 84)
    return run.block().liquidate("bob", "alice", stage=3)


MOVES: dict[str, tuple[Story, str]] = {
    "a trade": (lambda: long(ready()), "alice"),
    "a trade as the maker": (made, "alice"),
    "an order that takes": (taken_from_the_book, "alice"),
    "an order that is filled": (filled_in_the_book, "alice"),
    "a withdrawal": (withdrawn, "alice"),
    "collateral moved into a pool": (moved_away, "alice"),
    "collateral moved out of a pool": (brought_back, "alice@1"),
    "coins withdrawn": (coins_withdrawn, "alice@1"),
    "a position taken over": (took_over, "alice"),
    "a bid": (bid, "alice"),
    "the rest of a deleveraging": (took_the_rest, "alice"),
}


def due_price(run: Run, name: str) -> int:
    """The highest whole price below today's at which that account is due."""
    book, held = run.venue.book, run.venue.book.holding(address(name))
    price = book.feed("ETH").price // W
    while not book.margin_at(held, {"ETH": price * W}).is_liquidatable:
        price -= 1
        assert price > 0, "never due"
    return price


def late(run: Run, name: str, offset: int) -> Run:
    """A round of so many seconds after the open block's comes in two seconds later, and that account is due by it."""
    price = due_price(run, name)
    return run.block(2).price(price, age=2 - offset)


def keeper_of(name: str) -> str:
    return "maker" + name.removeprefix("alice") if "@" in name else "keeper"


@pytest.mark.parametrize("kind", MOVES)
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_price_of_the_second_of_a_move_or_of_before_liquidates_nobody(kind: str, offset: int) -> None:
    story, name = MOVES[kind]
    run = story()
    moved = run.timestamp
    assert run.venue.book.moved_at(address(name)) == moved
    late(run, name, offset).liquidate(name, keeper_of(name))
    result = run.judge("LS3")
    assert result.verdict is (Verdict.HOLDS if offset > 0 else Verdict.VIOLATED)
    if offset <= 0:
        case = result.evidence[0]
        assert (case["account"], case["moved_at"], case["oldest_report"]) == (address(name), moved, moved + offset)


def topped_up(run: Run) -> Run:
    return run.deposit("alice", 1)


def paid_funding(run: Run) -> Run:
    return run.settle_funding("alice", 4)


def received(run: Run) -> Run:
    return run.move("alice", 0, to=0, source=1)


def settled(run: Run) -> Run:
    return run.finalize(5).settle("alice", 5)


def reduced_below_initial(run: Run) -> Run:
    run.trade("alice", "maker", -1, run.venue.book.feed("ETH").price // W)
    after = run.venue.facts.trades[-1].taker.after
    assert after.equity < after.im
    return run


def placed(run: Run) -> Run:
    run.open_market().place("alice", 1, 90)
    return run.cancel_order("alice", 1)


def auctioneer(run: Run) -> Run:
    """Alice starts the auction of another."""
    return run.start_auction("bob", "alice")


def laid_out() -> Run:
    """Alice long 8 with a perpetual, some of a future that has expired and an account in a pool; bob long 9."""
    run = market(expires_in=500).list_series(3).list_series(0, expires_in=20).list_series(0, expires_in=500)
    run.terms(pool=1).deposit("alice", 20).move("alice", 10, to=1).block().price(100)
    run.trade("alice", "maker", 7, 100).trade("alice", "maker", 1, 101, series=4)
    return run.trade("alice", "maker", 1, 100, series=5).trade("bob", "maker", 9, 100).blocks(18).block(2)


@pytest.mark.parametrize(
    ("what", "price"),
    [(topped_up, 94), (paid_funding, 94), (settled, 98), (reduced_below_initial, 95), (placed, 99), (auctioneer, 91)],
    ids=lambda it: getattr(it, "__name__", str(it)),
)
def test_what_is_no_move_leaves_the_time_of_the_last_one(what: Callable[[Run], Run], price: int) -> None:
    run = laid_out()
    moved = run.venue.book.moved_at(ALICE)
    assert 0 < moved < run.timestamp
    what(run.price(price))
    assert run.venue.book.moved_at(ALICE) == moved


def test_who_receives_collateral_has_not_moved_and_who_gives_it_has() -> None:
    run = laid_out()
    moved, now = run.venue.book.moved_at(ALICE), run.timestamp
    received(run.price(100))
    assert (run.venue.book.moved_at(ALICE), run.venue.book.moved_at(address("alice@1"))) == (moved, now)


def test_who_is_liquidated_has_not_moved() -> None:
    """In part, and again at a price of the very second of the first time."""
    run = long(ready()).block().price(94).block().liquidate("alice")
    moved = run.timestamp - 2
    assert run.venue.book.moved_at(ALICE) == moved
    price = due_price(run, "alice")
    run.block().price(price, age=1).liquidate("alice")
    assert run.venue.book.moved_at(ALICE) == moved
    assert run.judge("LS3").verdict is Verdict.HOLDS


def test_who_is_deleveraged_or_takes_nothing_of_a_deleveraging_has_not_moved() -> None:
    run = market(expires_in=500, insurance=1)
    run = long(run, "bob").block(2).price(84).block(2)
    before = run.timestamp - 4
    run.liquidate("bob", "keeper", stage=3)
    fact = run.venue.facts.liquidations[-1]
    assert fact.counterparties
    assert not fact.keeper_took
    assert run.venue.book.moved_at(address("maker")) == before
    assert run.venue.book.moved_at(address("keeper")) == 0


def test_a_haircut_is_no_move() -> None:
    run = took_the_rest()
    moved = {name: run.venue.book.moved_at(address(name)) for name in ("maker", "carol", "alice")}
    deficit = run.venue.book.deficit
    run.block().price(84).haircut()
    assert 0 == run.venue.book.deficit < deficit
    assert moved == {name: run.venue.book.moved_at(address(name)) for name in moved}


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("step", ["partial", "auction", "bid", "deleveraged"])
def test_every_step_down_the_ladder_asks_for_a_newer_price(step: str, offset: int) -> None:
    """The first step that is taken at a price of the move's own second is the one that is told of."""
    run = long(market(expires_in=500, insurance=1 if step == "deleveraged" else 500).blocks(5))
    price = {"partial": 94, "deleveraged": 84}.get(step, 91)
    run.block(2).price(price, age=2 - offset)
    if step == "auction":
        run.start_auction("alice")
    elif step == "bid":
        run.start_auction("alice").block().liquidate("alice", stage=2)
    else:
        run.liquidate("alice")
    result = run.judge("LS3")
    assert result.verdict is (Verdict.HOLDS if offset else Verdict.VIOLATED)
    if not offset:
        assert result.evidence[-1]["step"] == step


def test_the_oldest_of_several_assets_is_the_one_that_counts() -> None:
    """Ether's price is newer than her move, oil's is not: she may not be touched for either."""
    def story(oil_age: int) -> Run:
        run = market(expires_in=500).price(20, asset="OIL").list_series(0, expires_in=500, asset="OIL").blocks(5)
        run.block().trade("alice", "maker", 8, 100).trade("alice", "maker", 1, 20, series=4)
        return run.block(2).price(93).price(20, asset="OIL", age=oil_age).liquidate("alice")

    assert story(2).judge("LS3").verdict is Verdict.VIOLATED
    assert story(1).judge("LS3").verdict is Verdict.HOLDS


def test_a_price_that_is_not_newer_stops_the_promise_to_liquidate() -> None:
    """Bound 3: nobody owes anything at a price of the second of her trade; from the next one on they do."""
    run = long(market(expires_in=500).blocks(5)).block().price(94, age=1).blocks(6)
    assert run.venue.margin(ALICE).is_liquidatable
    assert run.judge("LL1").verdict is Verdict.UNKNOWN
    run = long(market(expires_in=500).blocks(5)).block().price(94, age=1).blocks(6).block().price(94).blocks(3)
    assert run.judge("LL1").verdict is Verdict.VIOLATED


def test_the_time_of_the_last_move_is_compared_with_storage_where_it_was_read() -> None:
    def story(off: int) -> Run:
        return long(ready()).state(corrupt={f"accounts.{ALICE}.moved_at": off}).block().state()

    assert story(0).judge("A6").verdict is Verdict.HOLDS
    assert story(-1).judge("A6").verdict is Verdict.VIOLATED
    old = long(ready()).state().block().state()
    old.close()
    for line in old.lines:
        for account in line["accounts"].values() if line["kind"] == "state" else ():
            del account["moved_at"]
    assert old.judge("A6").verdict is Verdict.HOLDS


def test_credit_for_a_capped_profit_decides_what_is_a_move() -> None:
    """E is well above IM at 120, E° is not: she may only take from what she holds, and has not moved by it."""
    run = market(expires_in=500).list_series(0, expires_in=500).terms(profit_cap=1)
    run.block().trade("alice", "maker", 9, 100, series=4).block().price(120).block()
    moved = run.timestamp - 2
    run.trade("alice", "maker", 0, 120, series=4, size_wad=-W // 10)
    after = run.venue.facts.trades[-1].taker.after
    assert after.credited < after.im < after.equity
    assert run.venue.book.moved_at(ALICE) == moved


def test_without_a_step_down_nothing_is_judged() -> None:
    assert long(ready()).block().price(94).judge("LS3", BOUNDS).verdict is Verdict.UNKNOWN
