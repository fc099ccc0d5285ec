"""What every part of a scenario file is made of: units, selectors, and mappings that refuse unknown keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from harness.scenario import units
from harness.scenario.errors import did_you_mean

SELECTORS_MAX = 64

# Words of the design that are understood but not built yet, by the model they belong to.
_NOT_YET: dict[str, frozenset[str]] = {
    "Network": frozenset({"proposers", "challengers", "searchers"}),
    "Fault": frozenset({"upgrade"}),
}


def _unit(parse: Callable[[object], int | float], example: str) -> BeforeValidator:
    """A field written as text with a unit; the schema shows what to write."""
    schema = Annotated[str | float, Field(examples=[example])]
    return BeforeValidator(parse, json_schema_input_type=schema)


Duration = Annotated[int, _unit(units.duration_ns, "5s")]
PositiveDuration = Annotated[int, _unit(units.positive_duration_ns, "5s")]
SignedDuration = Annotated[int, _unit(lambda value: units.duration_ns(value, signed=True), "-500ms")]
Rate = Annotated[int, _unit(units.rate_milli, "4/s")]
PriceWad = Annotated[int, _unit(units.price_wad, "195.43")]
SignedPriceWad = Annotated[int, _unit(units.signed_price_wad, "-37.63")]
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
