"""`governance:` in a scenario: what the guardian and the timelock do, when; words and their place in the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.plan import FACTORS, GovernanceStep, VenueParameters
from harness.scenario import units
from harness.scenario.vocabulary import Duration, Words
from harness.venue.governance import PAUSES

STEPS_MAX = 32
_BPS_MAX = 10_000


def _names(value: object) -> object:
    return [value] if isinstance(value, str) else value


Pausable = Annotated[
    list[Literal["trading", "liquidation", "withdrawals", "everything"]],
    BeforeValidator(_names, json_schema_input_type=str | list[str]),
    Field(min_length=1, max_length=3),
]
ReporterName = Annotated[str | None, Field(pattern=r"^reporter-[0-9]$")]
_Bps = Annotated[int | None, Field(default=None, ge=1, le=_BPS_MAX)]


class FactorWords(Words):
    """Margin factors to announce, in 1/10 000; those left out keep their value."""

    im_bps: _Bps
    mm_bps: _Bps
    option_im_bps: _Bps
    option_min_im_bps: _Bps
    option_mm_bps: _Bps


class Step(Words):
    """One decision: what is paused or allowed again at once, or what is announced and done once its delay is over."""

    at: Duration
    pause: Pausable | None = Field(
        default=None, description="by the guardian: trading, liquidation, withdrawals, everything"
    )
    unpause: Pausable | None = Field(default=None, description="by the guardian; after liquidation there is a grace")
    factors: FactorWords | None = Field(default=None, description="announced now, in force after venue.timelock_delay")
    upgrade: Literal["liquidator"] | None = Field(
        default=None, description="to its next version: announced now, switched after venue.timelock_delay"
    )
    remove_reporter: ReporterName = Field(default=None, description="announced now, out after venue.timelock_delay")
    add_reporter: ReporterName = Field(default=None, description="one that was removed: back after the same delay")

    @model_validator(mode="after")
    def _one_decision(self) -> Step:
        given = self.model_fields_set - {"at"}
        if len(given) != 1:
            raise ValueError("give one of pause, unpause, factors, upgrade, remove_reporter and add_reporter")
        if self.factors is not None and not self.factors.model_fields_set:
            raise ValueError(f"factors names at least one of {', '.join(FACTORS)}")
        return self


class GovernanceProblem(ValueError):
    """A step contradicts what comes before it; `location` is the one to change, within `governance`."""

    def __init__(self, location: tuple[int | str, ...], message: str) -> None:
        super().__init__(message)
        self.location = location


def plan_governance(steps: Sequence[Step], venue: VenueParameters, *, oracles: int) -> tuple[GovernanceStep, ...]:
    """The steps in the order they are taken, with factors whole and masks as numbers.

    Raises:
        GovernanceProblem: a pause that changes nothing, factors the contracts would refuse, a second upgrade, fewer
            reporters than a round needs.
    """
    planned: list[GovernanceStep] = []
    reporters = {f"reporter-{index}": True for index in range(oracles)}
    paused, upgrades = 0, 0
    factors = {name: int(getattr(venue, name)) for name in FACTORS}
    for number, step in sorted(enumerate(steps), key=lambda item: (item[1].at, item[0])):
        if step.pause is not None or step.unpause is not None:
            word, names = ("pause", step.pause) if step.pause is not None else ("unpause", step.unpause or [])
            bits = PAUSES if "everything" in names else dict.fromkeys(names)
            mask = sum(PAUSES[name] for name in bits)
            after = paused | mask if word == "pause" else paused & ~mask
            if after == paused:
                already = "is paused already" if word == "pause" else "is not paused"
                what = f"{', '.join(names)} {already} at {units.duration_text(step.at)}"
                raise GovernanceProblem((number, word), what)
            paused = after
            planned.append(GovernanceStep(step.at, "pause" if word == "pause" else "unpause", mask=mask))
        elif step.factors is not None:
            factors |= {name: value for name, value in step.factors if value is not None}
            _require_sense(factors, venue.penalty_bps, number)
            planned.append(GovernanceStep(step.at, "factors", factors=tuple(factors.values())))
        elif step.remove_reporter is not None or step.add_reporter is not None:
            word = "remove_reporter" if step.remove_reporter is not None else "add_reporter"
            name = str(step.remove_reporter or step.add_reporter)
            _appoint(reporters, name, word, venue.min_sources, number)
            removes = word == "remove_reporter"
            planned.append(GovernanceStep(step.at, "remove-reporter" if removes else "add-reporter", reporter=name))
        else:
            upgrades += 1
            if upgrades > 1:
                raise GovernanceProblem((number, "upgrade"), "there is one next version; it is switched to once")
            planned.append(GovernanceStep(step.at, "upgrade"))
    return tuple(planned)


def _appoint(reporters: dict[str, bool], name: str, word: str, min_sources: int, number: int) -> None:
    """Takes a reporter out of those whose signature counts, or back in; a round must still find enough of them."""
    if name not in reporters:
        raise GovernanceProblem((number, word), f"there is no {name}: network.oracles is {len(reporters)}")
    if reporters[name] is (word == "add_reporter"):
        state = "is one already" if reporters[name] else "is removed already"
        raise GovernanceProblem((number, word), f"{name} {state}")
    reporters[name] = word == "add_reporter"
    left = sum(reporters.values())
    if left < min_sources:
        what = f"without {name} {left} reporters are left, and a round needs venue.min_sources {min_sources}"
        raise GovernanceProblem((number, word), what)


def _require_sense(factors: dict[str, int], penalty_bps: int, number: int) -> None:
    """What `ClearingHouse.setFactors` accepts."""
    im, mm, option_im, option_min_im, option_mm = factors.values()
    if not penalty_bps <= mm <= im:
        what = f"needs penalty_bps {penalty_bps} ≤ mm_bps {mm} ≤ im_bps {im}"
        raise GovernanceProblem((number, "factors"), what)
    if not option_mm <= option_min_im <= option_im:
        what = f"needs option_mm_bps {option_mm} ≤ option_min_im_bps {option_min_im} ≤ option_im_bps {option_im}"
        raise GovernanceProblem((number, "factors"), what)


def last_ns(steps: Sequence[Step], timelock_delay_s: int) -> int:
    """When the last of the steps has been taken, delays included; 0 without any."""
    delay_ns = timelock_delay_s * units.NS_PER_SECOND
    return max((step.at + (0 if step.pause or step.unpause else delay_ns) for step in steps), default=0)

