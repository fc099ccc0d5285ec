"""Undoes the faults that a killed harness left on containers that are still there: what `harness heal --stale` does.

The next run, and `harness down`, remove such containers altogether. This is for whoever wants to look at them first.
Nothing has to be remembered for it: the engine knows who is paused, squeezed or off its network, and a helper that is
still there says in whose namespace the kernel's rules are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException

from harness.runtimes.compose.kernel_links import UNDO_ALL
from harness.runtimes.compose.layout import KIND_LABEL, OWNER_LABEL, PROJECT_LABEL, ROLE_LABEL, role_address
from harness.runtimes.compose.ownership import is_dead

if TYPE_CHECKING:
    from docker import DockerClient


def heal_stale(client: DockerClient) -> tuple[list[str], list[str]]:
    """(what was undone, what could not be undone), a sentence each. Blocks. Never touches a live harness's containers.

    Raises DockerException when the engine can not be asked what there is.
    """
    undone: list[str] = []
    failures: list[str] = []
    found = client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    for container in found:
        if is_dead(container.labels[OWNER_LABEL]):
            for what, undo in _faults_on(client, container):
                try:
                    undo()
                    undone.append(f"{container.name}: {what}")
                except (DockerException, OSError) as error:
                    failures.append(f"{container.name}: {what} failed: {str(error)[:200]}")
    return undone, failures


def _faults_on(client: DockerClient, container: Any) -> list[tuple[str, Callable[[], object]]]:
    """Each fault that can be seen on a container, and how it is undone; in the order in which that works."""
    faults: list[tuple[str, Callable[[], object]]] = []
    attributes = container.attrs
    if container.status == "paused":
        faults.append(("resumed", container.unpause))
    if (attributes["HostConfig"].get("CpuQuota") or 0) > 0:
        faults.append(("its processor is its own again", lambda: container.update(cpu_quota=-1)))
    if container.labels.get(KIND_LABEL) == "helper":
        faults.append(("the kernel's rules in its namespace are gone", lambda: _clear(container)))
    role, project = container.labels.get(ROLE_LABEL), container.labels.get(PROJECT_LABEL)
    if role and project and container.status in ("running", "paused"):
        for network in client.networks.list(names=[f"{project}_{role}"]):
            if network.name == f"{project}_{role}" and network.name not in attributes["NetworkSettings"]["Networks"]:
                faults.append(("back on its network", partial(_connect, network, container)))
    return faults


def _connect(network: Any, container: Any) -> None:
    subnet = ipaddress.IPv4Network(network.attrs["IPAM"]["Config"][0]["Subnet"])
    network.connect(container, ipv4_address=role_address(subnet))


def _clear(helper: Any) -> None:
    if helper.status == "running":
        code, output = helper.exec_run(["sh", "-c", UNDO_ALL])
        if code != 0:
            raise OSError(output.decode(errors="replace").strip()[-200:])
    try:
        helper.remove(force=True)
    except APIError as error:
        if error.status_code not in (404, 409):  # somebody removes it just now
            raise
