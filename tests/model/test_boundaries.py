"""One wei, one second or one unit to either side of every inequality: both sides let in what is on it, not beyond.

`Duel` compares the contracts with the model at each step; here the model finds where the edge is, and the test says on
which side of it each of the two neighbours must fall, so that both being wrong alike is seen as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.evm.accounts import MAKER, OWNER
from harness.model import ladder
from harness.model.pauses import LIQUIDATION
from tests.contracts.conftest import INSURANCE, T0, TRADERS, Outcome, W
from tests.model.side_by_side import (
    CALL,
    EXPIRY,
    FUTURE,
    KEEPER,
    LATER,
    OIL_FUTURE,
    PERPETUAL,
    PUT,
    Duel,
    address,
    duel,
    last,
)

pytestmark = pytest.mark.node

A, B = TRADERS[:2]
INDEX = 2000 * W
GRACE, AGE = 30, 20


@pytest.fixture(scope="module")
def shared() -> Iterator[Duel]:
    with duel() as found:
        yield found


@pytest.fixture
def both(shared: Duel) -> Duel:
    """ETH at 2000, OIL at 20; A and B with 3 000 each; nothing held."""
    shared.reset()
    return shared


def went(outcome: Outcome) -> bool:
    return outcome.error == ""


@pytest.mark.parametrize("series", [FUTURE, CALL, PUT, PERPETUAL, OIL_FUTURE])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_position_that_initial_margin_allows(both: Duel, series: int, sign: int) -> None:
    """M1 to the wei of size, fee included; long options are bounded by the premium instead."""
    price = {CALL: 90 * W + 1, PUT: 110 * W + 3, OIL_FUTURE: 20 * W}.get(series, INDEX + 7)
    most = last(lambda size: both.may_trade(A, MAKER, series, sign * size, price), 1, 10**25)
    with both.aside():
        assert went(both.trade(A, MAKER, series, sign * most, price))
        margin = both.model.margin(address(A))
        assert margin.equity >= margin.im
    refused = both.trade(A, MAKER, series, sign * (most + 1), price)
    assert refused.error.startswith("InsufficientMargin")


@pytest.mark.parametrize("series", [LATER, PERPETUAL, CALL])
def test_the_last_unit_that_may_be_withdrawn(both: Duel, series: int) -> None:
    """M2 with an unrealised loss, an odd size and an odd price."""
    sign = -1 if series == CALL else 1
    assert went(both.trade(A, MAKER, series, sign * (3 * W + 1), 90 * W if series == CALL else INDEX))
    both.tick(1)
    both.price(INDEX - sign * 13 * W + 5)
    most = both.most_withdrawable(A)
    with both.aside():
        assert went(both.withdraw(A, most))
    assert both.withdraw(A, most + 1).error.startswith("InsufficientMargin")


@pytest.mark.parametrize(("series", "size"), [(LATER, 14 * W), (LATER, -14 * W), (PERPETUAL, 9 * W + 7), (CALL, -9 * W),
                                              (PUT, -9 * W)])
def test_the_first_price_at_which_an_account_may_be_liquidated(both: Duel, series: int, size: int) -> None:
    """E < MM, strictly: at the last price where E ≥ MM nobody is touched, one wei on he is."""
    assert went(both.trade(A, MAKER, series, size, 90 * W if series in (CALL, PUT) else INDEX))
    both.tick(1)
    rises = size < 0 and series != PUT

    def healthy(distance: int) -> bool:
        other = both.probe()
        book = other.book
        price = INDEX + (distance if rises else -distance)
        margin = book.margin_at(book.holding(address(A)), {"ETH": price})
        return not margin.is_liquidatable

    distance = last(healthy, 0, 1500 * W)
    for step, due in ((distance, False), (distance + 1, True)):
        with both.aside():
            both.price(INDEX + (step if rises else -step))
            both.tick(1)
            margin = both.model.margin(address(A))
            assert margin.is_liquidatable is due
            assert went(both.liquidate(KEEPER, A)) is due


@pytest.mark.parametrize(("below", "due"), [(0, False), (1, True)])
def test_equity_equal_to_the_maintenance_margin_is_healthy(both: Duel, below: int, due: bool) -> None:
    """3 501 less a fee of 16; long 16 from 2000: at 1901 E = 3485 − 16·99 = 1901 and MM = 16·1901/16, the same."""
    both.deposit(A, 501 * 10**6)
    assert went(both.trade(A, MAKER, LATER, 16 * W, INDEX))
    both.tick(1)
    both.price(1901 * W - below)
    margin = both.model.margin(address(A))
    assert margin.equity - margin.mm == -15 * below
    assert went(both.liquidate(KEEPER, A)) is due


def holds_sixteen(both: Duel) -> None:
    """A has 3 468 less a fee of 16, and 16 from 2000."""
    both.deposit(A, 468 * 10**6)
    assert went(both.trade(A, MAKER, LATER, 16 * W, INDEX))
    both.tick(1)


def sunk(both: Duel, price: int) -> tuple[ladder.Terms, list[str]]:
    """A as above, at a price: what it comes to, and what the next step told."""
    with both.aside():
        holds_sixteen(both)
        both.price(price)
        given = ladder.terms(both.probe().book, address(A))
        return given, [event.name for event in both.liquidate(KEEPER, A).events]


def test_a_penalty_that_is_there_to_the_wei_is_taken_and_one_that_is_not_goes_to_auction(both: Duel) -> None:
    """R ≥ F: at 1830 R = 3452 − 16·170 = 732, and F = 16·1830/40, the same."""
    given, told = sunk(both, 1830 * W)
    assert (given.worth, given.penalty) == (732 * W, 732 * W)
    assert "Liquidated" in told
    given, told = sunk(both, 1830 * W - 1)
    assert (given.worth, given.penalty) == (732 * W - 16, 732 * W)
    assert told == ["AuctionStarted"]


def test_a_loss_the_insurance_may_just_pay_is_auctioned_and_a_wei_more_deleverages(both: Duel) -> None:
    """−R > what the insurance may pay in a block."""
    may_pay = INSURANCE * 10**12 * both.params.insurance_cap_bps // 10_000
    price = (32_000 * W - 3_452 * W - may_pay) // 16
    given, told = sunk(both, price)
    assert (-given.worth, given.available) == (may_pay, may_pay)
    assert told == ["AuctionStarted"]
    given, told = sunk(both, price - 1)
    assert -given.worth == may_pay + 16
    assert "Liquidated" in told


@pytest.mark.parametrize("above", [0, 1])
def test_a_bidder_may_end_with_its_initial_margin_and_not_a_wei_below(both: Duel, above: int) -> None:
    """E° ≥ IM⁰: B with 2 839.20 takes 16 over at 1820 for 72.80 after a second; that is 2 912, a tenth of 29 120."""
    assert went(both.withdraw(B, 160_800_000))
    holds_sixteen(both)
    both.price(1825 * W)
    assert went(both.liquidate(KEEPER, A))
    both.tick(1)
    both.price(1820 * W + above)
    outcome = both.bid(B, A)
    if above:
        assert outcome.error.startswith("InsufficientMargin")
        return
    margin = both.model.margin(address(B))
    assert (margin.equity, margin.im) == (2_912 * W, 2_912 * W)


def wait(both: Duel, seconds: int) -> None:
    """In steps that are no outage."""
    for second in range(0, seconds, 3):
        both.tick(min(3, seconds - second))


@pytest.mark.parametrize("lag", [0, 1, 12])
@pytest.mark.parametrize("early", [1, 0])
def test_the_grace_ends_on_its_second(both: Duel, early: int, lag: int) -> None:
    """startedAt + grace is outside it, by L1's clock; prices come all along."""
    assert went(both.trade(A, MAKER, LATER, 14 * W, INDEX))
    both.behind(lag)
    both.tick(9)
    both.price(1890 * W)
    wait(both, GRACE + lag - early)
    assert both.origin == both.model.book.started_at + GRACE - early
    both.price(1889 * W)
    outcome = both.liquidate(KEEPER, A)
    assert outcome.error.startswith("SequencerGrace") if early else went(outcome)


@pytest.mark.parametrize("lag", [0, 1, 12])
@pytest.mark.parametrize("early", [1, 0])
def test_the_grace_after_a_pause_ends_on_its_second(both: Duel, early: int, lag: int) -> None:
    assert went(both.trade(A, MAKER, LATER, 14 * W, INDEX))
    both.behind(lag)
    wait(both, 3)
    assert went(both.pause(OWNER, LIQUIDATION))
    wait(both, 3)
    assert went(both.unpause(OWNER, LIQUIDATION))
    wait(both, GRACE + lag - early)
    both.price(1889 * W)
    outcome = both.liquidate(KEEPER, A)
    assert outcome.error.startswith("PauseGrace") if early else went(outcome)


def test_a_grace_lasts_while_the_clock_of_l1_stands(both: Duel) -> None:
    assert went(both.trade(A, MAKER, LATER, 14 * W, INDEX))
    both.tick(9)
    both.behind(10**6)
    for _ in range(6):
        wait(both, 18)
        both.price(1890 * W)
        assert both.liquidate(KEEPER, A).error.startswith("SequencerGrace")
    both.behind(0)
    both.tick(1)
    assert went(both.liquidate(KEEPER, A))


def buys(both: Duel) -> None:
    assert went(both.trade(A, MAKER, LATER, 14 * W, INDEX))


def makes(both: Duel) -> None:
    assert went(both.trade(MAKER, A, LATER, -14 * W, INDEX))


def draws_out(both: Duel) -> None:
    assert went(both.trade(A, MAKER, LATER, 10 * W, INDEX))
    wait(both, 6)
    assert went(both.withdraw(A, both.most_withdrawable(A)))


def takes_over(both: Duel) -> None:
    assert went(both.trade(B, MAKER, LATER, 14 * W, INDEX))
    wait(both, 1)
    both.price(1890 * W)
    wait(both, 6)
    assert went(both.liquidate(A, B))


def bids(both: Duel) -> None:
    both.deposit(A, 2_000 * 10**6)
    assert went(both.trade(B, MAKER, LATER, 14 * W, INDEX))
    wait(both, 1)
    both.price(1830 * W)
    wait(both, 6)
    assert went(both.liquidate(KEEPER, B))
    assert went(both.bid(A, B))


@pytest.mark.parametrize("move", [buys, makes, draws_out, takes_over, bids])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_price_observed_up_to_an_accounts_own_move_liquidates_it_not(
    both: Duel, move: Callable[[Duel], None], offset: int
) -> None:
    """LS3: the round comes in two seconds later, whenever it was observed; the next second's liquidates."""
    wait(both, 3)
    move(both)
    account, book = address(A), both.model.book
    assert book.moved_at(account) == both.chain.now
    held = book.holding(account)
    price = last(lambda it: not book.margin_at(held, {"ETH": it}).is_liquidatable, book.feed("ETH").price, W) - W
    both.tick(2)
    assert went(both.price(price, age=2 - offset))
    outcome = both.liquidate(KEEPER, A)
    assert went(outcome) if offset > 0 else outcome.error.startswith("PriceBeforeMove")
    assert book.moved_at(account) == both.chain.now - 2


@pytest.mark.parametrize("what", ["deposit", "reduce", "auction", "taken from"])
def test_what_is_no_move_leaves_an_account_open_to_the_price_of_its_own_second(both: Duel, what: str) -> None:
    """A reduction below initial margin, a top-up, the start of an auction, and being liquidated itself."""
    buys(both)
    moved = both.model.book.moved_at(address(A))
    wait(both, 2)
    both.price(1830 * W if what == "auction" else 1885 * W)
    if what == "deposit":
        assert went(both.deposit(A, 10**6))
    elif what == "reduce":
        assert went(both.trade(A, MAKER, LATER, -W, 1885 * W))
        assert not both.model.margin(address(A)).is_initial
    else:
        assert went(both.liquidate(KEEPER, A))
    assert both.model.book.moved_at(address(A)) == moved
    both.tick(1)
    if what == "taken from":
        both.price(1785 * W)
    assert went(both.bid(KEEPER, A) if what == "auction" else both.liquidate(KEEPER, A))
    assert both.model.book.moved_at(address(KEEPER)) == both.chain.now


@pytest.mark.parametrize("before", [1, 0])
def test_a_price_of_the_second_of_the_restart_is_new_enough(both: Duel, before: int) -> None:
    """Reported since the restart: its own second counts, the one before does not."""
    assert went(both.trade(A, MAKER, LATER, 14 * W, INDEX))
    both.tick(9)
    both.price(1890 * W, age=before)
    # The grace is longer than a price stays fresh, so only a chain that was down can show this edge alone.
    guards = both.probe().guards(address(A))
    assert guards.is_fresh is not bool(before)


@pytest.mark.parametrize("older", [0, 1])
def test_a_price_is_fresh_up_to_its_age_limit_and_no_longer(both: Duel, older: int) -> None:
    """Trade, withdrawal and liquidation alike, at 20 and at 21 seconds."""
    assert went(both.trade(A, MAKER, LATER, 14 * W, INDEX))
    both.tick(1)
    both.price(1880 * W)
    both.price(20 * W, "OIL")
    for wait in [3] * 6 + [2 + older]:
        both.tick(wait)
    assert both.chain.now - T0 == 1 + AGE + older
    outcomes = [both.trade(B, MAKER, LATER, W, 1880 * W), both.liquidate(KEEPER, A), both.withdraw(MAKER, 5)]
    for outcome in outcomes:
        assert outcome.error.startswith("StalePrice") if older else went(outcome), outcome.error


@pytest.mark.parametrize("series", [FUTURE, PERPETUAL])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_price_on_the_band_is_in_it(both: Duel, series: int, sign: int) -> None:
    """10 % of the index to either side, at an index that does not divide."""
    both.tick(1)
    both.price(INDEX + 3)
    edge = (INDEX + 3) * 1000 // 10_000
    with both.aside():
        assert went(both.trade(A, MAKER, series, W // 10, INDEX + 3 + sign * edge))
    refused = both.trade(A, MAKER, series, W // 10, INDEX + 3 + sign * (edge + 1))
    assert refused.error.startswith("PriceOutOfBand")


@pytest.mark.parametrize(
    ("series", "price", "step"), [(CALL, 0, -1), (CALL, INDEX + 50 * W, 1), (PUT, 0, -1), (PUT, INDEX, 1)]
)
def test_an_option_costs_between_nothing_and_its_ceiling(both: Duel, series: int, price: int, step: int) -> None:
    """At most the index for a call, the strike of 2000 for a put, with the index at 2050."""
    both.tick(1)
    both.price(INDEX + 50 * W)
    with both.aside():
        assert went(both.trade(A, MAKER, series, W // 100, price))
    assert both.trade(A, MAKER, series, W // 100, price + step).error.startswith("OptionPriceOutOfRange")


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_expiry_belongs_to_the_settled_side(both: Duel, late: int) -> None:
    """T − 1 trades and liquidates; T and T + 1 finalize and settle; nothing does both, nothing neither."""
    assert went(both.trade(A, MAKER, FUTURE, 14 * W, INDEX))
    target = T0 + EXPIRY + late
    while both.chain.now < target:
        both.tick(min(3, target - both.chain.now))
        both.price(INDEX if both.chain.now < target else 1880 * W)   # a window without prices would be in dispute
    both.price(20 * W, "OIL")
    traded = both.trade(B, MAKER, FUTURE, W, 1880 * W)
    with both.aside():
        liquidated = both.liquidate(KEEPER, A)
    finalized = both.finalize(FUTURE)
    settled = both.settle(A, FUTURE)
    assert [went(item) for item in (traded, liquidated, finalized, settled)] == [late < 0] * 2 + [late >= 0] * 2
    assert not went(both.settle(A, FUTURE))


def test_an_under_margined_account_may_keep_its_ratio_but_not_worsen_it(both: Duel) -> None:
    """Rule 3.9 crosswise, to the wei of price: the worst price at which half a position may be closed."""
    assert went(both.trade(A, MAKER, LATER, 14 * W, INDEX))
    both.tick(1)
    index = 1895 * W
    both.price(index)
    before = both.model.margin(address(A))
    assert before.equity < before.im
    worst = last(lambda price: both.may_trade(A, MAKER, LATER, -7 * W, price), index, 1710 * W)
    assert worst < index
    with both.aside():
        assert went(both.trade(A, MAKER, LATER, -7 * W, worst))
        after = both.model.margin(address(A))
        assert after.equity < after.im
        assert after.equity * before.mm >= before.equity * after.mm
    assert both.trade(A, MAKER, LATER, -7 * W, worst - 1).error.startswith("InsufficientMargin")


def test_an_under_margined_account_may_not_grow_even_where_its_ratio_improves(both: Duel) -> None:
    """Bought at the foot of the band, a unit more adds more equity than requirement; MM' ≤ MM forbids it."""
    assert went(both.trade(A, MAKER, LATER, 14 * W, INDEX))
    both.tick(1)
    both.price(1895 * W)
    before = both.model.margin(address(A))
    other = both.probe()
    gift = 1895 * W * 9 // 10
    after = before.equity + W // 2 * (1895 - 1706), before.mm + 1895 * W // 32
    assert after[0] * before.mm > before.equity * after[1]
    assert other.margin(address(A)) == before
    assert both.trade(A, MAKER, LATER, W // 2, gift).error.startswith("InsufficientMargin")


def test_an_odd_third_of_a_position_releases_its_ceiled_share(both: Duel) -> None:
    """Rounding of a reduction: 3 + 2 wei bought for odd prices, one wei-odd third sold, and the rest flipped."""
    assert went(both.trade(A, MAKER, LATER, 3 * W + 2, INDEX + 7))
    assert went(both.trade(A, MAKER, LATER, -(W + 1), INDEX - 11))
    assert went(both.trade(A, MAKER, LATER, -(3 * W + 5), INDEX + 13))
    assert went(both.trade(A, B, LATER, W // 3, INDEX + 1))


def test_a_premium_window_starts_from_nothing(both: Duel) -> None:
    """A trade of one window weighs nothing in the next, at T − 1, T and T + 1 of the window's edge."""
    assert went(both.trade(A, MAKER, PERPETUAL, 2 * W, INDEX + 100 * W))
    edge = (T0 // 15 + 1) * 15
    while both.chain.now < edge - 1:
        both.tick(min(3, edge - 1 - both.chain.now))
    for _ in range(3):
        both.price(INDEX + both.chain.now % 7)
        assert went(both.trade(A, MAKER, PERPETUAL, W // 5, INDEX - 3 * W))
        assert went(both.settle_funding(MAKER))
        both.tick(1)
    for _ in range(6):
        both.tick(3)
    both.price(INDEX)
    assert went(both.trade(A, MAKER, PERPETUAL, -W, INDEX))
    market = both.model.book.series[PERPETUAL].perpetual
    assert market is not None
    assert market.weight == W
