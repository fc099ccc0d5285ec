"""The safe chain depends on L1 bytes alone, and only certified blocks ever enter it."""

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from eth_utils.crypto import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.rollup.acceptance import DerivationRules, SafeBlock
from harness.rollup.batch import Batch, BlockRecord, Frame, build_channel, compress, encode_batch, split
from harness.rollup.blocks import ZERO_HASH, BlockInputs, ExecutedBlock, Hash, L1Origin
from harness.rollup.derivation import QUEUE_MAX, Derivation, DerivationError, L1Block, ReorgTooDeep
from harness.rollup.forced import ForcedEntry
from harness.rollup.l1_view import L1LinkError
from harness.rollup.profile import FAST

BATCHER, SEQUENCER, STRANGER = "0x" + "ba" * 20, "0x" + "5e" * 20, "0x" + "66" * 20
RULES = DerivationRules.of(FAST, chain_id=901, senders=frozenset({BATCHER, SEQUENCER}))
Inbox = tuple[tuple[str, bytes], ...]


def l1(number: int, *, branch: int = 0) -> L1Origin:
    return L1Origin(number, Hash(f"0x{branch:032x}{number:032x}"), 1_000 + 3 * number)


GENESIS = SafeBlock(0, Hash("0x" + "00" * 31 + "42"), l1(0).timestamp, l1(0), 0)


def execute(block: BlockInputs) -> Hash:
    """A deterministic engine: equal inputs, equal hash. Transactions starting with 0x0f are refused."""
    return Hash("0x" + keccak(repr(block).encode()).hex())


def certify(tip: Hash) -> bytes:
    return b"finalized " + tip.encode()


def verify(certificate: bytes, tip: Hash, height: int) -> bool:
    return certificate == certify(tip)


def chain(length: int, *, after: SafeBlock = GENESIS, per_origin: int = 2, salt: bytes = b"",
          origin: Callable[[int], L1Origin] = l1) -> list[BlockInputs]:
    """Blocks on top of a safe one, taking a new origin every `per_origin` blocks."""
    blocks: list[BlockInputs] = []
    parent = after.hash
    for offset in range(length):
        own = origin(after.origin.number + (offset + 1) // per_origin)
        block = BlockInputs(901, after.number + 1 + offset, parent, max(after.timestamp, own.timestamp), 0,
                            (b"\x02" + salt + bytes([offset % 256]) * 20,), own)
        blocks.append(block)
        parent = execute(block)
    return blocks


def frames_of(blocks: Sequence[BlockInputs], *, frame_bytes: int = 100_000) -> tuple[bytes, ...]:
    tip = execute(blocks[-1])
    return build_channel(blocks, tip, certify(tip), blocks[0].number, frame_bytes=frame_bytes).frames


def post(frames: Iterable[bytes], sender: str = BATCHER) -> Inbox:
    return tuple((sender, frame) for frame in frames)


def l1_chain(length: int, inboxes: dict[int, Inbox], *, first: int = 1, branch: int = 0,
             fork: int | None = None) -> list[L1Block]:
    """L1 blocks first..length; those from `fork` on belong to `branch`."""
    fork = first if fork is None else fork
    return [L1Block(n, l1(n, branch=branch if n >= fork else 0).hash, l1(n - 1, branch=branch if n > fork else 0).hash,
                    l1(n).timestamp, inboxes.get(n, ())) for n in range(first, length + 1)]


def machine() -> Derivation:
    return Derivation(RULES, GENESIS, verify_finalization=verify)


@dataclass
class Run:
    """A driver with the toy engine, and everything it was told."""

    derivation: Derivation = field(default_factory=machine)
    safe: list[SafeBlock] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def drain(self) -> None:
        while (block := self.derivation.next()) is not None:
            if any(raw[0] == 0x0F for raw in block.inputs.transactions):
                self.derivation.on_invalid(block.inputs.number, "refused by the engine")
            else:
                self.safe += self.derivation.on_executed(block.inputs.number, execute(block.inputs))
        self.dropped += [dropped.reason for dropped in self.derivation.take_dropped()]

    def feed(self, blocks: Iterable[L1Block], *, chunk: int = 1) -> "Run":
        for index, block in enumerate(blocks):
            self.derivation.feed(block)
            if (index + 1) % chunk == 0:
                self.drain()
        self.drain()
        return self

    @property
    def hashes(self) -> list[Hash]:
        return [block.hash for block in self.safe]


def derive(length: int, inboxes: dict[int, Inbox]) -> Run:
    return Run().feed(l1_chain(length, inboxes))


def hashes_of(blocks: Iterable[BlockInputs]) -> list[Hash]:
    return [execute(block) for block in blocks]


# -- what must be derived


def test_posted_blocks_become_safe_with_the_l1_block_that_carried_them() -> None:
    """The safe head is what L1 says, completed with the origin's timestamp from L1."""
    blocks = chain(5)
    run = derive(4, {4: post(frames_of(blocks))})
    assert run.hashes == hashes_of(blocks)
    assert run.derivation.safe == SafeBlock(5, execute(blocks[4]), blocks[4].timestamp, l1(2), 4)
    assert run.dropped == []


@given(st.integers(1, 12), st.integers(20, 400), st.data())
def test_any_frame_boundaries_over_any_l1_blocks_give_the_same_chain(length: int, frame_bytes: int,
                                                                    data: st.DataObject) -> None:
    """How the batcher cuts and spreads a channel within the timeout is invisible."""
    blocks = chain(length)
    frames = frames_of(blocks, frame_bytes=frame_bytes)
    places = sorted(data.draw(st.lists(st.integers(7, 13), min_size=len(frames), max_size=len(frames))))
    inboxes: dict[int, Inbox] = {}
    for place, frame in zip(places, frames, strict=True):
        inboxes[place] = (*inboxes.get(place, ()), (BATCHER, frame))
    run = derive(14, inboxes)
    assert run.hashes == hashes_of(blocks)
    assert {block.l1_number for block in run.safe} == {places[-1]}


@st.composite
def noise(draw: st.DrawFn, frames: tuple[bytes, ...], upto: int) -> tuple[str, bytes]:
    """Something that is not the next frame: strangers, garbage, repeats, frames of nothing."""
    match draw(st.integers(0, 3)):
        case 0:
            return STRANGER, draw(st.sampled_from(frames))
        case 1:
            return BATCHER, draw(st.binary(max_size=60).filter(lambda raw: len(raw) < 20 or raw[16:18] != b"\0\0"))
        case 2 if upto:
            return SEQUENCER, frames[draw(st.integers(0, upto - 1))]
        case _:
            return BATCHER, draw(st.binary(min_size=16, max_size=16)) + b"\x00\x07\x01orphan"


@given(st.data())
def test_duplicates_and_garbage_between_frames_change_nothing(data: st.DataObject) -> None:
    """Invalid input never stalls derivation and never alters a block (S17)."""
    old, new = chain(2), []
    tip = SafeBlock(2, execute(old[1]), old[1].timestamp, l1(1), 3)
    new = chain(6, after=tip)
    replayed, frames = frames_of(old), frames_of(new, frame_bytes=60)
    inbox: list[tuple[str, bytes]] = []
    for index, frame in enumerate(frames):
        inbox += data.draw(st.lists(noise(frames, index), max_size=2))
        inbox += [(SEQUENCER, replayed[0])] * data.draw(st.integers(0, 1))  # an accepted channel, once more
        inbox.append((BATCHER, frame))
    run = derive(9, {3: post(replayed), 8: tuple(inbox), 9: post(frames, SEQUENCER)})
    assert run.hashes == hashes_of(old + new)
    assert run.derivation.safe.l1_number == 8


@given(st.binary(max_size=200), st.booleans())
def test_a_channel_of_random_bytes_is_dropped_and_the_next_one_derived(body: bytes, compressed: bool) -> None:
    """However deep garbage gets into the decoders, the honest batch behind it is accepted (S17)."""
    garbage = split(b"\x01" + (zlib.compress(b"\x00" + body) if compressed else body))
    run = derive(3, {3: post(garbage, SEQUENCER) + post(frames_of(chain(4)))})
    assert run.hashes == hashes_of(chain(4))
    assert len(run.dropped) == 1


@settings(max_examples=50)
@given(st.integers(1, 30), st.integers(1, 30))
def test_chunking_of_feeding_changes_nothing(first: int, second: int) -> None:
    """A node that catches up derives what one that followed derived (S7)."""
    l1_blocks = storm()
    runs = [Run().feed(l1_blocks, chunk=chunk) for chunk in (first, second)]
    assert runs[0].safe == runs[1].safe
    assert len(runs[0].safe) == 30
    assert runs[0].dropped == runs[1].dropped
    assert runs[0].derivation.to_json() == runs[1].derivation.to_json()


def storm(*, branch: int = 0, fork: int | None = None, salt: bytes = b"") -> list[L1Block]:
    """30 L1 blocks with three chains' worth of multi-frame channels, repeats, a gap and a stray."""
    one = chain(10, per_origin=4)
    tip = SafeBlock(10, execute(one[-1]), one[-1].timestamp, l1(2), 0)
    two = chain(10, after=tip, per_origin=4, salt=salt)
    tip = SafeBlock(20, execute(two[-1]), two[-1].timestamp, l1(4), 0)
    three = chain(10, after=tip, per_origin=4, salt=salt)
    a, b, c = (frames_of(blocks, frame_bytes=90) for blocks in (one, two, three))
    inboxes = {8: post(a[:2]), 9: post(a[:1], STRANGER), 10: post(a[2:]) + post(c, SEQUENCER),  # c: a gap, dropped
               12: post(a, SEQUENCER) + post(b[:1]), 14: post(b[1:3]), 17: post(b[3:]) + post(c[:2]),
               19: post(c[2:3]) + post(b), 22: post(c[3:]), 25: post(c)}
    return [*with_forced(l1_chain(30, inboxes, branch=branch, fork=fork), salt, 31 if fork is None else fork)]


def with_forced(blocks: Iterable[L1Block], salt: bytes, fork: int) -> Iterable[L1Block]:
    """In every third L1 block two entries join the forced queue; from the fork on they are others."""
    index, accumulator = 0, ZERO_HASH
    for block in blocks:
        entries: list[ForcedEntry] = []
        for _ in range(2 if block.number % 3 == 0 else 0):
            payload = bytes([block.number, len(entries)]) + (salt if block.number >= fork else b"")
            entry = ForcedEntry(index, 0, 50_000, payload, accumulator)
            accumulator = Hash("0x" + keccak(bytes.fromhex(accumulator[2:]) + entry.hash).hex())
            entries.append(replace(entry, accumulator=accumulator))
            index += 1
        yield replace(block, forced=tuple(entries))


def reorged(fork: int) -> list[L1Block]:
    """The same storm, with other L1 blocks and other batches above the fork."""
    return storm()[:fork] + storm(branch=7, fork=fork + 1, salt=b"new")[fork:]


def test_a_batch_that_reaches_back_is_taken_from_the_safe_head_on() -> None:
    """The already safe prefix is skipped: two batchers may overlap."""
    blocks = chain(6)
    run = derive(6, {5: post(frames_of(blocks[:4])), 6: post(frames_of(blocks[1:]), SEQUENCER)})
    assert run.hashes == hashes_of(blocks)
    assert [block.l1_number for block in run.safe] == [5, 5, 5, 5, 6, 6]


def test_a_batch_of_safe_blocks_is_a_no_op() -> None:
    """First valid wins; the same blocks in another channel do nothing."""
    blocks = chain(4)
    run = derive(6, {5: post(frames_of(blocks)), 6: post(frames_of(blocks[:3]))})
    assert run.hashes == hashes_of(blocks)
    assert "holds only blocks that are safe already" in run.dropped[0]


def test_a_batch_dropped_for_a_gap_is_accepted_when_posted_again_after_it_closed() -> None:
    """Only accepted channels are remembered."""
    blocks = chain(6)
    late = frames_of(blocks[3:])
    run = derive(6, {4: post(late), 5: post(frames_of(blocks[:3])), 6: post(late)})
    assert run.hashes == hashes_of(blocks)
    assert "starts at height 4, above the next safe height 1" in run.dropped[0]


def test_a_channel_larger_than_any_honest_one_is_dropped_as_it_grows() -> None:
    """Frames without end do not fill the memory of a node (S18)."""
    flood = [Frame(b"f" * 16, index, False, bytes(100_000)).encode() for index in range(41)]
    run = derive(8, {8: post(flood) + post(frames_of(chain(4)))})
    assert "has more than 4004064 bytes" in run.dropped[0]
    assert run.hashes == hashes_of(chain(4))


def test_a_node_that_has_the_block_need_not_execute_it() -> None:
    """The derived block recognises an executed one by inputs and hash, and nothing less."""
    derivation = machine()
    for l1_block in l1_chain(3, {3: post(frames_of(chain(2)))}):
        derivation.feed(l1_block)
    block = derivation.next()
    assert block is not None
    held = ExecutedBlock(block.inputs, execute(block.inputs), Hash("0x" + "01" * 32), 0, ())
    assert block.is_confirmed_by(held)
    assert not block.is_confirmed_by(replace(held, hash=GENESIS.hash))
    assert not block.is_confirmed_by(replace(held, inputs=replace(block.inputs, timestamp=block.inputs.timestamp + 1)))


# -- what must be dropped


def forged(blocks: Sequence[BlockInputs], **change: object) -> tuple[bytes, ...]:
    """Frames of a batch with its last record changed, re-executed and certified: only the rules can refuse it."""
    last = replace(blocks[-1], **change)  # type: ignore[arg-type]  # the cases name BlockInputs fields
    return frames_of([*blocks[:-1], last])


def uncertified(blocks: Sequence[BlockInputs], certificate: bytes) -> tuple[bytes, ...]:
    batch = Batch(tuple(map(BlockRecord.of, blocks)), execute(blocks[-1]), certificate)
    return split(compress(encode_batch(batch)))


def late_third() -> list[BlockInputs]:
    """Blocks 3 and 4 of origin 0, the third ten seconds after it."""
    third = replace(chain(3, per_origin=9)[2], timestamp=1_010)
    return [third, replace(third, number=4, parent=execute(third))]


GOOD = chain(4)
ORPHAN = replace(GENESIS, hash=Hash("0x" + "99" * 32))
BAD = {
    "parent": (frames_of(chain(4, after=ORPHAN)), "not the safe head"),
    "gap": (frames_of(GOOD[1:]), "above the next safe height"),
    "origin skips": (forged(GOOD, origin=l1(3), timestamp=l1(3).timestamp), "neither repeats nor follows"),
    "origin goes back": (forged(GOOD, origin=l1(0)), "neither repeats nor follows"),
    "origin dead": (forged(GOOD, origin=l1(2, branch=9)), "L1 origin 2 is 0x"),
    "before parent": (forged([*chain(3, per_origin=9)[:2], *late_third()], timestamp=1_005), "before the parent's"),
    "before origin": (forged(GOOD, timestamp=GOOD[-1].timestamp - 1), "before L1 origin 2's"),
    "drift": (forged(GOOD, timestamp=l1(2).timestamp + 31), "the bound is 30 s"),
    "no certificate": (uncertified(GOOD, b""), "no valid finalization of block 4"),
    "another's certificate": (uncertified(GOOD, certify(execute(GOOD[2]))), "no valid finalization of block 4"),
    "unexecutable": (forged(GOOD, transactions=(b"\x0f",)), "block 4 does not execute: refused by the engine"),
    "forged deposit": (split(compress(encode_batch(Batch((BlockRecord.of(GOOD[0]),), execute(GOOD[0]), certify(
        execute(GOOD[0])))).replace(b"\x02" + bytes(20), b"\x7e" + bytes(20)))), "deposit-type"),
    "id": (tuple(b"\xaa" * 16 + frame[16:] for frame in frames_of(GOOD)), "is not the hash of its bytes"),
    "bomb": (split(b"\x01" + zlib.compress(bytes(5_000_000))), "inflates to more"),
    "frame": ((b"short",), "not 5 bytes"),
}


@pytest.mark.parametrize("rule", BAD)
def test_a_batch_that_breaks_a_rule_is_dropped_whole_and_the_honest_one_accepted(rule: str) -> None:
    """Each acceptance rule is seen to refuse, names itself, and does not stall what follows."""
    frames, reason = BAD[rule]
    run = derive(8, {6: post(frames, SEQUENCER), 8: post(frames_of(GOOD))})
    assert len(run.dropped) == 1
    assert reason in run.dropped[0]
    assert run.hashes == hashes_of(GOOD)
    assert {block.l1_number for block in run.safe} == {8}


def test_a_stranger_s_frames_do_not_count() -> None:
    """Only the batcher and the active sequencers speak for the chain; case of the address does not matter."""
    run = derive(5, {4: post(frames_of(GOOD), STRANGER)})
    assert run.safe == []
    assert "neither the batcher nor an active sequencer" in run.dropped[0]
    assert derive(5, {4: post(frames_of(GOOD), BATCHER.upper().replace("X", "x"))}).hashes == hashes_of(GOOD)


@pytest.mark.parametrize(("included", "count"), [(20, 2), (21, 0)])
def test_a_block_must_be_included_within_the_sequencing_window_of_its_origin(included: int, count: int) -> None:
    """Origin 0 is open up to L1 block 20 and not one longer."""
    run = derive(22, {included: post(frames_of(chain(2, per_origin=9)))})
    assert len(run.safe) == count
    assert all("more than 20 after its origin 0" in reason for reason in run.dropped)
    assert bool(run.dropped) == (count == 0)


def test_an_origin_above_the_including_block_is_refused_even_if_it_is_known_by_now() -> None:
    """A node that fed ahead must not accept what one that followed could not (S7)."""
    frames = frames_of(chain(4))  # the last origin is 2
    for chunk in (1, 10):
        run = Run().feed(l1_chain(8, {1: post(frames)}), chunk=chunk)
        assert run.safe == []
        assert "L1 origin 1" in run.dropped[0] or "L1 origin 2, above L1 block 1" in run.dropped[0]


def test_a_genuine_certificate_does_not_make_forged_blocks_below_it_safe() -> None:
    """One Byzantine poster forges block 1 and 2 under the real tip's certificate: nothing of it becomes safe (S2)."""
    fake = chain(3, salt=b"forged")
    batch = Batch((*map(BlockRecord.of, fake), replace(BlockRecord.of(GOOD[3]), parent=execute(fake[2]))),
                  execute(GOOD[3]), certify(execute(GOOD[3])))
    run = derive(8, {6: post(split(compress(encode_batch(batch))), SEQUENCER), 8: post(frames_of(GOOD))})
    assert run.hashes == hashes_of(GOOD)
    assert f"its batch says {execute(GOOD[3])}" in run.dropped[0]


def test_a_broken_link_between_records_drops_the_batch() -> None:
    """Each executed hash must be the next record's parent."""
    records = list(map(BlockRecord.of, GOOD))
    records[2] = replace(records[2], parent=GENESIS.hash)
    batch = Batch(tuple(records), execute(GOOD[3]), certify(execute(GOOD[3])))
    run = derive(6, {6: post(split(compress(encode_batch(batch))))})
    assert run.safe == []
    assert f"block 2 executed to {execute(GOOD[1])}, its batch says {GENESIS.hash}" in run.dropped[0]


def test_frames_in_the_wrong_order_are_dropped() -> None:
    """Strict order: a channel whose second frame came first is not put together again."""
    a, b, *rest = frames_of(chain(6), frame_bytes=90)
    assert derive(8, {8: post([b, a, *rest])}).safe == []
    assert derive(8, {8: post([a, *rest, b])}).safe == []
    assert len(derive(8, {8: post([a, b, *rest])}).safe) == 6


def test_a_new_channel_takes_the_place_of_an_unfinished_one() -> None:
    """One staging channel: a stalled batcher cannot block another."""
    stalled, other = frames_of(chain(6), frame_bytes=90), frames_of(chain(4), frame_bytes=90)
    run = derive(8, {7: post(stalled[:-1]) + post(other[:1], SEQUENCER),
                     8: post(other[1:], SEQUENCER) + post(stalled[-1:])})
    assert run.hashes == hashes_of(chain(4))
    assert "lost its place" in run.dropped[0]


@pytest.mark.parametrize(("last", "count"), [(13, 6), (14, 0)])
def test_a_channel_must_be_complete_within_the_timeout(last: int, count: int) -> None:
    """Opened at 7 with a timeout of 6: block 13 may still carry the end, block 14 not."""
    frames = frames_of(chain(6), frame_bytes=90)
    run = derive(15, {7: post(frames[:-1]), last: post(frames[-1:])})
    assert len(run.safe) == count
    assert any("not complete after 6 L1 blocks" in reason for reason in run.dropped) == (count == 0)


# -- reorgs, finality, restarts


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(0, 8), st.integers(1, 9))
def test_rewinding_equals_a_fresh_derivation_of_the_new_chain(head: int, depth: int, chunk: int) -> None:
    """Up to the finality depth, an L1 reorg leaves no trace of the old chain (S3, S6)."""
    fork = max(0, head - depth)
    old, new = storm(), reorged(fork)
    run = Run().feed(old[:head], chunk=chunk)
    run.derivation.rewind(fork)
    run.feed(new[fork:])
    fresh = Run().feed(new)
    assert run.derivation.safe == fresh.derivation.safe
    assert run.derivation.finalized(30) == fresh.derivation.finalized(30)
    assert run.derivation.to_json() == fresh.derivation.to_json()


@settings(max_examples=60)
@given(st.integers(0, 29), st.integers(0, 25))
@example(9, 10)  # one batch of the L1 block is safe and the rest of the block not yet looked at
def test_a_restored_machine_goes_on_as_if_nothing_had_happened(stop: int, steps: int) -> None:
    """State survives JSON at any moment, half-executed batches included; at worst one L1 block is derived again."""
    blocks, run = storm(), Run()
    run.feed(blocks[:stop])
    run.derivation.feed(blocks[stop])
    for _ in range(steps):
        block = run.derivation.next()
        if block is None:
            break
        run.derivation.on_executed(block.inputs.number, execute(block.inputs))
    stored = json.loads(json.dumps(run.derivation.to_json()))
    restored = Run(Derivation.from_json(RULES, stored, verify_finalization=verify))
    assert restored.derivation.to_json() == stored
    assert restored.derivation.cursor in (stop, stop + 1)
    restored.feed(blocks[restored.derivation.cursor:])
    assert restored.derivation.to_json() == Run().feed(blocks).derivation.to_json()


def test_a_restored_machine_can_still_rewind() -> None:
    """An L1 reorg during the outage is handled like any other."""
    run = Run().feed(storm()[:18])
    restored = Run(Derivation.from_json(RULES, run.derivation.to_json(), verify_finalization=verify))
    new = reorged(14)
    for each in (run, restored):
        each.derivation.rewind(14)
        each.feed(new[14:])
    assert restored.derivation.to_json() == run.derivation.to_json() == Run().feed(new).derivation.to_json()


@pytest.mark.parametrize("damage", [
    lambda value: value.pop("safe"),
    lambda value: value.update(safe=[]),
    lambda value: value.update(l1=value["l1"][:-1]),
    lambda value: value.update(l1=value["l1"][::2]),
    lambda value: value.update(chain_id=902),
    lambda value: value.update(accepted=[["zz", 1]]),
    lambda value: value.update(staged_at=[[15, 4, 1]]),
], ids=["missing", "no base", "short", "gaps", "another chain", "not hex", "no such channel"])
def test_damaged_state_is_refused_with_a_name(damage: Callable[[dict[str, object]], None]) -> None:
    """A truncated store means deriving again, not a traceback."""
    value = Run().feed(storm()[:15]).derivation.to_json()
    damage(value)
    with pytest.raises(DerivationError):
        Derivation.from_json(RULES, value, verify_finalization=verify)


def test_forced_entries_are_held_for_every_origin_still_to_be_taken() -> None:
    """Of origins from the finalized block's on; what comes out of turn is refused, and changes nothing."""
    blocks = storm()
    run = Run().feed(blocks)
    base = run.derivation.finalized(0).origin.number
    assert base >= 3
    for block in blocks:
        if block.number > base:
            assert run.derivation.forced_at(block.number) == block.forced
    stale = replace(blocks[-1], number=31, hash=l1(31).hash, parent=blocks[-1].hash)
    before = run.derivation.to_json()
    with pytest.raises(DerivationError, match="forced entry 18 was read in L1 block 31, where entry 20 is next"):
        run.derivation.feed(stale)
    assert run.derivation.to_json() == before


def test_a_reorg_below_finality_is_refused_and_changes_nothing() -> None:
    """k > F halts; there is no silent rewrite (S4)."""
    run = Run().feed(storm()[:20])
    before = run.derivation.to_json()
    with pytest.raises(ReorgTooDeep, match=r"rewind to L1 block 11 .*floor 12"):
        run.derivation.rewind(11)
    assert run.derivation.to_json() == before
    run.derivation.rewind(12)
    assert run.derivation.safe.number == 10
    run.feed(reorged(12)[12:13])
    with pytest.raises(ReorgTooDeep, match="floor 12"):  # a second reorg counts from the highest head ever seen
        run.derivation.rewind(11)


def test_rewinding_amid_a_batch_forgets_how_far_it_was() -> None:
    """A reorg of the very L1 block being derived starts its replacement from the first frame."""
    blocks, run = storm(), Run().feed(storm()[:9])
    run.derivation.feed(blocks[9])
    for _ in range(4):
        block = run.derivation.next()
        assert block is not None
        run.derivation.on_executed(block.inputs.number, execute(block.inputs))
    assert run.derivation.rewind(9) == GENESIS
    assert run.feed(blocks[9:]).derivation.to_json() == Run().feed(blocks).derivation.to_json()


@given(st.integers(0, 30))
def test_finalized_is_the_last_safe_block_from_deep_enough_l1(head: int) -> None:
    """A block is finalized once its last L1 input lies F deep, and never again falls (S4)."""
    run = Run()
    seen = 0
    for l1_block in storm()[:head]:
        run.feed([l1_block])
        finalized = run.derivation.finalized_height(l1_block.number)
        deep = [block.number for block in run.safe if block.l1_number <= l1_block.number - 8]
        assert finalized == max(deep, default=0)
        assert seen <= finalized <= run.derivation.safe.number
        seen = finalized


def test_rewinding_within_what_was_only_fed_keeps_what_was_derived() -> None:
    """A reorg of L1 blocks not yet looked at costs nothing."""
    blocks, run = storm(), Run()
    for l1_block in blocks[:16]:
        run.derivation.feed(l1_block)
    assert run.derivation.next() is not None
    run.derivation.rewind(12)
    assert (run.derivation.l1_head.number, run.derivation.cursor) == (12, 9)
    run.feed(blocks[12:])
    assert run.derivation.to_json() == Run().feed(blocks).derivation.to_json()


def test_l1_is_fed_linked_bounded_and_idempotently() -> None:
    """A gap or fork is the driver's to resolve; the same block twice is not."""
    blocks, derivation = l1_chain(QUEUE_MAX + 2, {}), machine()
    for _ in range(2):
        derivation.feed(blocks[0])
    for wrong in (blocks[2], replace(blocks[1], parent=l1(0).hash), replace(blocks[0], hash=l1(1, branch=3).hash)):
        with pytest.raises(L1LinkError):
            derivation.feed(wrong)
    for l1_block in blocks[1:QUEUE_MAX]:
        derivation.feed(l1_block)
    with pytest.raises(DerivationError, match="drain next"):
        derivation.feed(blocks[QUEUE_MAX])
    assert derivation.next() is None
    derivation.feed(blocks[QUEUE_MAX])


def test_reporting_a_block_out_of_turn_is_an_error() -> None:
    """A driver that loses its place is told, not obeyed."""
    derivation = machine()
    for report in (lambda: derivation.on_executed(1, GENESIS.hash), lambda: derivation.on_invalid(1, "no")):
        with pytest.raises(DerivationError, match="block 1 was reported, but no block is being waited for"):
            report()
    for l1_block in l1_chain(3, {3: post(frames_of(GOOD))}):
        derivation.feed(l1_block)
    assert derivation.next() == derivation.next()
    with pytest.raises(DerivationError, match="but 1 is being waited for"):
        derivation.on_executed(2, GENESIS.hash)
