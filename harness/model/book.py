"""The venue's state and the arithmetic on it: accounts, series, feeds, totals, margins, and conservation.

Mutable on purpose: it is replayed forward, one event after another. Only `venue` and its handlers change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from harness.model.facts import Holding
from harness.model.feed import Feed
from harness.model.fixed import WAD, floor_div
from harness.model.legs import future_leg, option_leg
from harness.model.margin import Kind, Margin, intrinsic, payoff, profit_limit, requirement, worth
from harness.model.matching import Orders
from harness.model.option_margin import NAKED
from harness.model.params import VenueParams
from harness.model.pauses import LIQUIDATION, TRADING, Pauses
from harness.model.perpetual import Perpetual
from harness.model.pools import Ledgers
from harness.model.requirements import required
from harness.model.spot import SpotPool


@dataclass(slots=True)
class Position:
    size: int                    # never 0 while it is in an account
    notional: int                # 0 for options
    funding_index: int = 0       # I_u of a perpetual: the market's index when this was last settled
    path_from: int = 0           # how many accruals the market had had by then


@dataclass(slots=True)
class Account:
    cash: int = 0                # may be negative: bad debt
    positions: dict[int, Position] = field(default_factory=dict)
    margin: Margin | None = None  # cached; dropped at any change of the account or of a price it may depend on
    margin_version: int = -1
    auction: int = 0             # the auction clock at the start of its auction; 0: none
    moved_at: int = 0            # block time of its last move that was margined; 0: none


@dataclass(frozen=True, slots=True)
class Terms:
    """What a series was listed with, beyond the default; amounts in whole quote, 0 for none."""

    option_margin: int
    pool: int
    oi_lower: int
    oi_cap: int
    profit_cap: int

    @property
    def scales(self) -> bool:
        return self.oi_lower < self.oi_cap


@dataclass(slots=True)
class Series:
    id: int
    kind: Kind
    asset: str
    strike: int
    expiry: int
    feed: Feed                   # of its asset
    clearing: int = 0
    final_price: int | None = None
    disputed_at: int = 0         # block time; 0: its settlement price was never in dispute
    settled_size: int = 0        # Σ q already settled; open sizes plus this are zero
    open_positions: int = 0
    open_interest: int = 0
    was_traded: bool = False
    perpetual: Perpetual | None = None
    terms: Terms | None = None   # None: the default ones
    is_option: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_option = self.kind.is_option

    @property
    def pool(self) -> int:
        return 0 if self.terms is None else self.terms.pool


class Book(Ledgers):
    """Everything the contracts keep, as the model believes it to be."""

    def __init__(self, params: VenueParams) -> None:
        super().__init__()
        self.params = params     # those in force now: governance replaces some
        self.pauses = Pauses()
        self.accounts: dict[str, Account] = {}
        self.series: dict[int, Series] = {}
        self.feeds: dict[str, Feed] = {}
        self.custody = 0         # native token units
        self.block = 0
        self.roundings = 0       # rounding operations whose residue went, or may go, to dust
        self.now = 0
        self.origin_time = 0     # the timestamp of the block's L1 origin, by which a grace ends
        self.is_up = False       # before the first system call nothing is known, which counts as down
        self.started_at = 0
        self.down_since = 0
        self.down_time = 0       # seconds of all outages that have ended
        self.orders = Orders()
        self.spot = SpotPool()
        self.reporters: set[str] | None = None  # whose signature counts; None where nobody said who began
        self._price_version = 0

    def fork(self, addresses: Iterable[str]) -> Book:
        """A book that goes its own way from here on, with only those accounts in it. It shares the feeds: read only."""
        other = Book(self.params)
        other.accounts = {
            address: Account(
                held.cash, {key: replace(item) for key, item in held.positions.items()}, moved_at=held.moved_at
            )
            for address in addresses
            for held in (self.account(address),)
        }
        other.series = {
            key: replace(series, perpetual=None if series.perpetual is None else series.perpetual.copy())
            for key, series in self.series.items()
        }
        other.feeds = self.feeds
        other.copy_ledgers(self)
        other.custody, other.block = self.custody, self.block
        other.roundings, other.now, other.origin_time = self.roundings, self.now, self.origin_time
        other.is_up, other.started_at = self.is_up, self.started_at
        other.down_since, other.down_time = self.down_since, self.down_time
        other.pauses = self.pauses.copy()
        return other

    def account(self, address: str) -> Account:
        found = self.accounts.get(address)
        if found is None:
            found = self.accounts[address] = Account()
        return found

    def feed(self, asset: str) -> Feed:
        found = self.feeds.get(asset)
        if found is None:
            found = self.feeds[asset] = Feed(
                age_max=self.params.max_price_age_s, gap_max=self.params.settlement_max_gap_s
            )
        return found

    def index(self, series: Series) -> int:
        return series.feed.price

    @property
    def active_clock(self) -> int:
        """Seconds the chain has been up."""
        return (self.now if self.is_up else self.down_since) - self.down_time

    @property
    def funding_clock(self) -> int:
        """Of those, the seconds in which trading was not paused: what funding runs on."""
        return self.pauses.clock(TRADING, self.active_clock)

    @property
    def auction_clock(self) -> int:
        """Of those, the seconds in which liquidation was not paused: what auctions run on."""
        return self.pauses.clock(LIQUIDATION, self.active_clock)

    def funded_integral(self, series: Series) -> int:
        """B of the series' asset now, accrued since its newest round."""
        return series.feed.funded_at(self.funding_clock, self.params.funding_gap_s)

    def funding_index(self, series: Series) -> int:
        """I' of a perpetual: its index as an accrual now would make it; 0 for others."""
        market = series.perpetual
        if market is None:
            return 0
        accrued = market.rate * (self.funded_integral(series) - market.integral)
        return market.index + floor_div(accrued, self.params.funding_period_s * WAD)

    def pending_funding(self, address: str) -> int:
        """What a settlement of all its funding now would add to the account's cash."""
        account = self.account(address)
        return sum(
            self._pending(self.series[series_id], held) for series_id, held in account.positions.items()
        )

    def _pending(self, series: Series, held: Position) -> int:
        if series.perpetual is None:
            return 0
        return floor_div(-held.size * (self.funding_index(series) - held.funding_index), WAD)

    def prices_changed(self) -> None:
        """Drop every cached margin: a price or a final state moved."""
        self._price_version += 1

    def add_cash(self, address: str, delta: int) -> Account:
        account = self.account(address)
        if delta:
            self.ledger_of(address).registered.setdefault(address)
        account.cash += delta
        account.margin = None
        return account

    def apply_leg(self, address: str, series: Series, change: int, price: int) -> int:
        """Trade `change` at `price` for that account; returns Σ n of the leg (dust falls to the caller)."""
        account = self.account(address)
        held = account.positions.get(series.id)
        size, notional = (held.size, held.notional) if held is not None else (0, 0)
        if series.is_option:
            leg = option_leg(size=size, change=change, price=price)
        else:
            leg = future_leg(size=size, notional=notional, change=change, price=price, kind=series.kind)
        if leg.size or leg.cash_delta:
            self.ledger_of(address).registered.setdefault(address)
        account.cash += leg.cash_delta
        account.margin = None
        self.roundings += leg.roundings
        self._place(account, series, leg.size, leg.notional)
        return leg.credited

    def clear_position(self, address: str, series: Series) -> None:
        self._place(self.account(address), series, 0, 0)

    def _place(self, account: Account, series: Series, size: int, notional: int) -> None:
        held = account.positions.get(series.id)
        before = held.size if held is not None else 0
        series.open_interest += max(size, 0) - max(before, 0)
        series.open_positions += (size != 0) - (before != 0)
        if series.terms is not None and series.terms.scales:
            self.prices_changed()  # everybody's initial margin in it moves with the open interest
        account.margin = None
        if size == 0:
            account.positions.pop(series.id, None)
        elif held is None:
            market = series.perpetual
            account.positions[series.id] = (
                Position(size, notional) if market is None
                else Position(size, notional, market.index, len(market.path))
            )
            series.was_traded = True
        else:
            held.size, held.notional = size, notional

    def position_value(self, series: Series, position: Position) -> int:
        """What closing at the index (or at S_T once final) adds to cash: options at intrinsic value or payoff."""
        value = self._value(series, position.size, position.notional, self.index(series))
        return value + self._pending(series, position)

    def _value(self, series: Series, size: int, notional: int, index: int) -> int:
        if not series.is_option:
            return worth(series.kind, size, index if series.final_price is None else series.final_price) - notional
        if series.final_price is None:
            unit = intrinsic(series.kind, strike=series.strike, price=index)
        else:
            unit = payoff(series.kind, strike=series.strike, settlement_price=series.final_price)
        return floor_div(size * unit, WAD)

    def holding(self, address: str) -> Holding:
        account = self.account(address)
        return Holding(
            account.cash,
            tuple((series_id, held.size, held.notional) for series_id, held in sorted(account.positions.items())),
            self.pending_funding(address),
        )

    def margin_at(
        self, holding: Holding, prices: Mapping[str, int], *, live: bool = False, params: VenueParams | None = None,
        now: int | None = None,
    ) -> Margin:
        """E, IM and MM of an account made of that, at those prices; of assets without one, at the newest accepted.

        With `live`, series that have become final since count as they did before; `params` are those of another time,
        and `now` is that time, which naked options' margins depend on.
        """
        equity = holding.cash + holding.funding
        needed: list[tuple[Series, int, int]] = []
        for series_id, size, notional in holding.positions:
            series = self.series[series_id]
            index = prices.get(series.asset, self.index(series))
            if live and series.final_price is not None:
                series = replace(series, final_price=None)
            if not series.is_option or series.final_price is not None:
                equity += self._value(series, size, notional, index)
            if series.final_price is None:
                needed.append((series, size, index))
        at = self.now if now is None else now
        im, mm, scaling = required(needed, now=at, params=params or self.params)
        return Margin(equity, im, mm, 0, scaling)

    def margin(self, address: str) -> Margin:
        """E, IM and MM at the newest accepted prices, whatever their age."""
        account = self.account(address)
        if account.margin is not None and account.margin_version == self._price_version:
            return account.margin
        # As `margin_at` at the newest prices, without the detour: this is where a replay spends its time.
        equity, im, mm, excess, params = account.cash, 0, 0, 0, self.params
        special: list[tuple[Series, int, int]] = []
        for series_id, held in account.positions.items():
            series = self.series[series_id]
            index, final, terms = series.feed.price, series.final_price, series.terms
            if not series.is_option:
                value = worth(series.kind, held.size, index if final is None else final) - held.notional
                if series.perpetual is not None:
                    value += self._pending(series, held)
                equity += value
                if terms is not None and terms.profit_cap and final is None:
                    excess += max(0, value - profit_limit(series.kind, terms.profit_cap, index))
            elif final is not None:
                equity += self._value(series, held.size, 0, index)
            if final is not None:
                continue
            if terms is not None:
                special.append((series, held.size, index))
                continue
            need = requirement(series.kind, strike=series.strike, size=held.size, price=index, params=params)
            im += need.im
            mm += need.mm
        scaling = 0
        if special:
            more_im, more_mm, scaling = required(special, now=self.now, params=params)
            im, mm = im + more_im, mm + more_mm
        account.margin, account.margin_version = Margin(equity, im, mm, excess, scaling), self._price_version
        return account.margin

    def free_cash(self, address: str) -> int:
        """cash + Σ min(0, v), v being what each series adds to E: futures, and options once final.

        Each series on its own: a profit never makes up for a loss elsewhere. Counting final options keeps a writer from
        carrying off what a settlement about to happen will take.
        """
        account = self.account(address)
        free = account.cash
        for series_id, position in account.positions.items():
            series = self.series[series_id]
            if not series.is_option or series.final_price is not None:
                free += min(0, self.position_value(series, position))
        return free

    def oldest_report(self, *addresses: str) -> int | None:
        """Timestamp of the oldest newest-price over the assets of every not finally priced position of these accounts.

        None where one of them has no price. Without such positions: now, for nothing can be stale.
        """
        oldest = self.now
        for address in addresses:
            account = self.accounts.get(address)
            for series_id in account.positions if account is not None else ():
                series = self.series[series_id]
                if series.final_price is None:
                    latest = series.feed.latest
                    if latest is None:
                        return None
                    oldest = min(oldest, latest.timestamp)
        return oldest

    def oldest_age(self, *addresses: str) -> int | None:
        report = self.oldest_report(*addresses)
        return None if report is None else self.now - report

    def moved_at(self, address: str) -> int:
        account = self.accounts.get(address)
        return 0 if account is None else account.moved_at

    def moved(self, address: str) -> None:
        """The account did something of its own accord, and its margin was asked for and enough."""
        self.account(address).moved_at = self.now

    def earliest_expiry(self, address: str) -> int:
        """Over the unsettled positions of the account; far in the future when it has none."""
        return min((self.series[series_id].expiry for series_id in self.account(address).positions), default=1 << 62)

    @property
    def runs_with_time(self) -> bool:
        """Whether any margin changes although nothing happens."""
        return any(
            series.perpetual is not None or (series.terms is not None and series.terms.option_margin == NAKED)
            for series in self.series.values()
        )
