"""The venue replayed: worked examples by hand, conservation under anything, and no gain from splitting or ordering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.facts import Discrepancy
from harness.model.insurance import haircut_shares
from harness.model.ladder import terms
from harness.model.venue import Venue
from tests.model import shadow

W = 10**18
UNSAID = -(1 << 200)
ADMIN: dict[str, Any] = {"from": "admin"}


@dataclass(frozen=True)
class Said:
    name: str
    tx: int
    args: Mapping[str, Any]


@dataclass
class Market:
    """A venue with ETH at 100, a future, a call and a put (1, 2, 3; strike 100) expiring at second 1000."""

    venue: Venue = field(default_factory=Venue)
    block: int = 0
    now: int = 0
    tx: int = 0

    def __post_init__(self) -> None:
        self.next(1)
        self.price(100 * W)
        for kind in (0, 1, 2):
            self.say("SeriesListed", id=kind + 1, kind=kind, asset="ETH", strike=100 * W if kind else 0, expiry=1000)

    def next(self, dt: int = 1) -> list[Discrepancy]:
        found = self.venue.end_block()
        self.block, self.now, self.tx = self.block + 1, self.now + dt, 0
        found += self.venue.begin_block(self.block, self.now)
        if dt > 3 and self.block > 1:
            down_time = self.venue.book.down_time
            found += self.venue.apply(Said("OutageEnded", -1, {"since": self.now - dt, "until": self.now,
                                                               "downTime": down_time}))
            found += self.venue.apply(Said("UptimeChanged", -1, {"up": True, "startedAt": self.now}))
        return found

    def say(self, name: str, *, same_tx: bool = False, **args: Any) -> list[Discrepancy]:
        self.tx += not same_tx
        return self.venue.apply(Said(name, self.tx, args))

    def price(self, price: int) -> None:
        latest = self.venue.book.feed("ETH").latest
        self.say("RoundAccepted", asset="ETH", round=1 if latest is None else latest.round + 1, timestamp=self.now,
                 price=price, sources=3, prices=(price,) * 3)
        for due in list(self.venue._context.halts):
            self.say("MarketHalted", same_tx=True, **dict(zip(("asset", "from", "to", "until"), due, strict=True)))

    def deposit(self, account: str, native: int) -> None:
        assert self.say("Deposited", account=account, amount=native) == []

    def trade(self, taker: str, maker: str, size: int, price: int, series: int = 1, fee: int = UNSAID) -> int:
        """Returns the fee the model computed."""
        found = self.say("Traded", seriesId=series, taker=taker, maker=maker, size=size, price=price, nonce=self.tx,
                         fee=fee)
        return int(found[0].expected) if found else fee

    def liquidate(self, account: str, keeper: str) -> dict[str, int]:
        """What the model computed for the Liquidated event."""
        given = terms(self.venue.book, account)
        stage = 1 if given.is_partial else 3 if given.is_short else 2
        if stage == 2 and self.venue.book.account(account).auction == 0:
            self.start_auction(account, keeper)
        found = self.say("Liquidated", account=account, keeper=keeper, equityBefore=UNSAID, maintenanceMargin=UNSAID,
                         toKeeper=UNSAID, toInsurance=UNSAID, covered=UNSAID, badDebt=UNSAID, stage=stage)
        return {item.what.removeprefix("Liquidated."): item.expected for item in found
                if item.what.startswith("Liquidated.")}

    def start_auction(self, account: str, keeper: str) -> None:
        given = terms(self.venue.book, account)
        self.say("AuctionStarted", account=account, keeper=keeper, startActive=self.venue.book.active_clock,
                 equity=given.equity, maintenanceMargin=given.mm)

    def settle(self, account: str, series: int = 1) -> int:
        """The cash delta the model computed; a BadDebt it expects is said as well."""
        found = self.say("Settled", account=account, seriesId=series, size=UNSAID, price=UNSAID, cashDelta=UNSAID)
        for debt in list(self.venue._context.debts.get(account, ())):
            self.say("BadDebt", same_tx=True, account=account, covered=debt.covered, remaining=debt.remaining)
        return next(int(item.expected) for item in found if item.what == "Settled.cashDelta")

    def expire(self, price: int) -> None:
        """Every price of the window is `price`; all three series are final."""
        while self.now < 1000:
            self.next(min(3, 1000 - self.now))
            self.price(price)
        for series in (1, 2, 3):
            assert self.say("SeriesFinalized", seriesId=series, price=price) == []

    def cash(self, account: str) -> int:
        return self.venue.book.account(account).cash


def test_a_worked_future_from_deposit_to_settlement() -> None:
    """Alice buys 5 at 101 with the index at 100, sells 2 at 104, and is settled at 97.

    Fee 5 bps of 500 = 0.25, then of 2 · 100 = 0.10. Profit 2 · 3 = 6 in cash. Settlement 3 · (97 − 101) = −12.
    1000 − 0.25 + 6 − 0.10 − 12 = 993.65.
    """
    m = Market()
    m.deposit("alice", 1000 * 10**6)
    m.deposit("maker", 1000 * 10**6)
    assert m.trade("alice", "maker", 5 * W, 101 * W) == W // 4
    assert tuple(m.venue.margin("alice")[:3]) == (1000 * W - W // 4 - 5 * W, 50 * W, 31 * W + W // 4)
    assert m.trade("alice", "maker", -2 * W, 104 * W) == W // 10
    assert m.cash("alice") == 1000 * W - W // 4 + 6 * W - W // 10
    m.expire(97 * W)
    assert m.settle("alice") == -12 * W
    assert m.settle("maker") == 12 * W
    assert m.cash("alice") * 100 == 99365 * W
    assert m.venue.book.fees * 100 == 35 * W
    assert (m.venue.book.dust, m.venue.imbalance()) == (0, 0)


def test_a_worked_call_and_put_at_settlement() -> None:
    """At 130 a call struck at 100 pays 30, a put nothing; premiums of 7 and 9 changed hands before."""
    m = Market()
    for name in ("alice", "maker"):
        m.deposit(name, 1000 * 10**6)
    m.trade("alice", "maker", 2 * W, 7 * W, series=2)
    m.trade("alice", "maker", 3 * W, 9 * W, series=3)
    assert m.cash("maker") == (1000 + 14 + 27) * W
    m.expire(130 * W)
    assert tuple(m.venue.margin("maker")[:3]) == ((1041 - 60) * W, 0, 0)
    assert [m.settle("alice", 2), m.settle("maker", 2)] == [60 * W, -60 * W]
    assert [m.settle("alice", 3), m.settle("maker", 3)] == [0, 0]


def test_a_worked_negative_settlement_price() -> None:
    """WTI: long 1 from 20 settled at −37.63 loses 57.63."""
    m = Market()
    for name in ("alice", "maker"):
        m.deposit(name, 1000 * 10**6)
    m.price(20 * W)
    m.trade("alice", "maker", W, 20 * W)
    m.expire(-3763 * W // 100)
    assert [m.settle("alice"), m.settle("maker")] == [-5763 * W // 100, 5763 * W // 100]
    assert m.venue.imbalance() == 0


def levered(insurance: int) -> Market:
    """Alice long 9 from 100 with 100."""
    m = Market()
    for name, whole in (("alice", 100), ("maker", 10_000), ("keeper", 10_000)):
        m.deposit(name, whole * 10**6)
    m.say("InsuranceFunded", amount=insurance * 10**6, **ADMIN)
    m.trade("maker", "alice", -9 * W, 100 * W)  # the maker pays the fee
    return m


def liquidation(price: int, insurance: int) -> tuple[Market, dict[str, int]]:
    m = levered(insurance)
    m.next()
    m.price(price * W)
    m.next()
    return m, m.liquidate("alice", "keeper")


def test_a_liquidation_with_equity_left_closes_what_restores_the_margin() -> None:
    """Long 9 at 94: E = 46, MM = 52.875, IM = 84.6, F = 21.15. x = 9 · 38.6 / 63.45 = 5.4751…, in lots 5.476.

    Penalty 2.5 % of 5.476 · 94 = 12.8686, half each; E = 33.1314 is left for an IM of 33.1256.
    """
    m, said = liquidation(94, 0)
    assert said == {
        "equityBefore": 46 * W, "maintenanceMargin": 52_875 * W // 1000, "toKeeper": 64_343 * W // 10_000,
        "toInsurance": 64_343 * W // 10_000, "covered": 0, "badDebt": 0,
    }
    margin = m.venue.margin("alice")
    assert (margin.equity, margin.im) == (331_314 * W // 10_000, 331_256 * W // 10_000)
    assert m.venue.book.account("keeper").positions[1].notional == 5_476 * 94 * W // 1000


def test_an_account_that_cannot_pay_its_penalty_is_auctioned() -> None:
    """At 90: E = 10 of a penalty of 20.25. A bid in the first second gets nothing; the insurance gets the 10."""
    m, said = liquidation(90, 5)
    assert (said["toKeeper"], said["toInsurance"]) == (0, 10 * W)
    assert (m.cash("alice"), m.venue.book.insurance) == (0, 15 * W)


def test_a_bidders_bonus_grows_with_active_time_up_to_all_there_is() -> None:
    """At most 5 % of 810 = 40.5, after 20 s: 8.1 after 4 s, and after 5 s 10.125, of which 10 are there."""
    for seconds, bonus in ((4, 8_100), (5, 10_000)):
        m = levered(5)
        m.next()
        m.price(90 * W)
        m.start_auction("alice", "keeper")
        for _ in range(seconds):
            m.next()
        said = m.liquidate("alice", "keeper")
        assert (said["toKeeper"], said["toInsurance"]) == (bonus * W // 1000, (10_000 - bonus) * W // 1000)
        assert (m.cash("alice"), m.venue.imbalance()) == (0, 0)


def test_a_loss_beyond_the_insurance_is_deleveraged_at_the_bankruptcy_price() -> None:
    """At 87: E = −17; a block may draw 2.5 of the 5; the maker, 117 in profit, gives up the other 14.5."""
    m, said = liquidation(87, 5)
    assert (said["toKeeper"], said["toInsurance"], said["covered"], said["badDebt"]) == (0, 0, 25 * W // 10, 0)
    assert (m.cash("alice"), m.venue.book.insurance, m.venue.book.deficit) == (0, 25 * W // 10, 0)
    assert m.venue.margin("maker").equity - 10_000 * W == (1170 - 145) * W // 10 - 45 * W // 100
    assert m.venue.imbalance() == 0


def test_what_no_profit_bears_becomes_a_deficit_and_everybodys() -> None:
    """The maker had sold to bob at 88 as well: 9 + 9 short of N = −1692, at 87 a profit of 126 − of alice's 9, half.

    Alice loses 117 of 100; 2.5 are drawn; of the rest, 14.5, profit bears all there is to the size, so nothing is left.
    With the maker's entry at 87 there is no profit at all: 14.5 become deficit, and the haircut shares it by equity.
    """
    m = levered(5)
    m.deposit("bob", 10_000 * 10**6)
    m.trade("bob", "maker", 117 * W, 86_000 * W // 1000)
    m.next()
    m.price(87 * W)
    said = m.liquidate("alice", "keeper")
    assert (said["covered"], said["badDebt"]) == (25 * W // 10, 145 * W // 10)
    assert m.venue.book.deficit == 145 * W // 10
    m.say("InsuranceFunded", amount=45 * 10**5, **ADMIN)
    assert (m.venue.book.deficit, m.venue.book.insurance) == (10 * W, 25 * W // 10)
    assert m.say("DeficitCovered", amount=25 * W // 10, remaining=75 * W // 10) == []
    shares = haircut_shares(m.venue.book, m.venue.book.ledgers[0])
    assert sum(share for _, share in shares) == 75 * W // 10
    assert [who for who, _ in shares] == ["maker", "keeper", "bob"]
    for who, share in shares:
        assert m.say("Haircut", same_tx=who != "maker", account=who, amount=share) == []
    assert m.say("DeficitSocialized", same_tx=True, amount=75 * W // 10, remaining=0) == []
    assert (m.venue.book.deficit, m.venue.imbalance()) == (0, 0)


def test_the_penalty_counts_the_underlying_of_options_too() -> None:
    """Short 10 calls at 100 with 150; at 108 iv = 8, IM = 242, MM = 161, F = 27, V = −80.

    x = 10 · 92 / 135 = 6.8148…, in lots 6.815: 54.52 for the intrinsic value and 2.5 % of 6.815 · 108 = 18.4005.
    """
    m = Market()
    for name, whole in (("alice", 100), ("maker", 10_000), ("keeper", 10_000)):
        m.deposit(name, whole * 10**6)
    m.trade("maker", "alice", 10 * W, 5 * W, series=2)
    m.next()
    m.price(108 * W)
    said = m.liquidate("alice", "keeper")
    assert (said["equityBefore"], said["maintenanceMargin"]) == (150 * W, 161 * W)
    assert said["toKeeper"] + said["toInsurance"] == 184_005 * W // 10_000
    assert m.cash("alice") == 770_795 * W // 10_000
    assert m.venue.book.account("keeper").positions[2].size == -6_815 * W // 1000


def test_a_settlement_loss_beyond_cash_is_covered_by_what_a_block_may_draw() -> None:
    """100 lost with 30 of insurance: 15 covered, 85 of deficit, and nobody is left below zero."""
    m = Market()
    m.say("InsuranceFunded", amount=30 * 10**6, **ADMIN)
    for name, whole in (("alice", 100), ("maker", 1000)):
        m.deposit(name, whole * 10**6)
    m.trade("maker", "alice", -5 * W, 100 * W)
    m.expire(60 * W)
    assert m.settle("alice") == -200 * W
    book = m.venue.book
    assert (m.cash("alice"), book.insurance, book.deficit) == (0, 15 * W, 85 * W)
    assert book.roundings
    assert m.next() == []


def hedged(put_price: int) -> Market:
    """Alice long 5 futures from 100 and 5 puts, with 100 less the premium; insurance of 50; both final at 60.

    The future costs her 200, the puts pay 200.
    """
    m = Market()
    m.say("InsuranceFunded", amount=50 * 10**6, **ADMIN)
    for name, whole in (("alice", 100), ("maker", 10_000)):
        m.deposit(name, whole * 10**6)
    m.trade("maker", "alice", -5 * W, 100 * W)
    m.trade("maker", "alice", -5 * W, put_price, series=3)
    m.expire(60 * W)
    return m


def test_settling_one_leg_of_a_hedge_leaves_the_insurance_alone() -> None:
    """In between her cash is −110, and the puts she still holds make up for it."""
    m = hedged(2 * W)
    m.settle("alice", 1)
    assert (m.cash("alice"), m.venue.book.insurance) == (-110 * W, 50 * W)
    m.settle("alice", 3)
    assert (m.cash("alice"), m.venue.book.insurance) == (90 * W, 50 * W)
    assert m.next() == []


def test_insurance_covers_what_the_last_settlement_leaves_even_if_that_one_paid() -> None:
    """Premiums of 130 were more than she had: −230 after the future, −30 after the puts, and only then is 25 drawn."""
    m = hedged(26 * W)
    m.settle("alice", 1)
    assert (m.cash("alice"), m.venue.book.insurance) == (-230 * W, 50 * W)
    found = m.say("Settled", account="alice", seriesId=3, size=5 * W, price=60 * W, cashDelta=200 * W)
    found += m.say("BadDebt", same_tx=True, account="alice", covered=25 * W, remaining=5 * W)
    assert found == []
    assert (m.cash("alice"), m.venue.book.insurance, m.venue.imbalance()) == (0, 25 * W, 0)
    assert m.next() == []


def test_bad_debt_said_while_another_position_is_open_is_a_discrepancy() -> None:
    m = hedged(2 * W)
    m.say("Settled", account="alice", seriesId=1, size=5 * W, price=60 * W, cashDelta=-200 * W)
    m.say("BadDebt", same_tx=True, account="alice", covered=50 * W, remaining=60 * W)
    assert [(found.what, found.expected) for found in m.next()] == [("BadDebt", None)]
    assert m.venue.book.insurance == 50 * W


@pytest.mark.parametrize("order", ["before", "after"])
def test_bad_debt_may_be_said_before_or_after_its_settlement(order: str) -> None:
    m = Market()
    for name, whole in (("alice", 100), ("maker", 1000)):
        m.deposit(name, whole * 10**6)
    m.trade("maker", "alice", -5 * W, 100 * W)
    m.expire(60 * W)
    debt = Said("BadDebt", m.tx + 1, {"account": "alice", "covered": 0, "remaining": 100 * W})
    settled = Said("Settled", m.tx + 1, {"account": "alice", "seriesId": 1, "size": 5 * W, "price": 60 * W,
                                         "cashDelta": -200 * W})
    for event in (debt, settled) if order == "before" else (settled, debt):
        assert m.venue.apply(event) == []
    assert m.next() == []


def test_bad_debt_that_is_never_said_is_a_discrepancy() -> None:
    m = Market()
    for name, whole in (("alice", 100), ("maker", 1000)):
        m.deposit(name, whole * 10**6)
    m.trade("maker", "alice", -5 * W, 100 * W)
    m.expire(60 * W)
    m.say("Settled", account="alice", seriesId=1, size=5 * W, price=60 * W, cashDelta=-200 * W)
    assert [found.what for found in m.next()] == ["BadDebt missing"]


def test_the_model_keeps_its_own_value_after_a_discrepancy() -> None:
    """A wrong fee must not become the model's fee."""
    m = Market()
    for name in ("alice", "maker"):
        m.deposit(name, 1000 * 10**6)
    (found,) = m.say("Traded", seriesId=1, taker="alice", maker="maker", size=W, price=100 * W, nonce=1, fee=7)
    assert (found.what, found.expected, found.got, found.block) == ("Traded.fee", W // 20, 7, 1)
    assert m.venue.book.fees == W // 20


def test_a_transfer_without_its_liquidation_is_a_discrepancy() -> None:
    m = Market()
    for name in ("alice", "maker", "keeper"):
        m.deposit(name, 1000 * 10**6)
    m.trade("alice", "maker", W, 100 * W)
    m.say("PositionTransferred", account="alice", keeper="keeper", seriesId=1, size=W, price=100 * W)
    assert [found.what for found in m.next()] == ["transfers without Liquidated"]


def test_transfers_other_than_the_ladders_are_a_discrepancy() -> None:
    """Which positions move, how much of each, and at what price, is for the model to say."""
    m = levered(0)
    m.next()
    m.price(94 * W)
    for series, size, price in ((1, 9 * W, 94 * W), (1, 5_476 * W // 1000, 93 * W)):
        n = levered(0)
        n.next()
        n.price(94 * W)
        n.say("PositionTransferred", account="alice", keeper="keeper", seriesId=series, size=size, price=price)
        found = n.say("Liquidated", same_tx=True, account="alice", keeper="keeper", equityBefore=0, maintenanceMargin=0,
                      toKeeper=0, toInsurance=0, covered=0, badDebt=0, stage=1)
        assert [item.expected for item in found if item.what == "PositionTransferred"] == [
            [[1, 5_476 * W // 1000, 94 * W]]]


def test_the_grace_clock_starts_at_the_first_block_after_a_gap() -> None:
    m = Market()
    m.deposit("alice", 10**9)
    m.deposit("maker", 10**9)
    m.trade("alice", "maker", W, 100 * W)
    assert m.next(3) == []
    assert m.venue.book.started_at == 1
    m.price(100 * W)
    assert m.venue.guards("alice").allow
    assert m.next(4) == []
    assert m.venue.book.started_at == m.now
    assert not m.venue.guards("alice").is_fresh
    m.price(100 * W)
    assert m.venue.guards("alice").is_fresh
    assert not m.venue.guards("alice").is_graced
    for _ in range(10):
        m.next(3)
        m.price(100 * W)
    assert m.venue.guards("alice").allow


def test_an_automatic_call_turns_the_status_down_until_the_next_one() -> None:
    """Down carries the time and keeps the old `startedAt`; the first call that is not automatic starts the grace."""
    m = Market()
    for name in ("alice", "maker"):
        m.deposit(name, 10**9)
    m.trade("alice", "maker", W, 100 * W)
    book = m.venue.book
    m.next()
    assert m.venue.apply(Said("UptimeChanged", -1, {"up": False, "startedAt": m.now})) == []
    assert (book.is_up, book.started_at) == (False, 1)
    assert not m.venue.guards("alice").is_graced
    assert m.next() == []
    assert not book.is_up
    assert m.next() == []
    assert book.active_clock == book.down_since == m.now - 2
    outage = {"since": m.now - 2, "until": m.now, "downTime": 2}
    assert m.venue.apply(Said("OutageEnded", -1, outage)) == []
    assert m.venue.apply(Said("UptimeChanged", -1, {"up": True, "startedAt": m.now})) == []
    assert (book.is_up, book.started_at) == (True, m.now)
    assert book.active_clock == m.now - 2
    assert not m.venue.guards("alice").is_graced
    assert [(fact.timestamp, fact.gap) for fact in m.venue.facts.restarts] == [(m.now, 0)]


def test_an_automatic_call_after_a_gap_goes_down_instead_of_restarting() -> None:
    m = Market()
    m.venue.end_block()
    m.venue.begin_block(2, m.now + 9)
    assert m.venue.apply(Said("OutageEnded", -1, {"since": m.now, "until": m.now + 9, "downTime": 9})) == []
    assert m.venue.apply(Said("UptimeChanged", -1, {"up": False, "startedAt": m.now + 9})) == []
    assert m.venue.end_block() == []
    assert m.venue.book.active_clock == m.now
    assert (m.venue.book.is_up, m.venue.facts.restarts) == (False, [])


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ([(-1, False, 1)], "UptimeChanged.startedAt"),
        ([(-1, False, 2), (-1, False, 2)], "UptimeChanged while down"),
        ([(-1, True, 2)], "UptimeChanged without a gap"),
        ([(-1, False, 2), (-1, True, 2)], "OutageEnded after being down"),
        ([(0, False, 2)], "UptimeChanged outside the system transaction"),
        ([(0, True, 2)], "UptimeChanged outside the system transaction"),
    ],
)
def test_a_status_that_could_not_change_so_is_a_discrepancy(said: list[tuple[int, bool, int]], what: str) -> None:
    m = Market()
    m.next()
    found = [item for tx, up, at in said
             for item in m.venue.apply(Said("UptimeChanged", tx, {"up": up, "startedAt": at}))]
    assert [item.what for item in found] == [what]


def test_the_keepers_own_prices_are_told_of_a_liquidation() -> None:
    """What the keeper holds beyond what it took over is as old as its own assets."""
    m = Market()
    m.say("RoundAccepted", asset="BTC", round=1, timestamp=m.now, price=50 * W, sources=3, prices=(50 * W,) * 3)
    m.say("SeriesListed", id=4, kind=0, asset="BTC", strike=0, expiry=1000)
    for name, whole in (("alice", 100), ("maker", 10_000), ("keeper", 10_000)):
        m.deposit(name, whole * 10**6)
    m.trade("maker", "alice", -9 * W, 100 * W)
    m.trade("keeper", "maker", W, 50 * W, series=4)
    m.next(3)
    m.next(2)
    m.price(94 * W)
    m.liquidate("alice", "keeper")
    (fact,) = m.venue.facts.liquidations
    assert (fact.oldest_age, fact.keeper_oldest_age) == (0, 5)


# -- under anything ------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
name = st.sampled_from(NAMES)
wei_price = st.integers(-3 * W, 300 * W)
wei_size = st.integers(-20 * W, 20 * W).filter(bool)
operation = st.one_of(
    st.tuples(st.just("deposit"), name, st.integers(1, 10**12)),
    st.tuples(st.just("withdraw"), name, st.integers(1, 10**12)),
    st.tuples(st.just("insure"), st.integers(1, 10**9)),
    st.tuples(st.just("price"), wei_price),
    st.tuples(st.just("trade"), name, name, wei_size, wei_price, st.sampled_from((1, 2, 3))),
    st.tuples(st.just("liquidate"), name, name),
)


def perform(m: Market, step: tuple[Any, ...]) -> None:
    verb, *rest = step
    if verb == "deposit":
        m.deposit(*rest)
    elif verb == "withdraw":
        m.say("Withdrawn", account=rest[0], amount=rest[1])
    elif verb == "insure":
        m.say("InsuranceFunded", amount=rest[0], **ADMIN)
    elif verb == "price":
        m.next()
        m.price(rest[0])
    elif verb == "trade" and rest[0] != rest[1]:
        m.trade(*rest)
    elif verb == "liquidate" and rest[0] != rest[1]:
        m.liquidate(*rest)


@settings(max_examples=60, deadline=None)
@given(st.lists(operation, max_size=40), wei_price, st.permutations([(n, s) for n in NAMES for s in (1, 2, 3)]))
def test_conservation_zero_sum_and_dust_hold_under_anything(
    steps: list[tuple[Any, ...]], final: int, order: list[tuple[str, int]]
) -> None:
    """C1, A1, A3 after every event, lawful or not, through settlement to the last wei."""
    m, dust = Market(), 0
    for step in steps:
        perform(m, step)
        book = m.venue.book
        assert m.venue.imbalance() == 0
        assert all(book.margin(n) == book.margin_at(book.holding(n), {}) for n in NAMES)
        assert dust <= book.dust <= book.roundings
        dust = book.dust
        assert book.insurance >= 0
        for series in book.series.values():
            held = [p.size for n in NAMES for i, p in book.account(n).positions.items() if i == series.id]
            assert sum(held) == 0
            assert series.open_interest == sum(q for q in held if q > 0)
            assert series.open_positions == len(held)
    m.expire(final)
    for account, series_id in order:
        if series_id in m.venue.book.account(account).positions:
            m.settle(account, series_id)
            assert m.venue.imbalance() == 0
    book = m.venue.book
    assert dust <= book.dust <= book.roundings
    assert [(s.clearing, s.open_interest, s.open_positions) for s in book.series.values()] == [(0, 0, 0)] * 3
    assert m.next() == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(name, name, wei_size, wei_price), min_size=1, max_size=12).map(
        lambda trades: [t for t in trades if t[0] != t[1]]
    ),
    wei_price,
)
def test_futures_equity_is_the_exact_fraction_less_at_most_a_wei_a_rounding(
    trades: list[tuple[str, str, int, int]], final: int
) -> None:
    """Against plain sums of size × price, whatever was opened, reduced and flipped in between."""
    m, exact = Market(), shadow.Book()
    for taker, maker, size, price in trades:
        fee = m.trade(taker, maker, size, price)
        assert fee == shadow.up(abs(Fraction(size, W)) * 100 * Fraction(5, 10_000))
        exact.trade(taker, maker, Fraction(size, W), Fraction(price, W), Fraction(fee, W))
    m.next()
    m.price(final)
    for account in NAMES:
        gap = exact.equity(account, Fraction(final, W)) - Fraction(m.venue.margin(account).equity, W)
        assert 0 <= gap / shadow.WEI <= 2 * len(trades) + 1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(name, name, wei_size, wei_price, st.sampled_from((1, 2, 3))), min_size=1, max_size=10),
    wei_price, st.randoms(use_true_random=False),
)
def test_the_order_of_settlements_leaves_every_balance_unchanged(
    trades: list[tuple[Any, ...]], final: int, random: Any
) -> None:
    """A8, when everyone can pay; insurance, if it is short, does go to whoever is settled first."""
    def run(shuffle: bool) -> dict[str, int]:
        m = Market()
        for account in NAMES:
            m.deposit(account, 10**15)
        for step in trades:
            perform(m, ("trade", *step))
        m.expire(final)
        pairs = [(a, s) for a in NAMES for s in sorted(m.venue.book.account(a).positions)]
        if shuffle:
            random.shuffle(pairs)
        for account, series in pairs:
            m.settle(account, series)
        return {account: m.cash(account) for account in NAMES} | {"dust": m.venue.book.dust}

    assert run(False) == run(True)


@settings(max_examples=60, deadline=None)
@given(wei_size, wei_price, st.integers(1, 6), st.sampled_from((1, 2, 3)))
def test_a_round_trip_at_one_price_never_gains(size: int, price: int, parts: int, series: int) -> None:
    """A4: open in pieces, close at once at the same price; the two together hold no more than before."""
    m = Market()
    for account in ("a", "b"):
        m.deposit(account, 10**12)
    piece = size // parts or size
    for _ in range(parts):
        m.trade("a", "b", piece, price, series=series)
    m.trade("a", "b", -piece * parts, price, series=series)
    assert m.venue.book.account("a").positions == {}
    assert m.cash("a") + m.cash("b") <= 2 * 10**24


def test_the_penalty_is_ceiled_once_and_the_keepers_half_floored() -> None:
    """Three wei-odd lots: 2.5 % of the exact notional, rounded up as a whole; the keeper gets the smaller half."""
    m = Market()
    for account, whole in (("alice", 10), ("maker", 10_000), ("keeper", 10_000)):
        m.deposit(account, whole * 10**6)
    size, price = W + 1, 95 * W + 7
    m.trade("maker", "alice", -size, 100 * W)
    m.next()
    m.price(price)
    m.next()
    said = m.liquidate("alice", "keeper")
    penalty = shadow.up(Fraction(size, W) * Fraction(price, W) / 40)
    assert said["toKeeper"] + said["toInsurance"] == penalty
    assert said["toKeeper"] == penalty // 2
