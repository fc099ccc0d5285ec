"""The local runtime keeps every promise of the ports."""

from __future__ import annotations

import pytest

from harness.runtimes.conformance.subject import Check
from harness.runtimes.conformance.suite import ALL
from harness.runtimes.local.subject import LocalUnderTest


@pytest.mark.local
@pytest.mark.parametrize("check", ALL, ids=[check.__name__ for check in ALL])
def test_local_keeps_the_promise_that(check: Check) -> None:
    subject = LocalUnderTest()
    subject.execute(lambda: check(subject))
