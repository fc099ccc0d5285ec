"""The bytes the batcher posts to L1: records in a batch, a batch in a channel, a channel in frames.

    block_record = rlp[height, parent_hash, timestamp, origin_number, origin_hash, [raw_tx…]]
    batch        = 0x00 ‖ rlp[first_height, block_record…, tip_hash, finalization]
    channel      = 0x01 ‖ zlib(batch)
    frame        = channel_id(16) ‖ index(2) ‖ last(1) ‖ data

Every decoder is total and canonical: it returns a value whose encoding is exactly the input, or raises `BatchError`,
whatever the bytes. The one exception is the compressed layer, where many byte strings inflate to one batch.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import cast

import rlp
from rlp.codec import consume_length_prefix
from rlp.exceptions import DecodingError

from harness.evm.keccak import keccak
from harness.rollup.blocks import BlockInputs, Hash

BATCH_VERSION = b"\x00"
CHANNEL_VERSION = b"\x01"
CHANNEL_ID_BYTES = 16
FRAME_HEADER_BYTES = CHANNEL_ID_BYTES + 2 + 1
FRAME_DATA_BYTES_MAX = 100_000
FRAMES_MAX = 1 << 16
BATCH_BYTES_MAX = 4_000_000
"""What a channel may inflate to."""
CHANNEL_BYTES_MAX = BATCH_BYTES_MAX + BATCH_BYTES_MAX // 1_000 + 64
"""No honest channel is larger: zlib adds at most five bytes per 16 kB to what it cannot compress."""
_COMPRESSION_LEVEL = 9
_DEPOSIT_TYPE = 0x7E
_U64_BYTES = 8
_RECORD_BYTES_MIN = 70
CHANNELS_CACHED = 4


class BatchError(Exception):
    """Bytes from L1 that are not a well-formed frame, channel or batch; `reason` says what is wrong with them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One L2 block as L1 carries it; the origin's timestamp is left to L1 itself."""

    number: int
    parent: Hash
    timestamp: int
    origin_number: int
    origin_hash: Hash
    transactions: tuple[bytes, ...]  # raw signed, none empty, none of the deposit type

    @classmethod
    def of(cls, block: BlockInputs) -> BlockRecord:
        """The record of a block. The L2 genesis has no origin and is never batched."""
        if block.origin is None:
            raise ValueError(f"block {block.number} has no L1 origin and cannot be batched")
        return cls(block.number, block.parent, block.timestamp, block.origin.number, block.origin.hash,
                   block.transactions)


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive blocks and the certificate that finalizes the last of them."""

    records: tuple[BlockRecord, ...]  # not empty, heights consecutive
    tip_hash: Hash
    finalization: bytes

    @property
    def first_height(self) -> int:
        return self.records[0].number

    @property
    def tip_height(self) -> int:
        return self.records[-1].number


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of a channel, as one L1 transaction carries it."""

    channel_id: bytes
    index: int
    is_last: bool
    data: bytes

    def encode(self) -> bytes:
        return self.channel_id + self.index.to_bytes(2, "big") + (b"\x01" if self.is_last else b"\x00") + self.data


@dataclass(frozen=True, slots=True)
class Channel:
    """A batch ready to post: equal batches give equal frames, so posting one again is harmless."""

    id: bytes
    frames: tuple[bytes, ...]
    first_height: int
    tip_height: int

    @property
    def size(self) -> int:
        """Bytes of calldata over all frames."""
        return sum(map(len, self.frames))


def build_channel(blocks: Sequence[BlockInputs], tip_hash: Hash, finalization: bytes, first_height: int, *,
                  frame_bytes: int = FRAME_DATA_BYTES_MAX) -> Channel:
    """Encode consecutive blocks, oldest first, with the hash and certificate of the last, into frames.

    Raises:
        BatchError: the batch breaks a rule every decoder checks, its size among them; post fewer blocks.
        ValueError: no blocks, or `first_height` is not the first block's.
    """
    if not blocks or blocks[0].number != first_height:
        raise ValueError(f"a channel from height {first_height} cannot start with "
                         f"{blocks[0].number if blocks else 'no block'}")
    batch = Batch(tuple(map(BlockRecord.of, blocks)), tip_hash, finalization)
    channel = compress(encode_batch(batch))
    return Channel(channel_id(channel), split(channel, frame_bytes=frame_bytes), first_height, batch.tip_height)


@lru_cache(maxsize=CHANNELS_CACHED)
def channel_id(channel: bytes) -> bytes:
    return keccak(channel)[:CHANNEL_ID_BYTES]


def split(channel: bytes, *, frame_bytes: int = FRAME_DATA_BYTES_MAX) -> tuple[bytes, ...]:
    """Cut a channel into encoded frames of at most `frame_bytes` data each."""
    if not 1 <= frame_bytes <= FRAME_DATA_BYTES_MAX:
        raise ValueError(f"a frame carries 1 to {FRAME_DATA_BYTES_MAX} bytes, not {frame_bytes}")
    pieces = [channel[at:at + frame_bytes] for at in range(0, len(channel), frame_bytes)]
    if len(pieces) > FRAMES_MAX:
        raise ValueError(f"{len(channel)} bytes in frames of {frame_bytes} need {len(pieces)} frames, "
                         f"the most is {FRAMES_MAX}")
    name = channel_id(channel)
    return tuple(Frame(name, index, index == len(pieces) - 1, piece).encode() for index, piece in enumerate(pieces))


def decode_frame(data: bytes) -> Frame:
    if len(data) <= FRAME_HEADER_BYTES:
        raise BatchError(f"a frame has a header of {FRAME_HEADER_BYTES} bytes and data, not {len(data)} bytes in all")
    if len(data) > FRAME_HEADER_BYTES + FRAME_DATA_BYTES_MAX:
        raise BatchError(f"frame carries {len(data) - FRAME_HEADER_BYTES} bytes, the most is {FRAME_DATA_BYTES_MAX}")
    last = data[FRAME_HEADER_BYTES - 1]
    if last > 1:
        raise BatchError(f"frame's last flag is {last}, not 0 or 1")
    return Frame(data[:CHANNEL_ID_BYTES], int.from_bytes(data[CHANNEL_ID_BYTES:CHANNEL_ID_BYTES + 2], "big"), last == 1,
                 data[FRAME_HEADER_BYTES:])


def compress(batch: bytes) -> bytes:
    """A channel holding the bytes of one batch."""
    if len(batch) > BATCH_BYTES_MAX:
        raise BatchError(f"batch has {len(batch)} bytes, the most is {BATCH_BYTES_MAX}; post fewer blocks")
    return CHANNEL_VERSION + zlib.compress(batch, _COMPRESSION_LEVEL)


def inflate(channel: bytes) -> bytes:
    """The bytes of the batch in a complete channel; never holds more than the cap, whatever the channel claims."""
    if channel[:1] != CHANNEL_VERSION:
        raise BatchError(f"channel version is {channel[:1].hex() or 'missing'}, not {CHANNEL_VERSION.hex()}")
    stream = zlib.decompressobj()
    try:
        batch = stream.decompress(channel[1:], BATCH_BYTES_MAX + 1)
    except zlib.error as error:
        raise BatchError(f"channel does not inflate: {error}") from error
    if len(batch) > BATCH_BYTES_MAX:
        raise BatchError(f"channel inflates to more than {BATCH_BYTES_MAX} bytes")
    if not stream.eof:
        raise BatchError("channel ends before its compressed data does")
    if stream.unused_data:
        raise BatchError(f"channel has {len(stream.unused_data)} bytes after its compressed data")
    return batch


def encode_batch(batch: Batch) -> bytes:
    """The bytes of a batch.

    Raises:
        BatchError: heights are not consecutive, or a field or transaction is one no decoder would accept.
    """
    _check_records(batch.records)
    items: list[object] = [_integer(batch.first_height)]
    for record in batch.records:
        items.append([_integer(record.number), _hash_bytes(record.parent), _integer(record.timestamp),
                      _integer(record.origin_number), _hash_bytes(record.origin_hash), list(record.transactions)])
    items += [_hash_bytes(batch.tip_hash), batch.finalization]
    return BATCH_VERSION + cast(bytes, rlp.encode(items, infer_serializer=False))


def decode_batch(data: bytes) -> Batch:
    if data[:1] != BATCH_VERSION:
        raise BatchError(f"batch version is {data[:1].hex() or 'missing'}, not {BATCH_VERSION.hex()}")
    outer = list(_items(data, 1, len(data)))
    if len(outer) != 1:
        raise BatchError(f"batch is {len(outer)} rlp items, not one list")
    most = 3 + len(data) // _RECORD_BYTES_MIN
    first, *middle, tip, finalization = _fields(data, outer[0], "batch", least=4, most=most)
    records = tuple(_record(data, item) for item in middle)
    if records[0].number != _read_integer(data, first, "first height"):
        raise BatchError(f"batch's first record has height {records[0].number}, not the first height it states")
    _check_records(records)
    return Batch(records, _read_hash(data, tip, "tip hash"), _read_bytes(data, finalization, "finalization"))


@lru_cache(maxsize=CHANNELS_CACHED)
def decode_channel(channel: bytes) -> Batch:
    """The batch in a complete channel, as `inflate` and `decode_batch`; nodes of one process decode each once."""
    return decode_batch(inflate(channel))


def _check_records(records: Sequence[BlockRecord]) -> None:
    if not records:
        raise BatchError("batch has no records")
    for offset, record in enumerate(records):
        if record.number != records[0].number + offset:
            raise BatchError(f"record of height {record.number} stands where {records[0].number + offset} should")
        for transaction in record.transactions:
            # A system or deposit transaction comes from L1 itself; a batch must not be able to forge one.
            if not transaction or transaction[0] == _DEPOSIT_TYPE:
                raise BatchError(f"block {record.number} has an empty or deposit-type transaction")


# -- rlp: the library's canonical length prefixes, walked without its recursion or its quadratic copying, so that
#    deep nesting and long lists from a stranger cost no more than their bytes.

_Item = tuple[bool, int, int]  # is a list, payload start, payload end


def _items(data: bytes, start: int, end: int) -> Iterator[_Item]:
    while start < end:
        try:
            _, kind, length, payload = consume_length_prefix(data, start)
        except (DecodingError, IndexError) as error:
            raise BatchError(f"bad rlp length at byte {start}") from error
        start = payload + length
        if start > end:
            raise BatchError(f"rlp item at byte {payload} overruns its list by {start - end} bytes")
        yield kind is list, payload, start


def _list(data: bytes, item: _Item, what: str) -> Iterator[_Item]:
    is_list, start, end = item
    if not is_list:
        raise BatchError(f"{what} is a string, not a list")
    return _items(data, start, end)


def _fields(data: bytes, item: _Item, what: str, *, least: int, most: int) -> list[_Item]:
    fields = list(islice(_list(data, item, what), most + 1))
    if not least <= len(fields) <= most:
        raise BatchError(f"{what} has {'fewer than ' + str(least) if len(fields) < least else 'too many'} fields")
    return fields


def _record(data: bytes, item: _Item) -> BlockRecord:
    number, parent, timestamp, origin_number, origin_hash, transactions = _fields(data, item, "record", least=6, most=6)
    return BlockRecord(
        _read_integer(data, number, "height"), _read_hash(data, parent, "parent hash"),
        _read_integer(data, timestamp, "timestamp"), _read_integer(data, origin_number, "origin number"),
        _read_hash(data, origin_hash, "origin hash"),
        tuple(_read_bytes(data, raw, "transaction") for raw in _list(data, transactions, "transactions")),
    )


def _read_bytes(data: bytes, item: _Item, what: str) -> bytes:
    is_list, start, end = item
    if is_list:
        raise BatchError(f"{what} is a list, not a string")
    return data[start:end]


def _read_integer(data: bytes, item: _Item, what: str) -> int:
    raw = _read_bytes(data, item, what)
    if len(raw) > _U64_BYTES or raw[:1] == b"\x00":
        raise BatchError(f"{what} is not a minimal 64-bit integer")
    return int.from_bytes(raw, "big")


def _read_hash(data: bytes, item: _Item, what: str) -> Hash:
    raw = _read_bytes(data, item, what)
    if len(raw) != 32:
        raise BatchError(f"{what} has {len(raw)} bytes, not 32")
    return Hash("0x" + raw.hex())


def _integer(value: int) -> bytes:
    if not 0 <= value < 1 << 8 * _U64_BYTES:
        raise BatchError(f"{value} does not fit 64 bits")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _hash_bytes(value: Hash) -> bytes:
    raw = bytes.fromhex(value.removeprefix("0x"))
    if len(raw) != 32:
        raise BatchError(f"hash {value} has {len(raw)} bytes, not 32")
    return raw
