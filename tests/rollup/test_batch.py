"""What goes to L1 comes back, and whatever else stands on L1 is refused with a reason."""

import zlib
from collections.abc import Callable

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.rollup import batch as codec
from harness.rollup.batch import Batch, BatchError, BlockRecord, Frame
from harness.rollup.blocks import BlockInputs, Hash, L1Origin

u64 = st.integers(0, 2**64 - 1)
hashes = st.binary(min_size=32, max_size=32).map(lambda raw: Hash("0x" + raw.hex()))
transactions = st.lists(st.binary(min_size=1, max_size=80).filter(lambda raw: raw[0] != 0x7E), max_size=4).map(tuple)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    first = draw(st.integers(0, 2**64 - 8))
    records = tuple(
        BlockRecord(first + offset, draw(hashes), draw(u64), draw(u64), draw(hashes), draw(transactions))
        for offset in range(draw(st.integers(1, 4)))
    )
    return Batch(records, draw(hashes), draw(st.binary(max_size=90)))


def sample(blocks: int = 3) -> Batch:
    origin_hash, raw = Hash("0x" + "77" * 32), (b"\x02tx", b"\xf8old")
    records = (BlockRecord(5 + n, Hash(f"0x{n:064x}"), 1_000 + n, 7, origin_hash, raw) for n in range(blocks))
    return Batch(tuple(records), Hash("0x" + "ee" * 32), b"certificate")


@given(batches())
def test_batch_round_trips(batch: Batch) -> None:
    """Derivation reads what the batcher wrote."""
    assert codec.decode_batch(codec.inflate(codec.compress(codec.encode_batch(batch)))) == batch


@given(batches(), st.integers(1, 300))
def test_channel_survives_any_frame_boundaries(batch: Batch, frame_bytes: int) -> None:
    """Frames in order are the channel, however it was cut, and only the last says so."""
    channel = codec.compress(codec.encode_batch(batch))
    frames = [codec.decode_frame(raw) for raw in codec.split(channel, frame_bytes=frame_bytes)]
    assert b"".join(frame.data for frame in frames) == channel
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [frame.is_last for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert {frame.channel_id for frame in frames} == {codec.channel_id(channel)}


@given(st.binary(max_size=400))
def test_garbage_is_refused_and_nothing_else_is_raised(data: bytes) -> None:
    """Random bytes never stall a decoder (S17); what little decodes is canonical."""
    for decode in (codec.decode_frame, codec.inflate, codec.decode_batch):
        try:
            value = decode(data)
        except BatchError:
            continue
        if isinstance(value, Frame):
            assert value.encode() == data
        elif isinstance(value, Batch):
            assert codec.encode_batch(value) == data


@settings(max_examples=300)
@given(batches(), st.data())
def test_mutated_batches_are_refused_or_canonical(batch: Batch, data: st.DataObject) -> None:
    """A batch has one encoding: a changed byte is another batch or none."""
    encoded = bytearray(codec.encode_batch(batch))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(encoded) - 1))
        match data.draw(st.sampled_from(["flip", "insert", "cut"])):
            case "flip":
                encoded[at] = data.draw(st.integers(0, 255))
            case "insert":
                encoded[at:at] = data.draw(st.binary(min_size=1, max_size=3))
            case _ if len(encoded) > 1:
                del encoded[at:at + 2]
        if not encoded:
            break
    try:
        value = codec.decode_batch(bytes(encoded))
    except BatchError:
        return
    assert codec.encode_batch(value) == bytes(encoded)


@given(batches(), st.data())
def test_mutated_channels_raise_only_batch_errors(batch: Batch, data: st.DataObject) -> None:
    """Damage inside the compressed stream is found."""
    channel = bytearray(codec.compress(codec.encode_batch(batch)))
    channel[data.draw(st.integers(0, len(channel) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        codec.decode_batch(codec.inflate(bytes(channel)))
    except BatchError:
        return


def test_a_zip_bomb_is_capped_while_it_inflates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel of 100 kB that claims 100 MB costs at most the cap (S18)."""
    asked: list[int] = []
    real = zlib.decompressobj

    class Spy:
        def __init__(self) -> None:
            self.stream = real()

        def decompress(self, data: bytes, max_length: int) -> bytes:
            asked.append(max_length)
            return self.stream.decompress(data, max_length)

    bomb = b"\x01" + zlib.compress(bytes(100_000_000), 9)
    assert len(bomb) < codec.FRAME_DATA_BYTES_MAX
    monkeypatch.setattr(zlib, "decompressobj", Spy)
    with pytest.raises(BatchError, match="inflates to more than 4000000 bytes"):
        codec.inflate(bomb)
    assert asked == [codec.BATCH_BYTES_MAX + 1]


def test_the_size_cap_is_exact() -> None:
    """The largest batch passes and one byte more does not, on both sides."""
    assert len(codec.inflate(codec.compress(bytes(codec.BATCH_BYTES_MAX)))) == codec.BATCH_BYTES_MAX
    with pytest.raises(BatchError, match="post fewer blocks"):
        codec.compress(bytes(codec.BATCH_BYTES_MAX + 1))
    with pytest.raises(BatchError, match="inflates to more"):
        codec.inflate(b"\x01" + zlib.compress(bytes(codec.BATCH_BYTES_MAX + 1)))


def test_deep_nesting_is_refused_without_recursion() -> None:
    """A million nested lists are bytes like any other."""
    body = b"\xc0"
    for _ in range(2_000):
        body = rlp.codec.length_prefix(len(body), 192) + body
    with pytest.raises(BatchError):
        codec.decode_batch(b"\x00" + body)


def test_many_small_items_cost_linear_time() -> None:
    """A list of two million items is walked once and refused; the library's own decoder would copy it each step."""
    body = b"\x01" * 2_000_000
    with pytest.raises(BatchError, match="batch has too many fields"):
        codec.decode_batch(b"\x00" + rlp.codec.length_prefix(len(body), 192) + body)


def reencode(change: Callable[[list[object]], None]) -> bytes:
    items = rlp.decode(codec.encode_batch(sample())[1:])
    change(items)
    return b"\x00" + bytes(rlp.encode(items))


def _set(path: tuple[int, ...], value: object) -> Callable[[list[object]], None]:
    def change(items: list[object]) -> None:
        target = items
        for step in path[:-1]:
            target = target[step]  # type: ignore[assignment]  # nested lists are what rlp decodes to
        target[path[-1]] = value
    return change


BAD_BATCHES = {
    "wrong version": (b"\x01" + codec.encode_batch(sample())[1:], "batch version is 01"),
    "empty": (b"", "batch version is missing"),
    "trailing item": (codec.encode_batch(sample()) + b"\x01", "2 rlp items"),
    "overrun": (codec.encode_batch(sample()).replace(b"\x8bcertificate", b"\x8ccertificate"), "overruns its list by 1"),
    "no records": (b"\x00" + rlp.encode([b"\x05", b"\xee" * 32, b""]), "batch has fewer than 4 fields"),
    "first height differs": (reencode(_set((0,), b"\x06")), "not the first height it states"),
    "heights jump": (reencode(_set((2, 0), b"\x09")), "record of height 9 stands where 6 should"),
    "leading zero": (reencode(_set((1, 2), b"\x00\x05")), "timestamp is not a minimal"),
    "too wide an integer": (reencode(_set((1, 2), b"\x01" * 9)), "timestamp is not a minimal"),
    "short hash": (reencode(_set((1, 1), b"\xaa" * 31)), "parent hash has 31 bytes"),
    "hash is a list": (reencode(_set((1, 4), [])), "origin hash is a list"),
    "record is a string": (reencode(_set((1,), b"x")), "record is a string"),
    "extra field": (reencode(lambda items: items[1].append(b"")), "record has too many fields"),  # type: ignore[attr-defined]
    "transactions a string": (reencode(_set((1, 5), b"x")), "transactions is a string"),
    "empty transaction": (reencode(_set((1, 5), [b""])), "empty or deposit-type"),
    "forged deposit": (reencode(_set((1, 5), [b"\x7e\x01"])), "empty or deposit-type"),
    "nested transaction": (reencode(_set((1, 5), [[b"\x02"]])), "transaction is a list"),
}


@pytest.mark.parametrize("name", BAD_BATCHES)
def test_a_malformed_batch_is_refused_for_its_reason(name: str) -> None:
    """Each rule of the format is seen to fail."""
    data, reason = BAD_BATCHES[name]
    with pytest.raises(BatchError, match=reason):
        codec.decode_batch(data)


GOOD = codec.compress(codec.encode_batch(sample()))
BAD_CHANNELS = {
    "empty": (b"", "version is missing"),
    "wrong version": (b"\x00" + GOOD[1:], "version is 00"),
    "truncated": (GOOD[:-3], "ends before"),
    "trailing": (GOOD + b"x", "1 bytes after"),
    "checksum": (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "does not inflate"),
}


@pytest.mark.parametrize("name", BAD_CHANNELS)
def test_a_malformed_channel_is_refused_for_its_reason(name: str) -> None:
    """Nothing hides behind or inside the compressed data."""
    data, reason = BAD_CHANNELS[name]
    with pytest.raises(BatchError, match=reason):
        codec.inflate(data)


@pytest.mark.parametrize(("data", "reason"), [
    (b"", "not 0 bytes"),
    (bytes(19), "not 19 bytes"),
    (bytes(18) + b"\x02x", "last flag is 2"),
    (bytes(19) + bytes(100_001), "carries 100001 bytes"),
], ids=["empty", "no data", "flag", "too long"])
def test_a_malformed_frame_is_refused_for_its_reason(data: bytes, reason: str) -> None:
    """A frame is a header and 1 to 100 000 bytes."""
    with pytest.raises(BatchError, match=reason):
        codec.decode_frame(data)


def test_building_the_same_channel_twice_gives_the_same_frames() -> None:
    """Resubmission is idempotent: the id is the hash of the content."""
    blocks = [BlockInputs(901, 5 + n, Hash(f"0x{n:064x}"), 1_000, 0, (b"\x02" + bytes(300),),
                          L1Origin(7, Hash("0x" + "77" * 32), 999)) for n in range(40)]
    first, second = (codec.build_channel(blocks, Hash("0x" + "ee" * 32), b"c", 5, frame_bytes=64) for _ in range(2))
    assert first == second
    assert (first.first_height, first.tip_height) == (5, 44)
    joined = b"".join(codec.decode_frame(raw).data for raw in first.frames)
    assert codec.decode_batch(codec.inflate(joined)).records[3] == BlockRecord.of(blocks[3])
    assert first.size == len(joined) + 19 * len(first.frames)


def test_building_refuses_what_no_decoder_would_take() -> None:
    """The batcher learns of its mistake before it pays for it."""
    block = BlockInputs(901, 5, Hash("0x" + "11" * 32), 1_000, 0, (), L1Origin(7, Hash("0x" + "77" * 32), 999))
    with pytest.raises(ValueError, match="cannot start with no block"):
        codec.build_channel([], block.parent, b"", 5)
    with pytest.raises(ValueError, match="from height 6 cannot start with 5"):
        codec.build_channel([block], block.parent, b"", 6)
    with pytest.raises(BatchError, match="stands where 6 should"):
        codec.build_channel([block, block], block.parent, b"", 5)
