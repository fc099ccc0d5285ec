"""A run's folder: named after scenario, seed and time, never shared, with `latest` pointing at the newest."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.plan import Plan

NAMES_TRIED_MAX = 100


@dataclass(frozen=True, slots=True)
class RunFolder:
    path: Path

    @classmethod
    def create(cls, out_dir: Path, plan: Plan) -> RunFolder:
        """Make `<out_dir>/<scenario>-<seed>-<time>/nodes` and move `latest` to it. Raises OSError."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        out_dir.mkdir(parents=True, exist_ok=True)
        for attempt in range(NAMES_TRIED_MAX):
            suffix = f"-{attempt}" if attempt else ""
            path = out_dir / f"{plan.scenario}-{plan.seed}-{stamp}{suffix}"
            try:
                path.mkdir()
            except FileExistsError:
                continue  # another run of the same second
            (path / "nodes").mkdir()
            _point_latest(out_dir, path)
            return cls(path)
        raise FileExistsError(f"{NAMES_TRIED_MAX} runs of {plan.scenario} began in one second in {out_dir}")

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def nodes(self) -> Path:
        """Where each role's log goes."""
        return self.path / "nodes"

    def write(self, name: str, content: bytes) -> None:
        """Write one file of the folder whole or not at all. Raises OSError."""
        part = self.path / f".{name}.part"
        try:
            part.write_bytes(content)
            part.replace(self.path / name)
        finally:
            part.unlink(missing_ok=True)


def _point_latest(out_dir: Path, path: Path) -> None:
    link = out_dir / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(path.name)
    link.replace(out_dir / "latest")
