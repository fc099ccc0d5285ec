"""The trial of the mutants: each runs in its scenario, and the check that the catalogue names has to notice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.hunt.workers import run_jobs
from harness.mutants.catalogue import Mutant


@dataclass(frozen=True, slots=True)
class Sentence:
    """What became of a mutant."""

    mutant: Mutant
    violated: tuple[str, ...]       # checks, the one the catalogue names first
    seconds: float | None           # of the run, until the first evidence; None where nothing noticed
    wall_s: float
    problem: str = ""               # why it could not be tried at all

    @property
    def is_caught(self) -> bool:
        """Whether the property that the catalogue names first noticed, not merely any."""
        return bool(self.mutant.trips) and self.mutant.trips[0] in self.violated

    @property
    def is_as_foretold(self) -> bool:
        """Caught by what must; or free, as the catalogue says of an equivalent or an escape."""
        if self.problem:
            return False
        return self.is_caught if self.mutant.fate == "caught" else not self.violated

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.mutant.id, "breaks": self.mutant.breaks, "fate": self.mutant.fate, "trips": self.mutant.trips,
            "scenario": self.mutant.scenario, "violated": self.violated, "caught": self.is_caught,
            "as_foretold": self.is_as_foretold, "seconds": self.seconds, "wall_s": round(self.wall_s, 1),
            "problem": self.problem,
        }  # fmt: skip


def try_all(mutants: Sequence[Mutant], *, jobs: int) -> Iterator[Sentence]:
    """Each mutant's sentence, as they come. What runs when the caller stops is ended. Raises JobFailed."""
    asked = [{"job": "mutant", "name": mutant.id, "mutant": mutant.model_dump_json()} for mutant in mutants]
    for index, answer in run_jobs(asked, at_once=jobs):
        yield _sentence(mutants[index], answer)


def _sentence(mutant: Mutant, answer: dict[str, Any]) -> Sentence:
    violated = [str(check) for check in answer["violated"]]
    named = [check for check in mutant.trips if check in violated]
    others = [check for check in violated if check not in mutant.trips]
    problem = str(answer.get("problem", ""))
    return Sentence(mutant, (*named, *others), answer["seconds"], float(answer["wall_s"]), problem)
