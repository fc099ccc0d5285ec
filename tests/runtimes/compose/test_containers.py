"""What containers promise beyond the ports: nobody gets round the proxy, nobody has rights, all comes back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import docker
import pytest

from harness.runtimes.compose.layout import NETWORK_PORT, PROJECT_LABEL, SWITCHBOARD_PORT
from harness.runtimes.compose.removal import left_over

from .running import Running, running

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

NOWHERE = "192.0.2.1"
"""An address for documentation, which stands for the internet: nobody has it, but a way out would be a way to it."""

TRY = """
import socket, sys
def reach(host, port):
    try:
        socket.create_connection((host, port), 1.5).close()
        return "reached"
    except OSError as error:
        return type(error).__name__ + ": " + (error.strerror or str(error))
print(reach({host!r}, {port}))
"""


@pytest.fixture(scope="module")
def network(engine: docker.DockerClient, image: str) -> Iterator[Running]:
    with running("a", "b", "c") as up:
        yield up


@pytest.fixture
def open_port() -> Iterator[int]:
    """A port of this machine that takes connections on every address it has."""
    with socket.create_server(("", 0)) as server:
        over = threading.Event()
        server.settimeout(0.2)

        def accept() -> None:
            while not over.is_set():
                try:
                    server.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        over.set()
        thread.join()


def _tried(network: Running, service: str, host: str, port: int) -> str:
    return network.inside(service, TRY.format(host=host, port=port))


def _addresses_of_this_machine(network: Running) -> list[str]:
    """Where a way to the host could be: its ends of all networks here, and what it calls itself."""
    found = []
    for known in network.runtime.engine.api.networks():
        for config in (known.get("IPAM") or {}).get("Config") or ():
            if config.get("Gateway"):
                found.append(config["Gateway"].split("/")[0])
    for seat in network.runtime.layout.seats:
        found.append(seat.proxy_address.rpartition(".")[0] + "." + str(int(seat.proxy_address.rpartition(".")[2]) - 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:  # connecting a datagram socket sends nothing
        try:
            unsent.connect((NOWHERE, 9))
            found.append(unsent.getsockname()[0])
        except OSError:
            pass
    return [address for address in dict.fromkeys(found) if ":" not in address]


def test_a_container_reaches_its_proxy_and_nothing_else(network: Running, open_port: int) -> None:
    """Traffic that went round the proxy would feel no fault, and a partition would be a lie."""
    layout = network.runtime.layout
    own, others = layout.seat("a"), [seat for seat in layout.seats if seat.role != "a"]
    assert _tried(network, "a", own.proxy_address, SWITCHBOARD_PORT) == "reached"
    ways = [(seat.address, NETWORK_PORT) for seat in others]
    ways += [(seat.proxy_address, SWITCHBOARD_PORT) for seat in others]
    ways += [(layout.edge_address, SWITCHBOARD_PORT), (NOWHERE, 80)]
    ways += [(address, open_port) for address in _addresses_of_this_machine(network)]
    assert len(ways) >= 8
    assert {way: _tried(network, "a", *way) for way in ways if _tried(network, "a", *way) == "reached"} == {}
    assert network.answers("a", "b"), "and over the proxy it does reach the others"


def test_the_proxy_in_the_middle_reaches_them_all(network: Running, open_port: int) -> None:
    """The trial above can succeed: from where there is a way, it does."""
    layout = network.runtime.layout
    for seat in layout.seats:
        assert _tried(network, "proxy", seat.address, NETWORK_PORT) == "reached"
    edge_end = layout.edge_address.rpartition(".")[0] + "." + str(int(layout.edge_address.rpartition(".")[2]) - 1)
    assert _tried(network, "proxy", edge_end, open_port) == "reached"
    assert _tried(network, "proxy", NOWHERE, 80) != "reached"


def test_no_container_has_rights_it_does_not_need(network: Running) -> None:
    code = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getuid() != 0, int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"].strip())
for path in ("/x", "/opt/harness/x", "/run/harness/x", "/etc/x"):
    try:
        open(path, "w"); print("wrote", path)
    except OSError: pass
"""
    for service in ("a", "proxy"):
        assert network.inside(service, code) == "True 0 0 1"
        seen = network.runtime.engine.api.inspect_container(network.runtime.container_of(service))["HostConfig"]
        assert seen["Memory"] > 0
        assert seen["PidsLimit"] > 0
        assert seen["ReadonlyRootfs"]


def test_ports_are_published_on_the_loopback_only(network: Running) -> None:
    api = network.runtime.engine.api
    for service in network.runtime.layout.services():
        ports = api.inspect_container(network.runtime.container_of(service))["NetworkSettings"]["Ports"] or {}
        hosts = {binding["HostIp"] for bindings in ports.values() for binding in bindings or ()}
        assert hosts == ({"127.0.0.1"} if service == "proxy" else set())


def test_the_health_checks_ask_and_tell(network: Running) -> None:
    """Healthy while it answers; not when the port is another's or nobody's."""
    for service in ("a", "proxy"):
        seen = network.runtime.engine.api.inspect_container(network.runtime.container_of(service))
        container = network.runtime.engine.client.containers.get(seen["Id"])
        test = seen["Config"]["Healthcheck"]["Test"][1:]
        assert container.exec_run(test).exit_code == 0
        elsewhere = ["1" if word.isdigit() else word for word in test]
        assert container.exec_run(elsewhere).exit_code == 1


def test_a_crash_keeps_what_was_durable_and_nothing_else(network: Running) -> None:
    """The volume outlives the container's processes; its /tmp does not."""
    starts = (
        "import sqlite3; d = sqlite3.connect('file:/var/lib/harness/b.sqlite?mode=ro', uri=True);"
        "print(d.execute(\"select value from rows where tab='starts'\").fetchone()[0].decode())"
    )
    before = int(network.inside("b", starts))
    network.inside("b", "open('/tmp/mark', 'w').write('x')")
    network.do(network.runtime.kill("b"))
    assert not network.do(network.runtime.is_alive("b"))
    network.do(network.runtime.start("b"))
    assert network.answers("a", "b")
    assert int(network.inside("b", starts)) == before + 1
    assert network.inside("b", "import os; print(os.path.exists('/tmp/mark'))") == "False"


def test_a_role_cut_off_by_the_engine_is_silent_and_comes_back(network: Running) -> None:
    """`docker network disconnect` takes its way to the harness too; afterwards it calls again by itself."""
    runtime = network.runtime
    name, seat = f"{runtime.layout.project}_b", runtime.layout.seat("b")
    container = runtime.container_of("b")
    runtime.engine.api.disconnect_container_from_network(container, name, force=True)
    try:
        assert network.do(runtime.probe("a", "b", timeout=1.0)) is None
        assert network.do(runtime.is_alive("b"))
    finally:
        runtime.engine.api.connect_container_to_network(container, name, ipv4_address=seat.address)
    assert network.answers("a", "b")
    assert network.answers("b", "a", within_s=60.0)
    assert abs(network.do(runtime.clock_offset("b"))) < 50.0
    assert runtime.problems == []


def test_two_networks_live_side_by_side_and_end_alone(network: Running, engine: docker.DockerClient) -> None:
    with running("a", "b") as other:
        assert other.answers("a", "b")
        project = other.runtime.layout.project
        assert project != network.runtime.layout.project
        assert len(left_over(engine, f"{PROJECT_LABEL}={project}")) == 3 + 3 + 2
    assert left_over(engine, f"{PROJECT_LABEL}={project}") == []
    assert network.answers("a", "b")


def test_a_container_that_ends_by_itself_fails_the_run_and_says_so(engine: docker.DockerClient, image: str) -> None:
    """Here somebody kills it behind our back."""
    with running("a", "b") as network:
        engine.containers.get(network.runtime.container_of("b")).kill()
        network.do(network.runtime.failed.wait())
        (problem,) = network.runtime.problems
        assert (problem.role, problem.what) == ("b", "exit")
        assert "ended with code 137 although nobody killed it" in problem.detail
