"""What a crowd at a node's public port costs its blocks: 1 000 idle WebSockets and 50 hostile clients.

`python -m tests.bench.bench_rpc_hostile [blocks]`. The same network is measured without them, then with them; the 99th
percentile of the block interval may grow by 10 %. The exit code says whether it kept to that.
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rpc.network import Rpc, Running, running

POLITE_PAUSE_S = 0.05
POLITE_TIMEOUT_S = 60.0

IDLE, HOSTILE = 1_000, 50
GROWTH_MAX = 1.10
BLOCK_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Intervals:
    """Between the blocks one sequencer built, in ms."""

    ms: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.ms)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.ms, n=100, method="inclusive")[98]


class BlockWatch:
    """Hears of each block when the sequencer has built it, past the port that is under attack."""

    def __init__(self, network: Running) -> None:
        self._times: list[float] = []
        self._news = threading.Condition()
        network.runtime.watcher = self._watch

    def _watch(self, node: str, kind: str, fields: dict[str, Any]) -> None:
        if kind == "block" and node == "sequencer-0" and fields["chain"] == "l2":
            with self._news:
                self._times.append(time.monotonic())
                self._news.notify()

    def intervals(self, blocks: int) -> Intervals:
        """Of the next so many blocks. AssertionError where they stop coming."""
        with self._news:
            first = len(self._times)
            while len(self._times) < first + blocks + 1:
                before = len(self._times)
                assert self._news.wait_for(lambda n=before: len(self._times) > n, BLOCK_TIMEOUT_S), "no block came"
            times = self._times[first : first + blocks + 1]
        return Intervals(tuple((after - before) * 1000 for before, after in itertools.pairwise(times)))


class PoliteClient:
    """Asks one small question after the other beside the crowd, each over a connection of its own, and keeps the time.

    It is what a wallet is: it has to get in, past whatever is in front of the port, and to be answered.
    """

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._took: list[float] = []
        self._failed: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="polite client")

    def __enter__(self) -> PoliteClient:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(POLITE_PAUSE_S):
            began = time.monotonic()
            try:
                assert self._rpc.call("eth_chainId") == "0x385"
            except Exception as error:
                self._failed.append(f"{type(error).__name__}: {error} after {time.monotonic() - began:.1f} s")
            else:
                self._took.append((time.monotonic() - began) * 1000)

    def times(self) -> Intervals:
        """How long each answer took. AssertionError where one did not come."""
        assert not self._failed, f"{len(self._failed)} of a polite client's questions failed: {self._failed[:3]}"
        return Intervals(tuple(self._took))


@contextmanager
def crowd(rpc: Rpc, *, idle: int = IDLE, hostile: int = HOSTILE) -> Iterator[subprocess.Popen[str]]:
    """The crowd in a process of its own, once all of it is there."""
    command = [sys.executable, "-m", "tests.rpc.hostile", rpc.host, str(rpc.port), str(idle), str(hostile)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        assert process.poll() is None, "the crowd ended before the measurement did"
    finally:
        process.kill()
        said = process.communicate()[0].splitlines()
    last = said[-1] if said else ""
    assert last == f"idle {idle}", f"idle clients were cut off: {last!r} of {idle}"


def measure(network: Running, blocks: int) -> tuple[Intervals, Intervals, Intervals]:
    """(blocks without the crowd, blocks with it, a polite client's answers in it)."""
    watch, rpc = BlockWatch(network), network.rpc("sequencer-0")
    watch.intervals(4)
    alone = watch.intervals(blocks)
    with crowd(rpc):
        watch.intervals(4)
        with PoliteClient(rpc) as polite:
            crowded = watch.intervals(blocks)
    return alone, crowded, polite.times()


def main() -> int:
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as network:
        alone, crowded, answers = measure(network, blocks)
    for name, found in (("alone", alone), ("crowded", crowded), ("polite", answers)):
        print(f"{name:<8} median {found.median:7.1f} ms   p99 {found.p99:7.1f} ms   worst {max(found.ms):7.1f} ms")
    is_kept = crowded.p99 <= alone.p99 * GROWTH_MAX
    print(f"p99 grew to {crowded.p99 / alone.p99:.2f} of what it was; {'kept' if is_kept else 'MISSED'}: {GROWTH_MAX}")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
