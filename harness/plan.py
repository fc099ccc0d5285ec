"""What a run will do, fully drawn before it starts: topology, market, workload, faults. Data only, JSON both ways.

The scenario floor makes a `Plan` from a file and a seed; runtimes boot what it names; roles read their own share.
Everything random has been drawn: replaying a plan needs no generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.faults.rules import RpcRule
from harness.ports import LinkRule
from harness.project_plan import ProjectPlan
from harness.rollup.profile import Profile

L1_CHAIN_ID = 900
L2_CHAIN_ID = 901
L1_GAS_LIMIT = 30_000_000
"""What mainnet's limit was in the years the gas data comes from; a full frame costs 1.6 M."""

RoleKind = Literal[
    "l1-builder", "l1-follower", "sequencer", "replica", "batcher", "reporter", "keeper", "maker", "trader", "admin",
    "searcher", "relayer", "actor",  # a user's own class, see ProjectPlan
]
ChainName = Literal["l1", "l2"]
CHAIN_OF_KIND: Mapping[str, ChainName] = {
    "l1-builder": "l1",
    "l1-follower": "l1",
    "sequencer": "l2",
    "replica": "l2",
}
"""The chain whose node a role runs; other kinds run none."""

NEVER_S = 2**32
"""Expiry, in seconds after genesis, of what never expires: beyond the end of any run."""

ProductKind = Literal["future", "call", "put", "perpetual", "inverse"]
Trading = Literal["quotes", "book"]
Style = Literal["informed", "hedger", "momentum", "adversary"]
TradeAction = Literal["deposit", "open", "reduce", "close", "withdraw", "move", "swap", "bridge"]


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """One role of the topology. `name` is `<kind>-<index>`, with `l1-0` the builder and `l1-1…` the followers."""

    name: str
    kind: RoleKind
    index: int
    region: str
    l1: str | None          # the L1 node this role reads, None for L1 nodes themselves
    gateways: tuple[str, ...]  # L2 nodes a client talks to, first choice first; () for nodes
    account: int | None     # index of its dev account, None where it signs nothing on chain


@dataclass(frozen=True, slots=True)
class BaseLatency:
    """One-way latency of a directed link that is part of the world, not a fault."""

    src: str
    dst: str
    delay_ms: float
    jitter_ms: float


@dataclass(frozen=True, slots=True)
class Knot:
    """A point of a path: value from this time on (prices are interpolated linearly, fees hold)."""

    at_ns: int
    value: int              # price in 1e18 quote, or base fee in wei


ANSWER_MAX_WAD = 10**26
"""Bound of an asset's index where a scenario names none, either way for one that may be negative."""


@dataclass(frozen=True, slots=True)
class AssetTerms:
    """What the price feed knows of an asset from its listing on; prices in 1e18 quote."""

    name: str
    signed: bool = False        # whether prices ≤ 0 are accepted
    min_answer: int = 0         # an index at or below it is refused
    max_answer: int = ANSWER_MAX_WAD


@dataclass(frozen=True, slots=True)
class Terms:
    """What a series is listed with, contracts/RULES.md; limits in whole quote, 0 for none."""

    option_margin: int = 0  # 0 standard, 1 relief, 2 naked
    pool: int = 0           # 0: the cross pool
    oi_lower: int = 0       # open interest from which initial margin grows
    oi_cap: int = 0         # open interest at which it is the whole notional, and beyond which nobody opens
    profit_cap: int = 0     # the most of an unrealised profit that may be opened against


DEFAULT_TERMS = Terms()
OPTION_MARGINS: Mapping[str, int] = {"standard": 0, "relief": 1, "naked": 2}
"""A scenario's word → `Terms.option_margin`."""


@dataclass(frozen=True, slots=True)
class Product:
    id: str
    kind: ProductKind
    underlying: str
    strike_wad: int         # 0 for futures, perpetuals and inverse futures
    expires_s: int          # seconds after genesis; NEVER_S for perpetuals
    terms: Terms = DEFAULT_TERMS


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """One thing a trader will try. Sizes are drawn as leverage; the role turns it into a size at the price it sees."""

    id: str                 # unique in the run, e.g. `trader-3/17`
    at_ns: int
    action: TradeAction
    product: str            # Product.id; "" for dollars in and out; of coin and move one of the pool; of bridge its end
    side: int               # +1 buys, −1 sells; of move, +1 into the pool, −1 back; 0 where it makes no sense
    leverage_milli: int     # thousandths of account equity as notional, for `open`
    fraction_milli: int     # thousandths of the position, for `reduce`
    amount_native: int      # token units, for deposit, withdraw (coin: its own), move, bridge, swap (quote it is worth)
    tolerance_bps: int = 0  # for swap: how much less than it is quoted the trader accepts
    gas: int = 0            # for bridge: what the sender gives the first attempt on L2


@dataclass(frozen=True, slots=True)
class LinkSelector:
    """Directed links chosen by role patterns: every src×dst pair, both ways when `both`."""

    src: tuple[str, ...]    # resolved role names, sorted
    dst: tuple[str, ...]
    both: bool


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a fault begins. Exactly one of the two is set."""

    at_ns: int | None
    event: str | None       # first-liquidatable | first-liquidation | expiry:<product> | l2-block:<n> | l1-block:<n>
    delay_ns: int = 0       # after the event


@dataclass(frozen=True, slots=True)
class PlannedReorg:
    """L1 blocks replaced by others, at the builder."""

    depth: int
    drops: bool             # whether the transactions of the replaced blocks are lost, or go back into the pool


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """What the target roles are ordered to do wrong; `harness.roles.orders` says what each part means to whom."""

    how: str = ""
    amount: int = 0          # thousandths: of a factor, or of a price
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault with resolved targets. `targets` may hold the dynamic words `leader`; they resolve when it fires."""

    id: str                 # `f1`, `f2`, … in file order
    kind: Literal[
        "latency", "loss", "duplicate", "reorder", "corrupt", "rate", "partition", "kill", "pause", "skew", "view-lag",
        "stop", "disconnect", "cpu", "disk-full", "rpc", "reorg", "oracle", "fee-spike", "censor", "sandwich",
    ]
    trigger: Trigger
    duration_ns: int | None  # None: until the heal at the end of the storm
    rule: LinkRule | None    # for link faults (partition: cut)
    links: tuple[LinkSelector, ...]
    targets: tuple[str, ...]  # for process and clock faults
    offset_ms: float = 0.0   # skew
    drift_ppm: float = 0.0   # skew
    grace_ns: int = 0        # stop: how long after being asked to end a role is killed
    cores_milli: int = 0     # cpu: thousandths of a processor
    text: str = ""           # the words of the file, for reports
    rpc: RpcRule | None = None       # of `rpc`; `targets` are the nodes that lie
    reorg: PlannedReorg | None = None
    order: PlannedOrder | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Liveness demanded after heal."""

    recover_s: float         # all nodes' heads agree and advance within this many seconds
    liquidate_blocks: int    # LL1's N


@dataclass(frozen=True, slots=True)
class VenueParameters:
    """`Params` of contracts/RULES.md."""

    im_bps: int
    mm_bps: int
    penalty_bps: int
    keeper_share_bps: int
    taker_fee_bps: int
    band_bps: int
    option_im_bps: int
    option_min_im_bps: int
    option_mm_bps: int
    min_sources: int
    max_price_age_s: int
    grace_s: int
    uptime_gap_s: int
    settlement_window_s: int
    funding_period_s: int = 240
    premium_window_s: int = 15
    funding_gap_s: int = 20
    funding_cap_bps: int = 75
    funding_interest_bps: int = 1
    lot_wad: int = 10**15               # 1e18 underlying
    small_notional: int = 100           # whole quote
    auction_duration_s: int = 20
    auction_max_bps: int = 500
    insurance_cap_bps: int = 5_000
    naked_step_s: int = 10              # a row of the table that bounds naked options
    clamp_bps: int = 50
    breaker_bps: int = 1_000
    halt_duration_s: int = 5
    settlement_max_gap_s: int = 25
    coverage_bps: int = 6_000
    dispute_patience_s: int = 20
    override_delay_s: int = 20
    dispute_window_s: int = 60
    timelock_delay_s: int = 20


FACTORS = ("im_bps", "mm_bps", "option_im_bps", "option_min_im_bps", "option_mm_bps")
"""The venue's parameters that governance may change, in the order of the contracts' `Factors`."""


@dataclass(frozen=True, slots=True)
class GovernanceStep:
    """A decision of the guardian, at once, or of the timelock, announced at `at_ns` and done after its delay."""

    at_ns: int
    action: Literal["pause", "unpause", "factors", "upgrade", "remove-reporter", "add-reporter"]
    mask: int = 0                   # of pause and unpause: 1 trading, 2 liquidation, 4 withdrawals
    factors: tuple[int, ...] = ()   # of factors: the values of FACTORS
    reporter: str = ""              # of remove-reporter and add-reporter: its role


@dataclass(frozen=True, slots=True)
class KeeperGas:
    """What keepers bid for inclusion and have for it; keeper i takes the value i modulo how many there are."""

    tips_wei: tuple[int, ...]       # per gas
    bankrolls_wei: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SpotPool:
    """The constant-product pool of one underlying against the collateral, and what its first provider puts in."""

    asset: str
    underlying: int          # native units, 1e18 an underlying
    quote: int               # native units, 1e6 a dollar


COIN_MORE_DECIMALS = 12
"""A coin has 18 decimals, the dollar 6."""


@dataclass(frozen=True, slots=True)
class CoinPool:
    """The isolated pool that holds a coin instead of dollars, for inverse futures of that coin."""

    pool: int
    asset: str
    price_wad: int          # at first: what bankrolls in dollars are turned into coin by

    def worth(self, dollars_native: int) -> int:
        """Native units of the coin that cost so many dollars at first."""
        wad: int = dollars_native * 10**COIN_MORE_DECIMALS * 10**18
        return wad // self.price_wad


@dataclass(frozen=True, slots=True)
class BridgePlan:
    """Who relays what L1 sends."""

    byzantine: int = 0       # so many of the relayers, the last, also try what has to be refused


@dataclass(frozen=True, slots=True)
class Plan:
    scenario: str
    about: str
    seed: int
    profile: Profile
    roles: tuple[RoleSpec, ...]
    latencies: tuple[BaseLatency, ...]
    markets: tuple[tuple[str, tuple[Knot, ...]], ...]   # (asset, price path), sorted by asset
    l1_base_fee: tuple[Knot, ...]
    products: tuple[Product, ...]
    venue: VenueParameters
    insurance_native: int
    operations: tuple[tuple[str, tuple[PlannedOperation, ...]], ...]  # (trader, its operations by time)
    faults: tuple[PlannedFault, ...]
    storm_ns: int            # faults and workload end here; everything is healed
    liveness_ns: int         # then this long to make progress
    checks: tuple[str, ...]  # check ids, "?" behind those only judged where met; or ("all",)
    bounds: Bounds
    project: ProjectPlan | None = None   # the user's own contracts, actors and checks
    has_venue: bool = True               # whether our exchange is deployed
    users: tuple[int, ...] = ()   # dev accounts of people: they have ether and collateral, and keepers watch them
    assets: tuple[AssetTerms, ...] = ()   # of markets that are not on the usual terms
    market_period_ns: int = 0     # the price paths start over after so long; 0: they stay at their last knot
    governance: tuple[GovernanceStep, ...] = ()   # by time
    spot: SpotPool | None = None
    keeper_gas: KeeperGas | None = None   # None: gas costs keepers nothing, and blocks are in order of arrival
    styles: tuple[tuple[str, Style], ...] = ()   # (trader, strategy) of those who follow no script
    trading: Trading = "quotes"   # how takers and makers meet: signed quotes on request, or orders in the book
    pool_insurance_native: tuple[int, ...] = ()   # of the isolated pools, from 1 on, each in what it holds
    coin: CoinPool | None = None
    force_after_ns: int = 0   # a top-up that L2 has not committed for so long goes through L1; 0: never
    bridge: BridgePlan | None = None   # None: nobody relays

    def role(self, name: str) -> RoleSpec:
        """The role of that name; KeyError if there is none."""
        for spec in self.roles:
            if spec.name == name:
                return spec
        raise KeyError(name)

    def terms_of(self, asset: str) -> AssetTerms:
        """On which terms an asset is listed."""
        return next((terms for terms in self.assets if terms.name == asset), AssetTerms(asset))

    def of_kind(self, *kinds: RoleKind) -> tuple[RoleSpec, ...]:
        return tuple(spec for spec in self.roles if spec.kind in kinds)
