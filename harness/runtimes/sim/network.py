"""The network in memory: messages between roles, each link under its fault policy, in virtual time.

Payloads are encoded on the way out and decoded on the way in, so roles share no objects. A message belongs to nobody
while it travels: its sender's death does not stop it, and what becomes of it is decided when it is due.
"""

from __future__ import annotations

import asyncio
import contextvars
import difflib
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from harness.faults.link import Fate, LinkPolicy
from harness.ports import OPERATOR, Handler, Json, LinkCounters, LinkRule, PortError, Random, Refused, Unreachable
from harness.runtimes.lying import ReplyDropped
from harness.runtimes.sim.loop import VirtualLoop
from harness.runtimes.sim.node import NodeState, SimNode

PAUSED_INBOX_MAX = 1024
"""Messages the system holds for a process that does not read; more are lost."""

HEADER_BYTES = 200
"""What a message costs on a rate-limited link besides its payload; about an HTTP request line and headers."""

PING = "ping"

ProblemReport = Callable[[str, str, BaseException], None]
"""`report(role, what, error)`: a handler failed in a way that is no answer."""


@dataclass(frozen=True, slots=True)
class Message:
    src: str
    dst: str
    kind: str
    data: bytes
    request: int | None  # the request this is, or is the answer to; None for a one-way message
    answer: str = ""     # "" for a question; else ok | refused | failed | no-connection


class Fabric:
    """All links and all roles' places in the network."""

    def __init__(self, loop: VirtualLoop, random: Random, *, report: ProblemReport) -> None:
        self.loop = loop
        self.report = report
        self._random = random
        self._latencies: dict[tuple[str, str], tuple[float, float]] = {}
        self._links: dict[tuple[str, str], LinkPolicy] = {}
        self._names: dict[str, SimNetwork | None] = {}
        self._requests = itertools.count(1)
        self._world = contextvars.Context()
        """Deliveries run in a context of no node: they are nobody's callbacks."""

    def declare(self, name: str) -> None:
        """A role of that name exists, though it may not be running."""
        self._names.setdefault(name, None)

    def set_latency(self, src: str, dst: str, *, delay_ms: float, jitter_ms: float) -> None:
        """The latency that is part of the world; before the link's first message."""
        self._latencies[src, dst] = (delay_ms, jitter_ms)

    def attach(
        self, name: str, node: SimNode, *, wrap: Callable[[Handler], Handler] = lambda handler: handler
    ) -> SimNetwork:
        """The place of a new incarnation; it replaces the one before. `wrap` as in `SimNetwork`."""
        network = SimNetwork(self, name, node, wrap=wrap)
        self._names[name] = network
        return network

    def place(self, name: str) -> SimNetwork | None:
        """The running incarnation of a role; None when it is down. Raises `Unreachable` for an unknown name."""
        try:
            place = self._names[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._names)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise Unreachable(f"no role is called {name!r}{hint}") from None
        return place if place is not None and place.node.state is not NodeState.DEAD else None

    def link(self, src: str, dst: str) -> LinkPolicy:
        policy = self._links.get((src, dst))
        if policy is None:
            delay_ms, jitter_ms = self._latencies.get((src, dst), (0.0, 0.0))
            policy = LinkPolicy(src, dst, self._random, base_delay_ms=delay_ms, base_jitter_ms=jitter_ms)
            self._links[src, dst] = policy
        return policy

    def set_rules(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
        self.link(src, dst).set_rules(rules)

    def counters(self, src: str, dst: str) -> LinkCounters:
        return self.link(src, dst).counters()

    def next_request(self) -> int:
        return next(self._requests)

    def transmit(self, message: Message) -> Fate:
        """Put a message on its link."""
        policy = self.link(message.src, message.dst)
        now_ns = self.loop.now_ns
        fate = policy.offer(len(message.data) + HEADER_BYTES, now_ns, probe=message.kind == PING)
        for delay_ns in fate.deliveries:
            self.loop.call_at_ns(now_ns + delay_ns, self._arrive, message, policy, context=self._world)
        return fate

    def _arrive(self, message: Message, policy: LinkPolicy) -> None:
        if not policy.arrive():
            return
        place = self.place(message.dst)
        if place is not None:
            place.receive(message)
        elif message.request is not None and not message.answer:
            # The machine is up and the process is not: its system refuses the connection.
            self.reply(message, "no-connection", b"null")

    def reply(self, question: Message, answer: str, data: bytes) -> None:
        self.transmit(Message(question.dst, question.src, question.kind, data, question.request, answer))


class SimNetwork:
    """The `Network` port of one incarnation of a role."""

    def __init__(
        self, fabric: Fabric, name: str, node: SimNode, *, wrap: Callable[[Handler], Handler] = lambda handler: handler
    ) -> None:
        """`wrap` is put round the role's handler: what a fault makes of its answers."""
        self._fabric = fabric
        self._name = name
        self.node = node
        self._wrap = wrap
        self._handler: Handler | None = None
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._inbox: deque[Message] = deque()
        """Messages that came while the node was paused."""

    @property
    def name(self) -> str:
        return self._name

    def serve(self, handler: Handler) -> None:
        if self._handler is not None:
            raise RuntimeError(f"{self._name} already serves; `serve` is called once")
        self._handler = self._wrap(handler)

    def send(self, to: str, kind: str, payload: Json) -> None:
        data = orjson.dumps(payload)
        self._fabric.place(to)
        if self.node.state is not NodeState.DEAD:
            self._fabric.transmit(Message(self._name, to, kind, data, None))

    async def request(self, to: str, kind: str, payload: Json, *, timeout: float) -> Json:
        data = orjson.dumps(payload)
        fabric = self._fabric
        fabric.place(to)
        if self.node.state is NodeState.DEAD:
            raise Unreachable(f"{self._name} is down")
        number = fabric.next_request()
        future: asyncio.Future[Message] = fabric.loop.create_future()
        self._waiting[number] = future
        timer = fabric.loop.call_later(timeout, _expire, future, to, kind, timeout)
        try:
            fabric.transmit(Message(self._name, to, kind, data, number))
            message = await future
        finally:
            timer.cancel()
            self._waiting.pop(number, None)
        if message.answer == "ok":
            return orjson.loads(message.data)
        if message.answer == "refused":
            raise Refused(orjson.loads(message.data))
        if message.answer == "no-connection":
            raise Unreachable(f"{to} refused the connection for {kind!r}: no process is there")
        raise Unreachable(f"{to} broke off while it handled {kind!r}")

    def receive(self, message: Message) -> None:
        """A message has arrived at this incarnation, running or paused."""
        if message.answer:
            future = self._waiting.get(message.request or 0)
            # A late answer, a second copy, or one for an incarnation that is gone: nobody waits.
            if future is not None and not future.done():
                future.set_result(message)
            return
        if self.node.state is NodeState.PAUSED:
            if len(self._inbox) < PAUSED_INBOX_MAX:
                self._inbox.append(message)
            return
        if message.kind == PING:
            if message.request is not None:
                self._fabric.reply(message, "ok", orjson.dumps({"pong": self._name}))
        elif self._handler is not None:
            self._start(self._handle(self._handler, message), message.kind)
        elif message.request is not None:
            self._fabric.reply(message, "failed", b"null")

    async def obey(self, kind: str, payload: Json) -> Json:
        """Hand the role an order, which comes over no link. Raises `Unreachable` while it does not serve."""
        if self._handler is None:
            raise Unreachable(f"{self._name} serves nobody yet")
        return orjson.loads(orjson.dumps(await self._handler(OPERATOR, kind, orjson.loads(orjson.dumps(payload)))))

    def resumed(self) -> None:
        """The node runs again: hand over what came meanwhile, in order."""
        while self._inbox:
            self.receive(self._inbox.popleft())

    def _start(self, work: Any, kind: str) -> None:
        self._fabric.loop.create_task(work, name=f"{self._name} handles {kind}", context=self.node.context.copy())

    async def _handle(self, handler: Handler, message: Message) -> None:
        answer, data = "failed", b"null"
        try:
            try:
                data = orjson.dumps(await handler(message.src, message.kind, orjson.loads(message.data)))
                answer = "ok"
            except Refused as refusal:
                data = orjson.dumps(refusal.args[0] if refusal.args else "refused")
                answer = "refused"
        except ReplyDropped:
            return
        except PortError:
            pass  # the world failed the handler; its caller sees a broken-off connection
        except Exception as error:
            self._fabric.report(self._name, f"handling {message.kind!r} from {message.src}", error)
        if message.request is not None and self.node.state is not NodeState.DEAD:
            self._fabric.reply(message, answer, data)


def _expire(future: asyncio.Future[Message], to: str, kind: str, timeout: float) -> None:
    if not future.done():
        future.set_exception(Unreachable(f"{to} did not answer {kind!r} within {timeout:g} s"))
