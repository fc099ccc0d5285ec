"""Finds the message boundaries in an HTTP/1.1 byte stream, so that a fault can lose or repeat whole messages.

Pure: bytes in, pieces out. Every byte fed comes out again in exactly one piece, in order.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HEAD_BYTES_MAX = 64 * 1024
_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_CHUNKED = b"\r\ntransfer-encoding:"
_NO_BODY_STATUS = (b"1", b"204", b"304")
_REQUEST_BEGINS = re.compile(rb"[A-Z]{1,20}(?: [^\r\n]*)?\Z|[A-Z]{1,20} [^\r\n]* HTTP/1\.[01]\r?\n?")
_REPLY_BEGINS = re.compile(rb"HTTP/1\.[01] ")


class Piece(NamedTuple):
    """A run of bytes that belongs to one message."""

    data: bytes
    head: bytes | None   # the message's head, in the piece that begins it
    size: int            # of the whole message, where `head` is given
    last: bool           # these bytes end the message


class Framer:
    """Cuts one direction of one connection into messages framed by Content-Length.

    An unfinished head is kept back until it is whole; everything else comes out at once. A stream it cannot frame
    (chunked, a WebSocket after its upgrade, or no HTTP at all) becomes `opaque`, as soon as its bytes show it: from
    there on each feed is one piece without head or end.
    """

    __slots__ = ("_head", "_replies", "left", "opaque")

    def __init__(self, *, replies: bool = False) -> None:
        self._replies = replies
        self._head = b""     # an unfinished head
        self.left = 0        # body bytes still to come of the current message
        self.opaque = False

    @property
    def at_boundary(self) -> bool:
        """Whether the next byte would begin a message."""
        return not (self._head or self.left or self.opaque)

    def skip(self, size: int) -> None:
        """So many bytes of the current message's body have gone another way."""
        assert 0 <= size <= self.left, "only what is still to come of a body can pass by"
        self.left -= size

    def take_unfinished(self) -> bytes:
        """What was kept back of an unfinished head; the framer forgets it."""
        kept, self._head = self._head, b""
        return kept

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces of what was kept back and `data`, in order."""
        if self.opaque:
            return [Piece(data, None, 0, False)]
        if self._head:
            data, self._head = self._head + data, b""
        pieces: list[Piece] = []
        at, size = 0, len(data)
        while at < size:
            if self.left:
                take = min(self.left, size - at)
                self.left -= take
                pieces.append(Piece(_cut(data, at, at + take), None, 0, self.left == 0))
                at += take
                continue
            end = data.find(_END, at) + len(_END)
            if not _may_become_a_head(data, at, replies=self._replies):
                head, length = b"", None
            elif end < len(_END):
                if size - at <= HEAD_BYTES_MAX:
                    self._head = data[at:]
                    return pieces
                head, length = b"", None
            else:
                head = data[at:end]
                length = _body_length(head, replies=self._replies)
            if length is None:
                self.opaque = True
                pieces.append(Piece(_cut(data, at, size), None, 0, False))
                return pieces
            take = min(length, size - end)
            self.left = length - take
            pieces.append(Piece(_cut(data, at, end + take), head, len(head) + length, self.left == 0))
            at = end + take
        return pieces


def _may_become_a_head(data: bytes, at: int, *, replies: bool) -> bool:
    """Whether more bytes can make an HTTP head of these; others must not wait for them."""
    if not replies:
        return _REQUEST_BEGINS.match(data, at) is not None
    begin = data[at : at + 9]
    return _REPLY_BEGINS.match(begin) is not None or b"HTTP/1.1 ".startswith(begin) or b"HTTP/1.0 ".startswith(begin)


def _cut(data: bytes, start: int, end: int) -> bytes:
    return data if start == 0 and end == len(data) else data[start:end]


def _body_length(head: bytes, *, replies: bool) -> int | None:
    """Bytes of body that follow the head; None where Content-Length does not say."""
    lower = head.lower()
    if replies:
        status = lower[9:12]
        if status[:1] == _NO_BODY_STATUS[0] or status in _NO_BODY_STATUS:
            return 0
    found = lower.find(_LENGTH)
    if found >= 0:
        start = found + len(_LENGTH)
        digits = lower[start : lower.find(b"\r\n", start)].strip()
        return int(digits) if digits.isdigit() else None
    if replies or _CHUNKED in lower:
        return None
    # Without a length a request has no body; what does not look like HTTP at all is not ours to frame.
    return 0 if lower.split(b"\r\n", 1)[0].endswith((b"http/1.1", b"http/1.0")) else None
