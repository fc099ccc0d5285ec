"""Every check of every port, for a test to parametrise over."""

from __future__ import annotations

from harness.runtimes.conformance import clock, fault_control, network, randomness, store
from harness.runtimes.conformance.subject import Check

PORTS: dict[str, tuple[Check, ...]] = {
    "clock": clock.CHECKS,
    "network": network.CHECKS,
    "store": store.CHECKS,
    "random": randomness.CHECKS,
    "fault_control": fault_control.CHECKS,
}

ALL: tuple[Check, ...] = tuple(check for checks in PORTS.values() for check in checks)
