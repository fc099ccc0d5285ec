"""Margin: who may trade and withdraw, to the wei, and who may not."""

from __future__ import annotations

import pytest

from harness.venue import exchange as ex
from tests.contracts.conftest import START, T0, USD, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB = 100, 101


def test_trade_that_leaves_equity_at_initial_margin_is_accepted_and_one_wei_below_is_not(market: Venue) -> None:
    """Fee 1 + initial margin 200: a deposit of 201 is exactly enough, and 200.999999 is a unit short."""
    market.ok(ALICE, "vault", ex.encode_deposit(201 * USD - 1))
    refused = market.trade(ALICE, 1, W, 2000 * W)
    assert refused.error == f"InsufficientMargin(equity={200 * W - 10**12},required={200 * W})"
    market.ok(ALICE, "vault", ex.encode_deposit(1))
    assert market.trade(ALICE, 1, W, 2000 * W).error == ""
    assert (market.of(ALICE).equity, market.of(ALICE).im, market.of(ALICE).mm) == (200 * W, 200 * W, 125 * W)


def test_requirement_is_ceiled_so_that_one_wei_of_size_costs_one_wei(market: Venue) -> None:
    """A margin that rounded down would be 0 for dust positions."""
    market.deposit(ALICE, 10)
    market.ok(ALICE, "clearing_house", _trade(market, size=1))
    held = market.of(ALICE)
    # 1 wei of size at 2000: margins are 200 and 125 wei, exact; the fee of 1 wei is exact too.
    assert (held.im, held.mm, held.cash) == (200, 125, 10 * W - 1)
    market.observe(2000 * W + 1, timestamp=_later(market))
    assert (market.of(ALICE).im, market.of(ALICE).mm) == (201, 126)


def test_withdrawal_down_to_initial_margin_is_paid_and_one_unit_more_is_not(market: Venue) -> None:
    """M2 at its boundary: cash 299 after the fee, initial margin 200."""
    market.deposit(ALICE, 300)
    market.trade(ALICE, 1, W, 2000 * W)
    refused = market.send(ALICE, "vault", ex.encode_withdraw(99 * USD + 1))
    assert refused.error == f"InsufficientMargin(equity={200 * W - 10**12},required={200 * W})"
    paid = market.ok(ALICE, "vault", ex.encode_withdraw(99 * USD))
    assert paid.one("Withdrawn")["amount"] == 99 * USD
    assert market.of(ALICE).cash == 200 * W
    tokens = market.ask("collateral_token", "balanceOf", market.of(ALICE).address)[0]
    assert tokens == START - 300 * USD + 99 * USD


def test_unrealised_profit_cannot_be_withdrawn(market: Venue) -> None:
    """M2: the price rises by 500, equity with it, and what may leave does not."""
    market.deposit(ALICE, 300)
    market.trade(ALICE, 1, W, 2000 * W)
    market.observe(2500 * W, timestamp=_later(market))
    assert market.of(ALICE).equity == 799 * W
    refused = market.send(ALICE, "vault", ex.encode_withdraw(100 * USD))
    assert refused.error == f"InsufficientMargin(equity={199 * W},required={250 * W})"


def test_payoff_owed_by_a_final_short_cannot_be_withdrawn(market: Venue) -> None:
    """Between finality and settlement a short call has no margin any more, but the payoff is still owed."""
    market.deposit(ALICE, 1_000)
    market.trade(ALICE, 2, -W, 100 * W)
    for at in (3_585, 3_600):
        market.now = T0 + at
        market.observe(2500 * W)
    market.finalize(2)
    cash = 1_000 * W + 100 * W - W  # deposit, premium, fee
    assert (market.of(ALICE).cash, market.state().series[1].price) == (cash, 2500 * W)
    refused = market.send(ALICE, "vault", ex.encode_withdraw(600 * USD))
    assert refused.error == f"InsufficientMargin(equity={-W},required=0)"
    market.ok(ALICE, "vault", ex.encode_withdraw(599 * USD))
    market.settle(ALICE, 2)
    assert market.of(ALICE).cash == 0


def test_under_margined_account_may_reduce_but_not_increase(market: Venue) -> None:
    """Formula 3.9: below initial margin, only what does not worsen the ratio of equity to margin is let through."""
    market.deposit(ALICE, 300)
    market.trade(ALICE, 1, W, 2000 * W)
    market.observe(1850 * W, timestamp=_later(market))
    held = market.of(ALICE)
    assert held.mm <= held.equity < held.im
    refused = market.trade(ALICE, 1, 10**15, 1850 * W)
    assert refused.error.startswith("InsufficientMargin(equity=")
    assert market.trade(ALICE, 1, -W // 2, 1850 * W).error == ""
    assert market.trade(ALICE, 1, -W // 2, 1850 * W).error == ""
    assert market.of(ALICE).positions == ()


def test_under_margined_account_may_not_pay_its_equity_away_while_reducing(market: Venue) -> None:
    """3.9's second half: selling far under the index lowers equity faster than margin, so it is refused."""
    market.deposit(ALICE, 300)
    market.trade(ALICE, 1, W, 2000 * W)
    market.observe(1850 * W, timestamp=_later(market))
    assert market.trade(ALICE, 1, -W // 2, 1700 * W).error.startswith("InsufficientMargin(equity=")


def test_empty_account_cannot_buy_an_option_with_cash_it_does_not_have(market: Venue) -> None:
    """A long option needs no margin; without the premium in cash its buyer would create money for the seller."""
    refused = market.trade(ALICE, 2, W, 100 * W)
    assert refused.error == f"InsufficientMargin(equity={-101 * W},required=0)"


def test_option_requirements_are_those_of_the_table(market: Venue) -> None:
    """Short call and put at, in and out of the money, by hand from the table's rows."""
    market.deposit(ALICE, 10_000)
    market.trade(ALICE, 2, -W, 0)
    # Call K=2000. P=2000: IM 15 % = 300, MM 7.5 % = 150. P=1900: IM max(285−100, 190) = 190, MM 142.5.
    # P=2200: iv 200, IM 200+330, MM 200+165.
    expected = [(2000, 300 * W, 150 * W), (1900, 190 * W, 1425 * W // 10), (2200, 530 * W, 365 * W)]
    for price, im, mm in expected:
        market.observe(price * W, timestamp=_later(market))
        assert (market.of(ALICE).im, market.of(ALICE).mm) == (im, mm)
    market.observe(2000 * W, timestamp=_later(market))
    market.trade(ALICE, 2, W, 0)
    market.trade(ALICE, 3, -W, 0)
    # Put K=2000. P=2000: 300, 150. P=2100: IM max(max(315−100, 210), 157.5) = 215, MM 157.5.
    # P=500: iv 1500, mm_ = max(37.5, 112.5) = 112.5, IM 1500 + max(max(75, 50), 112.5), MM 1500 + 112.5.
    expected = [(2000, 300 * W, 150 * W), (2100, 215 * W, 1575 * W // 10),
                (500, 16125 * W // 10, 16125 * W // 10)]
    for price, im, mm in expected:
        market.observe(price * W, timestamp=_later(market))
        assert (market.of(ALICE).im, market.of(ALICE).mm) == (im, mm)


def test_equity_counts_final_positions_at_the_settlement_price(market: Venue) -> None:
    """Between finality and settlement the index no longer moves a position's value, and it needs no margin."""
    market.deposit(ALICE, 1_000)
    market.trade(ALICE, 1, W, 2000 * W)
    market.now += 3_600
    market.observe(2100 * W)
    market.finalize(1)
    price = market.state().series[0].price
    market.observe(1000 * W, timestamp=_later(market))
    held = market.of(ALICE)
    assert (held.equity, held.im, held.mm) == (999 * W + price - 2000 * W, 0, 0)
    market.settle(ALICE, 1)
    assert market.of(ALICE).cash == held.equity


def _later(market: Venue) -> int:
    """Move the next block a second on; its timestamp."""
    market.now += 1
    return market.now


def _trade(market: Venue, *, size: int) -> bytes:
    quote = market.quote(1, size, 2000 * W)
    return ex.encode_trade(quote, market.sign(quote), size)
