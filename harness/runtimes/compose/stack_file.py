"""Writes a layout as a stack for Docker Swarm: the same network with names for addresses and secrets for mounts."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jinja2
import orjson

from harness.runtimes.compose import layout as names
from harness.runtimes.compose.base import compose_folder
from harness.runtimes.compose.compose_file import PIDS_MAX, container_user
from harness.runtimes.compose.layout import Layout

FILE = "stack.yaml"
TEMPLATE = "stack.yaml.j2"
REGION_LABEL = "harness.region"
"""A node labelled `harness.region.tokyo=true` takes the roles of that region; without such a node they go anywhere."""
SECRET_BYTES_MAX = 500_000
_SERVICE_LABEL = "com.docker.compose.service"


def by_name(layout: Layout) -> Layout:
    """The same layout where nobody has a fixed address: each is called by a name on the network that it is on."""
    seats = tuple(
        dataclasses.replace(seat, address=seat.role, proxy_address=f"proxy-of-{seat.role}") for seat in layout.seats
    )
    return dataclasses.replace(layout, seats=seats, edge_address=names.EDGE_BY_NAME)


def render_stack(layout: Layout, *, image: str, folder: Path, placed: Collection[str]) -> str:
    """The stack of a layout by names; `folder` has its `world`. `placed` are regions that some node is labelled for.

    Raises ValueError when something is too large for a secret.
    """
    carried = sorted(path.name for path in (folder / "world").iterdir())
    for name in carried:
        if (size := (folder / "world" / name).stat().st_size) > SECRET_BYTES_MAX:
            raise ValueError(f"{name} has {size} bytes; a secret of Docker Swarm has {SECRET_BYTES_MAX} at most")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(compose_folder()), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )

    def labels(service: str = "", **more: Any) -> str:
        values = {
            names.PROJECT_LABEL: layout.project,
            names.NETWORK_LABEL: layout.network,
            names.OWNER_LABEL: "${HARNESS_OWNER:-}",
            **({_SERVICE_LABEL: service} if service else {}),
            **{f"{names.LABEL}.{name}": str(value) for name, value in more.items()},
        }
        return "\n".join(f"      {name}: {orjson.dumps(value).decode()}" for name, value in values.items())

    uid, gid = container_user()
    return environment.get_template(TEMPLATE).render(
        layout=layout,
        image=image,
        file=folder / FILE,
        user=f"{uid}:{gid}",
        uid=uid,
        gid=gid,
        pids_limit=PIDS_MAX,
        world=names.WORLD,
        evidence=names.EVIDENCE,
        stores=names.STORES,
        carried=carried,
        placed=placed,
        region_label=REGION_LABEL,
        labels=labels,
    )
