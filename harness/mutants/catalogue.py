"""The catalogue of mutants: what each breaks, which change does it, and which check must notice in which scenario."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.checks.catalogue import CHECKS
from harness.runtimes.failure import RuntimeFailure
from harness.scenario.errors import ScenarioError, did_you_mean
from harness.scenario.shipped import shipped_scenarios
from harness.solidity.compile import contracts_root

FILE = "mutants/catalogue.yaml"
MUTANTS_MAX = 200
Fate = Literal["caught", "equivalent", "escapes"]


class Change(BaseModel):
    """Text that occurs exactly once in a source, and what stands there instead."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=r"^(exchange|l1|l2)/[A-Za-z0-9]+\.sol$")
    old: str = Field(min_length=1)
    new: str


class Mutant(BaseModel):
    """One broken version of the venue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[XY]\d{1,2}$", description="X: of the specification; Y: our own")
    breaks: str = Field(min_length=1, max_length=200)
    fate: Fate = "caught"
    thought: Fate = Field(default="caught", description="what we expected of it before it was ever run")
    trips: tuple[str, ...] = Field(description="checks of which one must be violated; the first is the property")
    scenario: str
    seed: int | None = None
    set: tuple[str, ...] = Field(default=(), description="overrides of the scenario, as --set")
    why: str = Field(default="", max_length=400, description="of an equivalent or an escape: why nothing notices")
    changes: tuple[Change, ...] = Field(min_length=1, max_length=8)

    @model_validator(mode="after")
    def _known(self) -> Mutant:
        known = {check.id for check in CHECKS}
        for word in self.trips:
            if word not in known:
                raise ValueError(f"{self.id}: no check {word}{did_you_mean(word, known)}")
        shipped = shipped_scenarios()
        if self.scenario not in shipped:
            raise ValueError(f"{self.id}: no scenario {self.scenario}{did_you_mean(self.scenario, shipped)}")
        if bool(self.trips) != (self.fate == "caught"):
            raise ValueError(f"{self.id}: one that is caught names its checks, and no other does")
        if bool(self.why) == (self.fate == "caught"):
            raise ValueError(f"{self.id}: say why nothing notices, where nothing does, and only there")
        return self


class _Catalogue(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mutants: tuple[Mutant, ...] = Field(min_length=1, max_length=MUTANTS_MAX)


class CatalogueError(RuntimeFailure):
    """The catalogue that came with the sources is damaged."""


@lru_cache(maxsize=4)
def all_mutants(root: Path | None = None) -> tuple[Mutant, ...]:
    """Every mutant, in the catalogue's order. Raises CatalogueError."""
    path = (root or contracts_root()) / FILE
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = _Catalogue.model_validate(data).mutants
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise CatalogueError(f"{path}: {error}") from error
    ids = [mutant.id for mutant in found]
    for id in ids:
        if ids.count(id) > 1:
            raise CatalogueError(f"{path}: {id} is there twice")
    return found


def find_mutant(id: str) -> Mutant:
    """The mutant of that id, whatever its case. Raises ScenarioError with near matches, as any misspelt name does."""
    by_id = {mutant.id: mutant for mutant in all_mutants()}
    if id.upper() not in by_id:
        hint = did_you_mean(id.upper(), by_id) or f"; there are {', '.join(by_id)}"
        raise ScenarioError.at("", f'no mutant "{id}"{hint}', file="--mutant")
    return by_id[id.upper()]
