"""Writes a layout as a Compose file: what people read, and what the runtime then creates, from one text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import orjson
import yaml

from harness.runtimes.compose import layout as names
from harness.runtimes.compose.base import compose_folder
from harness.runtimes.compose.layout import Layout

FILE = "compose.yaml"
TEMPLATE = "network.yaml.j2"
PIDS_MAX = 256
HEALTH = "/opt/harness/code/harness/runtimes/compose/health.py"
IMAGE_USER = 10001
_INDENT = 6


def render(layout: Layout, *, image: str, folder: Path) -> str:
    """The Compose file of a layout, for Compose v2 and v1; it belongs into `folder`, beside `.env`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(compose_folder()), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )

    def labels(**more: Any) -> str:
        return _labels(layout, {f"{names.LABEL}.{name}": value for name, value in more.items()})

    return environment.get_template(TEMPLATE).render(
        layout=layout,
        image=image,
        file=folder / FILE,
        user="{}:{}".format(*container_user()),
        pids_limit=PIDS_MAX,
        health=HEALTH,
        world=names.WORLD,
        evidence=names.EVIDENCE,
        stores=names.STORES,
        held_disks=names.HELD_DISKS,
        small_disk_bytes=names.SMALL_DISK_BYTES,
        network_port=names.NETWORK_PORT,
        control_port=names.CONTROL_PORT,
        role_ports={"network": names.NETWORK_PORT},
        node_ports={"network": names.NETWORK_PORT, "rpc": names.RPC_PORT},
        proxy_ports={"switchboard": names.SWITCHBOARD_PORT, "control": names.CONTROL_PORT},
        labels=labels,
    )


def environment_file(layout: Layout) -> str:
    """The `.env` beside the file: Compose v1 knows a project's name from nowhere else."""
    return f"COMPOSE_PROJECT_NAME={layout.project}\n"


def container_user() -> tuple[int, int]:
    """Who the containers' processes are: the user who runs the harness, whose folders they write to; but never root."""
    return (IMAGE_USER, IMAGE_USER) if os.getuid() == 0 else (os.getuid(), os.getgid())


def parse(text: str) -> Mapping[str, Any]:
    """The file as Compose would read it, with what stands for the environment still in its words."""
    document: Mapping[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return document


def _labels(layout: Layout, more: Mapping[str, Any]) -> str:
    values = {
        names.PROJECT_LABEL: layout.project,
        names.NETWORK_LABEL: layout.network,
        names.OWNER_LABEL: "",
        **more,
    }
    lines = []
    for name, value in values.items():
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        lines.append(f"{' ' * _INDENT}{name}: {orjson.dumps(text).decode()}")
    return "\n".join(lines)
