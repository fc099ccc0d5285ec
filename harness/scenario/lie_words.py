"""The faults in which a node does its work and deceives those who rely on it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.scenario.vocabulary import Blocks, Number, PositiveDuration, Probability, Selector, Words


def _globs(value: object) -> object:
    return [value] if isinstance(value, str) else value


Globs = Annotated[
    list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_*?\[\]-]{1,60}$")]],
    BeforeValidator(_globs, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=32),
]


class Rpc(Words):
    """What nodes do to requests: those of roles to their gateways, and those of wallets at the public JSON-RPC."""

    from_: Selector | None = Field(default=None, alias="from", description="who is lied to; `user` is every wallet")
    to: Selector | None = Field(default=None, description="which nodes lie; default: every L2 node")
    method: Globs = Field(
        default=["*"], description="globs over tx, call, nonce, receipt, heads, blocks, l1_*, and JSON-RPC methods"
    )
    do: Literal["drop-reply", "error", "delay", "stale", "duplicate"] = Field(
        description="drop-reply and error although the request was carried out, answer late, answer reads as of some "
        "blocks ago, carry a request out twice"
    )
    probability: Probability = 1.0
    delay: PositiveDuration | None = Field(default=None, description="with delay: how long")
    blocks: Blocks | None = Field(default=None, description="with stale: how many blocks ago")

    @model_validator(mode="after")
    def _fits(self) -> Rpc:
        for name, of in (("delay", "delay"), ("blocks", "stale")):
            if (getattr(self, name) is not None) != (self.do == of):
                raise ValueError(f"{name} goes with do: {of}, and that needs it")
        return self


class Reorg(Words):
    """The L1 builder replaces its last blocks by others."""

    depth: Blocks = Field(description="how many blocks of L1 are replaced")
    dropped: Literal["repooled", "lost"] = Field(
        default="repooled", description="what becomes of the transactions of the replaced blocks"
    )


class Oracle(Words):
    """Price reporters that sign another price than they observe."""

    of: Selector = Field(description="which reporters")
    do: Literal["freeze", "drift", "spike", "scale"] = Field(
        description="stop at one price; go away from the true one by so much a second; be off by so much; be off by a "
        "factor, as by a wrong number of decimals"
    )
    by: Number | None = Field(default=None, ge=-99, le=10_000, description="percent; a second, with drift")
    factor: Number | None = Field(default=None, ge=0.001, le=1_000_000, description="with scale")

    @model_validator(mode="after")
    def _fits(self) -> Oracle:
        if (self.by is not None) != (self.do in ("drift", "spike")):
            raise ValueError("by goes with do: drift and do: spike, and those need it")
        if (self.factor is not None) != (self.do == "scale"):
            raise ValueError("factor goes with do: scale, and that needs it")
        return self


class FeeSpike(Words):
    """The base fee of L1 is a multiple of what the plan says."""

    factor: Number = Field(ge=1, le=10_000)


class Sandwich(Words):
    """Leaders that put swaps of their own before and after those of others in the spot pool."""

    of: Selector = Field(default=["sequencer"], description="which sequencers; default: all")
    from_: Selector = Field(default=["trader"], alias="from", description="whose swaps; default: traders'")
    greedy: bool = Field(default=False, description="take no notice of the least amount that a swap accepts")


class Censor(Words):
    """Leaders that leave out whose transactions they are told to."""

    of: Selector = Field(default=["sequencer"], description="which sequencers; default: all")
    from_: Selector = Field(alias="from", description="whose transactions")
    forced: bool = Field(default=False, description="also those that L1 forces, for which nobody else will vote")
