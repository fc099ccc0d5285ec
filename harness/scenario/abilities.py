"""Which faults need a certain runtime; refused in any other before anything starts."""

from __future__ import annotations

from collections.abc import Mapping

from harness.plan import Plan
from harness.scenario.errors import Problem, ScenarioError

RUNTIMES_OF: Mapping[str, tuple[str, ...]] = {
    "cpu": ("compose", "swarm"),      # a limit by the kernel's control groups
    "disconnect": ("sim", "local", "compose"),  # a task of a swarm keeps the networks of its service
    "disk-full": ("sim", "compose"),  # elsewhere the disk is this machine's own
}
"""Fault word → the runtimes that can do it; a word that is not here can be done in all."""


def refuse_undoable(plan: Plan, runtime: str) -> None:
    """Raises ScenarioError for the faults of a plan that the runtime can not do, each with the runtimes that can."""
    problems = [
        Problem(f"faults[{number}]", f"{fault.kind} can not be done in {runtime}; run with --runtime "
                f"{' or '.join(RUNTIMES_OF[fault.kind])}, or leave the fault out", None)
        for number, fault in enumerate(plan.faults)
        if runtime not in RUNTIMES_OF.get(fault.kind, (runtime,))
    ]
    if problems:
        raise ScenarioError(problems)
