"""One frozen typed record for each kind of line of history.jsonl; FORMAT.md says what each means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Label = Literal["unsafe", "committed", "safe", "finalized"]
LABELS: tuple[Label, ...] = ("unsafe", "committed", "safe", "finalized")
"""From the weakest promise to the strongest."""


@dataclass(frozen=True, slots=True)
class AssetTerms:
    """What an asset was listed with: an accepted price lies strictly between the bounds."""

    signed: bool
    min_answer: int
    max_answer: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    t: int
    node: str
    scenario: str
    seed: int
    runtime: str
    versions: Mapping[str, Any]
    genesis_timestamp: int
    deployment: Mapping[str, Any]
    accounts: Mapping[str, str]  # role name → address
    assets: Mapping[str, AssetTerms] = field(default_factory=dict)  # those the venue began with, by name


@dataclass(frozen=True, slots=True)
class Transaction:
    hash: str
    sender: str
    to: str | None
    succeeded: bool
    gas_used: int
    error: str | None            # decoded custom error, `Name(args)`; None when it succeeded or nobody could tell


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    contract: str
    tx: int                      # index into the block's transactions, −1 for the system transaction
    args: Mapping[str, Any]      # typed for the events of events.EVENTS, raw otherwise


@dataclass(frozen=True, slots=True)
class BlockRecord:
    t: int
    node: str
    chain: str                   # "l1" | "l2"
    number: int
    hash: str
    parent: str
    timestamp: int
    origin: int | None
    base_fee: int
    transactions: tuple[Transaction, ...]
    events: tuple[Event, ...]
    project_events: tuple[Event, ...] = ()   # of the user's own contracts; integers are exact
    origin_time: int | None = None  # timestamp of its L1 origin; None without one, and in old histories


@dataclass(frozen=True, slots=True)
class HeadRecord:
    t: int
    node: str
    label: Label
    number: int
    hash: str
    reset: bool


@dataclass(frozen=True, slots=True)
class PositionState:
    series: int
    size: int
    notional: int
    funding_index: int = 0       # of a perpetual: the index at which it was last settled


@dataclass(frozen=True, slots=True)
class AccountState:
    cash: int
    equity: int
    im: int
    mm: int
    positions: tuple[PositionState, ...]
    auction: int = 0             # the auction clock at the start of its auction; 0: none
    pool: int = 0                # whose it is; 0: the cross pool
    moved_at: int | None = None  # seconds, its last margined move; 0: none; None in histories from before that counted


@dataclass(frozen=True, slots=True)
class FundingState:
    """A perpetual's market as stored, not accrued to the block's time."""

    index: int
    rate: int
    integral: int
    window: int
    weight: int
    weighted: int


@dataclass(frozen=True, slots=True)
class SeriesState:
    clearing: int
    open_interest: int
    open_positions: int
    final: bool
    price: int
    funding: FundingState | None = None  # of a perpetual
    disputed_at: int | None = None       # 0: never; None in histories from before disputes


@dataclass(frozen=True, slots=True)
class AssetState:
    round: int
    timestamp: int
    price: int
    cumulative: int
    funded: int | None = None    # B and the funding clock at the newest round; None in histories from before perpetuals
    active_at: int | None = None
    covered: int | None = None   # seconds up to the newest observation; None in histories from before disputes
    beyond: int | None = None
    halted_until: int | None = None


@dataclass(frozen=True, slots=True)
class OrderState:
    id: int
    account: str
    rest: int                    # > 0 a bid
    price: int
    deadline: int


@dataclass(frozen=True, slots=True)
class GovernanceState:
    """What governance may change, as stored."""

    paused: int                  # a mask: 1 trading, 2 liquidation, 4 withdrawals
    resumed_at: int              # block time at which liquidation was last allowed again; 0: it never was paused
    funding_clock: int           # seconds, as of the block
    auction_clock: int
    im_bps: int
    mm_bps: int
    option_im_bps: int
    option_min_im_bps: int
    option_mm_bps: int
    keeper_share_bps: int
    version: int                 # of the liquidator


@dataclass(frozen=True, slots=True)
class SpotState:
    """What is in the spot pool, native units, and the supply of its shares."""

    underlying: int
    quote: int
    shares: int


@dataclass(frozen=True, slots=True)
class PoolState:
    """The books of one pool, 1e18 quote; of a coin pool, 1e18 coin."""

    pool: int                    # 0: the cross pool
    balance: int                 # the collateral that is its own
    insurance: int
    fees: int
    dust: int
    deficit: int
    coin: str = ""               # the asset a coin pool holds; "": it holds dollars
    custody: int = 0             # of that coin, native units; dollars are in `StateRecord.custody`


@dataclass(frozen=True, slots=True)
class StateRecord:
    """What the contracts' storage said at one block, read by a replica through `Lens.state`."""

    t: int
    node: str
    number: int
    hash: str
    custody: int                 # native token units
    insurance: int
    fees: int
    dust: int
    accounts: Mapping[str, AccountState]
    series: Mapping[int, SeriesState]
    assets: Mapping[str, AssetState]
    deficit: int = 0             # losses nobody bears yet
    book: Mapping[int, tuple[OrderState, ...]] | None = None  # series → its orders; None where no book was read
    governance: GovernanceState | None = None
    spot: SpotState | None = None   # None where there is no pool
    pools: tuple[PoolState, ...] = ()  # of collateral, by number; none where only the cross pool is, the totals' own


@dataclass(frozen=True, slots=True)
class ReadingRecord:
    """What the watched calls of a project returned after one block."""

    t: int
    node: str
    number: int
    hash: str
    values: Mapping[str, Any]    # watch → value; integers exact, several values as a list


@dataclass(frozen=True, slots=True)
class OperationRecord:
    t: int
    node: str
    id: str
    client: str
    action: str
    phase: Literal["invoke", "ok", "fail", "info"]
    args: Mapping[str, Any]
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FaultRecord:
    t: int
    node: str
    id: str
    fault: str
    phase: Literal["inject", "evidence", "heal", "verify", "not-healed"]
    target: Any
    detail: Any


@dataclass(frozen=True, slots=True)
class ObservationRecord:
    t: int
    node: str
    asset: str
    round: int
    timestamp: int
    price: int
    source: int | None           # the true price at that moment, where the run knew it
    lied: bool = False           # whether the reporter said another price than it observed, by order


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    t: int
    node: str
    name: str


@dataclass(frozen=True, slots=True)
class ProblemRecord:
    t: int
    node: str
    what: str
    detail: Any
    fatal: bool


@dataclass(frozen=True, slots=True)
class StatRecord:
    t: int
    node: str
    figures: Mapping[str, Any]


Record = (
    RunRecord | BlockRecord | HeadRecord | StateRecord | OperationRecord | FaultRecord | ObservationRecord
    | PhaseRecord | ProblemRecord | StatRecord | ReadingRecord
)
