"""Every shipped scenario in every runtime for some seeds, and whether they agree: a table of verdicts.

`python -m tests.bench.sweep_runtimes [--scenarios a,b] [--runtimes sim,local,compose] [--seeds 1-3] [--out DIR]`

One run at a time, each a real `harness run`; a run whose `result.json` is in DIR already is not done again, so a sweep
that was stopped goes on. Exits 1 when some scenario's verdicts differ between runtimes or are not `holds`. All of it
takes some three hours of wall time, nearly all of it the scenarios' own; `--before "nice -n 5"` is put before each run.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.report.exit_code import is_idle
from harness.scenario.shipped import shipped_scenarios

RUNTIMES = ("sim", "local", "compose")
RUN_SECONDS_MAX = 1_800     # also of a run that waits for its turn


@dataclass(frozen=True, slots=True)
class Row:
    """What one run came to."""

    scenario: str
    seed: int
    runtime: str
    verdict: str            # of result.json, or `none: ` and why there is none
    seconds: float
    boot_s: float | None
    holds: int              # checks
    nothing: int            # checks that met nothing to judge
    faults: str             # those that bit and were healed, of all
    not_holding: tuple[str, ...] = ()


def seeds_of(text: str) -> list[int]:
    """`1-3` or `1,5,9`."""
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(each) for each in text.split(",")]


def row_of(path: Path, *, scenario: str, seed: int, runtime: str) -> Row:
    """Read a finished run."""
    result: dict[str, Any] = json.loads((path / "result.json").read_text())
    checks, faults, stats = result["checks"], result["faults"], result["stats"]
    well = [fault for fault in faults if fault["bit"] and fault["healed"]]
    odd = [f"{check['id']} {check['verdict']}: {check['summary']}" for check in checks
           if check["verdict"] != "holds" and not is_idle(check)]  # fmt: skip
    odd += [f"{fault['id']} {fault['kind']}: bit {fault['bit']}, healed {fault['healed']}" for fault in faults
            if fault not in well]  # fmt: skip
    return Row(
        scenario, seed, runtime, result["verdict"], stats.get("wall_s", 0.0), stats.get("boot_s"),
        holds=sum(check["verdict"] == "holds" for check in checks),
        nothing=sum(check["verdict"] == "unknown" for check in checks),
        faults=f"{len(well)}/{len(faults)}", not_holding=tuple(odd),
    )  # fmt: skip


def run(scenario: str, seed: int, runtime: str, out: Path, before: Sequence[str]) -> Row:
    """Do it, unless it has been done."""
    folder = out / f"{scenario}-{seed}-{runtime}"
    finished = sorted(folder.glob("*/result.json"))
    if not finished:
        folder.mkdir(parents=True, exist_ok=True)
        command = [*before, sys.executable, "-m", "harness.cli", "run", scenario, "--seed", str(seed),
                   "--runtime", runtime, "--out", str(folder)]  # fmt: skip
        began = time.monotonic()
        with (folder / "said").open("wb") as said:
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False,
                                  timeout=RUN_SECONDS_MAX).returncode  # fmt: skip
        finished = sorted(folder.glob("*/result.json"))
        if not finished:
            lines = (folder / "said").read_text(errors="replace").strip().splitlines()
            return Row(scenario, seed, runtime, f"none: exit {code}", time.monotonic() - began, None, 0, 0, "-",
                       tuple(lines[-2:]))  # fmt: skip
    return row_of(finished[-1].parent, scenario=scenario, seed=seed, runtime=runtime)


def table(rows: Sequence[Row], runtimes: Sequence[str]) -> Iterator[str]:
    """One line per scenario and seed, its runtimes side by side; below it what did not hold."""
    width = max([len(row.scenario) for row in rows], default=8)
    yield f"{'scenario':{width}} seed  " + "  ".join(f"{runtime:26}" for runtime in runtimes)
    for scenario, seed in dict.fromkeys((row.scenario, row.seed) for row in rows):
        mine = {row.runtime: row for row in rows if (row.scenario, row.seed) == (scenario, seed)}
        cells = [
            f"{row.verdict} {row.holds} checks {row.faults} {row.seconds:.0f} s" if (row := mine.get(runtime)) else ""
            for runtime in runtimes
        ]
        yield f"{scenario:{width}} {seed:4}  " + "  ".join(f"{cell:26}" for cell in cells)
        for row in mine.values():
            for what in row.not_holding:
                yield f"{'':{width}}       {row.runtime}: {what}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", default=",".join(shipped_scenarios()))
    parser.add_argument("--runtimes", default=",".join(RUNTIMES))
    parser.add_argument("--seeds", default="1-3", type=seeds_of)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--before", default="", type=shlex.split)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    out = wanted.out or Path(tempfile.mkdtemp(prefix="sweep-"))
    runtimes, rows = wanted.runtimes.split(","), list[Row]()
    print(f"runs are kept in {out}", file=sys.stderr)
    for scenario in wanted.scenarios.split(","):
        for seed in wanted.seeds:
            for runtime in runtimes:
                rows.append(row := run(scenario, seed, runtime, out, wanted.before))
                print(f"{scenario} seed {seed} {runtime}: {row.verdict}, {row.seconds:.0f} s", file=sys.stderr)
    print(json.dumps([asdict(row) for row in rows]) if wanted.json else "\n".join(table(rows, runtimes)))
    return 0 if all(row.verdict == "holds" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
