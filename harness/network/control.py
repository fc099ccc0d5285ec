"""The control socket of a running network: JSON lines over a Unix socket in its folder, for terminals and for Python.

A request is `{"do": …, …}`; its answer is `{"value": …}`, or `{"misuse": words}` or `{"failure": words}`. Requests of
one connection are carried out one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from harness.network import snapshots
from harness.network.descriptions import accounts_of, contracts_of
from harness.network.live import LiveNetwork
from harness.network.socket_path import SOCKET, short_path
from harness.network.values import Description, NetworkFailure, NetworkMisuse
from harness.ports import Json, PortError
from harness.runtimes.failure import RuntimeFailure
from harness.scenario.errors import ScenarioError

LINE_BYTES_MAX = 1 << 20
BACKLOG = 64


@contextlib.asynccontextmanager
async def control_socket(network: LiveNetwork) -> AsyncIterator[None]:
    """Answer on the network's socket while the block runs."""
    tasks: dict[asyncio.Task[None], None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks[task] = None
        try:
            await _converse(network, reader, writer)
        except asyncio.CancelledError:
            pass   # the network ends, and asyncio's streams take a cancelled handler for a broken one
        finally:
            tasks.pop(task, None)
            writer.close()

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listening:
        with short_path(network.folder / SOCKET) as name:
            listening.bind(name)
        listening.listen(BACKLOG)
        server = await asyncio.start_unix_server(serve, sock=listening.dup(), limit=LINE_BYTES_MAX)
        try:
            yield
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            if tasks:
                await asyncio.wait(list(tasks), timeout=1.0)


async def _converse(network: LiveNetwork, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            try:
                line = await reader.readline()
            except ValueError:   # longer than the limit: what follows would be read in the middle of it
                writer.write(orjson.dumps({"misuse": f"a request is at most {LINE_BYTES_MAX} bytes"}) + b"\n")
                await writer.drain()
                return
            if not line:
                return
            writer.write(orjson.dumps(await _answer(network, line), default=str) + b"\n")
            await writer.drain()


async def _answer(network: LiveNetwork, line: bytes) -> dict[str, Json]:
    try:
        request = orjson.loads(line)
        if not isinstance(request, dict):
            raise NetworkMisuse("a request is a JSON object")
        return {"value": await perform(network, request)}
    except orjson.JSONDecodeError as error:
        return {"misuse": f"not JSON: {error.msg}"}
    except (NetworkMisuse, ScenarioError) as error:
        return {"misuse": str(error)}
    except (NetworkFailure, RuntimeFailure, PortError, OSError, TimeoutError) as error:
        words = "; ".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])
        return {"failure": words}
    except Exception as error:
        return {"failure": f"{type(error).__name__}: {error}; this is a fault of the harness"}


def description(network: LiveNetwork) -> Description:
    """What a user needs to know of a network that is ready."""
    return Description(
        network.name, network.runtime_name, str(network.folder), network.endpoints(),
        accounts_of(network.origin.plan), contracts_of(network.origin.stage, network.origin.plan.project),
        network.fault_api(),
    )  # fmt: skip


async def perform(network: LiveNetwork, request: dict[str, Any]) -> Json:
    """Carry out one request."""
    do = request.get("do")
    match do:
        case "status":
            return network.status().to_json()
        case "endpoints":
            return [endpoint.to_json() for endpoint in network.endpoints()]
        case "accounts":
            return [account.to_json() for account in accounts_of(network.origin.plan)]
        case "contracts":
            return [contract.to_json() for contract in contracts_of(network.origin.stage, network.origin.plan.project)]
        case "description":
            return description(network).to_json()
        case "fault":
            words = request.get("fault")
            if not isinstance(words, dict):
                raise NetworkMisuse("fault is a mapping, as in a scenario file")
            return (await network.fault(words)).to_json()
        case "faults":
            return [fault.to_json() for fault in network.faults()]
        case "heal":
            return [fault.to_json() for fault in await network.heal(request.get("fault"))]
        case "log":
            return str(network.log(_text(request, "role")))
        case "save-snapshot":
            return (await network.save_snapshot(_text(request, "name"))).to_json()
        case "load-snapshot":
            return (await network.load_snapshot(_text(request, "name"))).to_json()
        case "snapshots":
            return [snapshot.to_json() for snapshot in snapshots.listed()]
        case "stop":
            network.ended.set()
            return None
    to_role: dict[object, Callable[[str], Any]] = {
        "kill": network.kill, "start": network.start_role, "restart": network.restart, "pause": network.pause,
        "resume": network.resume,
    }  # fmt: skip
    if do not in to_role:
        raise NetworkMisuse(f"no request is called {do!r}")
    await to_role[do](_text(request, "role"))
    return None


def _text(request: dict[str, Any], key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str):
        raise NetworkMisuse(f"{key} is missing")
    return value
