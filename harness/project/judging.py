"""Which checks can judge a run: ours as far as the run has what they are about, and the project's own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from harness.checks import forced, heads, operations, oracle
from harness.checks.catalogue import CHECKS
from harness.checks.registry import Check
from harness.plan import Plan
from harness.project_plan import CodeNotFound, load_code

_ID = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")


def our_checks(*, has_venue: bool, has_products: bool) -> tuple[Check, ...]:
    """All of them with a venue that trades; the oracle's and the rollup's where there is less."""
    if has_products:
        return CHECKS
    # Whether prices were fresh when the venue used them is nothing a run without trades there can show.
    prices = [replace(c, occasion=c.occasion or "a trade on the venue") for c in oracle.CHECKS] if has_venue else []
    return (*prices, forced.INCLUSION, *heads.CHECKS, *operations.CHECKS)


def available_checks(plan: Plan) -> tuple[Check, ...]:
    """Every check that `all` means for this plan.

    Raises:
        CodeNotFound: the plan's own checks cannot be loaded here.
    """
    ours = our_checks(has_venue=plan.has_venue, has_products=bool(plan.products))
    project = plan.project
    if project is None:
        return ours
    own = [check for reference in project.checks for check in checks_of(reference, load_code(reference, project.files))]
    return (*ours, *own)


def checks_of(reference: str, found: Any) -> list[Check]:
    """What a reference to checks led to, as checks.

    Raises:
        CodeNotFound: it is neither a check nor a list of them, or has an id that is taken or unusable.
    """
    checks = [found] if isinstance(found, Check) else list(found) if isinstance(found, list | tuple) else []
    if not checks or not all(isinstance(check, Check) for check in checks):
        raise CodeNotFound(f"{reference} is {found!r}; it must be a harness.project.Check, or a list of them")
    for check in checks:
        if not _ID.fullmatch(check.id):
            raise CodeNotFound(f"{reference}: the id {check.id!r} is not like VAULT-1: capitals, digits, - and _")
        if any(check.id == ours.id for ours in CHECKS):
            raise CodeNotFound(f"{reference}: {check.id} is one of ours; give it another id")
    return checks
