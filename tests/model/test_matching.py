"""The matching reference by itself, against the plainest matcher there is: a list, searched anew at every step."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model import matching
from harness.model.margin import Kind
from harness.model.matching import Band, Do, Incoming, Market, Order, band

WIDE = Band(1_000, -1_000)


class Wanted(NamedTuple):
    account: str
    size: int
    price: int
    mode: int
    deadline: int


class Fill(NamedTuple):
    maker: int
    taker: int
    size: int
    price: int


wanted = st.builds(
    Wanted, st.sampled_from("abcd"), st.integers(-9, 9).filter(bool), st.integers(-5, 5),
    st.sampled_from((matching.LIMIT, matching.LIMIT, matching.POST_ONLY, matching.IMMEDIATE, matching.MARKET)),
    st.integers(0, 40),
)


def run(orders: list[Wanted], worst: Band) -> tuple[Market, list[Fill], list[tuple[int, int]]]:
    """Orders come one a second; returns the book, the fills, and (order, reason) of every removal."""
    market, fills, removed = Market(1, 1), [], []
    for number, one in enumerate(orders, 1):
        is_bid = one.size > 0
        limit = (worst.buy if is_bid else worst.sell) if one.mode == matching.MARKET else one.price
        incoming = Incoming(Order(number, one.account, 1, one.size, one.price, number + one.deadline), one.mode, limit,
                            is_bid)
        while (step := matching.next_step(market, incoming, now=number, worst=worst)) is not None:
            if step.do is Do.REFUSE:
                break
            if step.do is Do.FILL:
                fills.append(Fill(step.order.id, number, step.size if is_bid else -step.size, step.order.price))
                matching.fill(market, incoming, step.order, step.size)
                continue
            removed.append((step.order.id, step.do.value))
            market.remove(step.order, is_bid=step.order.is_bid)
            incoming.steps += 1
        reason = matching.leftover(market, incoming, now=number, worst=worst)
        if reason is not None:
            removed.append((number, reason))
        elif incoming.order.rest:
            market.add(incoming.order)
    return market, fills, removed


def plain(orders: list[Wanted], worst: Band) -> tuple[list[tuple[int, int]], list[Fill], list[tuple[int, int]]]:
    """The same by rules read aloud: look at every open order, take the best, begin again."""
    book: dict[int, list[int]] = {}  # id → [rest, price, deadline]
    owner: dict[int, str] = {}
    fills: list[Fill] = []
    removed: list[tuple[int, int]] = []
    for now, (account, rest, price, mode, good_for) in enumerate(orders, 1):
        buys, owner[now] = rest > 0, account
        limit = (worst.buy if buys else worst.sell) if mode == matching.MARKET else price
        refused = False
        for _ in range(matching.STEPS_MAX):
            facing = [(p if buys else -p, id_) for id_, (r, p, _) in book.items() if (r > 0) is not buys]
            facing = [key for key in facing if key[0] <= (limit if buys else -limit)]
            if rest == 0 or not facing:
                break
            id_ = min(facing)[1]
            theirs, at, deadline = book[id_]
            why = (matching.PAST_DEADLINE if now > deadline else
                   matching.SELF_TRADE if owner[id_] == account else
                   matching.BEYOND_BAND if (at < worst.sell if buys else at > worst.buy) else None)
            if why is not None:
                removed.append((id_, why))
                del book[id_]
            elif mode == matching.POST_ONLY:
                refused = True
                break
            else:
                amount = min(abs(rest), abs(theirs)) * (1 if buys else -1)
                fills.append(Fill(id_, now, amount, at))
                rest, book[id_][0] = rest - amount, theirs + amount
                if book[id_][0] == 0:
                    del book[id_]
        crossing = [1 for r, p, _ in book.values() if (r > 0) is not buys and (p <= limit if buys else p >= limit)]
        if rest and (refused or mode in (matching.IMMEDIATE, matching.MARKET)):
            removed.append((now, matching.TAKER_REST))
        elif rest and crossing:
            removed.append((now, matching.STEPS_USED))
        elif rest:
            book[now] = [rest, price, now + good_for]
    return sorted((id_, order[0]) for id_, order in book.items()), fills, removed


@settings(max_examples=400, deadline=None)
@given(st.lists(wanted, max_size=60), st.sampled_from((WIDE, Band(2, -2), Band(0, 0))))
def test_every_fill_removal_and_rest_is_that_of_the_plain_matcher(orders: list[Wanted], worst: Band) -> None:
    market, fills, removed = run(orders, worst)
    open_orders, expected_fills, expected_removed = plain(orders, worst)
    assert fills == expected_fills
    assert removed == expected_removed
    assert sorted((id_, order.rest) for id_, order in market.orders.items()) == open_orders


@settings(max_examples=200, deadline=None)
@given(st.lists(wanted, max_size=60))
def test_nothing_is_lost_or_made_and_the_book_never_crosses(orders: list[Wanted]) -> None:
    """What an order wanted is what it was filled, what of it was removed, and what still lies open."""
    market, fills, removed = run(orders, WIDE)
    assert not market.is_crossed
    gone = {id_ for id_, _ in removed}
    for number, one in enumerate(orders, 1):
        filled = sum(item.size for item in fills if item.taker == number)
        filled -= sum(item.size for item in fills if item.maker == number)
        assert abs(filled) <= abs(one.size)
        left = market.orders.get(number)
        if left is not None:
            assert filled + left.rest == one.size
        else:
            assert number in gone or filled == one.size
    assert all(orders[item.maker - 1].account != orders[item.taker - 1].account for item in fills)


def test_steps_run_out_after_twenty_four() -> None:
    """Twenty-five crumbs and an order for all of them: one is left, and the order's rest does not stay to cross it."""
    crumbs = [Wanted("a", -1, 1, matching.LIMIT, 99)] * 25
    market, fills, removed = run([*crumbs, Wanted("b", 25, 1, matching.LIMIT, 99)], WIDE)
    assert (len(fills), removed) == (24, [(26, matching.STEPS_USED)])
    assert list(market.orders) == [25]


def test_the_worst_prices_round_inward() -> None:
    """A wei beyond them would be refused by the band itself."""
    worst = band(Kind.FUTURE, strike=0, index=10_001, band_bps=1_000)
    assert worst == Band(11_001, 9_001)
    assert abs(worst.buy - 10_001) * 10_000 <= 1_000 * 10_001 < abs(worst.buy + 1 - 10_001) * 10_000
    assert abs(worst.sell - 10_001) * 10_000 <= 1_000 * 10_001 < abs(worst.sell - 1 - 10_001) * 10_000
    assert band(Kind.FUTURE, strike=0, index=-10_001, band_bps=1_000) == Band(-9_001, -11_001)
    assert band(Kind.CALL, strike=5, index=7, band_bps=1_000) == Band(7, 0)
    assert band(Kind.PUT, strike=5, index=7, band_bps=1_000) == Band(5, 0)
