"""How one message between roles looks as HTTP/1.1: paths, headers and the two reply codes."""

from __future__ import annotations

from typing import Any

import orjson

BODY_BYTES_MAX = 16 << 20
SEND, REQUEST = "/send", "/request"
SENDER, KIND = "X-Sender", "X-Kind"
ANSWERED, ACCEPTED, REFUSED = 200, 204, 422
PING = "ping"


class TooLarge(ValueError):
    """A payload that no peer would accept."""

    def __init__(self, kind: str, size: int) -> None:
        super().__init__(f"message {kind!r} is {size} bytes; the bound is {BODY_BYTES_MAX}: send it in pieces")


def encode(kind: str, payload: Any) -> bytes:
    """The body of a message. Raises `TooLarge`, or TypeError for what orjson can not encode."""
    body = orjson.dumps(payload)
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge(kind, len(body))
    return body


def one_way_request(sender: str, kind: str, body: bytes) -> bytes:
    """The bytes of a whole `POST /send`."""
    head = (
        f"POST {SEND} HTTP/1.1\r\nHost: harness\r\n{SENDER}: {sender}\r\n{KIND}: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
