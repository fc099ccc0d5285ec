"""The simulator keeps every promise of the ports."""

from __future__ import annotations

import pytest

from harness.runtimes.conformance.subject import Check
from harness.runtimes.conformance.suite import ALL
from harness.runtimes.sim.subject import SimUnderTest


@pytest.mark.parametrize("check", ALL, ids=[check.__name__ for check in ALL])
def test_sim_keeps_the_promise_that(check: Check) -> None:
    subject = SimUnderTest()
    subject.execute(lambda: check(subject))
