"""The same roles as containers: a short storm on the engine's networks comes to the verdict the simulator gives."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from harness.runtimes.compose.layout import LABEL

from .conftest import Run
from .test_local_runs import SHORT

pytestmark = [pytest.mark.docker, pytest.mark.node, pytest.mark.scenario, pytest.mark.timeout(600)]

LONGER = SHORT.replace(
    "faults:\n",
    "faults:\n  - {at: 5s, for: 5s, kill: batcher-0}\n  - {at: 11s, for: 2s, pause: sequencer-2}\n"
    "  - {at: 3s, for: 6s, latency: {from: reporter-*, to: sequencer-*, delay: 150ms}}\n",
)


def test_a_short_storm_holds_in_containers(
    run: Run, engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    """Killed, paused, partitioned and delayed by the engine and the proxy; and nothing of it is left afterwards."""
    file = tmp_path / "short.yaml"
    file.write_text(LONGER)
    result = run(file, runtime="compose")
    assert [(c["id"], c["summary"]) for c in result.result["checks"] if c["verdict"] not in ("holds",)] == []
    assert [(f["kind"], f["bit"], f["healed"]) for f in result.result["faults"] if not (f["bit"] and f["healed"])] == []
    assert result.exit_code == 0
    kept = list((result.folder / "nodes").iterdir())
    assert not any(any(path.iterdir()) for path in kept if path.is_dir()), "mounted again by hand"
    assert sorted(path.name for path in kept if path.is_file()) == sorted(
        ["proxy.log", *[f"{name}.log" for name in result.result["stats"]["containers"] if name != "proxy"]]
    )
    assert result.result["stats"]["containers"]["sequencer-0"]["cpu_s"] > 0
    project = (result.folder / ".env").read_text().strip().partition("=")[2]
    left = engine.containers.list(all=True, filters={"label": f"{LABEL}.project={project}"})
    assert left == []
