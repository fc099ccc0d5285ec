"""What each toxic does to connections, over real sockets: open ones feel it at once, and removing it undoes it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.proxy.world import World, run

KB = b"k" * 1000


def _toxic(kind: str, stream: str = "downstream", **attributes: int | float) -> dict[str, Any]:
    return {"type": kind, "stream": stream, "attributes": attributes}


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_latency_delays_an_open_connection_until_it_is_removed(stream: str) -> None:
    async def check(world: World) -> None:
        talk = await world.connect(await world.raw_proxy())
        assert await talk.echo(b"before") < 0.15
        await world.ask("POST", "/proxies/raw/toxics", _toxic("latency", stream, latency=200), status=200)
        assert 0.19 <= await talk.echo(b"during") < 1.0
        await world.ask("DELETE", f"/proxies/raw/toxics/latency_{stream}", status=204)
        assert await talk.echo(b"after") < 0.15

    run(check)


def test_jitter_varies_the_delay_and_keeps_the_order() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(await world.raw_proxy(_toxic("latency", latency=30, jitter=30)))
        took = [await talk.echo(b"%03d" % number) for number in range(12)]
        assert max(took) - min(took) > 0.01
        for number in range(50):
            talk.writer.write(b"%04d" % number)
            await asyncio.sleep(0)
        assert await talk.reader.readexactly(200) == b"".join(b"%04d" % number for number in range(50))

    run(check)


def test_bandwidth_lets_a_kilobyte_per_second_count() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(await world.raw_proxy(_toxic("bandwidth", rate=50)))
        assert 0.35 <= await talk.echo(20 * KB) < 1.5
        await world.ask("POST", "/proxies/raw/toxics/bandwidth_downstream", {"attributes": {"rate": 100_000}})
        assert await talk.echo(20 * KB) < 0.3

    run(check)


def test_bandwidth_of_nothing_holds_the_data_and_removing_it_lets_it_go() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(await world.raw_proxy(_toxic("bandwidth", rate=0)))
        talk.writer.write(b"held")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await talk.reader.readexactly(4)
        await world.ask("DELETE", "/proxies/raw/toxics/bandwidth_downstream", status=204)
        assert await talk.reader.readexactly(4) == b"held"

    run(check)


def test_slow_close_delays_the_close_and_not_the_data() -> None:
    async def check(world: World) -> None:
        port = await world.raw_proxy(_toxic("slow_close", delay=300), _toxic("limit_data", bytes=3))
        talk = await world.connect(port)
        talk.writer.write(b"abcdef")
        began = time.monotonic()
        assert await talk.reader.readexactly(3) == b"abc"
        assert time.monotonic() - began < 0.2
        assert await talk.ended() == "closed"

    run(check)


def test_slow_close_holds_the_close_of_the_server_back() -> None:
    async def check(world: World) -> None:
        port = await world.raw_proxy(_toxic("limit_data", bytes=3), _toxic("slow_close", delay=300))
        talk = await world.connect(port)
        talk.writer.write(b"abcdef")
        began = time.monotonic()
        assert await talk.reader.readexactly(3) == b"abc"
        assert await talk.ended() == "closed"
        assert 0.28 <= time.monotonic() - began < 2.0

    run(check)


def test_timeout_lets_nothing_through_and_closes_after_it() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(await world.raw_proxy(_toxic("timeout", timeout=200)))
        began = time.monotonic()
        talk.writer.write(b"lost")
        assert await talk.ended() == "closed"
        assert 0.18 <= time.monotonic() - began < 2.0

    run(check)


def test_an_endless_timeout_closes_when_it_is_removed_and_not_before() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(await world.raw_proxy(_toxic("timeout", timeout=0)))
        talk.writer.write(b"lost")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await talk.reader.read(1)
        await world.ask("DELETE", "/proxies/raw/toxics/timeout_downstream", status=204)
        assert await talk.ended() == "closed"

    run(check)


def test_reset_peer_resets_after_the_first_data() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(await world.raw_proxy(_toxic("reset_peer", "upstream", timeout=100)))
        began = time.monotonic()
        talk.writer.write(b"x")
        assert await talk.ended() == "reset"
        assert 0.09 <= time.monotonic() - began < 2.0

    run(check)


def test_slicer_cuts_data_in_pieces_and_loses_none() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(
            await world.raw_proxy(_toxic("slicer", average_size=100, size_variation=20, delay=20_000))
        )
        talk.writer.write(KB)
        pieces = []
        while sum(map(len, pieces)) < len(KB):
            pieces.append(await talk.reader.read(1 << 16))
        assert b"".join(pieces) == KB
        assert len(pieces) >= 5
        assert len(set(map(len, pieces))) > 1

    run(check)


def test_limit_data_closes_when_the_limit_is_reached_and_counts_on_after_an_update() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(await world.raw_proxy(_toxic("limit_data", bytes=10)))
        await talk.echo(b"12345")
        await world.ask("POST", "/proxies/raw/toxics/limit_data_downstream", {"attributes": {"bytes": 8}}, status=200)
        talk.writer.write(b"67890")
        assert await talk.reader.read() == b"678"

    run(check)


def test_toxicity_spares_the_share_of_connections_it_says_and_the_same_ones_every_time() -> None:
    async def check(world: World) -> None:
        port = await world.raw_proxy({**_toxic("latency", latency=60), "toxicity": 0.5})
        slow = []
        for _ in range(24):
            talk = await world.connect(port)
            slow.append(await talk.echo(b"x") >= 0.055)
        assert 5 <= sum(slow) <= 19
        drawn.append(slow)

    drawn: list[list[bool]] = []
    run(check)
    run(check)
    assert drawn[0] == drawn[1]


def test_toxics_chain_in_the_order_they_were_added() -> None:
    """A limit behind a latency counts what comes out of it; both delays add."""

    async def check(world: World) -> None:
        port = await world.raw_proxy(
            {**_toxic("latency", latency=80), "name": "one"}, {**_toxic("latency", latency=80), "name": "two"}
        )
        talk = await world.connect(port)
        assert await talk.echo(b"x") >= 0.155

    run(check)


def test_loss_loses_whole_messages_of_a_link_and_the_connection_works_on() -> None:
    async def check(world: World) -> None:
        await world.ask("POST", "/proxies/a->b/toxics", _toxic("loss", "upstream", probability=1), status=200)
        talk = await world.connect(world.link_port)
        assert await talk.post(b"lost", within_s=0.2) is None
        await world.ask("DELETE", "/proxies/a->b/toxics/loss_upstream", status=204)
        assert await talk.post(b"there") == b"there"

    run(check)


def test_a_cut_of_one_direction_is_silent_and_heals_without_a_reset() -> None:
    async def check(world: World) -> None:
        talk = await world.connect(world.link_port)
        assert await talk.post(b"1") == b"1"
        await world.ask("POST", "/proxies/a->b/toxics", _toxic("cut", "downstream"), status=200)
        assert await talk.post(b"2", within_s=0.2) is None
        await world.ask("DELETE", "/proxies/a->b/toxics/cut_downstream", status=204)
        assert await talk.post(b"3") == b"3"

    run(check)


def test_flapping_passes_and_cuts_by_turns() -> None:
    async def check(world: World) -> None:
        await world.ask("POST", "/proxies/a->b/toxics", _toxic("flapping", "upstream", up=150, down=150), status=200)
        talk = await world.connect(world.link_port)
        turns = []  # whether a message passed, each time that changed
        while len(turns) < 4:
            passed = await talk.post(b"x", within_s=0.05) is not None
            if not turns or turns[-1] != passed:
                turns.append(passed)

    run(check)


def test_a_large_body_passes_whole_through_toxics_that_come_and_go() -> None:
    """The kernel carries large bodies; toxics must see all of those that begin under them, and none may be damaged."""

    async def check(world: World) -> None:
        body = bytes(range(256)) * 8192
        talk = await world.connect(world.link_port)
        assert await talk.post(body) == body
        await world.ask("POST", "/proxies/a->b/toxics", _toxic("slicer", average_size=50_000), status=200)
        answer = asyncio.ensure_future(talk.post(body))
        for turn in range(5):
            await world.ask("POST", "/proxies/a->b/toxics", _toxic("latency", "upstream", latency=turn))
            await world.ask("DELETE", "/proxies/a->b/toxics/latency_upstream")
        assert await answer == body

    run(check)


def test_a_dawdling_client_of_a_slow_proxy_holds_a_bounded_amount() -> None:
    """What a slow link holds back is bounded: the source is not read meanwhile."""

    async def check(world: World) -> None:
        talk = await world.connect(await world.raw_proxy(_toxic("bandwidth", "upstream", rate=1)))
        talk.writer.transport.set_write_buffer_limits(high=1)
        talk.writer.write(bytes(64 << 20))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await talk.writer.drain()
        assert talk.writer.transport.get_write_buffer_size() > 32 << 20

    run(check)
