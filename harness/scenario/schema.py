"""The scenario file as pydantic models: what may be written, in which words; nothing is resolved or drawn here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.scenario import units
from harness.scenario.fault_words import FAULTS_MAX, Fault
from harness.scenario.governance_words import STEPS_MAX, Step
from harness.scenario.loading import Document
from harness.scenario.validation import validated
from harness.scenario.vocabulary import (
    SELECTORS_MAX,
    Blocks,
    Duration,
    Gwei,
    Milli,
    Native,
    PositiveDuration,
    PriceWad,
    Probability,
    Rate,
    SignedPriceWad,
    Words,
)

SEED_MAX = 2**63 - 1
_PRODUCTS = ("future", "call", "put", "perpetual", "inverse")
_FUTURES = ("future", "perpetual", "inverse")
_PRODUCTS_NOT_YET = frozenset({"spot", "variance"})


class L1(Words):
    followers: int = Field(default=1, ge=0, le=8)


class L2(Words):
    sequencers: int = Field(default=4, ge=1, le=16)
    replicas: int = Field(default=2, ge=0, le=8)


class Network(Words):
    profile: Literal["fast", "mainnet-like", "mainnet_like"] = "fast"
    l1: L1 = L1()
    l2: L2 = L2()
    oracles: int = Field(default=4, ge=1, le=9, description="price reporters")
    keepers: int = Field(default=2, ge=1, le=9)
    relayers: int | None = Field(
        default=None, ge=0, le=9, description="who carry messages from L1; default: 2 with a bridge, else none"
    )
    region: str = "frankfurt"
    regions: dict[str, str] = Field(
        default={}, max_length=SELECTORS_MAX, description="selector → region, later lines win"
    )


class Path(Words):
    """Knots, or a column of a CSV with time compressed."""

    knots: dict[str, Any] | None = Field(default=None, min_length=1, max_length=10_000)
    csv: str | None = Field(default=None, min_length=1, max_length=400)
    column: str | None = None
    time: str = "timestamp_utc_iso"
    compress: int = Field(default=1, ge=1, le=1_000_000, description="seconds of the file per second of the run")
    start: str | None = Field(default=None, description="first timestamp to use, as written in the file")
    end: str | None = Field(default=None, description="last timestamp to use, as written in the file")

    @model_validator(mode="after")
    def _one_source(self) -> Path:
        if (self.knots is None) == (self.csv is None):
            raise ValueError("give either knots or csv")
        if self.csv is not None and self.column is None:
            raise ValueError("a csv needs its column")
        if self.knots is not None and {"column", "time", "compress", "start", "end"} & self.model_fields_set:
            raise ValueError("column, time, compress, start and end go with csv, not with knots")
        return self


class Market(Path):
    """The true price of an asset, and on which terms the price feed lists it."""

    signed: bool = Field(default=False, description="whether it may be zero or negative, as oil was")
    bounds: Annotated[list[SignedPriceWad], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="[low, high]: an index at or beyond either is refused"
    )

    @model_validator(mode="after")
    def _bounds_fit(self) -> Market:
        if self.bounds is not None and self.bounds[0] >= self.bounds[1]:
            raise ValueError("bounds are [low, high] with low < high")
        if self.bounds is not None and self.bounds[0] < 0 and not self.signed:
            raise ValueError("a low bound below 0 needs signed: true")
        return self


def _product_kind(value: object) -> object:
    if value in _PRODUCTS_NOT_YET:
        raise ValueError(f"{value} is not supported yet; supported: {', '.join(_PRODUCTS)}")
    return value


class OpenInterest(Words):
    """Bounds on what may be open of a series, in whole quote at the index."""

    lower: int = Field(default=0, ge=0, le=10**15, description="initial margin grows from here to the cap")
    cap: int = Field(ge=1, le=10**15, description="nobody opens beyond this")

    @model_validator(mode="after")
    def _ordered(self) -> OpenInterest:
        if self.lower > self.cap:
            raise ValueError(f"lower {self.lower} is above cap {self.cap}")
        return self


class Product(Words):
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}$")
    kind: Annotated[Literal["future", "call", "put", "perpetual", "inverse"], BeforeValidator(_product_kind)]
    underlying: str
    strike: PriceWad | None = None
    expires: PositiveDuration | None = Field(default=None, description="of all but perpetuals, which never do")
    weight: int = Field(default=1, ge=0, le=1000, description="how often traders choose it")
    pool: str | None = Field(default=None, description="one of pools, with books of its own; default: the cross pool")
    margin: Literal["standard", "relief", "naked"] | None = Field(
        default=None, description="how its shorts are margined: Deribit's way (default), Derive's or Opyn's"
    )
    open_interest: OpenInterest | None = None
    profit_credit: int | None = Field(
        default=None, ge=1, le=10**15, description="the most of an unrealised profit to open against, in whole quote"
    )

    @model_validator(mode="after")
    def _strike_fits(self) -> Product:
        named = "an inverse future" if self.kind == "inverse" else f"a {self.kind}"
        if (self.strike is None) != (self.kind in _FUTURES):
            raise ValueError("an option needs a strike" if self.strike is None else f"{named} has no strike")
        if (self.expires is None) != (self.kind == "perpetual"):
            raise ValueError("a perpetual never expires" if self.expires else f"{named} needs expires")
        if self.expires is not None and self.expires % units.NS_PER_SECOND:
            raise ValueError("expires must be whole seconds; contracts count in seconds")
        if self.margin is not None and self.kind in _FUTURES:
            raise ValueError(f"margin is of options; {named} has im_bps and mm_bps of the venue")
        return self


class Venue(Words):
    """Overrides of the profile's parameters, contracts/RULES.md; times in whole seconds."""

    im_bps: int | None = Field(default=None, ge=1, le=10_000)
    mm_bps: int | None = Field(default=None, ge=1, le=10_000)
    penalty_bps: int | None = Field(default=None, ge=0, le=10_000)
    keeper_share_bps: int | None = Field(default=None, ge=0, le=10_000)
    taker_fee_bps: int | None = Field(default=None, ge=0, le=1_000)
    band_bps: int | None = Field(default=None, ge=1, le=10_000)
    min_sources: int | None = Field(default=None, ge=1, le=9)
    max_price_age: PositiveDuration | None = None
    grace: Duration | None = None
    uptime_gap: PositiveDuration | None = None
    settlement_window: PositiveDuration | None = None
    funding_period: PositiveDuration | None = Field(default=None, description="what a perpetual's rate is per")
    premium_window: PositiveDuration | None = Field(default=None, description="trades that make the next rate")
    funding_gap: Duration | None = Field(default=None, description="how long funding goes on without an observation")
    funding_cap_bps: int | None = Field(default=None, ge=0, le=90_000)
    funding_interest_bps: int | None = Field(default=None, ge=0, le=1_000)
    auction_duration: PositiveDuration | None = Field(default=None, description="active time to the largest bonus")
    auction_max_bps: int | None = Field(default=None, ge=0, le=10_000)
    insurance_cap_bps: int | None = Field(default=None, ge=0, le=10_000, description="what a block may draw of it")
    small_notional: int | None = Field(default=None, ge=0, le=10**9, description="liquidated whole up to this")
    trading: Literal["quotes", "book"] = Field(
        default="quotes", description="takers ask the maker for a signed quote, or send orders to the order book"
    )
    clamp_bps: int | None = Field(default=None, ge=0, le=10_000, description="how far a source may lie from the median")
    breaker_bps: int | None = Field(default=None, ge=1, le=10_000, description="a larger jump halts the market")
    halt_duration: Duration | None = Field(default=None, description="how long nobody opens after a jump")
    settlement_max_gap: PositiveDuration | None = Field(default=None, description="an older price is disputed")
    coverage_bps: int | None = Field(default=None, ge=0, le=10_000, description="least covered part of its window")
    dispute_patience: Duration | None = Field(default=None, description="how long a price of the expiry is waited for")
    override_delay: Duration | None = Field(default=None, description="then the owner may decide a dispute")
    dispute_window: PositiveDuration | None = Field(default=None, description="then the carried price decides it")
    timelock_delay: Duration | None = Field(default=None, description="how long an announced change waits")
    insurance: Native = 250_000 * 10**units.NATIVE_DECIMALS


class Keepers(Words):
    """Keepers pay for gas: the higher tip is included first, and who has nothing left sends nothing."""

    tip: Annotated[list[Gwei], Field(min_length=1, max_length=9)] = Field(description="gwei per gas, keeper by keeper")
    bankroll: Annotated[list[PriceWad], Field(min_length=1, max_length=9)] = Field(
        description="ether, keeper by keeper; both lists start over where there are more keepers"
    )


class Board(Words):
    """Options of a recorded chain, added to the products: see `harness.scenario.board`."""

    csv: str = Field(min_length=1, max_length=400, description="with the columns of Deribit's instruments")
    underlying: str = Field(description="one of market")
    expires: Annotated[list[PositiveDuration], Field(min_length=1, max_length=8)] = Field(
        description="when the file's expiries expire in the run, the earliest first"
    )
    strikes: int = Field(default=3, ge=1, le=16, description="of each expiry, those nearest to the money")
    skip: int = Field(default=0, ge=0, le=100, description="so many of the file's first expiries are left out")

    @model_validator(mode="after")
    def _whole_seconds(self) -> Board:
        if any(expires % units.NS_PER_SECOND for expires in self.expires):
            raise ValueError("expires must be whole seconds; contracts count in seconds")
        if sorted(set(self.expires)) != self.expires:
            raise ValueError("expires must rise, as the expiries of the file do")
        return self


class Spot(Words):
    """A constant-product pool of an underlying against the collateral, and who swaps in it."""

    asset: str = Field(description="one of market")
    liquidity: Native = Field(default=2_000_000 * 10**units.NATIVE_DECIMALS, description="quote; as much of the other")
    swaps: Rate = Field(default=1_000, description="of all traders together")
    amount: Annotated[list[Native], Field(min_length=2, max_length=2)] = Field(
        default=[500_000_000, 10_000_000_000], description="[low, high] in quote"
    )
    tolerance_bps: Annotated[list[int], Field(min_length=2, max_length=2)] = Field(
        default=[20, 200], description="[low, high]: how much less than quoted a swap accepts"
    )
    searchers: int = Field(default=1, ge=0, le=9, description="who bring the pool's price back to the index")

    @model_validator(mode="after")
    def _ranges(self) -> Spot:
        for name, (low, high) in (("amount", self.amount), ("tolerance_bps", self.tolerance_bps)):
            if low > high or low <= 0:
                raise ValueError(f"{name} is [low, high] with 0 < low ≤ high")
        if self.tolerance_bps[1] > 10_000:
            raise ValueError("tolerance_bps is at most 10000, all of it")
        if self.liquidity < 1_000 * 10**units.NATIVE_DECIMALS:
            raise ValueError("liquidity is at least 1000")
        return self


class Bridge(Words):
    """Traders bring their collateral from L1: each its first deposit, and others now and then."""

    deposits: Rate = Field(default=200, description="of all traders together, besides each one's first")
    amount: Annotated[list[Native], Field(min_length=2, max_length=2)] = Field(
        default=[500_000_000, 5_000_000_000], description="[low, high] of each of those"
    )
    careless: Probability = Field(default=0.25, description="share of deposits whose sender gives too little gas")
    byzantine: int = Field(default=0, ge=0, le=8, description="relayers that also try what has to be refused")

    @model_validator(mode="after")
    def _range(self) -> Bridge:
        low, high = self.amount
        if low > high or low <= 0:
            raise ValueError("amount is [low, high] with 0 < low ≤ high")
        return self


class Pool(Words):
    """An isolated pool: what happens in it stays in it."""

    insurance: Native = Field(default=0, description="paid in once its first series is listed; coins in a coin pool")
    coin: str | None = Field(
        default=None, description="a market whose coin is its collateral, instead of dollars: for inverse futures of it"
    )


class Workload(Words):
    traders: int = Field(default=12, ge=0, le=200)
    rate: Rate = 4_000
    leverage: Annotated[list[Milli], Field(min_length=2, max_length=2)] = Field(default=[2_000, 10_000])
    deposit: Annotated[list[Native], Field(min_length=2, max_length=2)] = Field(
        default=[5_000_000_000, 20_000_000_000]
    )
    buyers: Probability = Field(default=0.5, description="share of traders that expect the price to rise")
    informed: int = Field(default=0, ge=0, le=20, description="of the traders: take what is wrong by the true price")
    hedgers: int = Field(default=0, ge=0, le=20, description="of the traders: buy options and hedge their delta")
    momentum: int = Field(default=0, ge=0, le=20, description="of the traders: follow the trend, fully levered")
    adversaries: int = Field(default=0, ge=0, le=20, description="of the traders: try what has to be refused")
    start: Duration = 1_000_000_000
    stop: PositiveDuration | None = Field(default=None, description="no operation after this; default: the storm's end")
    force_after: PositiveDuration | None = Field(
        default=None, description="a top-up that L2 has not committed for so long is put through L1; default: never"
    )

    @model_validator(mode="after")
    def _ranges(self) -> Workload:
        for name, (low, high) in (("leverage", self.leverage), ("deposit", self.deposit)):
            if low > high or low == 0:
                raise ValueError(f"{name} is [low, high] with 0 < low ≤ high")
        if (styled := self.informed + self.hedgers + self.momentum + self.adversaries) > self.traders:
            raise ValueError(f"{styled} traders have a strategy, and there are {self.traders}; raise traders")
        return self


class Within(Words):
    recover: PositiveDuration = 15_000_000_000
    liquidate: Blocks = 10


class Scenario(Words):
    """One storm."""

    version: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    about: str = Field(default="", max_length=600)
    seed: int = Field(default=1, ge=0, le=SEED_MAX)
    network: Network = Network()
    project: str | dict[str, Any] | None = Field(
        default=None, description="your own contracts: a project file, a folder with harness.yaml, or its content"
    )
    market: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{0,11}$")], Market] = Field(default={}, max_length=8)
    l1_base_fee: Path | None = Field(default=None, description="gwei; knots or csv. Default: 1 gwei throughout")
    products: Annotated[list[Product], Field(max_length=32)] = Field(default=[])
    pools: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")], Pool], Field(max_length=8)] = Field(
        default={}, description="isolated pools by name; products name theirs, the others share the cross pool"
    )
    venue: Venue = Venue()
    keepers: Keepers | None = Field(default=None, description="what keepers pay for gas; default: nothing")
    board: Board | None = Field(default=None, description="options of a recorded chain, after the products")
    spot: Spot | None = Field(default=None, description="a spot pool of one underlying")
    bridge: Bridge | None = Field(default=None, description="collateral comes from L1, over the bridge")
    workload: Workload = Workload()
    faults: Annotated[list[Fault], Field(max_length=FAULTS_MAX)] = Field(default=[])
    governance: Annotated[list[Step], Field(max_length=STEPS_MAX)] = Field(
        default=[], description="what the guardian and the timelock do"
    )
    storm: PositiveDuration | None = Field(default=None, description="workload and faults end here; default: after all")
    liveness: PositiveDuration | None = Field(default=None, description="how long progress is watched after heal")
    checks: Annotated[list[str], Field(min_length=1)] = Field(default=["all"])
    within: Within = Within()


def parse(document: Document) -> Scenario:
    """The document as a Scenario. Raises ScenarioError with every problem found, each with its path and line."""
    scenario = validated(Scenario, document)
    if scenario.project is None:
        for key in ("market", "products"):
            if not getattr(scenario, key):
                what = "must not be empty" if key in document.data else "is required"
                raise document.error((key,), f"{what}, unless a project brings its own contracts")
    if scenario.products and not scenario.market:
        raise document.error(("market",), "is required where there are products")
    workload = scenario.workload
    if workload.informed + workload.hedgers + workload.momentum and scenario.venue.trading != "book":
        raise document.error(("workload",), "traders with a strategy trade in the book; write venue: {trading: book}")
    if scenario.governance and not scenario.market:
        raise document.error(("governance",), "needs market: without one there is no venue to govern")
    return scenario


def json_schema() -> dict[str, Any]:
    """JSON Schema of a scenario file, for editors."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
