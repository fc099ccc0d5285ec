"""Toxiproxy's HTTP API, version 2: same routes, JSON, status codes and error bodies, so that its clients drive ours.

Every directed link of the network is a proxy (`sequencer-0->sequencer-1`, and `user->sequencer-0` for a public RPC
port); users may add proxies of their own. The API listens on 127.0.0.1 alone, in the proxy's own loop: a request costs
microseconds there, and one that dawdles only waits for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from harness.proxy.proxies import Proxies
from harness.proxy.toxics import NAME_CHARS_MAX, ToxicError, bad_body

VERSION = "2.12.0"
"""The Toxiproxy whose API this is."""
REQUEST_BYTES_MAX = 1 << 20
READ_TIMEOUT_S = 15.0
POPULATED_MAX = 1000


def toxiproxy_application(proxies: Proxies) -> web.Application:
    """The API over the proxies of one server."""
    api = _Api(proxies)
    application = web.Application(middlewares=[_answering], client_max_size=REQUEST_BYTES_MAX)
    one, toxic = "/proxies/{proxy}", "/proxies/{proxy}/toxics/{toxic}"
    application.add_routes([
        web.get("/version", api.version),
        web.post("/reset", api.reset),
        web.post("/populate", api.populate),
        web.get("/proxies", api.index),
        web.post("/proxies", api.create),
        web.get(one, api.show),
        web.post(one, api.update),
        web.patch(one, api.update),
        web.delete(one, api.delete),
        web.get(f"{one}/toxics", api.toxic_index),
        web.post(f"{one}/toxics", api.toxic_create),
        web.get(toxic, api.toxic_show),
        web.post(toxic, api.toxic_update),
        web.patch(toxic, api.toxic_update),
        web.delete(toxic, api.toxic_delete),
    ])
    return application


class _Api:
    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    async def version(self, request: web.Request) -> web.Response:
        return _json({"version": VERSION})

    async def reset(self, request: web.Request) -> web.Response:
        await self._proxies.reset()
        return web.Response(status=204)

    async def index(self, request: web.Request) -> web.Response:
        return _json({proxy.name: proxy.to_json() for proxy in self._proxies.all()})

    async def create(self, request: web.Request) -> web.Response:
        body = await _object(request)
        for name in ("name", "upstream"):
            if not _text(body, name):
                raise ToxicError(f"missing required field: {name}", 400)
        proxy = await self._proxies.create(
            _text(body, "name"), _text(body, "listen"), _text(body, "upstream"), enabled=_flag(body, default=True)
        )
        return _json(proxy.to_json(), status=201)

    async def populate(self, request: web.Request) -> web.Response:
        body = await _body(request)
        if not isinstance(body, list) or not all(isinstance(entry, dict) for entry in body):
            raise bad_body("expected a list of proxies")
        if len(body) > POPULATED_MAX:
            raise bad_body(f"{len(body)} proxies at once; at most {POPULATED_MAX}")
        for number, entry in enumerate(body, start=1):
            for name in ("name", "upstream"):
                if not _text(entry, name):
                    raise ToxicError(f"missing required field: {name} at proxy {number}", 400)
        done: list[dict[str, Any]] = []
        for entry in body:
            try:
                proxy = await self._proxies.create_or_replace(
                    _text(entry, "name"), _text(entry, "listen"), _text(entry, "upstream"),
                    enabled=_flag(entry, default=True),
                )  # fmt: skip
            except ToxicError as error:
                return _json({"error": str(error), "status": error.status, "proxies": done}, status=error.status)
            done.append(proxy.to_json())
        return _json({"proxies": done}, status=201)

    async def show(self, request: web.Request) -> web.Response:
        return _json(self._proxy(request).to_json())

    async def update(self, request: web.Request) -> web.Response:
        proxy, body = self._proxy(request), await _object(request)
        now = proxy.to_json()
        await self._proxies.change(
            proxy, _text(body, "listen") or now["listen"], _text(body, "upstream") or now["upstream"],
            enabled=_flag(body, default=proxy.enabled),
        )  # fmt: skip
        return _json(proxy.to_json())

    async def delete(self, request: web.Request) -> web.Response:
        self._proxies.remove(request.match_info["proxy"])
        return web.Response(status=204)

    async def toxic_index(self, request: web.Request) -> web.Response:
        return _json(self._proxy(request).toxics_json())

    async def toxic_create(self, request: web.Request) -> web.Response:
        return _json(self._proxy(request).add_toxic(await _body(request)).to_json())

    async def toxic_show(self, request: web.Request) -> web.Response:
        return _json(self._proxy(request).toxic(request.match_info["toxic"]).to_json())

    async def toxic_update(self, request: web.Request) -> web.Response:
        proxy = self._proxy(request)
        return _json(proxy.change_toxic(request.match_info["toxic"], await _body(request)).to_json())

    async def toxic_delete(self, request: web.Request) -> web.Response:
        self._proxy(request).remove_toxic(request.match_info["toxic"])
        return web.Response(status=204)

    def _proxy(self, request: web.Request) -> Any:
        return self._proxies.get(request.match_info["proxy"])


@web.middleware
async def _answering(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if request.headers.get("User-Agent", "").startswith("Mozilla/"):
        # As Toxiproxy does: no page that a browser shows may reach this.
        return web.Response(text="User agent not allowed\n", status=403)
    try:
        return await handler(request)
    except ToxicError as error:
        return _json({"error": str(error), "status": error.status}, status=error.status)
    except web.HTTPException as error:
        return _json({"error": error.reason.lower(), "status": error.status}, status=error.status)


async def _body(request: web.Request) -> Any:
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise bad_body(str(error)) from error
    except TimeoutError as error:
        raise ToxicError(f"the request's body did not come within {READ_TIMEOUT_S:g} s", 408) from error


async def _object(request: web.Request) -> dict[str, Any]:
    body = await _body(request)
    if not isinstance(body, dict):
        raise bad_body(f"expected an object, not {type(body).__name__}")
    return body


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > NAME_CHARS_MAX:
        raise bad_body(f"{key} must be a string of at most {NAME_CHARS_MAX} characters, not {str(value)[:60]}")
    return value


def _flag(body: dict[str, Any], *, default: bool) -> bool:
    value = body.get("enabled")
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad_body(f"enabled must be true or false, not {str(value)[:60]}")
    return value


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json", status=status)
