"""What a user's own Python files import: `from harness.project import Actor, Cases, Check, Finding, Subject`.

Their contracts, actors and checks become part of a plan here: reading the project file, deploying, judging. The names
are imported when they are asked for: planning a scenario without a project needs none of the roles.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.checks.registry import Check
    from harness.checks.results import Cases, Finding, Verdict
    from harness.checks.subject import Subject
    from harness.ports import PortError, Refused
    from harness.project.deployer import Deployer
    from harness.roles.actor import Actor
    from harness.roles.client import Outcome

__all__ = ["Actor", "Cases", "Check", "Deployer", "Finding", "Outcome", "PortError", "Refused", "Subject", "Verdict"]

_HOMES = {
    "Check": "harness.checks.registry", "Cases": "harness.checks.results", "Finding": "harness.checks.results",
    "Verdict": "harness.checks.results", "Subject": "harness.checks.subject", "PortError": "harness.ports",
    "Refused": "harness.ports", "Deployer": "harness.project.deployer", "Actor": "harness.roles.actor",
    "Outcome": "harness.roles.client",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"harness.project has no {name!r}; it has {', '.join(__all__)}")
