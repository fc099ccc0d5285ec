"""One direction of a proxied connection: each message that comes in, and what the rules of its link make of it."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from harness.faults.link import Fate
from harness.proxy.endpoint import Endpoint
from harness.proxy.framing import Framer
from harness.proxy.relay import IS_POSSIBLE, RELAY_BYTES_MIN, Relay

if TYPE_CHECKING:
    from harness.proxy.connection import Connection
    from harness.proxy.link import Link

ONE_WAY = b"POST /send "
PROBE = b"\r\nX-Kind: ping\r\n"     # measured like any message, but counted apart by the link's policy
TIMER_SLACK_NS = 100_000          # what is due this soon is due: uvloop's timers have steps of a millisecond
PENDING_BYTES_MAX = 8 << 20       # per pipe, held back by delay or rate; above it the source is no longer read
MESSAGE_BYTES_MAX = 32 << 20      # a faulted message is held whole; a longer one tears its connection


class Reply(Enum):
    """What to do with the next reply that comes back."""

    DELIVER = auto()
    PROBE = auto()     # deliver it, and number it among the probes
    SWALLOW = auto()   # a receipt or a second reply: it ends here and is no message


class Course(Enum):
    """How the message now arriving on a pipe is treated; fixed when it begins."""

    STREAM = auto()    # passed on as it comes
    COLLECT = auto()   # held until whole, then delivered when it is due
    DROP = auto()


class Pipe:
    """One direction of a connection, under the rules of one directed link."""

    __slots__ = (
        "_bytes_pending", "_collected", "_connection", "_course", "_fate", "_framer", "_full", "_offered_ns", "_order",
        "_relay", "_replies", "_reply", "_sink", "_source", "_timer", "deliver", "link", "may_relay", "pending",
    )

    def __init__(self, connection: Connection, link: Link, *, replies: bool) -> None:
        self.link = link
        self._connection = connection
        self._replies = replies
        self._framer = Framer(replies=replies)
        self._course = Course.STREAM
        self._fate = Fate((0,))
        self._reply = Reply.DELIVER
        self._offered_ns = 0
        self._collected: list[bytes] = []
        self.pending: list[tuple[int, int, bytes, Reply | None]] = []
        """A heap of (due in monotonic ns, order, bytes, reply owed): what the link holds back."""
        self._bytes_pending = 0
        self._order = 0
        self._timer: asyncio.TimerHandle | None = None
        self._full = 0
        self._relay: Relay | None = None
        self.may_relay = True
        """Whether the kernel may carry bodies: not where toxics have to see every byte."""

    def connect(self, source: Endpoint, sink: Endpoint) -> None:
        self._source = source
        self._sink = sink
        self.deliver: Callable[[bytes], None] = sink.write

    @property
    def is_clear(self) -> bool:
        """Whether nothing is held back, nor hidden by a cut."""
        return not self.pending and not self.link.policy.cut

    @property
    def left(self) -> int:
        """Bytes still to come of the message now passing."""
        return self._framer.left

    def feed(self, data: bytes) -> None:
        """Bytes have come from the source."""
        for piece in self._framer.feed(data):
            if piece.head is not None:
                self._begin(piece.head, piece.size)
            match self._course:
                case Course.STREAM:
                    self._stream(piece.data, to_come=0 if piece.last else self._framer.left)
                case Course.COLLECT:
                    self._collected.append(piece.data)
                    if piece.last:
                        self._deliver(b"".join(self._collected))
                        self._collected = []
                case Course.DROP:
                    pass

    def _begin(self, head: bytes, size: int) -> None:
        """A message begins: ask the link for its fate, and choose the course that its bytes take."""
        self._reply = reply = self._connection.owed() if self._replies else reply_to(head)
        if self._replies and reply is Reply.SWALLOW:
            self._course = Course.DROP
            return
        fate, self._offered_ns = self.link.offer(size, probe=reply is Reply.PROBE)
        self._fate = fate
        if fate.deliveries == (0,) and not self.pending:
            self._course = Course.STREAM
            if not self._replies:
                self._connection.replies.append(reply)
        elif not fate.deliveries:
            self._course = Course.DROP
        elif size > MESSAGE_BYTES_MAX:
            self._course = Course.DROP
            self._connection.tear()
        else:
            self._course = Course.COLLECT

    def _stream(self, data: bytes, *, to_come: int) -> None:
        if self._framer.opaque:
            # No messages to judge: a stream is delayed as it comes, and only a cut stops it.
            fate, now_ns = self.link.offer(len(data))
            if not fate.cut:
                self._push(data, now_ns + (fate.deliveries[0] if fate.deliveries else 0), None)
                return
        elif not self.link.policy.cut:
            if not (to_come >= RELAY_BYTES_MIN and self.may_relay and self._begin_relay(data, to_come)):
                self.deliver(data)
            return
        # The cut came between the first and the last byte of a message.
        self._course = Course.DROP
        self._connection.tear()

    def _begin_relay(self, data: bytes, to_come: int) -> bool:
        """Leave the rest of a body to the kernel; False where that is not possible."""
        source, sink = self._source.descriptor(), self._sink.descriptor()
        if not IS_POSSIBLE or source is None or sink is None:
            return False
        try:
            self._relay = Relay(
                self._connection.loop, source, sink, first=data, left=to_come,
                may_pass=lambda: not self.link.policy.cut, on_end=self.end_relay,
            )
        except OSError:
            return False
        self.hold(relaying=True)
        return True

    def end_relay(self) -> None:
        """Read the source again; a message of which bytes were lost is torn."""
        relay, self._relay = self._relay, None
        if relay is None:
            return
        relay.stop()
        self._framer.skip(relay.carried)
        if not relay.is_clear:
            self._course = Course.DROP
            self._connection.tear()
        self.hold(relaying=False)

    def _deliver(self, message: bytes) -> None:
        for copy, after_ns in enumerate(self._fate.deliveries):
            if self._replies and copy:
                return  # a reply has one reader: its second copy has nowhere to go
            reply = None if self._replies else Reply.SWALLOW if copy else self._reply
            self._push(message, self._offered_ns + after_ns, reply)

    def _push(self, data: bytes, due: int, reply: Reply | None) -> None:
        if not self.pending and due <= time.monotonic_ns():
            self._pass(data, reply)
            return
        self._order += 1
        heapq.heappush(self.pending, (due, self._order, data, reply))
        self._bytes_pending += len(data)
        if self._bytes_pending > PENDING_BYTES_MAX:
            self.hold(full_queue=True)
        if self.pending[0][1] == self._order:
            self._arm()

    def _pass(self, data: bytes, reply: Reply | None) -> None:
        if self.link.policy.arrive():
            if reply is not None:
                self._connection.replies.append(reply)
            self.deliver(data)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.pending:
            wait_s = max(0.0, (self.pending[0][0] - time.monotonic_ns()) / 1e9)
            self._timer = self._connection.loop.call_later(wait_s, self._release)

    def _release(self) -> None:
        self._timer = None
        now_ns = time.monotonic_ns() + TIMER_SLACK_NS
        while self.pending and self.pending[0][0] <= now_ns:
            _, _, data, reply = heapq.heappop(self.pending)
            self._bytes_pending -= len(data)
            self._pass(data, reply)
        if self._bytes_pending <= PENDING_BYTES_MAX // 2:
            self.hold(full_queue=False)
        self._arm()
        if not self.pending:
            self._connection.settle()

    def hold(
        self, *, full_socket: bool | None = None, full_queue: bool | None = None, relaying: bool | None = None,
        full_chain: bool | None = None,
    ) -> None:
        """Stop or resume reading the source; read it while sink, queue and toxics have room and no relay does."""
        before = self._full
        for flag, bit in ((full_socket, 1), (full_queue, 2), (relaying, 4), (full_chain, 8)):
            if flag is not None:
                self._full = self._full | bit if flag else self._full & ~bit
        transport = self._source.transport
        if transport is None or transport.is_closing() or bool(before) == bool(self._full):
            return
        if self._full:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def clear(self) -> None:
        """Forget what was held back."""
        self.end_relay()
        self.pending.clear()
        self._bytes_pending = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def reply_to(head: bytes) -> Reply:
    """What is to become of the reply to a request with this head."""
    if head.startswith(ONE_WAY):
        return Reply.SWALLOW
    return Reply.PROBE if PROBE in head else Reply.DELIVER
