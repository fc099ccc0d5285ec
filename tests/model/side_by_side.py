"""The deployed contracts and the model, given the same operations and compared after every one of them.

The model is told only what the contracts emit, and must find the same state, field by field. Before each operation it
is also asked whether the rules allow it: contracts that accept what it refuses, or refuse what it accepts, are wrong,
or it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import Any

import pytest

from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import IpcClient
from harness.anvil.spec import ChainSpec
from harness.checks.market_guards import reduces
from harness.checks.storage import snapshot
from harness.evm.accounts import KEEPERS, MAKER, OWNER, REPORTERS, account
from harness.history.records import (
    AccountState,
    AssetState,
    FundingState,
    GovernanceState,
    OrderState,
    PoolState,
    PositionState,
    SeriesState,
    StateRecord,
)
from harness.model import ladder, matching, orders
from harness.model.disputes import is_disputable, may_override, way_out
from harness.model.feed import clamped_mean
from harness.model.fixed import NATIVE
from harness.model.governance import Factors
from harness.model.margin import may_move
from harness.model.params import VenueParams
from harness.model.pauses import EVERYTHING, LIQUIDATION, TRADING, WITHDRAWALS
from harness.model.pools import account_in
from harness.model.venue import Venue as Model
from harness.plan import ANSWER_MAX_WAD, AssetTerms, Terms
from harness.solidity.genesis import GenesisSpec, build_genesis
from harness.toolchain import ToolError, anvil_binary
from harness.venue import book as wire
from harness.venue import exchange as ex
from harness.venue import governance as gov
from harness.venue.pools import (
    account_of,
    encode_deposit_coin,
    encode_move_collateral,
    encode_open_coin_pool,
    encode_withdraw_coin,
)
from tests.contracts.conftest import CHAIN, COINS, EVERYONE, INSURANCE, START, STRICT, T0, TRADERS, Outcome, Venue, W

ASSETS = ("ETH", "OIL")
EXPIRY = 40                                     # seconds after T0, of every series that expires soon
UNSAID = -(1 << 200)
KEEPER = KEEPERS[0]
PEOPLE = (*TRADERS[:3], MAKER, KEEPER)

FUTURE, CALL, PUT, LATER, PERPETUAL, OIL_FUTURE = range(1, 7)
SERIES = (FUTURE, CALL, PUT, LATER, PERPETUAL, OIL_FUTURE)


@dataclass(frozen=True)
class Said:
    name: str
    tx: int
    args: Mapping[str, Any]


class Duel:
    """Both sides of one venue. `play` one operation after another; it raises AssertionError where they differ."""

    def __init__(self, chain: Venue) -> None:
        self.chain = chain
        names = VenueParams.__dataclass_fields__
        self.params = VenueParams(**{name: getattr(STRICT, name) for name in names})
        self.model = Model(self.params)
        self.block = 0
        self.origin, self.lag = T0 - 1, 0    # what L1's clock shows on L2, and by how much it may be behind
        self.model.begin_block(0, T0 - 1)
        self._tell([Said("InsuranceFunded", -1, {"from": address(OWNER), "amount": INSURANCE})])
        self.accepted: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.errors: set[str] = set()        # names of those the contracts refused with
        self.told: dict[str, int] = {}       # events the contracts emitted, every amount of each compared
        self.fields = 0                      # of storage, compared
        self.calls: list[tuple[str, gov.Call, Factors | None]] = []  # announced: id, call, factors or an upgrade
        self._set_up()
        self._saved = self._save()

    # -- the same start for everyone -------------------------------------------------------------------------------

    def _set_up(self) -> None:
        """ETH at 2000, OIL (signed) at 20; six series; three traders with 3 000, a rich maker and keeper."""
        chain = self.chain
        self.tick(0)
        terms = (True, -ANSWER_MAX_WAD, ANSWER_MAX_WAD)
        self.send(OWNER, "price_feed", chain.raw("price_feed", "listAsset", b"OIL".ljust(32, b"\0"), *terms))
        self.price(2000 * W, "ETH")
        self.price(20 * W, "OIL")
        for kind, strike, expires, asset in (
            ("future", 0, EXPIRY, "ETH"), ("call", 2000 * W, EXPIRY, "ETH"), ("put", 2000 * W, EXPIRY, "ETH"),
            ("future", 0, 4000, "ETH"), ("perpetual", 0, 0, "ETH"), ("future", 0, EXPIRY, "OIL"),
        ):
            expiry = ex.NEVER if kind == "perpetual" else T0 + expires
            self.send(OWNER, "clearing_house", ex.encode_list_series(ex.KINDS[kind], asset, strike, expiry))
        for who in (MAKER, KEEPER):
            self.send(who, "vault", ex.encode_deposit(2_000_000 * 10**6))
        for who in TRADERS[:3]:
            self.send(who, "vault", ex.encode_deposit(3_000 * 10**6))

    def _save(self) -> tuple[Any, ...]:
        chain = self.chain
        return (chain.client.call("evm_snapshot"), chain.now, chain.rounds, chain.quotes, dict(chain.nonces),
                copy.deepcopy(self.model), self.block, list(self.calls), self.origin, self.lag)

    def reset(self) -> None:
        """Back to the start, on both sides."""
        chain = self.chain
        mark, chain.now, chain.rounds, chain.quotes, nonces, model, self.block, calls, *clock = self._saved
        self.origin, self.lag = clock
        assert chain.client.call("evm_revert", mark) is True
        chain.nonces = dict(nonces)
        self.model, self.calls = model, list(calls)
        self._saved = self._save()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done within leaves no trace on either side."""
        saved, self._saved = self._saved, self._save()
        try:
            yield
        finally:
            self.reset()
            self._saved = saved

    # -- operations ------------------------------------------------------------------------------------------------

    def tick(self, seconds: int, *, auto: bool = False) -> None:
        """Time passes, and the block's system transaction says so."""
        self.chain.now += seconds
        self.origin = max(self.origin, self.chain.now - self.lag)
        self._told(self.chain.system(auto=auto, origin=self.origin), -1)

    def behind(self, seconds: int) -> None:
        """From the next tick on L1's clock is so far behind, and stands still until it is."""
        self.lag = seconds

    def price(self, price: int, asset: str = "ETH", *, age: int = 0) -> Outcome:
        """A round at that price; refused where it does not move the feed forward."""
        return self.prices([price] * 3, asset, age=age)

    def prices(self, prices: list[int], asset: str = "ETH", *, age: int = 0) -> Outcome:
        """A round of those prices; refused too where its index is not strictly between the bounds of its asset."""
        feed = self.model.book.feed(asset)
        latest, terms = feed.latest, feed.terms
        stamp = self.chain.now - age
        index = clamped_mean(prices, self.params.clamp_bps)
        allowed = ((latest is None or stamp > latest.timestamp) and (terms.signed or min(prices) > 0)
                   and terms.min_answer < index < terms.max_answer)
        data = self.chain.round(prices, asset, timestamp=stamp)
        return self._expect("price", allowed, self.send(OWNER, "price_feed", data))

    def holder(self, who: int, pool: int = 0) -> str:
        """Their account in a pool, open or not."""
        return account_of(address(who), pool)

    def is_open(self, who: int, pool: int) -> bool:
        return account_in(self.model.book, address(who), pool) is not None

    def deposit(self, who: int, native: int) -> Outcome:
        return self._expect("deposit", True, self.send(who, "vault", ex.encode_deposit(native)))

    def withdraw(self, who: int, native: int) -> Outcome:
        allowed = self.may_withdraw(who, native)
        return self._expect("withdraw", allowed, self.send(who, "vault", ex.encode_withdraw(native)))

    def open_coin_pool(self, pool: int, asset: str) -> Outcome:
        """The next pool, with coins of an asset that cannot fall below zero."""
        ledgers = self.model.book.ledgers
        allowed = pool == len(ledgers) and not any(ledger.coin for ledger in ledgers.values())
        allowed = allowed and self.model.book.feed(asset).terms.min_answer >= 0
        data = encode_open_coin_pool(pool, self.chain.at["spot_token"], asset)
        return self._expect("open coin pool", allowed, self.send(OWNER, "vault", data))

    def list_in_pool(self, kind: str, asset: str, strike: int, expiry: int, terms: Terms) -> Outcome:
        """A series with terms; refused where its pool is beyond the next, or holds what its kind is not backed by."""
        ledgers = self.model.book.ledgers
        coin = ledgers[terms.pool].coin if terms.pool in ledgers else ""
        allowed = terms.pool <= len(ledgers) and coin == (asset if kind == "inverse" else "")
        data = ex.encode_list_series_with(ex.KINDS[kind], asset, strike, expiry, astuple(terms))
        return self._expect("list", allowed, self.send(OWNER, "clearing_house", data))

    def deposit_coin(self, who: int, pool: int, native: int) -> Outcome:
        data = encode_deposit_coin(pool, native)
        return self._expect("deposit coin", self._holds_coin(pool), self.send(who, "vault", data))

    def withdraw_coin(self, who: int, pool: int, native: int) -> Outcome:
        allowed = self._holds_coin(pool) and self.is_open(who, pool) and not self.model.book.pauses.forbids(WITHDRAWALS)
        if allowed:
            other = self.probe()
            allowed = other.book.ledgers[pool].balance >= native
            other.apply(Said("CoinWithdrawn", 0, {"account": self.holder(who, pool), "pool": pool, "amount": native}))
            allowed = allowed and self._may_leave(other)
        return self._expect("withdraw coin", allowed, self.send(who, "vault", encode_withdraw_coin(pool, native)))

    def move(self, who: int, source: int, target: int, native: int) -> Outcome:
        ledgers = self.model.book.ledgers
        allowed = (source != target and {source, target} <= ledgers.keys() and self.is_open(who, source)
                   and not ledgers[source].coin and not ledgers[target].coin
                   and ledgers[source].balance >= native * NATIVE)
        if allowed:
            other = self.probe()
            if not self.is_open(who, target):
                other.apply(Said("AccountOpened", 0, {"account": self.holder(who, target), "owner": address(who),
                                                      "pool": target}))
            other.apply(Said("CollateralMoved", 0, {"owner": address(who), "from": source, "to": target,
                                                    "amount": native}))
            allowed = self._may_leave(other)
        data = encode_move_collateral(source, target, native)
        return self._expect("move", allowed, self.send(who, "vault", data))

    def _holds_coin(self, pool: int) -> bool:
        return pool in self.model.book.ledgers and bool(self.model.book.ledgers[pool].coin)

    def _may_leave(self, other: Model) -> bool:
        """What the newest withdrawal that was tried out leaves behind is enough."""
        fact = other.facts.withdrawals[-1]
        return (fact.deficit == 0 and fact.oldest_age is not None and fact.oldest_age <= self.params.max_price_age_s
                and fact.free >= fact.im)

    def trade(self, taker: int, maker: int, series: int, size: int, price: int) -> Outcome:
        allowed = self.may_trade(taker, maker, series, size, price)
        return self._expect("trade", allowed, self.chain_trade(taker, maker, series, size, price))

    def chain_trade(self, taker: int, maker: int, series: int, size: int, price: int) -> Outcome:
        return self._told(self.chain.trade(taker, series, size, price, maker=maker))

    def liquidate(self, keeper: int, victim: int, pool: int = 0) -> Outcome:
        allowed = self.may_liquidate(keeper, victim, pool)
        data = ex.encode_liquidate(self.holder(victim, pool))
        return self._expect("liquidate", allowed, self.send(keeper, "liquidator", data))

    def finalize(self, series: int) -> Outcome:
        """Makes the series final, or brings it into dispute; refused before expiry, twice, and in too little time."""
        item, book = self.model.book.series[series], self.probe().book
        is_due = item.final_price is None and not item.disputed_at and self.chain.now >= item.expiry
        is_observed = item.feed.newest is not None and item.feed.newest >= item.expiry
        allowed = is_due and (is_observed or is_disputable(book, item))
        return self._expect("finalize", allowed, self.send(OWNER, "settlement", ex.encode_finalize(series)))

    def resolve(self, series: int) -> Outcome:
        book = self.probe().book
        allowed = way_out(book, book.series[series]) is not None
        return self._expect("resolve", allowed, self.send(KEEPER, "settlement", ex.encode_resolve(series)))

    def override(self, who: int, series: int, price: int) -> Outcome:
        book = self.probe().book
        allowed = who == OWNER and may_override(book, book.series[series], price)
        data = ex.encode_override_price(series, price)
        return self._expect("override", allowed, self.send(who, "settlement", data))

    def settle(self, who: int, series: int) -> Outcome:
        item = self.model.book.series[series]
        account = self.holder(who, item.pool)
        allowed = item.final_price is not None and series in self.model.book.account(account).positions
        data = ex.encode_settle(account, series)
        return self._expect("settle", allowed, self.send(OWNER, "settlement", data))

    def settle_funding(self, who: int, series: int = PERPETUAL) -> Outcome:
        data = ex.encode_settle_funding(self.holder(who, self.model.book.series[series].pool), series)
        return self._expect("settle funding", True, self.send(OWNER, "clearing_house", data))

    def open_market(self, series: int, *, tick: int, lot: int) -> Outcome:
        return self._expect("open market", series not in self.model.book.orders.markets,
                            self.send(OWNER, "order_book", wire.encode_open_market(series, tick=tick, lot=lot)))

    def place(self, who: int, series: int, size: int, price: int, mode: int, good_for: int) -> Outcome:
        order = wire.Order(series, size, price, mode, self.chain.now + good_for)
        allowed = self.may_place(who, order)
        return self._expect("place", allowed, self.send(who, "order_book", wire.encode_place(order)))

    def turn(self, who: int, cancels: list[int], placed: list[wire.Order]) -> Outcome:
        """A maker's update; the model is told afterwards, and what of it is allowed is not asked before."""
        outcome = self.send(who, "order_book", wire.encode_update(cancels, placed))
        counts = self.refused if outcome.error else self.accepted
        counts["turn"] = counts.get("turn", 0) + 1
        assert not outcome.error.startswith("Panic"), outcome.error
        return outcome

    def cancel_order(self, who: int, order: int) -> Outcome:
        books = self.model.book.orders
        series = books.series_of.get(order)
        allowed = series is not None and books.markets[series].orders[order].account == address(who)
        data = wire.encode_cancel(order)
        return self._expect("cancel order", allowed, self.send(who, "order_book", data))

    # -- governance ------------------------------------------------------------------------------------------------

    def pause(self, who: int, what: int) -> Outcome:
        now = self.model.book.pauses.paused
        allowed = who == OWNER and 1 <= what <= EVERYTHING and now | what != now
        return self._expect("pause", allowed, self.send(who, "pauses", gov.encode_pause(what)))

    def unpause(self, who: int, what: int) -> Outcome:
        allowed = who == OWNER and 1 <= what <= EVERYTHING and self.model.book.pauses.forbids(what)
        return self._expect("unpause", allowed, self.send(who, "pauses", gov.encode_unpause(what)))

    def announce(self, who: int, factors: Factors | None, delay_s: int) -> Outcome:
        """Margin factors, or the upgrade of the liquidator, for once so many seconds are over."""
        at = self.chain.at
        if factors is None:
            target, share = at["liquidator"], self.params.keeper_share_bps
            data = gov.encode_upgrade(at["liquidator_v2"], gov.encode_initialize(share))
        else:
            target, data = at["clearing_house"], gov.encode_set_factors(gov.Factors(*factors))
        call = gov.Call(target, data, len(self.calls).to_bytes(32, "big"))
        allowed = who == OWNER and delay_s >= self.params.timelock_delay_s
        outcome = self.send(who, "timelock", gov.encode_schedule(call, delay_s))
        for event in outcome.events:
            self.calls.append((event.args["id"], call, factors))
        return self._expect("announce", allowed, outcome)

    def enact(self, who: int, number: int) -> None:
        """Carry out the number-th of what was announced, if there are so many."""
        if not self.calls:
            return
        id_, call, factors = self.calls[number % len(self.calls)]
        announced = self.model.governance.announced.get((id_, 0))
        in_range = factors.are_in_range(self.params.penalty_bps) if factors else self.model.governance.version == 1
        allowed = who == OWNER and announced is not None and self.chain.now >= announced.due and in_range
        self._expect("enact", allowed, self.send(who, "timelock", gov.encode_execute(call)))

    def set_up_again(self, who: int) -> Outcome:
        return self._expect("set up again", False, self.send(who, "liquidator", gov.encode_initialize(10_000)))

    # -- what the rules allow --------------------------------------------------------------------------------------

    def probe(self) -> Model:
        """A model to try something on, in the block that would hold it."""
        other = copy.deepcopy(self.model)
        other.end_block()
        other.begin_block(self.block + 1, self.chain.now, self.origin)
        return other

    def is_fresh(self, asset: str) -> bool:
        latest = self.model.book.feed(asset).latest
        return latest is not None and self.chain.now - latest.timestamp <= self.params.max_price_age_s

    def may_withdraw(self, who: int, native: int) -> bool:
        other = self.probe()
        if other.book.ledgers[0].balance < native * NATIVE:
            return False
        other.apply(Said("Withdrawn", 0, {"account": address(who), "amount": native}))
        return not other.facts.withdrawals[-1].paused & WITHDRAWALS and self._may_leave(other)

    def may_trade(self, taker: int, maker: int, series: int, size: int, price: int) -> bool:
        item = self.model.book.series[series]
        if taker == maker or size == 0 or self.chain.now >= item.expiry or not self.is_fresh(item.asset):
            return False
        if (item.perpetual is not None and item.feed.price <= 0) or (item.kind == ex.KINDS["inverse"] and price <= 0):
            return False
        if not self.is_open(taker, item.pool) or not self.is_open(maker, item.pool):
            return False
        other = self.probe()
        other.apply(Said("Traded", 0, {
            "seriesId": series, "taker": self.holder(taker, item.pool), "maker": self.holder(maker, item.pool),
            "size": size, "price": price, "nonce": 0, "fee": 0}))
        fact = other.facts.trades[-1]
        if (fact.paused & TRADING or fact.timestamp < fact.halted_until) and not reduces(fact.taker, size):
            return False
        return (fact.band_excess <= 0 and fact.cap_excess <= 0 and fact.oldest_age is not None
                and fact.oldest_age <= self.params.max_price_age_s
                and all(may_move(leg.before, leg.after) for leg in (fact.taker, fact.maker)))

    def may_place(self, who: int, order: wire.Order) -> bool:
        """The whole matching tried out: refused are a bad order, a post-only one that takes, a taker who may not."""
        other, taker = self.probe(), address(who)
        context = other._context
        found = other.apply(Said("OrderPlaced", 0, {
            "orderId": other.book.orders.placed + 1, "account": taker, "seriesId": order.series_id, "size": order.size,
            "price": order.price, "mode": order.mode, "deadline": order.deadline}))
        if found or context.incoming is None:
            return False
        incoming = context.incoming
        while (step := orders.due(context)) is not None:
            if step.do is matching.Do.REFUSE:
                return False
            if step.do is not matching.Do.FILL or not orders.maker_can(context, step, incoming):
                reason = matching.MAKER_CANNOT if step.do is matching.Do.FILL else step.do.value
                other.apply(Said("OrderRemoved", 0, {"orderId": step.order.id, "reason": reason,
                                                     "rest": step.order.rest}))
                continue
            size = step.size if incoming.is_bid else -step.size
            other.apply(Said("Traded", 0, {
                "seriesId": order.series_id, "taker": taker, "maker": step.order.account, "size": size,
                "price": step.order.price, "nonce": orders.BOOK_NONCE + other.book.orders.fills + 1, "fee": 0}))
            fact, age = other.facts.trades[-1], other.book.oldest_age(taker)
            leg = fact.taker
            if (fact.paused & TRADING or fact.timestamp < fact.halted_until) and not reduces(leg, size):
                return False
            if fact.cap_excess > 0:  # a series at its cap stops every order that would raise it, whoever is to make it
                return False
            if not may_move(leg.before, leg.after) or age is None or age > self.params.max_price_age_s:
                return False
            other.apply(Said("OrderFilled", 0, {"orderId": step.order.id, "takerOrderId": incoming.order.id,
                                                "size": size, "price": step.order.price}))
        rests = incoming.order.rest and orders.leftover(context) is None
        return not rests or other.book.orders.open.get(taker, 0) < matching.ORDERS_MAX

    def may_liquidate(self, keeper: int, victim: int, pool: int = 0) -> bool:
        """Whether `liquidate` goes through: a stage of its own, or the start of an auction."""
        stage = self.next_stage(victim, pool)
        if not self._may_touch(keeper, victim, pool) or stage is None:
            return False
        return stage == 0 or self._keeper_ends_margined(keeper, victim, stage, pool)

    def next_stage(self, victim: int, pool: int = 0) -> int | None:
        """What `liquidate` would do to an account past its guards: 1 or 3, 0 to start an auction, None to refuse."""
        book, account = self.probe().book, self.holder(victim, pool)
        given = ladder.terms(book, account)
        if given.is_partial:
            return ladder.PARTIAL
        since = ladder.elapsed(book, account)
        running = ladder.is_running(book, account)
        if given.is_short or (running and since is not None and since >= self.params.auction_duration_s):
            return ladder.DELEVERAGED
        return None if running else 0

    def may_bid(self, bidder: int, victim: int, pool: int = 0) -> bool:
        book, account = self.probe().book, self.holder(victim, pool)
        given = ladder.terms(book, account)
        if not self._may_touch(bidder, victim, pool) or not ladder.is_running(book, account):
            return False
        if given.is_partial or given.is_short:
            return False
        return self._keeper_ends_margined(bidder, victim, ladder.AUCTION, pool)

    def _may_touch(self, keeper: int, victim: int, pool: int) -> bool:
        other, account = self.probe(), self.holder(victim, pool)
        return (keeper != victim and self.is_open(keeper, pool) and self.is_open(victim, pool)
                and other.margin(account).is_liquidatable and other.guards(account).allow)

    def _keeper_ends_margined(self, keeper: int, victim: int, stage: int, pool: int) -> bool:
        other = self.probe()
        args: dict[str, Any] = {
            "account": self.holder(victim, pool), "keeper": self.holder(keeper, pool), "equityBefore": 0,
            "maintenanceMargin": 0, "toKeeper": 0, "toInsurance": 0, "covered": 0, "badDebt": 0, "stage": stage}
        found = other.apply(Said("Liquidated", 0, args))
        took = any(item.what == "PositionTransferred" and item.expected for item in found)
        fact = other.facts.liquidations[-1]
        age = fact.keeper_oldest_age
        fresh = age is not None and age <= self.params.max_price_age_s
        return not took or (fresh and fact.keeper_after.is_keeper)

    def bid(self, bidder: int, victim: int, pool: int = 0) -> Outcome:
        allowed = self.may_bid(bidder, victim, pool)
        data = ex.encode_bid(self.holder(victim, pool))
        return self._expect("bid", allowed, self.send(bidder, "liquidator", data))

    def cancel(self, victim: int, pool: int = 0) -> Outcome:
        other, account = self.probe(), self.holder(victim, pool)
        has = other.book.account(account).auction != 0
        age = other.book.oldest_age(account)
        fresh = age is not None and age <= self.params.max_price_age_s
        allowed = has and fresh and not other.margin(account).is_liquidatable
        data = self.chain.raw("liquidator", "cancelAuction", account)
        return self._expect("cancel", allowed, self.send(OWNER, "liquidator", data))

    def insure(self, native: int, pool: int = 0) -> Outcome:
        allowed = pool in self.model.book.ledgers
        data = self.chain.raw("vault", "fundInsurance", pool, native)
        return self._expect("insure", allowed, self.send(OWNER, "vault", data))

    def cover(self, pool: int = 0) -> Outcome:
        ledger = self.model.book.ledgers[pool]
        allowed = min(ledger.insurance, ledger.deficit) > 0
        data = self.chain.raw("vault", "coverDeficit", pool)
        return self._expect("cover", allowed, self.send(OWNER, "vault", data))

    def haircut(self, pool: int = 0) -> Outcome:
        book = self.probe().book
        ledger = book.ledgers[pool]
        ages = [book.oldest_age(who) for who in ledger.registered]
        fresh = all(age is not None and age <= self.params.max_price_age_s for age in ages)
        allowed = ledger.deficit > 0 and ledger.insurance == 0 and fresh and not book.pauses.forbids(LIQUIDATION)
        data = self.chain.raw("liquidator", "haircut", pool)
        return self._expect("haircut", allowed, self.send(OWNER, "liquidator", data))

    def most_withdrawable(self, who: int, pool: int = 0) -> int:
        """In native units, freshness aside."""
        book, account = self.probe().book, self.holder(who, pool)
        return max(0, book.free_cash(account) - book.margin(account).im) // book.ledger(pool).native

    # -- telling and comparing -------------------------------------------------------------------------------------

    def send(self, who: int, contract: str, data: bytes) -> Outcome:
        return self._told(self.chain.send(who, contract, data))

    def _expect(self, what: str, allowed: bool, outcome: Outcome) -> Outcome:
        counts = self.accepted if allowed else self.refused
        counts[what] = counts.get(what, 0) + 1
        self.errors.add(outcome.error.partition("(")[0])
        assert (outcome.error == "") is allowed, (
            f"{what} at {self.chain.now - T0} s: the rules {'allow' if allowed else 'refuse'} it, "
            f"the contracts say {outcome.error or 'ok'}"
        )
        assert not outcome.error.startswith("Panic"), outcome.error
        return outcome

    def _told(self, outcome: Outcome, tx: int = 0) -> Outcome:
        """The model hears of a mined block, and must then stand where the contracts stand."""
        self.block += 1
        found = self.model.begin_block(self.block, self.chain.now, self.origin)
        assert found == []
        self._tell([Said(event.name, tx, event.args) for event in outcome.events])
        book = self.model.book
        accounts = [*map(address, EVERYONE), *book.pools]
        assets = [asset for asset in ASSETS if asset in book.feeds]
        state = ex.decode_state(self.chain.call("lens", ex.encode_state(accounts, assets)))
        shown = {
            series: tuple(
                OrderState(o.id, o.account, o.rest, o.price, o.deadline)
                for o in wire.decode_orders(self.chain.call("order_book", wire.encode_orders(series)))
            )
            for series in book.orders.markets
        }
        governance = GovernanceState(*astuple(gov.decode_governance(self.chain.call("lens", gov.encode_governance()))))
        shot = snapshot(book, replace(record(state, self.block), book=shown, governance=governance),
                        version=self.model.governance.version)
        self.fields += shot.fields
        for event in outcome.events:
            self.told[event.name] = self.told.get(event.name, 0) + 1
        assert shot.differences == ()
        assert shot.unlisted == ()
        assert self.model.imbalance() == 0
        assert all(0 <= ledger.dust <= book.roundings for ledger in book.ledgers.values())
        assert all(ledger.balance >= 0 for ledger in book.ledgers.values())
        return outcome

    def _tell(self, said: list[Said]) -> None:
        found = [item for event in said for item in self.model.apply(event)] + self.model.end_block()
        assert found == []


def address(who: int) -> str:
    return account(who).address


def record(state: ex.VenueState, number: int) -> StateRecord:
    """The contracts' own words as a history would have them."""
    perpetuals = {item.series_id: item for item in state.perpetuals}

    def market(series: int) -> FundingState | None:
        found = perpetuals.get(series)
        if found is None:
            return None
        return FundingState(found.index, found.rate, found.integral, found.window, found.weight, found.weighted)

    totals = state.totals
    return StateRecord(
        0, "chain", number, "0x", totals.custody, totals.insurance, totals.fees, totals.dust,
        {
            held.address: AccountState(
                held.cash, held.equity, held.im, held.mm,
                tuple(PositionState(p.series_id, p.size, p.notional, p.funding_index) for p in held.positions),
                held.auction, held.pool, held.moved_at,
            )
            for held in state.accounts
        },
        {
            item.series_id: SeriesState(
                item.clearing, item.open_interest, item.open_positions, item.is_final, item.price,
                market(item.series_id), item.disputed_at,
            )
            for item in state.series
        },
        {
            item.name: AssetState(item.round, item.timestamp, item.price, item.cumulative, item.funded, item.active_at,
                                  item.covered, item.beyond, item.halted_until)
            for item in state.assets
        },
        totals.deficit,
        pools=tuple(PoolState(*astuple(item)) for item in state.pools),
    )


@contextmanager
def duel() -> Iterator[Duel]:
    """A fresh node with everything deployed, and the model beside it; skips where there is no Anvil."""
    try:
        binary = anvil_binary()
    except ToolError as error:
        pytest.skip(f"no Anvil: {error}")
    genesis = build_genesis(GenesisSpec(
        params=STRICT, assets=(AssetTerms("ETH"), AssetTerms("BTC")), owner=account(OWNER).address, insurance=INSURANCE,
        reporters=tuple(account(index).address for index in REPORTERS[:5]),
        collateral={account(index).address: START for index in EVERYONE},
        coin={account(index).address: COINS * W for index in EVERYONE},
    ))
    spec = ChainSpec(chain_id=CHAIN, genesis_timestamp=T0 - 1, gas_limit=30_000_000, genesis_file=genesis.l2_file)
    node = AnvilProcess(spec, name="duel", binary=binary)
    client = IpcClient(node.socket_path, timeout_s=30)
    try:
        node.start()
        node.wait_until_ready(client)
        yield Duel(Venue(client, dict(genesis.deployment.to_json())))
    finally:
        client.close()
        node.close()


def last(allowed: Callable[[int], bool], good: int, bad: int) -> int:
    """The last allowed number on the way from `good` to `bad`, which is not."""
    assert allowed(good)
    assert not allowed(bad)
    while abs(bad - good) > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if allowed(middle) else (good, middle)
    return good
