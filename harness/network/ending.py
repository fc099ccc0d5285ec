"""Ending a network from outside: one that lives is asked, after one that died is cleaned up."""

from __future__ import annotations

from harness.network.claim import find, find_all, remove_dead
from harness.network.client import connect
from harness.network.places import DEFAULT


def end(name: str | None) -> str:
    """End the network of that name (as `connect` chooses without one) and say what was done.

    Raises:
        NetworkMisuse: there is none.
        NetworkFailure: it does not end.
    """
    if name is None:
        found = find_all()
        name = found[0].name if len(found) == 1 else DEFAULT if find(DEFAULT) is not None else None
    if name is not None and (network := find(name)) is not None and not network.is_live:
        reason = network.note.get("ended") or f"its owner, process {network.note.get('pid', 'unknown')}, was killed"
        if remove_dead(name):
            return f"{name} was dead ({reason}); what it left is removed"
    client = connect(name)
    client.stop()
    return f"{client.name} is down"
