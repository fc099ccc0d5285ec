"""The kernel of a sending container loses and slows what goes over one link, says how much, and then no more."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import docker
import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from harness.ports import LinkCounters, LinkRule
from harness.runtimes.compose.kernel_links import KernelLinks, _Link, added, count, script, split
from harness.runtimes.compose.netadmin import Helper, HelperFailure, helper_image
from harness.runtimes.compose.removal import remove_labelled

LABEL = f"harness.test.kernel={os.getpid()}"
LABELS = dict([LABEL.split("=")])
PORTS = (7001, 7002)
SERVER = f"""
import socketserver, threading
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
for port in {PORTS[1:]}: threading.Thread(target=Server(("", port), Echo).serve_forever, daemon=True).start()
print("ready", flush=True)
Server(("", {PORTS[0]}), Echo).serve_forever()
"""
CLIENT = """
import socket, sys, time
port, lines, size = map(int, sys.argv[2:])
with socket.create_connection((sys.argv[1], port), timeout=60) as peer:
    file, began = peer.makefile("rwb"), time.monotonic()
    for _ in range(lines):
        file.write(b"x" * size + b"\\n"); file.flush(); assert len(file.readline()) == size + 1
print(round(1000 * (time.monotonic() - began)))
"""


def wait_for_log(container: Any) -> None:
    """Until it has said that it listens; the SDK's following stream leaves its socket to the garbage collector."""
    for attempt in Retrying(stop=stop_after_delay(60), wait=wait_fixed(0.1), reraise=True):
        with attempt:
            assert b"ready" in container.logs()


def test_rules_are_split_between_the_kernel_and_the_proxy() -> None:
    kernel, proxy = split({"f1": LinkRule(loss=0.1, via="kernel"), "f2": LinkRule(delay_ms=5)})
    assert (list(kernel), list(proxy)) == (["f1"], ["f2"])


def test_counters_of_the_kernel_and_the_proxy_add_up() -> None:
    """A kernel's drop is a loss to whoever judges; and it stays visible whose it was."""
    both = added(LinkCounters(messages=5, lost=1), LinkCounters(lost=3, delayed=2, kernel_packets=9, kernel_dropped=3))
    assert both == LinkCounters(messages=5, lost=4, delayed=2, kernel_packets=9, kernel_dropped=3)


def test_what_only_netem_can_do_is_asked_of_netem_and_rate_of_tbf_under_it() -> None:
    """This machine's kernel may have no netem: the words themselves are what can be checked everywhere."""
    link = _Link(2, "10.1.1.1", 80, {"f1": LinkRule(delay_ms=40, jitter_ms=5, correlation=0.25, rate_bps=8000)})
    text = script(link, "eth0")
    assert "parent 1:2 handle 1004: netem limit 10000 delay 40ms 5ms 25%" in text
    assert "parent 1004:1 handle 1005: tbf rate 8000bit burst 3200 latency 5s" in text
    assert "statistic" not in text


def test_other_links_counters_are_not_ours() -> None:
    """Chain 1 is not chain 11."""
    listing = (
        "[9:1] -A HARNESS -d 10.0.0.1/32 -j HARNESS-11\n[4:1] -A HARNESS -d 10.0.0.1/32 -j HARNESS-1\n"
        "[7:1] -A HARNESS-11 -m statistic -j DROP\n[2:1] -A HARNESS-1 -m statistic -j DROP\n\n"
        '[{"kind":"tbf","parent":"1:11","drops":5,"overlimits":6,"packets":8},'
        '{"kind":"tbf","parent":"1:1","drops":1,"overlimits":3,"packets":4}]'
    )
    found = count(listing, _Link(1, "10.0.0.1", 1))
    assert (found.seen, found.lost, found.held) == (4, 3, 3)


@pytest.mark.docker
class TestInContainers:
    @pytest.fixture
    def pair(self, engine: docker.DockerClient, image: str) -> Iterator[tuple[Any, str]]:
        """A container without any capability, and the address of another that answers it."""
        try:
            network = engine.networks.create(f"test-kernel-{os.getpid()}", internal=True, labels=LABELS)
            options: dict[str, Any] = {
                "detach": True, "labels": LABELS, "network": network.name, "cap_drop": ["ALL"], "user": "10001",
                "security_opt": ["no-new-privileges"], "init": True,
            }
            server = engine.containers.run(image, ["python", "-c", SERVER], **options)
            sender = engine.containers.run(image, ["sleep", "infinity"], **options)
            wait_for_log(server)
            server.reload()
            yield sender, next(iter(server.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
        finally:
            assert remove_labelled(engine, LABEL).failures == []

    @pytest.fixture
    def opener(self, engine: docker.DockerClient, image: str, pair: tuple[Any, str]) -> Callable[[str], Helper]:
        tools = helper_image(engine, image)
        return lambda _: Helper(engine, image=tools, target=str(pair[0].id), labels=LABELS)

    @asynccontextmanager
    async def links(self, opener: Callable[[str], Helper]) -> AsyncIterator[KernelLinks]:
        links = KernelLinks(opener)
        try:
            yield links
        finally:
            await links.close()

    def talk(self, sender: Any, address: str, port: int, *, lines: int = 40, size: int = 10) -> int:
        """Milliseconds that so many lines and their echoes took."""
        code, output = sender.exec_run(["python", "-c", CLIENT, address, str(port), str(lines), str(size)])
        assert code == 0, output.decode()
        return int(output)

    def test_loss_bites_on_its_link_alone_and_heals(
        self, pair: tuple[Any, str], opener: Callable[[str], Helper]
    ) -> None:
        """Three in ten packets to one port vanish, and are counted; to the other none; afterwards none."""
        sender, address = pair

        async def storm() -> None:
            async with self.links(opener) as links:
                rule = LinkRule(loss=0.3, via="kernel")
                assert await links.can("a", rule)
                await links.set_rules("a", "b", address=address, port=PORTS[0], rules={"f1": rule})
                await links.set_rules("a", "c", address=address, port=PORTS[1], rules={"f2": LinkRule(via="kernel")})
                slow = self.talk(sender, address, PORTS[0])
                quick = self.talk(sender, address, PORTS[1])
                during = await links.counters("a", "b")
                assert 0.1 < during.kernel_dropped / during.kernel_packets < 0.55, during
                assert during.lost == during.kernel_dropped
                beside = await links.counters("a", "c")
                assert beside.kernel_dropped == 0
                assert beside.kernel_packets > 40
                assert slow > 2 * quick, "a lost packet is sent again after 200 ms at least"
                await links.set_rules("a", "b", address=address, port=PORTS[0], rules={})
                healed = await links.counters("a", "b")
                assert healed.kernel_packets >= during.kernel_packets, "it forgets nothing"
                self.talk(sender, address, PORTS[0])   # a last packet of before may have come between those two looks
                assert await links.counters("a", "b") == healed, "it counts no more"
                assert (await links.counters("b", "a")) == LinkCounters()

        asyncio.run(storm())

    def test_rate_holds_packets_back_and_heals(self, pair: tuple[Any, str], opener: Callable[[str], Helper]) -> None:
        """8 kB at 64 kbit/s take a second; the other link is as fast as ever."""
        sender, address = pair

        async def storm() -> None:
            async with self.links(opener) as links:
                rule = LinkRule(rate_bps=64_000, via="kernel")
                await links.set_rules("a", "b", address=address, port=PORTS[0], rules={"f1": rule})
                slow = self.talk(sender, address, PORTS[0], lines=12, size=1000)
                quick = self.talk(sender, address, PORTS[1], lines=12, size=1000)
                moved = await links.counters("a", "b")
                assert slow > 800, moved
                assert quick < slow / 3
                assert moved.delayed > 0
                await links.set_rules("a", "b", address=address, port=PORTS[0], rules={})
                assert self.talk(sender, address, PORTS[0], lines=12, size=1000) < slow / 3

        asyncio.run(storm())

    def test_two_faults_on_one_link_and_what_is_left_of_them(
        self, pair: tuple[Any, str], opener: Callable[[str], Helper]
    ) -> None:
        """Each takes only its own rule away."""
        sender, address = pair

        async def storm() -> None:
            async with self.links(opener) as links:
                one, two = LinkRule(loss=0.2, via="kernel"), LinkRule(loss=0.2, rate_bps=1_000_000, via="kernel")
                for rules in ({"f1": one}, {"f1": one, "f2": two}, {"f2": two}):
                    await links.set_rules("a", "b", address=address, port=PORTS[0], rules=rules)
                helper = opener("a")
                with contextlib.closing(helper):
                    saved = helper.run("iptables-save -t filter")
                    assert saved.count("-j DROP") == 1
                    assert "--comment f2" in saved
                self.talk(sender, address, PORTS[0])
                assert (await links.counters("a", "b")).kernel_dropped > 0

        asyncio.run(storm())

    def test_rules_come_back_in_the_new_namespace_of_a_restarted_container(
        self, pair: tuple[Any, str], opener: Callable[[str], Helper]
    ) -> None:
        """A kill in the middle of a loss does not heal it, and what had been counted is not forgotten."""
        sender, address = pair

        async def storm() -> None:
            async with self.links(opener) as links:
                rule = LinkRule(loss=0.3, via="kernel")
                await links.set_rules("a", "b", address=address, port=PORTS[0], rules={"f1": rule})
                self.talk(sender, address, PORTS[0])
                before = await links.counters("a", "b")
                await links.gone("a")
                sender.kill()
                sender.wait()
                assert await links.counters("a", "b") == before
                assert not await links.can("a", rule)
                assert "no helper" in links.refusal
                sender.start()
                await links.restarted("a")
                self.talk(sender, address, PORTS[0])
                after = await links.counters("a", "b")
                assert after.kernel_dropped > before.kernel_dropped
                await links.set_rules("a", "b", address=address, port=PORTS[0], rules={})

        asyncio.run(storm())

    def test_what_the_kernel_can_not_do_is_refused_with_the_reason(
        self, pair: tuple[Any, str], opener: Callable[[str], Helper]
    ) -> None:
        """Latency needs netem; the answer is what tc itself says on this kernel."""

        async def storm() -> None:
            async with self.links(opener) as links:
                helper = opener("a")
                with contextlib.closing(helper):
                    has_netem = "yes" in helper.run("tc qdisc add dev lo root netem delay 1us && echo yes || true")
                assert await links.can("a", LinkRule(delay_ms=5, via="kernel")) is has_netem
                assert links.refusal == ("" if has_netem else "this kernel has no netem")
                assert not await links.can("a", LinkRule(delay_ms=5, distribution="exponential", via="kernel"))

        asyncio.run(storm())

    def test_a_failing_command_is_told_and_the_helper_lives_on(self, opener: Callable[[str], Helper]) -> None:
        helper = opener("a")
        with contextlib.closing(helper):
            with pytest.raises(HelperFailure, match=r"ended with 2: .*unknown option"):
                helper.run("iptables --nonsense")
            assert helper.run("echo here") == "here\n"

    def test_a_helper_that_does_not_answer_is_replaced_and_its_rules_stay(
        self, pair: tuple[Any, str], opener: Callable[[str], Helper]
    ) -> None:
        """Its late answer must never be taken for the answer to another command."""
        sender, address = pair
        opened: list[Helper] = []

        def open_and_keep(role: str) -> Helper:
            opened.append(opener(role))
            return opened[-1]

        async def storm() -> None:
            async with self.links(open_and_keep) as links:
                rule = LinkRule(loss=0.3, via="kernel")
                await links.set_rules("a", "b", address=address, port=PORTS[0], rules={"f1": rule})
                with pytest.raises(HelperFailure, match=r"within 0\.3 s"):
                    opened[0].run("sleep 2; echo late", timeout_s=0.3)
                assert await links.can("a", rule)
                self.talk(sender, address, PORTS[0])
                assert (await links.counters("a", "b")).kernel_dropped > 0
                await links.set_rules("a", "b", address=address, port=PORTS[0], rules={})
                assert len(opened) == 2

        asyncio.run(storm())

    def test_the_helper_has_one_capability_and_the_node_none(
        self, pair: tuple[Any, str], opener: Callable[[str], Helper]
    ) -> None:
        """NET_ADMIN is bit 12."""
        helper = opener("a")
        with contextlib.closing(helper):
            assert int(helper.run("sed -n 's/CapEff:.//p' /proc/self/status"), 16) == 1 << 12
        assert int(pair[0].exec_run(["sed", "-n", "s/CapEff:.//p", "/proc/self/status"])[1], 16) == 0
