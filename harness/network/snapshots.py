"""Saved states of networks: a folder each, complete or not there, with the plan that they belong to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from harness.network.places import snapshots_home, valid_name
from harness.network.values import NetworkFailure, NetworkMisuse, Snapshot
from harness.plan import Plan
from harness.runtimes.local.saved_stores import SavedStores
from harness.scenario.errors import ScenarioError, did_you_mean
from harness.scenario.plan_file import plan_bytes, read_plan

ABOUT = "snapshot.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """A snapshot that is complete: what it is, the plan, and where the roles' rows are."""

    about: Snapshot
    plan: Plan
    genesis_timestamp: int
    stores: SavedStores


async def save(
    name: str,
    *,
    plan: Plan,
    genesis_timestamp: int,
    take: Callable[[Path], Coroutine[Any, Any, SavedStores]],
    about: Callable[[int, int], Snapshot],
) -> Snapshot:
    """Have `take(folder)` fill a folder with rows, and keep that under `name`.

    `about(clock_ns, bytes)` describes it. A snapshot of that name is replaced once the new one is complete.

    Raises:
        NetworkMisuse: the name is no name.
        NetworkFailure: it could not be written; nothing of it is left.
    """
    home = snapshots_home()
    final, part = home / valid_name(name, what="snapshot"), home / f".{name}.{os.getpid()}.part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        (part / "stores").mkdir(parents=True, mode=0o700)
        clock_ns = (await take(part / "stores")).clock_ns
        size = sum(file.stat().st_size for file in (part / "stores").iterdir())
        snapshot = about(clock_ns, size)
        (part / "plan.json").write_bytes(plan_bytes(plan))
        document = {**snapshot.to_json(), "genesis_timestamp": genesis_timestamp, "clock_ns": clock_ns}
        (part / ABOUT).write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
        _replace(part, final)
        return snapshot
    except OSError as error:
        raise NetworkFailure(
            f"snapshot {name} was not saved: {error.filename or home}: {error.strerror or error}"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load(name: str) -> Saved:
    """Raises `NetworkMisuse`: there is none of that name, or it is damaged."""
    folder = snapshots_home() / valid_name(name, what="snapshot")
    try:
        document = orjson.loads((folder / ABOUT).read_bytes())
        about = Snapshot.from_json({key: document[key] for key in Snapshot.__dataclass_fields__})
        plan = read_plan(folder / "plan.json")
        stores = SavedStores(folder / "stores", int(document["clock_ns"]))
        return Saved(about, plan, int(document["genesis_timestamp"]), stores)
    except FileNotFoundError:
        names = [snapshot.name for snapshot in listed()]
        hint = did_you_mean(name, names) or (f"; there are {', '.join(names)}" if names else "; there are none")
        raise NetworkMisuse(f'no snapshot is called "{name}"{hint}') from None
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, ScenarioError) as error:
        raise NetworkMisuse(f"snapshot {name} in {folder} can not be used: {error}") from error


def listed() -> tuple[Snapshot, ...]:
    """Every complete snapshot, oldest first."""
    found = []
    for file in snapshots_home().glob(f"*/{ABOUT}"):
        if file.parent.name.startswith("."):
            continue
        try:
            document = orjson.loads(file.read_bytes())
            found.append(Snapshot.from_json({key: document[key] for key in Snapshot.__dataclass_fields__}))
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            continue   # being replaced at this moment, or damaged: `load` would say so
    return tuple(sorted(found, key=lambda snapshot: (snapshot.taken, snapshot.name)))


def remove(name: str) -> None:
    """Raises `NetworkMisuse` if there is none of that name."""
    load(name)
    shutil.rmtree(snapshots_home() / name)


def _replace(part: Path, final: Path) -> None:
    """Put a complete folder in the place of another; between the two renames there is none, never a mixture."""
    old = part.with_suffix(".old")
    if final.exists():
        final.rename(old)
    part.rename(final)
    shutil.rmtree(old, ignore_errors=True)
