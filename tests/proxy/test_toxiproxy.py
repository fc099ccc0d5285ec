"""Toxiproxy's API as its clients know it: its own Python and Node clients drive ours, and garbage gets its errors."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import time
from typing import Any

import pytest
import toxiproxy
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from harness.proxy.toxiproxy import VERSION
from tests.proxy import node_client
from tests.proxy.world import World, run

LATENCY = {"type": "latency", "attributes": {"latency": 50}}


def test_the_python_client_creates_changes_and_removes_toxics_on_a_link() -> None:
    """toxiproxy-python, unchanged, in a thread beside the proxy it drives."""

    def session(world: World) -> None:
        api = toxiproxy.Toxiproxy()
        api.update_api_consumer("127.0.0.1", int(world.api.rpartition(":")[2]))
        assert api.running()
        assert json.loads(api.version()) == {"version": VERSION}
        link = api.get_proxy("a->b")
        assert (link.listen, link.enabled) == (f"127.0.0.1:{world.link_port}", True)
        link.add_toxic(type="latency", stream="upstream", attributes={"latency": 70, "jitter": 5})
        toxic = link.get_toxic("latency_upstream")
        assert (toxic.type, toxic.toxicity, toxic.attributes) == ("latency", 1.0, {"latency": 70, "jitter": 5})
        APIConsumer.post("/proxies/a->b/toxics/latency_upstream", json={"attributes": {"latency": 90}})
        assert link.get_toxic("latency_upstream").attributes == {"latency": 90, "jitter": 5}
        with pytest.raises(ProxyExists):
            link.add_toxic(type="latency", stream="upstream")
        with pytest.raises(InvalidToxic):
            link.add_toxic(type="nonsense")
        assert link.destroy_toxic("latency_upstream")
        assert link.toxics() == {}
        with pytest.raises(NotFound):
            link.destroy_toxic("latency_upstream")

        own = api.create(name="own", upstream=world.raw)
        with own.down():
            assert not api.get_proxy("own").enabled
        assert api.get_proxy("own").enabled
        assert len(api.populate([{"name": "second", "upstream": world.raw, "listen": "127.0.0.1:0"}])) == 1
        assert api.reset()
        assert api.destroy(api.get_proxy("second"))
        assert api.destroy(own)
        assert set(api.proxies()) == {"a->b"}

    run(lambda world: asyncio.to_thread(session, world))


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed, and with it no Node client")
def test_the_node_client_creates_changes_and_removes_toxics_on_a_link() -> None:
    """toxiproxy-node-client, unchanged, as a process of its own."""

    def session(world: World) -> None:
        seen = node_client.take("session.js", world.api, "a->b", world.raw)
        toxic: dict[str, Any] = {
            "name": "slow", "type": "latency", "stream": "upstream", "toxicity": 1,
            "attributes": {"latency": 120, "jitter": 0},
        }  # fmt: skip
        assert json.loads(seen["version"]) == {"version": VERSION}
        assert seen["names"] == ["a->b"]
        assert seen["link"]["listen"] == f"127.0.0.1:{world.link_port}"
        assert seen["added"] == toxic
        assert seen["changed"] == {**toxic, "toxicity": 0.5, "attributes": {"latency": 30, "jitter": 0}}
        assert seen["read"] == seen["changed"]
        assert seen["own"]["upstream"] == world.raw
        assert (seen["disabled"], seen["populated"], seen["enabledAgain"]) == (False, ["second"], True)
        assert "404" in seen["removed"]
        assert "404" in seen["gone"]

    run(lambda world: asyncio.to_thread(session, world))


def test_what_is_asked_wrongly_is_refused_with_toxiproxys_words_and_status() -> None:
    async def check(world: World) -> None:
        cases: list[tuple[str, str, Any, int, str]] = [
            ("POST", "/proxies", {"upstream": "x:1"}, 400, "missing required field: name"),
            ("POST", "/proxies", {"name": "x"}, 400, "missing required field: upstream"),
            ("POST", "/proxies", [], 400, "bad request body: expected an object, not list"),
            ("POST", "/proxies", {"name": "a->b", "upstream": "x:1"}, 409, "proxy already exists"),
            ("POST", "/proxies", {"name": "x", "upstream": "here"}, 500, "address here: missing port in address"),
            ("GET", "/proxies/none", None, 404, "proxy not found"),
            ("DELETE", "/proxies/none", None, 404, "proxy not found"),
            ("GET", "/proxies/a->b/toxics/none", None, 404, "toxic not found"),
            ("POST", "/proxies/a->b/toxics/none", {}, 404, "toxic not found"),
            ("POST", "/proxies/a->b/toxics", {"type": "nonsense"}, 400, "invalid toxic type"),
            ("POST", "/proxies/a->b/toxics", {**LATENCY, "stream": "sideways"}, 400,
             "stream was invalid, can be either upstream or downstream"),
            ("POST", "/proxies/a->b/toxics", {"type": "latency", "attributes": {"latency": "long"}}, 400,
             "bad request body: attribute latency must be a whole number from 0 on, not long"),
            ("POST", "/populate", [{"name": "x"}], 400, "missing required field: upstream at proxy 1"),
        ]  # fmt: skip
        for method, path, body, status, error in cases:
            assert await world.ask(method, path, body, status=status) == {"error": error, "status": status}
        assert list(await world.ask("GET", "/proxies")) == ["a->b"]

    run(check)


def test_the_networks_links_cannot_be_deleted_or_moved_and_say_so() -> None:
    """A client that tidies up by deleting all proxies would otherwise take the network apart."""

    async def check(world: World) -> None:
        for method, body in (("DELETE", None), ("POST", {"upstream": "127.0.0.1:9"})):
            refusal = await world.ask(method, "/proxies/a->b", body, status=403)
            assert "a link of the running network" in refusal["error"]
        assert await (await world.connect(world.link_port)).post(b"still there") == b"still there"

    run(check)


def test_nothing_listens_beyond_this_machine() -> None:
    async def check(world: World) -> None:
        for listen in ("0.0.0.0:0", "[::]:0", "10.0.0.1:1"):
            refusal = await world.ask(
                "POST", "/proxies", {"name": "x", "upstream": "x:1", "listen": listen}, status=400
            )
            assert "is not on 127.0.0.1" in refusal["error"]
        made = await world.ask("POST", "/proxies", {"name": "x", "upstream": "x:1", "listen": ":0"}, status=201)
        assert made["listen"].startswith("127.0.0.1:")

    run(check)


def test_a_disabled_link_drops_its_connections_refuses_new_ones_and_comes_back_where_it_was() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(world.link_port)
        assert await talk.post(b"1") == b"1"
        shown = await world.ask("PATCH", "/proxies/a->b", {"enabled": False}, status=200)
        assert shown["enabled"] is False
        assert await talk.ended() in ("reset", "closed")
        with pytest.raises(ConnectionRefusedError):
            await world.connect(world.link_port)
        await world.ask("POST", "/reset", status=204)
        assert await (await world.connect(world.link_port)).post(b"2") == b"2"

    run(check)


def test_a_port_that_is_taken_leaves_no_proxy_behind() -> None:
    async def check(world: World) -> None:
        listen = f"127.0.0.1:{world.link_port}"
        refusal = await world.ask("POST", "/proxies", {"name": "x", "upstream": "x:1", "listen": listen}, status=500)
        assert "in use" in refusal["error"]
        await world.ask("GET", "/proxies/x", status=404)

    run(check)


def test_populate_leaves_equal_proxies_alone_and_replaces_changed_ones() -> None:
    async def check(world: World) -> None:
        port = await world.raw_proxy(LATENCY)
        same = {"name": "raw", "listen": f"127.0.0.1:{port}", "upstream": world.raw}
        answer = await world.ask("POST", "/populate", [same], status=201)
        assert len(answer["proxies"][0]["toxics"]) == 1
        other = f"127.0.0.1:{world.link_port}"
        answer = await world.ask("POST", "/populate", [{**same, "upstream": other}], status=201)
        assert (answer["proxies"][0]["toxics"], answer["proxies"][0]["upstream"]) == ([], other)

    run(check)


def test_a_page_in_a_browser_is_turned_away() -> None:
    async def check(world: World) -> None:
        async with world.http.get(world.api + "/proxies", headers={"User-Agent": "Mozilla/5.0"}) as reply:
            assert reply.status == 403

    run(check)


def test_garbage_never_breaks_the_api_nor_the_links() -> None:
    """Bodies, paths and bytes of every wrong kind get a 4xx, and relaying goes on."""

    async def check(world: World) -> None:
        bodies = [
            b"", b"{", b"null", b"[]", b"[1]", b'"x"', b"\xff\xfe", b'{"name": 5}', b'{"name": null, "type": {}}',
            b'{"type": "latency", "attributes": []}', b'{"type": "latency", "toxicity": "all"}',
            b'{"type": "latency", "attributes": {"latency": -1}}',
            b'{"type": "bandwidth", "attributes": {"rate": 1e400}}',
            b'{"type": "slicer", "attributes": {"average_size": 9223372036854775808}}', b"[" * 5000,
            b'{"name": "%s", "upstream": "x:1"}' % (b"n" * 1000), b'{"enabled": "yes"}',
            b'{"name": "x", "upstream": "x:99999"}', b'{"name": "x", "upstream": "x:1", "listen": "127.0.0.1:-1"}',
            b"x" * (1 << 20) + b"y",
        ]  # fmt: skip
        link = "/proxies/a->b"
        paths = ["/proxies", "/populate", link, f"{link}/toxics", "/proxies/%00/toxics/%2f", "/nowhere"]
        for path in paths:
            for body in bodies:
                async with world.http.post(world.api + path, data=io.BytesIO(body)) as reply:
                    assert reply.status < 500 or b"listen" in body or b"upstream" in body, (path, body, reply.status)
        talk = await world.connect(int(world.api.rpartition(":")[2]))
        talk.writer.write(b"\x16\x03\x01\x00 garbage\r\n\r\n" * 100)
        await talk.ended()
        assert list(await world.ask("GET", "/proxies", status=200)) == ["a->b"]
        await world.ask("POST", "/reset", status=204)
        assert await (await world.connect(world.link_port)).post(b"fine") == b"fine"

    run(check)


def test_dawdling_clients_of_the_api_delay_no_relaying() -> None:
    """Two hundred clients that send half a request, or never read: a relayed message still takes its usual time."""

    async def check(world: World) -> None:
        talk = await world.connect(world.link_port)
        usual = sorted([await _timed(talk.post(b"x")) for _ in range(50)])[45]
        port = int(world.api.rpartition(":")[2])
        for number in range(200):
            slow = await world.connect(port)
            slow.writer.write(
                b"POST /proxies HTTP/1.1\r\nContent-Length: 900000\r\n\r\n{" if number % 2
                else b"GET /proxies HTTP/1.1\r\nHost: x\r\n\r\n" * 20
            )  # fmt: skip
        crowded = sorted([await _timed(talk.post(b"x")) for _ in range(50)])[45]
        assert crowded < max(0.05, 20 * usual), (usual, crowded)

    run(check)


async def _timed(answer: Any) -> float:
    began = time.monotonic()
    assert await answer is not None
    return time.monotonic() - began
