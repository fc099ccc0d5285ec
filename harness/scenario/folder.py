"""A run's folder: named after scenario, seed and time, never shared, with `latest` pointing at the newest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.plan import Plan
from harness.scenario.errors import ScenarioError

NAMES_TRIED_MAX = 100


@dataclass(frozen=True, slots=True)
class RunFolder:
    path: Path

    @classmethod
    def create(cls, out_dir: Path, plan: Plan) -> RunFolder:
        """Make `<out_dir>/<scenario>-<seed>-<time>/nodes` and move `latest` to it.

        Raises:
            ScenarioError: run folders cannot be made there.
        """
        try:
            str(out_dir).encode()
            return cls._make(out_dir, plan)
        except (OSError, UnicodeEncodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "its name is not UTF-8"
            if isinstance(error, FileExistsError) and not out_dir.is_dir():
                why = "it is not a folder"
            what = f"run folders cannot be made here: {why}; name a folder that can be written, with --out"
            raise ScenarioError.at("", what, file=str(out_dir).encode(errors="replace").decode()) from error

    @classmethod
    def _make(cls, out_dir: Path, plan: Plan) -> RunFolder:
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
        """Write one file of the folder whole or not at all. Raises OSError, as `writing` does."""
        part = self.path / f".{name}.part"
        with self.writing(name):
            try:
                part.write_bytes(content)
                part.replace(self.path / name)
            finally:
                part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """While a file of the folder is written: an OSError says which one it was, and what to do."""
        try:
            yield
        except OSError as error:
            if error.filename is not None and self.path not in Path(os.fsdecode(error.filename)).parents:
                raise  # of another file, which it names
            remedy = "free some space there, or name another folder with --out"
            raise OSError(error.errno, f"{error.strerror or error}; {remedy}", str(self.path / name)) from error


def _point_latest(out_dir: Path, path: Path) -> None:
    link = out_dir / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(path.name)
    link.replace(out_dir / "latest")
