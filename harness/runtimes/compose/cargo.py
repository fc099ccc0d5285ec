"""What every container of a network is born with, as one file on a read-only mount: world, seats and secret."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.anvil.spec import ChainSpec
from harness.proxy.config import USER
from harness.runtimes.compose import layout as names
from harness.runtimes.compose.layout import Layout
from harness.runtimes.local.world import AnvilEngines, World

FILE = "cargo"


@dataclass(frozen=True, slots=True)
class Cargo:
    world: World
    layout: Layout
    secret: str = dataclasses.field(repr=False)


def stow(cargo: Cargo, folder: Path, *, owner: tuple[int, int] | None) -> None:
    """Write it, with the genesis files it names, into a folder that only `owner` (None: we ourselves) can read.

    Inside, the files are found under `layout.WORLD`. Raises OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    engines = cargo.world.engines
    if isinstance(engines, AnvilEngines):
        engines = AnvilEngines(_carried(engines.l1, folder), _carried(engines.l2, folder))
    world = dataclasses.replace(cargo.world, engines=engines)
    with (folder / FILE).open("wb") as stream:
        pickle.dump(dataclasses.replace(cargo, world=world), stream)
    if owner is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, *owner)


def unpack(folder: Path = Path(names.WORLD)) -> Cargo:
    with (folder / FILE).open("rb") as stream:
        cargo: Cargo = pickle.load(stream)
    return cargo


def _carried(spec: ChainSpec, folder: Path) -> ChainSpec:
    if spec.genesis_file is None:
        return spec
    name = f"{spec.kind}-genesis.json"
    shutil.copyfile(spec.genesis_file, folder / name)
    return dataclasses.replace(spec, genesis_file=Path(names.WORLD) / name)


def in_containers(world: World, layout: Layout) -> World:
    """The same world, at the places where containers have things."""
    return dataclasses.replace(
        world,
        proxy=dataclasses.replace(world.proxy, hosts=tuple(_hosts(layout).items())),
        temporary=Path("/tmp"),
        stores=Path(names.STORES),
        logs=Path(names.EVIDENCE),
        host="0.0.0.0",
        port=names.NETWORK_PORT,
        rpc_host="0.0.0.0",
        rpc_ports=dict.fromkeys(world.rpc_ports, names.RPC_PORT),
    )


def _hosts(layout: Layout) -> Mapping[str, str]:
    """Where the proxy listens for what each role sends, and at the edge for what users do."""
    return {USER: layout.edge_address, **{seat.role: seat.proxy_address for seat in layout.seats}}
