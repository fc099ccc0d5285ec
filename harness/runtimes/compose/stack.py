"""Creates what a Compose file describes, side by side where Compose goes one by one, and takes it away again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from docker.types import IPAMConfig, IPAMPool, LogConfig, Ulimit

from harness.proxy.config import PROXY
from harness.runtimes.compose.compose_file import FILE, parse
from harness.runtimes.compose.engine import DockerEngine, EngineRefused
from harness.runtimes.compose.layout import BEGIN, HARNESS, OWNER_LABEL, PROJECT_LABEL, Layout
from harness.runtimes.compose.removal import remove_labelled

NANOSECONDS = 1_000_000_000
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class AddressesTaken(EngineRefused):
    """Somebody has a network where ours was to be; lay out another block."""


class Stack:
    """One project's networks, volumes and containers. Everything is found again by its label, whoever made it."""

    def __init__(self, engine: DockerEngine, layout: Layout, folder: Path, text: str) -> None:
        """`text` is the Compose file in `folder`."""
        self._engine = engine
        self._layout = layout
        self._folder = folder
        self._file = parse(text)
        self.ids: dict[str, str] = {}
        """Service → container id."""

    async def create(self) -> None:
        """Networks, volumes and containers; nothing is started.

        Raises:
            AddressesTaken: nothing of ours is left behind.
            EngineRefused, EngineGone: `remove` what was made.
        """
        try:
            await _all(self._create_network(name) for name in self._file["networks"])
        except EngineRefused as refusal:
            if "overlap" not in str(refusal):
                raise
            await self.remove()
            raise AddressesTaken(str(refusal)) from refusal
        await _all(self._create_volume(name) for name in self._file["volumes"])
        await _all(self._create_container(name) for name in self._file["services"])

    async def _create_network(self, name: str) -> None:
        words = self._file["networks"][name]
        pools = [IPAMPool(subnet=pool["subnet"]) for pool in words["ipam"]["config"]]
        await self._engine.call(
            f"create network {self._named(name)}",
            self._engine.api.create_network,
            self._named(name),
            driver=words["driver"],
            internal=words.get("internal", False),
            options=words["driver_opts"],
            ipam=IPAMConfig(pool_configs=pools),
            labels=self._labels(words, self._compose("network", name)),
            check_duplicate=True,
        )

    async def _create_volume(self, name: str) -> None:
        words = self._file["volumes"][name]
        labels = self._labels(words, self._compose("volume", name))
        await self._engine.call(
            f"create volume {self._named(name)}",
            self._engine.api.create_volume, self._named(name), driver="local", labels=labels,
            driver_opts=words.get("driver_opts"),
        )  # fmt: skip

    async def _create_container(self, service: str) -> None:
        words = self._file["services"][service]
        first, *more = words["networks"]
        endpoint: Any = {self._named(first): self._endpoint(words, first)}
        made = await self._engine.call(
            f"create container {self._layout.container(service)}",
            self._engine.api.create_container,
            words["image"],
            words["command"],
            name=self._layout.container(service),
            hostname=service,
            user=words["user"],
            environment={**words["environment"], BEGIN: HARNESS},
            labels=self._labels(words, self._compose_service(service)),
            ports=[int(str(port).rpartition(":")[2]) for port in words.get("ports", ())],
            healthcheck=_healthcheck(words["healthcheck"]),
            stop_signal="SIGTERM",
            host_config=self._host_config(words, first),
            networking_config=self._engine.api.create_networking_config(endpoint),
        )
        self.ids[service] = made["Id"]
        for network in more:  # before it starts, so that it finds all of them
            await self._engine.call(
                f"connect {service} to network {network}",
                self._engine.api.connect_container_to_network,
                made["Id"],
                self._named(network),
                ipv4_address=words["networks"][network]["ipv4_address"],
            )

    def _endpoint(self, words: Mapping[str, Any], name: str) -> Any:
        return self._engine.api.create_endpoint_config(ipv4_address=words["networks"][name]["ipv4_address"])

    def _host_config(self, words: Mapping[str, Any], network: str) -> Any:
        ports: dict[int | str, Any] = {}
        for published in words.get("ports", ()):
            host, outside, inside = str(published).split(":")
            ports[int(inside)] = (host, int(outside) if outside else None)
        binds = [volume for volume in words["volumes"] if volume.startswith("./")]
        volumes = [volume for volume in words["volumes"] if not volume.startswith("./")]
        return self._engine.api.create_host_config(
            read_only=words["read_only"],
            cap_drop=words["cap_drop"],
            security_opt=words["security_opt"],
            pids_limit=words["pids_limit"],
            mem_limit=bytes_of(words["mem_limit"]),
            memswap_limit=bytes_of(words["mem_limit"]),
            tmpfs=dict(mount.split(":", 1) for mount in words["tmpfs"]),
            ulimits=[Ulimit(name=name, soft=value, hard=value) for name, value in words.get("ulimits", {}).items()],
            log_config=LogConfig(type=words["logging"]["driver"], config=words["logging"]["options"]),
            restart_policy={"Name": words["restart"]},
            port_bindings=ports,
            network_mode=self._named(network),
            binds=[f"{self._folder}/{bind[2:]}" for bind in binds]
            + [f"{self._named(volume.split(':')[0])}:{volume.split(':', 1)[1]}" for volume in volumes],
        )

    async def fetch_evidence(self, into: Path) -> None:
        """Have what the containers wrote in this folder: here they wrote it there."""

    async def start(self, service: str) -> None:
        await self._engine.call(f"start {service}", self._engine.api.start, self.ids[service])

    async def published(self, port: int) -> tuple[str, int]:
        """Where a port of the started proxy is on this machine. Raises `EngineRefused` if it is nowhere."""
        seen = await self._engine.call("inspect the proxy", self._engine.api.inspect_container, self.ids[PROXY])
        for binding in (seen["NetworkSettings"]["Ports"] or {}).get(f"{port}/tcp") or ():
            return str(binding["HostIp"]), int(binding["HostPort"])
        raise EngineRefused(f"port {port} of the proxy is not published: {str(seen['State'])[:200]}")

    async def remove(self) -> None:
        """Everything that carries the project's label, in whatever state it is. Idempotent.

        Raises `EngineRefused` naming what is still there.
        """
        removed = await self._engine.call_once(
            f"remove {self._layout.project}",
            remove_labelled, self._engine.client, f"{PROJECT_LABEL}={self._layout.project}",
        )  # fmt: skip
        if removed.failures:
            raise EngineRefused("; ".join(removed.failures))

    def _named(self, name: str) -> str:
        return f"{self._layout.project}_{name}"

    def _labels(self, words: Mapping[str, Any], more: Mapping[str, str]) -> dict[str, str]:
        """What we make is ours; in the file stands that it is whoever's uses it by hand."""
        return {**words["labels"], OWNER_LABEL: self._layout.owner, **more}

    def _compose(self, kind: str, name: str) -> dict[str, str]:
        """What Compose labels its own with, so that its commands know ours."""
        return {"com.docker.compose.project": self._layout.project, f"com.docker.compose.{kind}": name}

    def _compose_service(self, service: str) -> dict[str, str]:
        return {
            **self._compose("service", service),
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.project.config_files": str(self._folder / FILE),
            "com.docker.compose.project.working_dir": str(self._folder),
        }


async def _all(creations: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Until each has come to its end, and only then the first failure: what is to be removed must have been made."""
    outcomes = await asyncio.gather(*creations, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


def bytes_of(text: str) -> int:
    """Compose's sizes: `384m`, `1g`."""
    return int(text[:-1]) * _UNITS[text[-1].lower()] if text[-1].lower() in _UNITS else int(text)


def _healthcheck(words: Mapping[str, Any]) -> dict[str, Any]:
    def nanoseconds(key: str) -> int:
        return int(str(words[key]).removesuffix("s")) * NANOSECONDS

    return {
        "test": words["test"],
        "interval": nanoseconds("interval"),
        "timeout": nanoseconds("timeout"),
        "start_period": nanoseconds("start_period"),
        "retries": words["retries"],
    }

