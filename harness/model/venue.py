"""The venue replayed from its events: every amount that can be computed is computed, and compared with what was said.

The model never takes over a value it can compute: where the two differ it goes on with its own, so a wrong rounding
shows at every later comparison too. What it must be told, because no event carries its inputs: the median of a round,
what was traded at which price, whether a system transaction was an automatic one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from harness.model import disputes, funding, insurance, liquidation, oracle, orders, pools, settlement, spot, trading
from harness.model.book import Book, Series, Terms
from harness.model.conservation import imbalance
from harness.model.context import Context
from harness.model.facts import DepositFact, Discrepancy, Facts
from harness.model.feed import AssetTerms
from harness.model.fixed import NATIVE
from harness.model.governance import Governance
from harness.model.guards import Guards, guards
from harness.model.margin import Kind, Margin
from harness.model.params import FAST, VenueParams
from harness.model.uptime import Uptime

LIMIT_MAX = 10**15
"""Of a series' limits, in whole quote."""


class VenueEvent(Protocol):
    """A decoded contract event, named and with arguments as in contracts/RULES.md; integers exact."""

    @property
    def name(self) -> str: ...

    @property
    def tx(self) -> int:
        """Index of its transaction in the block, −1 for the system transaction."""
        ...

    @property
    def args(self) -> Mapping[str, Any]: ...


class Venue:
    """Feed it whole blocks: `begin_block`, `apply` for each event in order, `end_block`.

    Every one of the three returns the discrepancies it found, which may concern an earlier event of the transaction.
    """

    def __init__(self, params: VenueParams = FAST) -> None:
        self.book = Book(params)
        self.facts = Facts()
        self._context = Context(self.book, self.facts)
        self._uptime = Uptime()
        self.governance = Governance()
        self._handlers: dict[str, Callable[[Context, Mapping[str, Any]], None]] = {
            "OutageEnded": self._uptime.outage_ended,
            "UptimeChanged": self._uptime.changed,
            "RoundAccepted": oracle.round_accepted,
            "MarketHalted": oracle.market_halted,
            "AssetListed": oracle.asset_listed,
            "Deposited": _deposited,
            "Withdrawn": trading.withdrawn,
            "InsuranceFunded": insurance.funded,
            "DeficitCovered": insurance.deficit_covered,
            "Haircut": insurance.haircut,
            "AccountOpened": pools.account_opened,
            "CollateralMoved": pools.collateral_moved,
            "CoinPoolOpened": pools.coin_pool_opened,
            "CoinDeposited": pools.coin_deposited,
            "CoinWithdrawn": pools.coin_withdrawn,
            "DeficitSocialized": insurance.deficit_socialized,
            "AuctionStarted": liquidation.auction_started,
            "AuctionCancelled": liquidation.auction_cancelled,
            "Deleveraged": liquidation.deleveraged,
            "SeriesListed": _series_listed,
            "TermsSet": _terms_set,
            "Traded": orders.traded,
            "PositionTransferred": liquidation.position_transferred,
            "Liquidated": liquidation.liquidated,
            "SeriesDisputed": disputes.disputed,
            "PriceOverridden": disputes.overridden,
            "DisputeResolved": disputes.resolved,
            "SeriesFinalized": settlement.series_finalized,
            "Settled": settlement.settled,
            "BadDebt": settlement.bad_debt,
            "FundingAccrued": funding.accrued_event,
            "FundingSettled": funding.settled_event,
            "MarketOpened": orders.market_opened,
            "OrderPlaced": orders.order_placed,
            "OrderFilled": orders.order_filled,
            "OrderRemoved": orders.order_removed,
            "Swapped": spot.swapped,
            "LiquidityAdded": spot.liquidity_added,
            "LiquidityRemoved": spot.liquidity_removed,
            "PauseChanged": self.governance.pause_changed,
            "CallScheduled": self.governance.call_scheduled,
            "CallExecuted": self.governance.call_executed,
            "FactorsChanged": self.governance.factors_changed,
            "KeeperShareSet": self.governance.keeper_share_set,
            "Initialized": self.governance.initialized,
            "Upgraded": self.governance.upgraded,
            "ReporterChanged": self.governance.reporter_changed,
        }

    def list_assets(self, terms: Mapping[str, AssetTerms]) -> None:
        """Assets the venue began with, which no event told of."""
        for asset, each in terms.items():
            self.book.feed(asset).terms = each

    def appoint(self, reporters: Iterable[str]) -> None:
        """The reporters the venue began with; without any, nobody knows how many may sign."""
        self.book.reporters = set(reporters) or None

    def take_facts(self) -> Facts:
        """Facts that start empty here: the venue goes on writing into them, and forgets those it had."""
        self.facts = self._context.facts = Facts()
        return self.facts

    def begin_block(self, number: int, timestamp: int, origin_time: int | None = None) -> list[Discrepancy]:
        """Start the block of that number and time (s); its system transaction is due from block 1 on.

        `origin_time` is the timestamp of its L1 origin, as that transaction says; the block's where nobody recorded it.
        """
        self._context.block, self._context.tx = number, -1
        self.book.now, self.book.block = timestamp, number
        self.book.origin_time = timestamp if origin_time is None else origin_time
        if number > 0:
            self._uptime.begin_block(self._context)
        if self.book.runs_with_time:
            self.book.prices_changed()
        return self._context.take()

    def apply(self, event: VenueEvent) -> list[Discrepancy]:
        """Apply one event; events the venue does not know are none of its business."""
        context = self._context
        if event.tx != context.tx:
            self._end_transaction()
            context.tx = event.tx
        handler = self._handlers.get(event.name)
        if handler is not None:
            handler(context, event.args)
        return context.take()

    def end_block(self) -> list[Discrepancy]:
        """Close the block: what an unfinished transaction or an overdue restart still owes is a discrepancy."""
        self._end_transaction()
        return self._context.take()

    @property
    def is_restart_due(self) -> bool:
        """The block's system transaction must say UptimeChanged, and has not yet."""
        return self._uptime.is_restart_due

    def margin(self, account: str) -> Margin:
        return self.book.margin(account)

    def guards(self, account: str) -> Guards:
        return guards(self.book, account)

    def imbalance(self) -> int:
        return imbalance(self.book)

    def _end_transaction(self) -> None:
        if self._context.tx == -1:
            self._uptime.end_call(self._context)
        _end_listings(self._context)
        liquidation.end_transaction(self._context)
        oracle.end_transaction(self._context)
        disputes.end_transaction(self._context)
        settlement.end_transaction(self._context)
        insurance.end_transaction(self._context)
        orders.end_transaction(self._context)
        self.governance.end_transaction(self._context)


def _deposited(context: Context, args: Mapping[str, Any]) -> None:
    book, account = context.book, args["account"]
    before = book.margin(account)
    pool = book.ledger_of(account)
    pool.registered.setdefault(account)
    pool.balance += args["amount"] * NATIVE
    book.custody += args["amount"]
    context.expect("Deposited.account's pool", 0, book.pool_of(account))
    book.add_cash(account, args["amount"] * NATIVE)
    context.facts.deposits.append(DepositFact(context.block, context.tx, account, before, book.margin(account)))


def _series_listed(context: Context, args: Mapping[str, Any]) -> None:
    book = context.book
    context.expect("SeriesListed.id", len(book.series) + 1, args["id"])
    if args["kind"] not in tuple(Kind):
        context.differ("SeriesListed.kind", "0, 1, 2, 3 or 4", args["kind"])
        return
    series = book.series[args["id"]] = Series(
        args["id"], Kind(args["kind"]), args["asset"], args["strike"], args["expiry"], book.feed(args["asset"])
    )
    context.listed.append(series)
    if series.kind is Kind.PERPETUAL:
        context.expect("SeriesListed.expiry", funding.PERPETUAL_EXPIRY, series.expiry)
        funding.listed(book, series)


def _terms_set(context: Context, args: Mapping[str, Any]) -> None:
    series = context.series(args["seriesId"], "TermsSet")
    if series is None:
        return
    terms = Terms(args["optionMargin"], args["pool"], args["oiLower"], args["oiCap"], args["profitCap"])
    limits = (terms.oi_lower, terms.oi_cap, terms.profit_cap)
    if series.was_traded or series.terms is not None or series.id != len(context.book.series):
        context.differ("TermsSet.seriesId", "the series just listed", series.id)
    if terms.option_margin not in ((0, 1, 2) if series.is_option else (0,)):
        context.differ("TermsSet.optionMargin", "one of its kind", terms.option_margin)
    if terms.oi_lower > terms.oi_cap or not all(0 <= limit <= LIMIT_MAX for limit in limits):
        context.differ("TermsSet.limits", f"0 ≤ oiLower ≤ oiCap ≤ {LIMIT_MAX}", list(limits))
    if not 0 <= terms.pool <= len(context.book.ledgers):
        context.differ("TermsSet.pool", f"at most {len(context.book.ledgers)}", terms.pool)
    context.book.ledger(terms.pool)
    series.terms = terms


def _end_listings(context: Context) -> None:
    """An inverse future is of the pool of its own coin, and nothing else is of a coin pool."""
    for series in context.listed:
        due = series.asset if series.kind is Kind.INVERSE else ""
        context.expect(f"the coin of the pool of series {series.id}", due, context.book.ledger(series.pool).coin)
    context.listed.clear()
