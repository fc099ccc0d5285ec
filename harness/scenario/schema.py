"""The scenario file as pydantic models: what may be written, in which words; nothing is resolved or drawn here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from harness.scenario import units
from harness.scenario.errors import did_you_mean
from harness.scenario.loading import Document
from harness.scenario.validation import validated

SEED_MAX = 2**63 - 1
SELECTORS_MAX = 64
FAULTS_MAX = 200

# Words of the design that are understood but not built yet, by the model they belong to.
_NOT_YET: dict[str, frozenset[str]] = {
    "Network": frozenset({"relayers", "proposers", "challengers", "searchers"}),
    "Fault": frozenset({"reorg", "censor", "rpc", "fee-spike", "oracle", "disk-full", "upgrade", "corrupt"}),
}
_PRODUCTS = ("future", "call", "put", "perpetual")
_PRODUCTS_NOT_YET = frozenset({"spot", "variance"})
EVENTS = ("first-liquidatable", "first-liquidation", "expiry")


def _unit(parse: Callable[[object], int | float], example: str) -> BeforeValidator:
    """A field written as text with a unit; the schema shows what to write."""
    schema = Annotated[str | float, Field(examples=[example])]
    return BeforeValidator(parse, json_schema_input_type=schema)


Duration = Annotated[int, _unit(units.duration_ns, "5s")]
PositiveDuration = Annotated[int, _unit(units.positive_duration_ns, "5s")]
SignedDuration = Annotated[int, _unit(lambda value: units.duration_ns(value, signed=True), "-500ms")]
Rate = Annotated[int, _unit(units.rate_milli, "4/s")]
PriceWad = Annotated[int, _unit(units.price_wad, "195.43")]
Native = Annotated[int, _unit(units.native_amount, "10000")]
Gwei = Annotated[int, _unit(units.gwei, "30")]
Milli = Annotated[int, _unit(units.milli, "2.5")]
Probability = Annotated[float, _unit(units.probability, "5%")]
Bandwidth = Annotated[int, _unit(units.bandwidth_bps, "64kbit")]
Blocks = Annotated[int, _unit(units.block_count, "10 blocks")]
Number = Annotated[float, BeforeValidator(lambda value: float(units.decimal(value)), json_schema_input_type=float)]


def _names(value: object) -> object:
    return [value] if isinstance(value, str) else value


Selector = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=80)]],
    BeforeValidator(_names, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=SELECTORS_MAX),
]


class Words(BaseModel):
    """Base of every mapping in a scenario: unknown keys are refused with what could have been meant."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def known_keys(cls) -> list[str]:
        return [info.alias or name for name, info in cls.model_fields.items()]

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            known = cls.known_keys()
            for key in value:
                if key in known:
                    continue
                not_yet = key in _NOT_YET.get(cls.__name__, ())
                what = "not supported yet; supported" if not_yet else f"unknown key{did_you_mean(key, known)}; known"
                context = {"key": key, "what": what, "known": ", ".join(known)}
                raise PydanticCustomError("key", "{what} here: {known}", context)
        return value


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


def _product_kind(value: object) -> object:
    if value in _PRODUCTS_NOT_YET:
        raise ValueError(f"{value} is not supported yet; supported: {', '.join(_PRODUCTS)}")
    return value


class Product(Words):
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}$")
    kind: Annotated[Literal["future", "call", "put", "perpetual"], BeforeValidator(_product_kind)]
    underlying: str
    strike: PriceWad | None = None
    expires: PositiveDuration | None = Field(default=None, description="of all but perpetuals, which never do")
    weight: int = Field(default=1, ge=0, le=1000, description="how often traders choose it")

    @model_validator(mode="after")
    def _strike_fits(self) -> Product:
        if (self.strike is None) != (self.kind in ("future", "perpetual")):
            raise ValueError("an option needs a strike" if self.strike is None else f"a {self.kind} has no strike")
        if (self.expires is None) != (self.kind == "perpetual"):
            raise ValueError("a perpetual never expires" if self.expires else f"a {self.kind} needs expires")
        if self.expires is not None and self.expires % units.NS_PER_SECOND:
            raise ValueError("expires must be whole seconds; contracts count in seconds")
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
    insurance: Native = 250_000 * 10**units.NATIVE_DECIMALS


class Workload(Words):
    traders: int = Field(default=12, ge=0, le=200)
    rate: Rate = 4_000
    leverage: Annotated[list[Milli], Field(min_length=2, max_length=2)] = [2_000, 10_000]
    deposit: Annotated[list[Native], Field(min_length=2, max_length=2)] = [5_000_000_000, 20_000_000_000]
    buyers: Probability = Field(default=0.5, description="share of traders that expect the price to rise")
    start: Duration = 1_000_000_000
    stop: PositiveDuration | None = Field(default=None, description="no operation after this; default: the storm's end")

    @model_validator(mode="after")
    def _ranges(self) -> Workload:
        for name, (low, high) in (("leverage", self.leverage), ("deposit", self.deposit)):
            if low > high or low == 0:
                raise ValueError(f"{name} is [low, high] with 0 < low ≤ high")
        return self


class Links(Words):
    """Which directed links: from → to (either may be left out, meaning all), or both ways between two groups."""

    from_: Selector | None = Field(default=None, alias="from")
    to: Selector | None = None
    between: Annotated[list[Selector], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def _one_direction(self) -> Links:
        one_way = self.from_ is not None or self.to is not None
        if one_way == (self.between is not None):
            raise ValueError("say which links: from and/or to (one way), or between: [a, b] (both ways)")
        return self


class Carried(Links):
    """What either may do to a link: the fault proxy to its messages, or the sender's kernel to its packets."""

    via: Literal["proxy", "kernel"] = Field(
        default="proxy",
        description="kernel: with --runtime compose, by iptables, tbf and netem in the sender's namespace; where there "
        "is no such kernel the proxy does it",
    )


class Latency(Carried):
    delay: PositiveDuration
    jitter: Duration = 0
    distribution: Literal["uniform", "normal", "pareto", "exponential"] = "uniform"
    correlation: Probability = 0.0


class Loss(Carried):
    probability: Probability
    correlation: Probability = 0.0


class Duplicate(Carried):
    probability: Probability


class Reorder(Carried):
    probability: Probability
    delay: PositiveDuration = Field(default=50_000_000, description="what the messages that do not overtake wait")


class Bandwidths(Carried):
    rate: Bandwidth


class Partition(Links):
    """Groups cut from each other, both ways; or one-way with from/to."""

    groups: Annotated[list[Selector], Field(min_length=2, max_length=8)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _groups_alone(cls, value: Any) -> Any:
        return {"groups": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_direction(self) -> Partition:
        ways = (self.groups is not None) + (self.between is not None) + (self.from_ is not None or self.to is not None)
        if ways != 1:
            raise ValueError("a partition is a list of groups, or from/to (one way), or between: [a, b]")
        return self


class Skew(Words):
    of: Selector
    offset: SignedDuration = 0
    drift: Number = Field(default=0.0, ge=-500_000, le=500_000, description="parts per million")

    @model_validator(mode="after")
    def _skews(self) -> Skew:
        if self.offset == 0 and self.drift == 0:
            raise ValueError("a skew needs an offset, a drift (parts per million) or both")
        return self


class ViewLag(Words):
    of: Selector
    delay: PositiveDuration


class When(Words):
    """A protocol event that starts a fault."""

    event: Literal["first-liquidatable", "first-liquidation", "expiry"] | None = None
    product: str | None = Field(default=None, description="which product's expiry")
    l2_block: int | None = Field(default=None, ge=1)
    l1_block: int | None = Field(default=None, ge=1)
    after: Duration = 0

    @model_validator(mode="after")
    def _one_event(self) -> When:
        if sum(value is not None for value in (self.event, self.l2_block, self.l1_block)) != 1:
            raise ValueError(f"give one of event ({', '.join(EVENTS)}), l2_block, l1_block")
        if (self.product is not None) != (self.event == "expiry"):
            raise ValueError("product goes with event: expiry, and that event needs it")
        return self


FaultWord = Literal["latency", "loss", "duplicate", "reorder", "rate", "partition", "kill", "pause", "skew", "view-lag"]
FAULT_WORDS: tuple[FaultWord, ...] = get_args(FaultWord)


class Fault(Words):
    at: Duration | None = None
    when: When | None = None
    for_: PositiveDuration | None = Field(default=None, alias="for")
    restart: Duration | None = Field(default=None, description="with kill: the time at which the role starts again")
    latency: Latency | None = None
    loss: Loss | None = None
    duplicate: Duplicate | None = None
    reorder: Reorder | None = None
    rate: Bandwidths | None = None
    partition: Partition | None = None
    kill: Selector | None = None
    pause: Selector | None = None
    skew: Skew | None = None
    view_lag: ViewLag | None = Field(default=None, alias="view-lag")

    @property
    def word(self) -> FaultWord:
        return next(word for word in FAULT_WORDS if getattr(self, word.replace("-", "_")) is not None)

    @model_validator(mode="after")
    def _whole(self) -> Fault:
        words = [word for word in FAULT_WORDS if getattr(self, word.replace("-", "_")) is not None]
        if len(words) != 1:
            found = f"found {' and '.join(words)}" if words else "found none"
            raise ValueError(f"a fault has exactly one of {', '.join(FAULT_WORDS)}; {found}")
        if (self.at is None) == (self.when is None):
            raise ValueError("a fault starts either at a time or when an event happens; give one of at, when")
        if self.restart is not None:
            if words != ["kill"]:
                raise ValueError("restart goes with kill")
            if self.at is None or self.for_ is not None:
                raise ValueError("restart is a time and goes with at; with when, or instead of it, write for")
            if self.restart <= self.at:
                raise ValueError(
                    f"restart {units.duration_text(self.restart)} is not after at {units.duration_text(self.at)}"
                )
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
    market: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{0,11}$")], Path] = Field(default={}, max_length=8)
    l1_base_fee: Path | None = Field(default=None, description="gwei; knots or csv. Default: 1 gwei throughout")
    products: Annotated[list[Product], Field(max_length=32)] = []
    venue: Venue = Venue()
    workload: Workload = Workload()
    faults: Annotated[list[Fault], Field(max_length=FAULTS_MAX)] = []
    storm: PositiveDuration | None = Field(default=None, description="workload and faults end here; default: after all")
    liveness: PositiveDuration | None = Field(default=None, description="how long progress is watched after heal")
    checks: Annotated[list[str], Field(min_length=1)] = ["all"]
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
    return scenario


def json_schema() -> dict[str, Any]:
    """JSON Schema of a scenario file, for editors."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
