"""A block that one honest node builds is a block every honest node with the same L1 accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.rollup.blocks import Hash, L1Origin
from harness.rollup.l1_view import L1LinkError, L1View
from harness.rollup.origin import Picked, Stalled, Unknown, Valid, Wrong, judge, pick, seconds_too_early


def l1(number: int, *, branch: int = 0) -> L1Origin:
    return L1Origin(number, Hash(f"0x{branch:032x}{number:032x}"), 1_000 + 3 * number)


def view(head: int, *, oldest: int = 0, fork: int | None = None) -> L1View:
    """L1 blocks oldest..head, those from `fork` on of another branch."""
    dead_from = head + 1 if fork is None else fork
    return L1View.of([l1(n, branch=int(n >= dead_from)) for n in range(oldest, head + 1)], keep=64)


def choose(parent: L1Origin, seen: L1View, *, parent_timestamp: int = 0, now_s: int = 0) -> Picked | Stalled:
    return pick(parent, seen, parent_timestamp=parent_timestamp, now_s=now_s, confirmations=2, drift_s=30)


def verdict(seen: L1View, *, parent: L1Origin, parent_timestamp: int = 0, timestamp: int, number: int,
            hash: Hash | None = None) -> Valid | Wrong | Unknown:
    return judge(parent, seen, parent_timestamp=parent_timestamp, timestamp=timestamp, origin_number=number,
                 origin_hash=hash or l1(number).hash, drift_s=30)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60), st.integers(900, 1_300))
def test_what_is_picked_is_judged_valid(head: int, parent: int, lag: int, now_s: int) -> None:
    """A leader never proposes what the rules refuse, whatever its clock and L1 view say."""
    seen, parent_timestamp = view(head), l1(parent).timestamp + lag % 31
    picked = choose(l1(parent), seen, parent_timestamp=parent_timestamp, now_s=now_s)
    if isinstance(picked, Picked):
        assert picked.timestamp >= parent_timestamp
        is_catching_up = picked.origin != l1(parent) and picked.timestamp == picked.origin.timestamp + 30
        assert picked.timestamp >= now_s or is_catching_up
        assert picked.origin.number + 2 <= head or picked.origin == l1(parent)
        assert verdict(seen, parent=l1(parent), parent_timestamp=parent_timestamp, timestamp=picked.timestamp,
                       number=picked.origin.number, hash=picked.origin.hash) == Valid(picked.origin)


@pytest.mark.parametrize(("head", "origin"), [(5, 3), (6, 4)])
def test_the_next_origin_is_taken_once_it_has_its_confirmations(head: int, origin: int) -> None:
    """Origin 4 is taken under L1 head 6, its second confirmation, and not one L1 block earlier."""
    picked = choose(l1(3), view(head), now_s=1_020)
    assert isinstance(picked, Picked)
    assert picked.origin.number == origin


def test_one_block_moves_the_origin_by_at_most_one() -> None:
    """A chain that fell behind catches up a step a block."""
    assert choose(l1(3), view(30), now_s=1_020) == Picked(l1(4), 1_020)


def test_a_frozen_l1_stops_the_chain_at_the_drift_bound_and_not_before() -> None:
    """All L1 views cut: go on for the drift, then stop; there is no empty-block exception."""
    assert choose(l1(3), view(4), now_s=l1(3).timestamp + 30) == Picked(l1(3), l1(3).timestamp + 30)
    stalled = choose(l1(3), view(4), now_s=l1(3).timestamp + 31)
    assert isinstance(stalled, Stalled)
    assert "31 s after L1 origin 3" in stalled.reason


def test_a_chain_that_was_down_longer_than_the_drift_catches_up_one_origin_a_block() -> None:
    """After an outage the first blocks carry the latest time their origins allow; without that none could be built."""
    seen, now_s = view(40), l1(40).timestamp
    parent, timestamp, picks = l1(3), l1(3).timestamp, 0
    while timestamp < now_s:
        picked = choose(parent, seen, parent_timestamp=timestamp, now_s=now_s)
        assert isinstance(picked, Picked)
        assert picked.origin.number == parent.number + 1
        parent, timestamp, picks = picked.origin, picked.timestamp, picks + 1
    assert timestamp == now_s
    assert picks == 40 - 3 - 10


def test_a_slow_clock_still_builds_on_time() -> None:
    """Validity depends on origins, not on clocks."""
    assert choose(l1(3), view(30), parent_timestamp=1_015, now_s=5) == Picked(l1(4), 1_015)


def test_nothing_is_built_on_a_dead_or_unseen_origin() -> None:
    """After an L1 reorg the chain is rewound before it grows."""
    for seen, reason in ((view(9, fork=3), "no longer canonical"), (view(2), "above my L1 head 2"),
                         (view(9, oldest=5), "older than the L1 blocks I keep")):
        stalled = choose(l1(3), seen, now_s=1_012)
        assert isinstance(stalled, Stalled)
        assert reason in stalled.reason


@pytest.mark.parametrize(("case", "reason"), [
    ({"number": 5, "timestamp": 1_020}, "neither repeats nor follows the parent's 3"),
    ({"number": 2, "timestamp": 1_020}, "neither repeats nor follows the parent's 3"),
    ({"number": 4, "timestamp": 1_020, "hash": l1(4, branch=1).hash}, "L1 origin 4 is 0x"),
    ({"number": 4, "timestamp": 1_019, "parent_timestamp": 1_020}, "before the parent's 1020"),
    ({"number": 4, "timestamp": 1_011}, "before L1 origin 4's 1012"),
    ({"number": 4, "timestamp": 1_043}, "31 s after L1 origin 4, the bound is 30 s"),
], ids=["skips", "goes back", "dead", "before parent", "before origin", "drifts"])
def test_a_wrong_origin_or_timestamp_is_refused_for_its_reason(case: dict[str, int], reason: str) -> None:
    """Each rule is seen to fail."""
    found = verdict(view(9), parent=l1(3), **case)  # type: ignore[arg-type]  # the cases mix ints and one hash
    assert isinstance(found, Wrong)
    assert reason in found.reason


def test_the_bounds_of_the_timestamp_are_inclusive() -> None:
    """max(parent, origin) and origin + drift are both still valid."""
    for timestamp in (1_012, 1_042):
        assert verdict(view(9), parent=l1(3), parent_timestamp=1_012, timestamp=timestamp, number=4) == Valid(l1(4))


def test_an_origin_above_my_head_is_unknown_and_becomes_valid_when_seen() -> None:
    """A lagging L1 view abstains; it does not call honest leaders wrong."""
    assert isinstance(verdict(view(3), parent=l1(3), timestamp=1_012, number=4), Unknown)
    assert verdict(view(4), parent=l1(3), timestamp=1_012, number=4) == Valid(l1(4))


@pytest.mark.parametrize(("ahead", "wait"), [(-3, 0), (5, 0), (6, 1), (15, 10)])
def test_a_proposal_far_ahead_of_my_clock_waits(ahead: int, wait: int) -> None:
    """Five seconds of skew cost nothing; more costs the excess."""
    assert seconds_too_early(1_000 + ahead, now_s=1_000) == wait


def test_a_view_stays_linked_and_bounded() -> None:
    """A gap, a fork or a fall below what is kept is an error with a name; the newest blocks stay."""
    seen = L1View(l1(0), keep=3)
    for n in range(1, 6):
        seen.push(l1(n), parent=l1(n - 1).hash)
    assert [block.number for block in seen] == [3, 4, 5]
    assert seen.at(2) is None
    for block, parent in ((l1(7), l1(5).hash), (l1(6, branch=1), l1(5, branch=1).hash)):
        with pytest.raises(L1LinkError):
            seen.push(block, parent=parent)
    seen.truncate(4)
    assert seen.head == l1(4)
    with pytest.raises(L1LinkError, match="older than the oldest kept, 3"):
        seen.truncate(2)
