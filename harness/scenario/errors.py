"""What a scenario can be wrong about: one error class that carries the path into the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

PROBLEMS_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place. `where` is a path such as `faults[2].latency.from`; "" is the whole file."""

    where: str
    what: str
    line: int | None = None   # 1-based


class ScenarioError(Exception):
    """The scenario, its overrides or a file it names is unusable: the user's to mend, exit code 2."""

    def __init__(self, problems: Iterable[Problem], *, file: str = "") -> None:
        self.problems = tuple(problems)
        self.file = file
        super().__init__(self._text())

    @classmethod
    def at(cls, where: str, what: str, *, file: str = "", line: int | None = None) -> ScenarioError:
        return cls((Problem(where, what, line),), file=file)

    def _text(self) -> str:
        lines = []
        for problem in self.problems[:PROBLEMS_SHOWN_MAX]:
            place = self.file
            if problem.line is not None:
                place = f"{place}:{problem.line}" if place else f"line {problem.line}"
            lines.append(": ".join(part for part in (place, problem.where, problem.what) if part))
        hidden = len(self.problems) - PROBLEMS_SHOWN_MAX
        if hidden > 0:
            lines.append(f"… and {hidden} more")
        return "\n".join(lines)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean x or y?)` for the nearest known words, or the empty string."""
    near = difflib.get_close_matches(word, list(dict.fromkeys(known)), n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def dotted(location: Iterable[str | int]) -> str:
    """`("faults", 2, "kill")` as `faults[2].kill`."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
