"""The forced queue as read from L1, and what a block has to begin with: one rule for builder, voter and derivation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.evm.accounts import account
from harness.evm.keccak import keccak
from harness.evm.wallet import sign_transaction
from harness.rollup.blocks import ZERO_HASH, Hash
from harness.rollup.forced import (
    AccountState,
    ForcedEntry,
    ForcedView,
    QueueBroken,
    entry_from_json,
    entry_to_json,
    resolve,
    senders_of,
)

CHAIN = 901
ALICE, BOB = account(100), account(101)
SOMEWHERE = "0x" + "11" * 20


def chained(*payloads: bytes, gas: int = 100_000, start: int = 0, after: Hash = ZERO_HASH) -> tuple[ForcedEntry, ...]:
    """Entries as the contract would chain them; its own arithmetic is tested against this one in tests/contracts."""
    found: list[ForcedEntry] = []
    for index, payload in enumerate(payloads, start=start):
        entry = ForcedEntry(index, 0, gas, payload, after)
        after = Hash("0x" + keccak(bytes.fromhex(after[2:]) + entry.hash).hex())
        found.append(replace(entry, accumulator=after))
    return tuple(found)


def signed(who=ALICE, *, nonce: int = 0, gas: int = 50_000, value: int = 0, max_fee: int = 0, chain: int = CHAIN,
           to: str | None = SOMEWHERE, data: bytes = b"") -> bytes:  # fmt: skip
    return sign_transaction(who.key, chain_id=chain, nonce=nonce, to=to, data=data, gas=gas, value=value,
                            max_fee=max_fee)


def due(*entries: ForcedEntry, nonce: int = 0, balance: int = 10**18, without: tuple[int, ...] = ()):
    states = {sender: AccountState(nonce, balance) for sender in senders_of(entries)}
    return resolve(entries, states, chain_id=CHAIN, without=without)


# -- what has to stand at a block's head


def test_all_valid_entries_stand_at_the_head_in_queue_order() -> None:
    """Also several of one sender: each counts on from the one before it."""
    payloads = [signed(nonce=0), signed(BOB, nonce=0), signed(nonce=1), signed(nonce=2)]
    found = due(*chained(*payloads))
    assert (found.head, found.invalid) == (tuple(payloads), {})


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        pytest.param(b"no transaction", "not a signed transaction", id="garbage"),
        pytest.param(signed(chain=900), "signed for chain 900", id="of another chain"),
        pytest.param(signed(gas=100_001), "above the 100000 declared", id="more gas than paid for"),
        pytest.param(signed(gas=20_999), "below its intrinsic gas 21000", id="less gas than any needs"),
        pytest.param(signed(gas=21_015, data=b"\x01"), "below its intrinsic gas 21016", id="less than its data costs"),
        pytest.param(signed(gas=53_000, to=None, data=b"\0"), "below its intrinsic gas 53006", id="of a creation"),
        pytest.param(signed(nonce=1), "nonce 1, the sender's next is 0", id="a nonce too high"),
        pytest.param(signed(value=10**18 + 1), "the sender has 1000000000000000000", id="more than there is"),
        pytest.param(signed(gas=50_000, max_fee=10**18), "may cost", id="more than there is for gas"),
    ],
)
def test_what_cannot_execute_is_consumed_and_those_behind_it_execute(payload: bytes, why: str) -> None:
    """An entry that blocked the queue would be the cheapest way to stop the chain."""
    behind = signed(BOB)
    found = due(*chained(payload, behind))
    assert found.head == (behind,)
    assert why in found.invalid[0]


def test_a_used_nonce_is_consumed() -> None:
    """The usual case of a duplicate: it landed by itself meanwhile, or was enqueued twice."""
    payload = signed(nonce=3)
    assert due(*chained(payload, payload), nonce=3).head == (payload,)
    assert due(*chained(payload), nonce=4).head == ()


def test_earlier_entries_of_a_sender_count_at_what_they_may_cost_at_most() -> None:
    """So what is called valid executes, whatever the entries before it really cost."""
    half = 5 * 10**17
    fits, too_much = signed(nonce=0, value=half), signed(nonce=1, value=half + 1)
    assert due(*chained(fits, too_much)).head == (fits,)
    assert due(*chained(fits, signed(nonce=1, value=half))).head[1:] != ()


def test_an_entry_known_not_to_execute_is_consumed_with_what_depends_on_it() -> None:
    entries = chained(signed(nonce=0), signed(BOB), signed(nonce=1))
    found = due(*entries, without=(0,))
    assert found.head == (entries[1].payload,)
    assert sorted(found.invalid) == [0, 2]


def test_kinds_that_are_not_known_are_consumed() -> None:
    (entry,) = chained(signed())
    assert due(replace(entry, kind=1)).head == ()


# -- reading the queue


def test_a_view_takes_what_is_chained_and_gives_it_by_l1_block() -> None:
    entries = chained(signed(), signed(BOB), signed(nonce=1))
    view = ForcedView()
    view.push(5, entries[:2])
    view.push(6, ())
    view.push(7, entries[2:])
    assert [view.at(number) for number in (4, 5, 6, 7)] == [(), entries[:2], (), entries[2:]]


@pytest.mark.parametrize("wrong", ["missing", "repeated", "altered", "swapped"])
def test_a_view_refuses_what_is_not_the_queue(wrong: str) -> None:
    """Whoever served the L1 block left something out or changed it: nothing may be derived from that."""
    first, second, third = chained(signed(), signed(BOB), signed(nonce=1))
    view = ForcedView()
    view.push(1, (first,))
    bad = {"missing": (third,), "repeated": (first,), "altered": (replace(second, gas=99_999),),
           "swapped": (replace(third, index=1), replace(second, index=2))}[wrong]  # fmt: skip
    with pytest.raises(QueueBroken, match="forced entry"):
        view.push(2, bad)
    view.push(2, (second, third))


def test_a_view_forgets_what_a_reorg_took_and_takes_the_same_entry_elsewhere() -> None:
    entries = chained(signed(), signed(BOB))
    view = ForcedView()
    view.push(3, entries[:1])
    view.push(4, entries[1:])
    view.truncate(3)
    assert view.at(4) == ()
    view.push(6, entries[1:])
    assert view.at(6) == entries[1:]


def test_a_pruned_view_still_knows_what_the_next_entry_is_chained_to() -> None:
    entries = chained(signed(), signed(BOB), signed(nonce=1))
    view = ForcedView()
    view.push(1, entries[:1])
    view.push(2, entries[1:2])
    view.prune(100)
    assert (view.at(1), view.at(2)) == ((), entries[1:2])
    view.push(200, entries[2:])


def test_a_view_survives_a_restart_up_to_what_was_derived() -> None:
    entries = chained(signed(), signed(BOB))
    view = ForcedView()
    view.push(1, entries[:1])
    view.push(2, entries[1:])
    again = ForcedView.from_json(view.to_json(1))
    assert (again.at(1), again.at(2)) == (entries[:1], ())
    again.push(2, entries[1:])


def test_entries_go_through_json_and_malformed_ones_are_refused() -> None:
    (entry,) = chained(signed())
    written = entry_to_json(entry)
    assert entry_from_json(written) == entry
    for wrong in ([*written[:3], "zz", written[4]], [-1, *written[1:]], ["0", *written[1:]], written[:4],
                  [*written[:4], "0x12"], [1 << 64, *written[1:]]):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            entry_from_json(wrong)
