"""What governance will do and did, in words: pauses, what is announced, and what comes of it."""

from __future__ import annotations

from harness.history.records import Event
from harness.plan import FACTORS, GovernanceStep
from harness.venue.governance import pause_names


def decision(event: Event) -> str | None:
    """The sentence for an event of the guardian or the timelock, None for any other."""
    arguments = event.args
    match event.name:
        case "PauseChanged":
            return f"paused: {pause_names(int(arguments['paused']))}"
        case "CallScheduled":
            return f"announced a change, to be made {arguments['delay']} s from now"
        case "FactorsChanged":
            initial, maintenance = arguments["imBps"], arguments["mmBps"]
            return f"margin factors: initial {initial} bps, maintenance {maintenance} bps"
        case "ReporterChanged":
            return f"{arguments['reporter']} {'signs' if arguments['isReporter'] else 'signs no'} prices from here on"
        case "Initialized":
            return f"{event.contract.replace('_', ' ')} is version {arguments['version']} now"
        case _:
            return None


def step_text(step: GovernanceStep, delay_s: int) -> str:
    """The sentence for a step of the plan."""
    at = f"at {step.at_ns / 1e9:g}s"
    match step.action:
        case "pause" | "unpause":
            return f"{step.action} {pause_names(step.mask)}, {at}"
        case "factors":
            values = ", ".join(f"{name} {value}" for name, value in zip(FACTORS, step.factors, strict=True))
            return f"margin factors {values}, announced {at}, in force {delay_s} s later"
        case "remove-reporter" | "add-reporter":
            where = "out of" if step.action == "remove-reporter" else "back among"
            return f"{step.reporter} {where} the price reporters, announced {at}, done {delay_s} s later"
        case "upgrade":
            return f"the liquidator's next version, announced {at}, switched to {delay_s} s later"
