"""The faults of a scenario file: each word, what it needs, and when it starts and ends."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from harness.scenario import units
from harness.scenario.lie_words import Censor, FeeSpike, Oracle, Reorg, Rpc, Sandwich
from harness.scenario.vocabulary import (
    Bandwidth,
    Duration,
    Number,
    PositiveDuration,
    Probability,
    Selector,
    SignedDuration,
    Words,
)

FAULTS_MAX = 200
EVENTS = ("first-liquidatable", "first-liquidation", "expiry")


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


class Corrupt(Carried):
    probability: Probability


class Reorder(Carried):
    probability: Probability
    delay: PositiveDuration = Field(default=50_000_000, description="what the messages that do not overtake wait")


class Bandwidths(Carried):
    rate: Bandwidth


class Partition(Links):
    """Groups cut from each other, both ways; or one-way with from/to; or a ring or a bridge of some roles."""

    groups: Annotated[list[Selector], Field(min_length=2, max_length=8)] | None = None
    ring: Selector | None = Field(
        default=None, description="each of these reaches only so many neighbours as make a majority with it"
    )
    bridge: Selector | None = Field(
        default=None, description="two halves of these are cut from each other, and one drawn of them reaches both"
    )

    @model_validator(mode="before")
    @classmethod
    def _groups_alone(cls, value: Any) -> Any:
        return {"groups": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_direction(self) -> Partition:
        ways = (self.groups is not None) + (self.between is not None) + (self.from_ is not None or self.to is not None)
        ways += (self.ring is not None) + (self.bridge is not None)
        if ways != 1:
            raise ValueError("a partition is a list of groups, or from/to (one way), or between: [a, b], or a ring or "
                             "a bridge of roles")
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


class Stop(Words):
    """Asked to end, and killed if it has not after the grace; undone by starting it again."""

    of: Selector
    grace: PositiveDuration = Field(default=5_000_000_000, description="after this a role that has not ended is killed")

    @model_validator(mode="before")
    @classmethod
    def _roles_alone(cls, value: Any) -> Any:
        return {"of": value} if isinstance(value, str | list) else value


class Cpu(Words):
    """A share of a processor and no more; --runtime compose only."""

    of: Selector
    cores: Number = Field(ge=0.01, le=64, description="processors that each of the roles may use")


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


FaultWord = Literal[
    "latency", "loss", "duplicate", "reorder", "corrupt", "rate", "partition", "kill", "pause", "skew", "view-lag",
    "stop", "disconnect", "cpu", "disk-full", "rpc", "reorg", "oracle", "fee-spike", "censor",
    "sandwich",
]
FAULT_WORDS: tuple[FaultWord, ...] = get_args(FaultWord)


class Fault(Words):
    at: Duration | None = None
    when: When | None = None
    for_: PositiveDuration | None = Field(default=None, alias="for")
    restart: Duration | None = Field(default=None, description="with kill or stop: when the role starts again")
    latency: Latency | None = None
    loss: Loss | None = None
    duplicate: Duplicate | None = None
    reorder: Reorder | None = None
    corrupt: Corrupt | None = None
    rate: Bandwidths | None = None
    partition: Partition | None = None
    kill: Selector | None = None
    pause: Selector | None = None
    skew: Skew | None = None
    view_lag: ViewLag | None = Field(default=None, alias="view-lag")
    stop: Stop | None = None
    disconnect: Selector | None = None
    cpu: Cpu | None = None
    disk_full: Selector | None = Field(default=None, alias="disk-full")
    rpc: Rpc | None = None
    reorg: Reorg | None = None
    oracle: Oracle | None = None
    fee_spike: FeeSpike | None = Field(default=None, alias="fee-spike")
    censor: Censor | None = None
    sandwich: Sandwich | None = None

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
        if self.reorg is not None and self.for_ is not None:
            raise ValueError("a reorg happens at once and is not undone; leave out for")
        if self.restart is not None:
            if words not in (["kill"], ["stop"]):
                raise ValueError("restart goes with kill or stop")
            if self.at is None or self.for_ is not None:
                raise ValueError("restart is a time and goes with at; with when, or instead of it, write for")
            if self.restart <= self.at:
                raise ValueError(
                    f"restart {units.duration_text(self.restart)} is not after at {units.duration_text(self.at)}"
                )
        return self
