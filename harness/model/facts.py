"""What the model saw happen, with the values it computed itself: the material checks judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.model.feed import AssetTerms
from harness.model.margin import Margin

if TYPE_CHECKING:
    from harness.model.ladder import Terms
    from harness.model.params import VenueParams


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A value the contracts emitted that the model computes differently; `block` and `tx` say where."""

    what: str
    expected: Any
    got: Any
    block: int
    tx: int


@dataclass(frozen=True, slots=True)
class LegFact:
    account: str
    size_before: int
    size_after: int
    before: Margin
    after: Margin                # fee included


@dataclass(frozen=True, slots=True)
class TradeFact:
    block: int
    tx: int
    timestamp: int
    series: int
    expiry: int
    size: int                    # the taker's side
    price: int
    index: int
    band_excess: int             # > 0: how far (in 1e18 quote) the price lies outside what RULES allow
    nonce: int
    oldest_age: int | None       # seconds, over every asset either side holds; None where one has no price
    taker: LegFact
    maker: LegFact
    cap_excess: int = 0          # > 0: how far (1e18 quote) a growing open interest lies beyond its cap
    open_interest: int = 0       # of the series, after
    cap: int = 0                 # 1e18 quote; 0: none
    halted_until: int = 0        # of its asset's market; 0: never halted
    paused: int = 0              # the mask of pauses.py, by the model


@dataclass(frozen=True, slots=True)
class WithdrawalFact:
    block: int
    tx: int
    account: str
    free: int                    # after: cash + Σ min(0, unrealised)
    im: int
    oldest_age: int | None
    deficit: int                 # losses uncovered at that moment
    paused: int = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """An account by itself: enough to say what its margin would be at other prices."""

    cash: int
    positions: tuple[tuple[int, int, int], ...]  # (series, size, notional), ascending
    funding: int = 0             # what the perpetuals among them had accrued, not yet in cash


@dataclass(frozen=True, slots=True)
class DepositFact:
    block: int
    tx: int
    account: str
    before: Margin
    after: Margin


@dataclass(frozen=True, slots=True)
class LossFact:
    """A loss beyond what an account had, and who bore it."""

    block: int
    tx: int
    account: str
    loss: int                    # the model's L = −equity after the close
    got_covered: int             # from the event: the insurance's part
    got_remaining: int           # from the event: what becomes deficit
    got_costs: int               # from the events: what deleveraged counterparties gave up
    cash: int                    # the model's, of the account, when all is done


@dataclass(frozen=True, slots=True)
class CounterpartyFact:
    """One account that was deleveraged, by the model."""

    account: str
    series: int
    size: int                    # with the sign of the position that was closed
    most: int                    # the profit on that size: the most it may cost
    cost: int
    got_cost: int = 0            # from the event


@dataclass(frozen=True, slots=True)
class AuctionFact:
    """An auction that was started."""

    block: int
    tx: int
    timestamp: int
    account: str
    start_active: int
    before: Margin
    oldest_age: int | None
    oldest_report: int | None
    is_up: bool
    started_at: int
    earliest_expiry: int
    paused: int = 0
    resumed_at: int = 0          # when liquidation was last allowed again after a pause; 0: never paused
    origin_time: int = 0         # timestamp of the block's L1 origin
    moved_at: int = 0            # block time of the account's last move that was margined, by the model; 0: none


@dataclass(frozen=True, slots=True)
class HaircutFact:
    """A deficit shared out among everybody's equity."""

    block: int
    tx: int
    deficit: int                 # before, by the model
    got: tuple[tuple[str, int], ...]  # from the events: (account, amount)
    got_amount: int
    got_remaining: int
    paused: int = 0


@dataclass(frozen=True, slots=True)
class LiquidationFact:
    block: int
    tx: int
    timestamp: int
    account: str
    keeper: str
    stage: int                   # from the event: 1 partial, 2 auction, 3 deleveraged
    before: Margin               # at the newest accepted prices, just before the first transfer
    oldest_age: int | None
    oldest_report: int | None    # timestamp of the oldest price used
    is_up: bool
    started_at: int
    earliest_expiry: int         # over the account's unsettled positions
    penalty: int                 # ce(notional · penaltyBps), of what was closed
    loss: int                    # from the events: value before − value received, plus what was collected
    collected: int               # from the event: toKeeper + toInsurance
    bad_debt: int                # from the event
    to_keeper: int               # from the event
    covered: int                 # from the event
    shortfall: int               # the model's L = max(0, −cash) once all is closed
    got_equity: int              # from the event: equityBefore
    got_maintenance: int         # from the event: maintenanceMargin
    held: Holding                # what the account was made of, just before the first transfer
    after: Margin                # the account's, when all is done
    keeper_before: Margin
    keeper_after: Margin
    keeper_oldest_age: int | None  # seconds, over every asset the keeper holds afterwards; None where one has no price
    moved: tuple[tuple[int, int, int], ...]  # from the events: (series, size, price) of every transfer
    terms: Terms                 # the account on the ladder, before anything moved
    counterparties: tuple[CounterpartyFact, ...]  # the model's, in order
    auction_active: int | None   # seconds of the auction clock since its auction began, if it had one
    params: VenueParams          # in force then
    paused: int = 0
    resumed_at: int = 0          # as of an auction's start
    origin_time: int = 0
    moved_at: int = 0

    @property
    def keeper_took(self) -> bool:
        """Whether any position went to the keeper, whose margin then counts."""
        return sum(abs(size) for _, size, _ in self.moved) > sum(abs(item.size) for item in self.counterparties)


@dataclass(frozen=True, slots=True)
class SettlementFact:
    block: int
    tx: int
    timestamp: int
    account: str
    series: int
    expiry: int
    size: int                    # the model's position
    got_size: int
    notional: int                # the model's N, 0 for options
    price: int | None            # the model's S_T, None while it has none
    got_price: int
    cash_delta: int | None       # the model's, None where it has no S_T
    got_cash_delta: int


@dataclass(frozen=True, slots=True)
class FinalFact:
    block: int
    tx: int
    timestamp: int
    series: int
    expiry: int
    expected: int | None         # TWAP from the accepted rounds; None if they cannot give one yet
    got: int
    is_repeat: bool


@dataclass(frozen=True, slots=True)
class RoundFact:
    block: int
    tx: int
    block_timestamp: int
    asset: str
    round: int
    timestamp: int
    price: int
    sources: int
    previous_round: int | None
    previous_timestamp: int | None
    prices: tuple[int, ...]      # as submitted
    previous_price: int | None   # the model's
    terms: AssetTerms
    is_breach: bool              # moved by more than the breaker allows, so that the market must halt
    reporters: int | None = None  # how many there were, where it is known


@dataclass(frozen=True, slots=True)
class HaltFact:
    """A market halted, by the event's words."""

    block: int
    tx: int
    asset: str
    got_from: int
    got_to: int
    got_until: int


@dataclass(frozen=True, slots=True)
class DisputeFact:
    block: int
    tx: int
    timestamp: int
    series: int
    expiry: int
    got_covered: int
    got_beyond: int


@dataclass(frozen=True, slots=True)
class OverrideFact:
    """A price set by a person."""

    block: int
    tx: int
    timestamp: int
    series: int
    disputed_at: int             # the model's; 0: it was in no dispute
    price: int
    by: str
    min_answer: int
    max_answer: int


@dataclass(frozen=True, slots=True)
class ResolutionFact:
    block: int
    tx: int
    timestamp: int
    series: int
    disputed_at: int
    got_route: int
    got_price: int


@dataclass(frozen=True, slots=True)
class UptimeFact:
    block: int
    timestamp: int
    gap: int                     # seconds since the block before; 0 when it had been down


@dataclass(frozen=True, slots=True)
class AccrualFact:
    """One market's index brought up to now, by the model; `got` is the event's (index, rate, integral), if it came."""

    block: int
    tx: int
    timestamp: int
    series: int
    index_before: int
    index: int
    rate_before: int             # the one the time since the last accrual was paid at
    rate: int
    integral_delta: int          # Σ |price| · counted active seconds since the last accrual, 1e18
    active: int                  # the funding clock now
    active_before: int           # and at the last accrual (or at listing)
    timestamp_before: int
    got: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class FundingFact:
    """One position's funding turned into cash."""

    block: int
    tx: int
    account: str
    series: int
    size: int                    # before whatever change of it follows
    index_before: int
    index: int
    cash_delta: int              # the model's
    got_cash_delta: int | None   # the event's, None when it did not come
    eager: int                   # what a settlement at each accrual since would have paid
    steps: int                   # how many accruals that were


@dataclass(frozen=True, slots=True)
class PauseFact:
    """The guardian set or cleared bits of the mask, which was `before`, by the model, and is `paused`."""

    block: int
    tx: int
    timestamp: int
    before: int
    paused: int
    by: str


@dataclass(frozen=True, slots=True)
class FactorsFact:
    """The margin factors changed, in the order of the event."""

    block: int
    tx: int
    timestamp: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    made_due: tuple[str, ...]    # accounts it made liquidatable, at the newest prices


@dataclass(slots=True)
class Facts:
    """Grows as the venue replays; each list is in chain order."""

    deposits: list[DepositFact] = field(default_factory=list)
    trades: list[TradeFact] = field(default_factory=list)
    withdrawals: list[WithdrawalFact] = field(default_factory=list)
    liquidations: list[LiquidationFact] = field(default_factory=list)
    settlements: list[SettlementFact] = field(default_factory=list)
    finals: list[FinalFact] = field(default_factory=list)
    rounds: list[RoundFact] = field(default_factory=list)
    halts: list[HaltFact] = field(default_factory=list)
    disputes: list[DisputeFact] = field(default_factory=list)
    overrides: list[OverrideFact] = field(default_factory=list)
    resolutions: list[ResolutionFact] = field(default_factory=list)
    restarts: list[UptimeFact] = field(default_factory=list)
    losses: list[LossFact] = field(default_factory=list)
    auctions: list[AuctionFact] = field(default_factory=list)
    haircuts: list[HaircutFact] = field(default_factory=list)
    accruals: list[AccrualFact] = field(default_factory=list)
    fundings: list[FundingFact] = field(default_factory=list)
    pauses: list[PauseFact] = field(default_factory=list)
    factors: list[FactorsFact] = field(default_factory=list)
