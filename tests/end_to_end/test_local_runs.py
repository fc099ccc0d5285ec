"""The same roles as processes: a short storm in real time, and what is reported when the proxy does not cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.proxy.client import ProxyClient

from .conftest import Run

pytestmark = [pytest.mark.node, pytest.mark.local, pytest.mark.scenario]

SHORT = """
version: 1
name: short
about: Seconds of real time, one partition, one expiry
seed: 1
network: {l2: {sequencers: 4, replicas: 1}, keepers: 1}
market:
  ETH: {knots: {0s: 200, 8s: 196, 16s: 203}}
products:
  - {id: ETH-F, kind: future, underlying: ETH, expires: 14s}
  - {id: ETH-P, kind: put, underlying: ETH, strike: 210, expires: 14s}
workload: {traders: 4, rate: 3/s, leverage: [2, 6], stop: 16s}
faults:
  - {at: 6s, for: 4s, partition: [[sequencer-0], [rest]]}
storm: 18s
liveness: 8s
checks: [C1, A1, A6, M1, S1, S2, S3, S4, S6, O1, O2, P1, H1, H2, H3, H4, H5, OPS]
within: {recover: 8s, liquidate: 10 blocks}
"""


@pytest.fixture
def short(tmp_path: Path) -> Path:
    file = tmp_path / "short.yaml"
    file.write_text(SHORT)
    return file


def test_a_short_storm_holds_as_processes(run: Run, short: Path) -> None:
    """Real processes, sockets, signals and clocks lead to the verdict the simulator gives."""
    result = run(short, runtime="local")
    assert [(c["id"], c["summary"]) for c in result.result["checks"] if c["verdict"] != "holds"] == []
    assert [(f["bit"], f["healed"]) for f in result.result["faults"]] == [(True, True)]
    assert result.exit_code == 0


def test_a_proxy_that_does_not_cut_is_reported(run: Run, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that never reached the proxy must not pass for one that was survived."""

    async def forget(*_: object) -> None:
        return None

    monkeypatch.setattr(ProxyClient, "set_rules", forget)
    result = run(short, runtime="local")
    assert [fault["bit"] for fault in result.result["faults"]] == [False]
    assert result.exit_code != 0
