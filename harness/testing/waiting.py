"""`wait_for("Liquidated", within=30)`: until an event or a condition is there, or a deadline has passed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.testing.network import NetworkUnderTest


class TimedOut(AssertionError):
    """What was waited for did not come in time; the message says how long, and where the network stood."""


def wait_for(
    network: NetworkUnderTest, what: str | Callable[[], Any], *, within: float = 15.0, since: int | None = None
) -> Any:
    """Let time pass until an event `Name` or `contract.Name` is committed, or a function returns something true.

    Args:
        within: seconds of the network's time.
        since: events above this block count; default: those after the call.

    Returns: the event, or what the function returned.

    Raises:
        TimedOut: see there.
    """
    __tracebackhide__ = True
    if isinstance(what, str):
        above = network.height if since is None else since
        found = network.wait_until(lambda: next(iter(network.events(what, above=above)), None), within=within)
        name = f"event {what}"
    else:
        found = network.wait_until(what, within=within)
        name = getattr(what, "__name__", None) or repr(what)
        name = "the condition" if name == "<lambda>" else name
    if not found:
        status = network.status()
        on = ", ".join(fault.text for fault in status.faults)
        raise TimedOut(
            f"{name} did not come within {within:g} s; at {status.clock_s:g} s the network is at L2 block "
            f"{status.l2_block}, led by {status.leader}" + (f", with {on}" if on else "")
        )
    return found
