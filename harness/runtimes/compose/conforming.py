"""Runs the conformance checks of the ports that need no engine inside a container, as its roles live there.

`python -m harness.runtimes.compose.conforming` prints a JSON object: check → how it failed, or null.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback

from harness.runtimes.compose.layout import STORES
from harness.runtimes.conformance import clock, network, randomness, store
from harness.runtimes.local.subject import LocalUnderTest

CHECKS = (*clock.CHECKS, *network.CHECKS, *store.CHECKS, *randomness.CHECKS)


def main() -> int:
    tempfile.tempdir = STORES  # where the roles' stores are: a volume
    failures: dict[str, str | None] = {}
    for check in CHECKS:
        subject = LocalUnderTest()
        try:
            subject.execute(lambda check=check, subject=subject: check(subject))  # type: ignore[misc]
            failures[check.__name__] = None
        except Exception:
            failures[check.__name__] = traceback.format_exc()
    json.dump(failures, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
