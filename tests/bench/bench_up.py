"""From typing `harness up` to a network that can be used: a one-sequencer network ≤ 1 s, the default one ≤ 3 s."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = int(os.environ.get("HARNESS_BENCH_ROUNDS", "10"))
SMALL = ("--set", "network.l2.sequencers=1", "--set", "network.l2.replicas=0", "--set", "network.l1.followers=0")
LIMITS_S = {"one sequencer": (SMALL, 1.0), "default": ((), 3.0)}


def main() -> int:
    harness = os.path.join(os.path.dirname(sys.executable), "harness")
    code = 0
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "HARNESS_STATE": state}

        def run(*arguments: str) -> float:
            began = time.monotonic()
            subprocess.run([harness, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
            return time.monotonic() - began

        for name, (options, limit_s) in LIMITS_S.items():
            took = []
            for _ in range(ROUNDS + 1):   # the first fills the caches
                took.append(run("up", "--detach", "--any-port", *options))
                run("down")
            median, worst = statistics.median(took[1:]), max(took[1:])
            code |= median > limit_s
            print(f"harness up, {name}: median {median:.2f} s, worst {worst:.2f} s of {ROUNDS}; limit {limit_s:g} s"
                  f"{'' if median <= limit_s else '  MISSED'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
