"""Where a network of containers is put, and the Compose file that says so."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.runtimes.compose.compose_file import FILE, environment_file, parse, render
from harness.runtimes.compose.layout import Layout, lay_out, project_name, subnets_wanted
from harness.runtimes.compose.subnets import RANGE, NoSubnet, block_for
from harness.runtimes.conformance.echo import echo_plan

NAMES = [f"replica-{number}" for number in range(29)]


def layout_of(names: list[str]) -> Layout:
    plan = echo_plan(names)
    block = block_for(subnets_wanted(plan), [], first=7)
    return lay_out(plan, project="harness-t-1", network="t", owner="o", block=block)


def file_of(names: list[str], folder: Path) -> Any:
    layout = layout_of(names)
    text = render(layout, image="harness:x", folder=folder)
    (folder / FILE).write_text(text)
    (folder / ".env").write_text(environment_file(layout))
    return parse(text)


def test_no_two_networks_share_an_address() -> None:
    subnets = [ipaddress.ip_network(seat.subnet) for seat in layout_of(NAMES).seats]
    subnets.append(ipaddress.ip_network(layout_of(NAMES).edge_subnet))
    assert len(subnets) == 30
    assert not [(a, b) for a in subnets for b in subnets if a is not b and a.overlaps(b)]


def test_a_block_is_free_whatever_is_taken() -> None:
    """Docker's own pools hold thirty networks; two of our networks need sixty, at addresses of their own."""
    first = block_for(30, [], first=3)
    assert block_for(30, [first], first=3) != first
    half = ipaddress.IPv4Network((int(RANGE.network_address), RANGE.prefixlen + 1))
    assert not block_for(30, [half], first=0).overlaps(half)
    with pytest.raises(NoSubnet, match="docker network prune"):
        block_for(30, [RANGE], first=0)


def test_names_of_projects_never_collide_and_are_names() -> None:
    made = {project_name("Black Thursday! ×2 " * 9) for _ in range(50)}
    assert len(made) == 50
    assert all(name.replace("-", "").isalnum() and name.islower() and len(name) < 50 for name in made)


def test_the_file_puts_every_role_alone_with_the_proxy_and_without_rights(tmp_path: Path) -> None:
    """Star-shaped, internal, and hardened: what the isolation of a run rests on."""
    file = file_of(NAMES, tmp_path)
    services = dict(file["services"])
    proxy = services.pop("proxy")
    assert sorted(services) == sorted(NAMES)
    assert all(port.startswith("127.0.0.1:") for port in proxy["ports"])
    assert not [name for name, words in services.items() if "ports" in words]
    for name, words in services.items():
        assert list(words["networks"]) == [name]
        assert file["networks"][name]["internal"] is True
        members = [service for service, other in file["services"].items() if name in other["networks"]]
        assert sorted(members) == sorted(["proxy", name])
    for words in file["services"].values():
        assert words["read_only"] is True
        assert words["cap_drop"] == ["ALL"]
        assert words["security_opt"] == ["no-new-privileges:true"]
        assert words["user"].split(":")[0] != "0"
        assert words["pids_limit"] > 0
        assert words["mem_limit"]
        assert words["healthcheck"]["test"]


def test_compose_itself_takes_the_file(tmp_path: Path) -> None:
    """Version 2 or 1, whichever is here; it needs no engine to check a file."""
    file_of(["a", "b"], tmp_path)
    commands = [["docker", "compose"], ["docker-compose"]]
    found = [
        command for command in commands
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0
    ]  # fmt: skip
    if not found:
        pytest.skip("neither `docker compose` nor docker-compose is installed")
    for command in found:
        done = subprocess.run(
            [*command, "-f", str(tmp_path / FILE), "config", "--quiet"], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
