"""Message boundaries are found wherever the network happens to cut the bytes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harness.proxy.framing import HEAD_BYTES_MAX, Framer

BODIES = st.lists(st.binary(max_size=300), max_size=6)


def _request(body: bytes) -> bytes:
    return b"POST /request HTTP/1.1\r\nHost: b\r\ncontent-LENGTH: %d\r\n\r\n" % len(body) + body


def _reply(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@given(bodies=BODIES, cuts=st.lists(st.integers(0, 4000), max_size=12), replies=st.booleans())
def test_messages_come_out_whole_and_apart_however_the_bytes_are_cut(
    bodies: list[bytes], cuts: list[int], replies: bool
) -> None:
    """Faults lose and repeat whole messages; a boundary in the wrong place would damage two."""
    messages = [(_reply if replies else _request)(body) for body in bodies]
    stream = b"".join(messages)
    framer = Framer(replies=replies)
    found: list[bytes] = []
    ended = True
    edges = sorted({0, len(stream), *[cut for cut in cuts if cut < len(stream)]})
    for start, end in itertools.pairwise(edges):
        for piece in framer.feed(stream[start:end]):
            assert (piece.head is not None) == ended
            if piece.head is not None:
                found.append(b"")
                assert piece.size == len(messages[len(found) - 1])
            found[-1] += piece.data
            ended = piece.last
    assert found == messages
    assert framer.at_boundary


def test_replies_without_a_body_end_with_their_head() -> None:
    pieces = Framer(replies=True).feed(b"HTTP/1.1 204 No Content\r\n\r\n" + _reply(b"x"))
    assert [(piece.size, piece.last) for piece in pieces] == [(27, True), (39, True)]


def test_what_can_not_be_framed_passes_as_one_opaque_stream() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    for stream, replies in ((chunked, True), (b"\x16\x03\x01 no http at all\r\n\r\n", False)):
        framer = Framer(replies=replies)
        assert b"".join(piece.data for piece in framer.feed(stream)) == stream
        assert framer.opaque
        assert [piece.data for piece in framer.feed(b"more")] == [b"more"]


def test_a_protocol_that_is_not_http_waits_for_no_head() -> None:
    """A client whose first bytes were held back until a blank line came would wait for ever."""
    for first, replies in (
        (b"*1\r\n$4\r\nPING\r\n", False),      # Redis
        (b"EHLO localhost\r\n", False),        # SMTP
        (b"\x00\x00\x00\x08\x04\xd2", False),   # Postgres
        (b"SSH-2.0-OpenSSH_9.2\r\n", True),
        (b"+PONG\r\n", True),
    ):
        framer = Framer(replies=replies)
        assert b"".join(piece.data for piece in framer.feed(first)) == first, first


def test_after_an_upgrade_both_directions_are_streams() -> None:
    requests, replies = Framer(), Framer(replies=True)
    assert len(requests.feed(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")) == 1
    assert len(replies.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")) == 1
    for framer, frame in ((requests, b"\x81\x85mask!"), (replies, b"\x81\x7e\x01\x00 100 \r\n\r\n")):
        assert [piece.data for piece in framer.feed(frame)] == [frame]
        assert framer.opaque


def test_an_endless_head_is_not_kept_for_ever() -> None:
    framer = Framer()
    line = b"X-Name: %s\r\n" % (b"x" * 988)
    passed = sum(len(piece.data) for piece in framer.feed(b"GET / HTTP/1.1\r\n"))
    passed += sum(len(piece.data) for _ in range(200) for piece in framer.feed(line))
    assert passed == 16 + 200 * len(line)
    assert passed > HEAD_BYTES_MAX
