"""What governance did, in words: pauses, what was announced, and what came of it."""

from __future__ import annotations

from harness.history.records import Event
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
        case "Initialized":
            return f"{event.contract.replace('_', ' ')} is version {arguments['version']} now"
        case _:
            return None
