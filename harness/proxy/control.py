"""The proxy's control API: a few JSON routes over HTTP on a Unix socket, for the runtime that started the proxy.

| route | does |
|---|---|
| `GET /links` | every link with port, target, rules and counters |
| `GET /ports` | only the ports: `{src: {dst: port}}` |
| `PUT /links/{src}/{dst}/rules` | replace the link's fault rules: `{fault id: {delay_ms: …}}` |
| `GET /links/{src}/{dst}/counters` | what the link has done since the start |
| `GET /api` | the port of Toxiproxy's API, or null |
| `PUT /fronts` | where roles' public servers listen now, as in `/targets` |
| `PUT /targets` | where roles listen now: `{role: {"host": …, "port": …}}`, or null for one that does not |
| `POST /reset` | lift every fault rule |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from harness.proxy.control_values import BadRule, rules_from_json, rules_to_json, targets_from_json
from harness.proxy.server import ProxyServer, UnknownLink

REQUEST_BYTES_MAX = 1 << 20


def control_application(proxy: ProxyServer, *, api_port: int | None = None) -> web.Application:
    """The routes above over one proxy. Toxiproxy's API over the same proxy is another application beside this one."""

    async def get_links(request: web.Request) -> web.Response:
        return _json([
            {
                "src": link.src, "dst": link.dst, "port": link.port,
                "target": list(link.target) if link.target else None,
                "rules": rules_to_json(link.policy.rules), "counters": asdict(link.policy.counters()),
            }
            for link in proxy.links()
        ])

    async def put_rules(request: web.Request) -> web.Response:
        rules = rules_from_json(orjson.loads(await request.read()))
        proxy.set_rules(request.match_info["src"], request.match_info["dst"], rules)
        return _json(None)

    async def get_counters(request: web.Request) -> web.Response:
        return _json(asdict(proxy.counters(request.match_info["src"], request.match_info["dst"])))

    async def get_ports(request: web.Request) -> web.Response:
        return _json(proxy.ports())

    async def put_targets(request: web.Request) -> web.Response:
        for role, address in targets_from_json(orjson.loads(await request.read())).items():
            proxy.set_target(role, address)
        return _json(None)

    async def put_fronts(request: web.Request) -> web.Response:
        for role, address in targets_from_json(orjson.loads(await request.read())).items():
            proxy.set_front(role, address)
        return _json(None)

    async def get_api(request: web.Request) -> web.Response:
        return _json(api_port)

    async def post_reset(request: web.Request) -> web.Response:
        proxy.reset()
        return _json(None)

    application = web.Application(middlewares=[_errors_as_json], client_max_size=REQUEST_BYTES_MAX)
    application.add_routes([
        web.get("/links", get_links),
        web.put("/links/{src}/{dst}/rules", put_rules),
        web.get("/links/{src}/{dst}/counters", get_counters),
        web.get("/ports", get_ports),
        web.put("/targets", put_targets),
        web.put("/fronts", put_fronts),
        web.get("/api", get_api),
        web.post("/reset", post_reset),
    ])
    return application


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except UnknownLink as error:
        return _json({"error": str(error)}, status=404)
    except (BadRule, ValueError) as error:
        return _json({"error": str(error)}, status=400)


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json", status=status)
