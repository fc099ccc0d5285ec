"""The spot pool: what a swap gives and when it is refused, what shares are worth, and that nothing is left over."""

from __future__ import annotations

from math import isqrt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.evm.accounts import OWNER, account
from harness.venue import exchange as ex
from harness.venue.spot import (
    Reserves,
    Swap,
    decode_reserves,
    encode_add_liquidity,
    encode_remove_liquidity,
    encode_reserves,
    encode_swap,
)
from tests.contracts.conftest import USD, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL = 100, 101, 102
FOREVER = 2**64 - 1
WEALTH = 10**9


@pytest.fixture
def pool(venue: Venue) -> Venue:
    """A pool of 1 000 underlying and 200 000 dollars that Alice provides; Bob and Carol have tokens too."""
    for who in (ALICE, BOB, CAROL):
        address = account(who).address
        venue.ok(OWNER, "spot_token", venue.raw("spot_token", "mint", address, WEALTH * W))
        venue.ok(OWNER, "collateral_token", ex.encode_mint(address, WEALTH * USD))
        for token in ("spot_token", "collateral_token"):
            venue.ok(who, token, ex.encode_approve(venue.at["spot_amm"], 2**256 - 1))
    venue.ok(ALICE, "spot_amm", add(1_000 * W, 200_000 * USD))
    return venue


def add(underlying: int, quote: int, *, min_shares: int = 0, deadline: int = FOREVER) -> bytes:
    return encode_add_liquidity(underlying, quote, min_shares=min_shares, deadline=deadline)


def swap(venue: Venue, who: int, buys: bool, amount: int, *, min_out: int = 0, deadline: int = FOREVER) -> Outcome:
    return venue.send(who, "spot_amm", encode_swap(Swap(buys, amount, min_out, deadline)))


def reserves(venue: Venue) -> Reserves:
    return decode_reserves(venue.call("spot_amm", encode_reserves()))


def wallet(venue: Venue, address: str) -> tuple[int, int]:
    """Native units of underlying and of quote."""
    return (venue.ask("spot_token", "balanceOf", address)[0],
            venue.ask("collateral_token", "balanceOf", address)[0])  # fmt: skip


def test_a_swap_gives_what_the_constant_product_leaves_after_the_fee(pool: Venue) -> None:
    """20 000 dollars of which 0.3 % stay: 1 000 − 1 000·200 000/219 940, floored to the wei."""
    before = wallet(pool, account(BOB).address)
    event = swap(pool, BOB, True, 20_000 * USD, min_out=W, deadline=pool.now).one("Swapped")
    out = 20_000 * USD * 9_970 * 1_000 * W // (200_000 * USD * 10_000 + 20_000 * USD * 9_970)
    assert out == 90661089388014913158   # 90.66 for a spot price of 200: the rest is slippage and fee
    assert event == {
        "account": account(BOB).address, "buys": True, "amountIn": 20_000 * USD, "amountOut": out, "minOut": W,
        "deadline": pool.now,
    }  # fmt: skip
    assert wallet(pool, account(BOB).address) == (before[0] + out, before[1] - 20_000 * USD)
    assert reserves(pool) == Reserves(1_000 * W - out, 220_000 * USD, isqrt(1_000 * W * 200_000 * USD))


def test_a_swap_at_its_least_amount_passes_and_a_wei_more_is_refused(pool: Venue) -> None:
    """minOut is all that stands between a swap and whoever orders it."""
    out = reserves(pool).amount_out(buys=True, amount_in=USD)
    refused = swap(pool, BOB, True, USD, min_out=out + 1)
    assert refused.error == f"SlippageExceeded(got={out},min={out + 1})"
    assert swap(pool, BOB, True, USD, min_out=out).error == ""


def test_a_deadline_is_the_last_second_of_a_swap(pool: Venue) -> None:
    deadline = pool.now
    assert swap(pool, BOB, False, W, deadline=deadline).error == ""
    pool.now += 1
    refused = swap(pool, BOB, False, W, deadline=deadline)
    assert refused.error == f"DeadlineOver(deadline={deadline},blockTimestamp={pool.now})"
    late = pool.send(BOB, "spot_amm", add(W, USD, deadline=deadline))
    assert late.error.startswith("DeadlineOver(")
    leaving = encode_remove_liquidity(1, min_underlying=0, min_quote=0, deadline=deadline)
    assert pool.send(ALICE, "spot_amm", leaving).error.startswith("DeadlineOver(")


@pytest.mark.parametrize(
    ("buys", "amount", "error"),
    [
        (True, 0, "NothingIn()"),
        (False, 0, "NothingIn()"),
        (False, 1, "NothingOut()"),          # a wei of underlying is worth no millionth of a dollar
        (True, 2**112, "NothingOut()"),
        (True, 2**256 - 1, "NothingOut()"),
    ],
)
def test_amounts_that_buy_nothing_are_refused(pool: Venue, buys: bool, amount: int, error: str) -> None:
    before = reserves(pool)
    assert swap(pool, BOB, buys, amount).error == error
    assert reserves(pool) == before


def test_a_swap_of_what_its_sender_does_not_have_changes_nothing(pool: Venue) -> None:
    before = reserves(pool)
    error = swap(pool, BOB, True, (WEALTH + 1) * USD + ex_start()).error
    assert error.startswith("ERC20InsufficientBalance(")
    assert reserves(pool) == before


def ex_start() -> int:
    """What genesis gave everybody in collateral, beyond what this file mints."""
    from tests.contracts.conftest import START

    return START


def test_an_empty_pool_trades_nothing_and_its_first_shares_are_the_root(venue: Venue) -> None:
    """Of the first shares a thousand are nobody's; less than that is no liquidity."""
    assert swap(venue, BOB, True, USD).error == "NoLiquidity()"
    leaving = encode_remove_liquidity(1, min_underlying=0, min_quote=0, deadline=FOREVER)
    assert venue.send(BOB, "spot_amm", leaving).error == "NoLiquidity()"
    assert venue.send(BOB, "spot_amm", add(1_000, 1_000)).error == "NothingIn()"
    assert venue.send(BOB, "spot_amm", add(2**112, USD)).error == f"ReserveOverflow(reserve={2**112})"


def test_shares_come_in_the_pools_ratio_and_leave_with_no_more_than_they_brought(pool: Venue) -> None:
    """Whoever adds and leaves at once gets at most what it gave; what is not needed is not taken."""
    before = wallet(pool, account(BOB).address)
    event = pool.ok(BOB, "spot_amm", add(10 * W, 10_000 * USD)).one("LiquidityAdded")
    assert (event["underlying"], event["quote"]) == (10 * W, 2_000 * USD)
    event = pool.ok(CAROL, "spot_amm", add(W, USD)).one("LiquidityAdded")
    assert (event["underlying"], event["quote"]) == (W // 200, USD)
    (shares,) = pool.ask("spot_amm", "balanceOf", account(BOB).address)
    leave = encode_remove_liquidity(shares, min_underlying=0, min_quote=0, deadline=FOREVER)
    pool.ok(BOB, "spot_amm", leave)
    after = wallet(pool, account(BOB).address)
    assert 0 <= before[0] - after[0] <= 10**10 and 0 <= before[1] - after[1] <= 1
    assert pool.send(BOB, "spot_amm", leave).error.startswith("ERC20InsufficientBalance(")


def test_least_amounts_hold_for_liquidity_too(pool: Venue) -> None:
    shares = isqrt(1_000 * W * 200_000 * USD) // 1_000
    refused = pool.send(BOB, "spot_amm", add(W, 200 * USD, min_shares=shares + 1))
    assert refused.error == f"SlippageExceeded(got={shares},min={shares + 1})"
    leave = encode_remove_liquidity(shares, min_underlying=0, min_quote=200 * USD, deadline=FOREVER)
    assert pool.send(ALICE, "spot_amm", leave).error.startswith("SlippageExceeded(")


def test_tokens_sent_without_a_call_are_nobodys(pool: Venue) -> None:
    """A donation moves no price: the reserves are what calls brought in."""
    before = reserves(pool)
    pool.ok(BOB, "spot_token", pool.raw("spot_token", "transfer", pool.at["spot_amm"], 500 * W))
    assert reserves(pool) == before


STEPS = st.lists(
    st.tuples(st.sampled_from(("buy", "sell", "add", "remove")), st.integers(1, 10**24), st.sampled_from((BOB, CAROL))),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_nothing_that_anyone_does_makes_a_share_poorer(pool: Venue, steps: list[tuple[str, int, int]]) -> None:
    """√(x·y) per share never falls, the pool holds exactly its reserves, and the arithmetic is what roles work out."""
    before = reserves(pool)
    for what, amount, who in steps:
        native = amount // 10**12 if what == "buy" else amount
        promised = before.amount_out(buys=what == "buy", amount_in=native)
        (mine,) = pool.ask("spot_amm", "balanceOf", account(who).address)
        data = {
            "buy": encode_swap(Swap(True, native, promised, FOREVER)),
            "sell": encode_swap(Swap(False, native, promised, FOREVER)),
            "add": add(amount, amount // 10**9 + 1),
            "remove": encode_remove_liquidity(min(mine, amount), min_underlying=0, min_quote=0, deadline=FOREVER),
        }[what]
        outcome = pool.send(who, "spot_amm", data)
        assert outcome.error in ("", "NothingIn()", "NothingOut()")
        after = reserves(pool)
        if outcome.error == "" and what in ("buy", "sell"):
            assert outcome.one("Swapped")["amountOut"] == promised
            assert after == before.after(buys=what == "buy", amount_in=native)
        assert after.underlying * after.quote * before.shares**2 >= before.underlying * before.quote * after.shares**2
        held = wallet(pool, pool.at["spot_amm"])
        assert held == (after.underlying, after.quote)
        before = after
