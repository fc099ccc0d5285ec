"""Rules and targets as the control API's JSON, for both of its ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from harness.ports import LinkRule

_RULE_FIELDS = {field.name for field in fields(LinkRule)}


class BadRule(ValueError):
    """A control request whose body is not what the route takes."""


def rules_to_json(rules: Mapping[str, LinkRule]) -> dict[str, Any]:
    return {fault: asdict(rule) for fault, rule in rules.items()}


def rules_from_json(value: Any) -> dict[str, LinkRule]:
    """Raises `BadRule` naming the fault and the key."""
    if not isinstance(value, dict):
        raise BadRule(f"rules must be an object of fault id → rule, not {type(value).__name__}")
    rules: dict[str, LinkRule] = {}
    for fault, rule in value.items():
        if not isinstance(rule, dict):
            raise BadRule(f"rule {fault!r} must be an object, not {type(rule).__name__}")
        unknown = sorted(set(rule) - _RULE_FIELDS)
        if unknown:
            raise BadRule(f"rule {fault!r} has unknown keys {unknown}; known are {sorted(_RULE_FIELDS)}")
        rules[fault] = LinkRule(**rule)
    return rules


def targets_from_json(value: Any) -> dict[str, tuple[str, int] | None]:
    """Raises `BadRule` showing what is no target."""
    if not isinstance(value, dict):
        raise BadRule(f"targets must be an object of role → target, not {type(value).__name__}")
    targets: dict[str, tuple[str, int] | None] = {}
    for role, target in value.items():
        try:
            targets[role] = None if target is None else (str(target["host"]), int(target["port"]))
        except (TypeError, KeyError, ValueError) as error:
            raise BadRule(
                f'a target is null or {{"host": …, "port": …}}; that of {role} is {str(target)[:80]}'
            ) from error
    return targets
