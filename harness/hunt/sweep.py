"""Many seeds of some scenarios: what each came to, and what the set shows that no single run can."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.checks.catalogue import CHECKS
from harness.checks.results import Verdict
from harness.hunt.workers import run_jobs
from harness.scenario.errors import ScenarioError

SEEDS_MAX = 10_000
_SEEDS = re.compile(r"(\d{1,9})(?:\.\.(\d{1,9}))?")


def seeds_of(text: str) -> range:
    """`1..200`, both ends in, or one number. Raises ScenarioError."""
    match = _SEEDS.fullmatch(text.strip())
    if match is None:
        raise ScenarioError.at("", f'"{text}" are no seeds; write 1..200, both ends in, or one number', file="--seeds")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < first + SEEDS_MAX:
        what = f'"{text}": the last is before the first, or they are more than {SEEDS_MAX}'
        raise ScenarioError.at("", what, file="--seeds")
    return range(first, last + 1)


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One seed's run."""

    scenario: str
    seed: int
    verdict: Verdict
    checks: dict[str, Verdict]      # by check id, demanded or not
    unsettled: tuple[str, ...]      # demanded checks that do not hold, and faults that went amiss
    compared: int                   # amounts of money held against the model's
    differing: int
    wall_s: float
    folder: str | None              # kept unless it holds


@dataclass(slots=True)
class Sweep:
    """What a set of runs comes to."""

    runs: list[SeedRun] = field(default_factory=list)

    def scenario_rows(self) -> list[dict[str, Any]]:
        """One a scenario, in order of appearance."""
        return [
            {
                "scenario": name,
                "runs": len(runs),
                **{str(verdict): sum(run.verdict is verdict for run in runs) for verdict in Verdict},
                "compared": sum(run.compared for run in runs),
                "differing": sum(run.differing for run in runs),
                "seconds_per_run": round(sum(run.wall_s for run in runs) / len(runs), 1),
            }
            for name in dict.fromkeys(run.scenario for run in self.runs)
            for runs in ([run for run in self.runs if run.scenario == name],)
        ]

    def check_rows(self) -> list[dict[str, Any]]:
        """In how many runs each check held, was violated, or met nothing to judge; in the catalogue's order."""
        counts: dict[str, Counter[Verdict]] = {}
        for run in self.runs:
            for check, verdict in run.checks.items():
                counts.setdefault(check, Counter())[verdict] += 1
        names = {check.id: check.name for check in CHECKS}
        order = [*(id for id in names if id in counts), *(id for id in counts if id not in names)]
        return [
            {"id": id, "name": names.get(id, id), **{str(verdict): counts[id][verdict] for verdict in Verdict}}
            for id in order
        ]

    def never_judged(self) -> list[str]:
        """Checks that stayed unknown in every run."""
        return [row["id"] for row in self.check_rows() if not row["holds"] and not row["violated"]]

    def failed(self) -> list[SeedRun]:
        """Runs that did not hold."""
        return [run for run in self.runs if run.verdict is not Verdict.HOLDS]

    def verdict(self) -> Verdict:
        """Violated if a run is, or an amount differs; unknown if a run is. A check without an occasion says nothing."""
        if any(run.verdict is Verdict.VIOLATED or run.differing for run in self.runs):
            return Verdict.VIOLATED
        return Verdict.UNKNOWN if self.failed() or not self.runs else Verdict.HOLDS

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": str(self.verdict()),
            "runs": len(self.runs),
            "compared": sum(run.compared for run in self.runs),
            "differing": sum(run.differing for run in self.runs),
            "never_judged": self.never_judged(),
            "scenarios": self.scenario_rows(),
            "checks": self.check_rows(),
            "failed": [
                {"scenario": run.scenario, "seed": run.seed, "verdict": str(run.verdict), "what": run.unsettled,
                 "folder": run.folder}
                for run in self.failed()
            ],
        }  # fmt: skip


def run_seeds(
    scenarios: Sequence[str], seeds: Sequence[int], *, overrides: Sequence[str], out: Path, at_once: int
) -> Iterator[SeedRun]:
    """Runs each scenario with each seed, seed by seed, as they come. Raises JobFailed."""
    jobs = [
        {"job": "seed", "name": scenario, "seed": seed, "set": list(overrides), "out": str(out)}
        for seed in seeds
        for scenario in scenarios
    ]
    for _, answer in run_jobs(jobs, at_once=at_once):
        yield _seed_run(answer)


def _seed_run(answer: dict[str, Any]) -> SeedRun:
    checks = {id: Verdict(item["verdict"]) for id, item in answer["checks"].items()}
    unsettled = [
        f"{id}: {item['summary']}" for id, item in answer["checks"].items()
        if item["verdict"] == "violated" or (item["verdict"] == "unknown" and item["demanded"])
    ]  # fmt: skip
    return SeedRun(
        scenario=answer["scenario"],
        seed=answer["seed"],
        verdict=Verdict(answer["verdict"]),
        checks=checks,
        unsettled=(*unsettled, *(f"fault {fault} did not bite or was not healed" for fault in answer["faults_amiss"])),
        compared=answer["compared"]["all"],
        differing=answer["compared"]["differing"],
        wall_s=answer["wall_s"],
        folder=answer["folder"],
    )
