"""Simplex under an adversarial scheduler keeps its promises, and each broken variant of it is caught breaking one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simplex_world import Outage, PropertyViolated, Split, Storm, World, digest_of_effects, random_storm

from harness.consensus import block_tree
from harness.consensus.effects import Effect, PersistVote, RequestBlocks, TimerKind
from harness.consensus.messages import Certificate, Proposal, Vote, VoteKind
from harness.consensus.simplex import Head, Simplex
from harness.consensus.tally import Tally

MUTANT_STORMS = 400
"""Storms within which a broken protocol must be caught."""


def storms(count: int, *, byzantine: bool) -> st.SearchStrategy[Storm]:
    at = st.integers(0, 5_000)
    return st.builds(
        Storm, seed=st.integers(0, 2**32), count=st.just(count), loss=st.sampled_from((0, 5, 30)),
        duplicate=st.sampled_from((0, 20)), delay_ms=st.sampled_from((60, 300, 900)),
        refuse=st.sampled_from((0, 20)), byzantine=st.just(byzantine),
        outages=st.lists(
            st.builds(Outage, st.integers(0, count - 1), at, st.integers(100, 1_500), st.integers(0, 8)), max_size=6
        ).map(tuple),
        splits=st.lists(
            st.builds(Split, at, st.integers(200, 2_000), st.integers(0, 2**count - 1), st.booleans()), max_size=3
        ).map(tuple),
    )


PROPERTY = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@PROPERTY
@given(storms(4, byzantine=False))
def test_four_honest_validators_stay_safe_through_any_storm_and_finalize_after_it(storm: Storm) -> None:
    """Loss, delay, duplication, splits and crashes between any two effects break nothing and heal in bounded time."""
    World(storm).weather()


@PROPERTY
@given(storms(4, byzantine=True))
def test_one_two_faced_validator_of_four_cannot_break_safety_or_liveness(storm: Storm) -> None:
    """A node that proposes different blocks to each half and signs everything both ways is within the fault budget."""
    World(storm).weather()


@settings(PROPERTY, max_examples=20)
@given(storms(7, byzantine=True))
def test_seven_validators_tolerate_a_two_faced_one_and_crashes(storm: Storm) -> None:
    """f = 2: one Byzantine validator and crashes of the others."""
    World(storm).weather()


@settings(PROPERTY, max_examples=20)
@given(storms(1, byzantine=False))
def test_a_single_validator_never_contradicts_itself_across_crashes(storm: Storm) -> None:
    """n = 1, q = 1 is the same code; only crashes can hurt it."""
    World(storm).weather()


@pytest.mark.parametrize("count", [1, 4, 7])
def test_without_faults_every_validator_finalizes_a_block_each_interval(count: int) -> None:
    """The normal case: T2 plus at most one message delay and one execution a block, and no view is lost."""
    world = World(Storm(seed=1, count=count))
    world.run(20_000)
    for node in world.honest:
        assert node.disk.finalized.height >= 20_000 // (500 + 60 + 60) - 2
        assert node.simplex.view <= node.disk.finalized.height + 2


def test_with_one_of_four_down_the_others_lose_only_its_views() -> None:
    """Zero spare: every vote is needed, and only the dead leader's views time out."""
    world = World(Storm(seed=1, outages=(Outage(node=2, at_ms=0, for_ms=60_000, effects=0),)))
    world.run(30_000)
    heights = [node.disk.finalized.height for node in world.honest if node.index != 2]
    assert min(heights) >= 30_000 // 3_000 * 3  # three blocks each rotation of 3 × ~0.6 s + 1.0 s of timeout
    assert world.nullified
    assert all(view % 4 == 2 for view in world.nullified)


def test_two_against_two_stops_both_sides_and_one_side_of_three_goes_on() -> None:
    """Without q nothing commits; with q the majority does, and the minority catches up after the heal."""
    even = World(Storm(seed=3, until_ms=20_000, splits=(Split(2_000, 18_000, 0b0011, one_way=False),)))
    even.run(4_000)
    stopped = even.top
    even.run(20_000)
    assert even.top == stopped
    odd = World(Storm(seed=3, until_ms=20_000, splits=(Split(2_000, 18_000, 0b0001, one_way=False),)))
    odd.run(20_000)
    assert odd.honest[0].disk.finalized.height <= stopped + 1
    assert odd.top > 15
    odd.weather()
    assert odd.honest[0].disk.finalized.height > 15


def test_a_flapping_link_does_not_livelock_the_views() -> None:
    """Under rapid one-sided cuts the back-off keeps the views per minute bounded, and progress returns at once."""
    flaps = tuple(Split(at, 350, 0b0011, one_way=False) for at in range(1_000, 60_000, 700))
    world = World(Storm(seed=5, until_ms=60_000, splits=flaps))
    world.weather()
    assert max(node.simplex.view for node in world.honest) < 130


def test_a_run_depends_on_nothing_but_its_storm() -> None:
    """Equal storms give equal chains and equal numbers of steps."""
    first, second = World(random_storm(11)), World(random_storm(11))
    first.weather()
    second.weather()
    assert (first.chain, first.steps, first.now) == (second.chain, second.steps, second.now)


HASHED = random_storm(18)  # with crashes, evidence and, above all, fetches
HASH_SEEDS = (1, 3, 4)     # small sets may agree under two seeds

UNORDERED = """
from dataclasses import replace
from harness.consensus.effects import RequestBlocks
from harness.consensus.simplex import Simplex

class Unordered(Simplex):
    def _take(self):
        return [
            replace(effect, peers=tuple(set(effect.peers))) if isinstance(effect, RequestBlocks) else effect
            for effect in super()._take()
        ]
"""


def digest_under_hash_seed(hash_seed: int, machine: str) -> str:
    """The effects of one storm in a fresh interpreter, whose sets and strings hash by this seed."""
    here = Path(__file__).parent
    code = f"{UNORDERED}\nfrom simplex_world import *\nprint(digest_of_effects(random_storm({HASHED.seed}), {machine}))"
    paths = os.pathsep.join((str(here), str(here.parent.parent)))
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": paths},
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_effects_do_not_depend_on_the_order_of_hashes() -> None:
    """Every effect of every validator is the same under any hash seed; a machine that asks a set in turn is not."""
    here = digest_of_effects(HASHED)
    assert {digest_under_hash_seed(seed, "Simplex") for seed in HASH_SEEDS} == {here}
    assert len({digest_under_hash_seed(seed, "Unordered") for seed in HASH_SEEDS}) > 1


FAR_BEHIND = Storm(seed=4, until_ms=60_000, splits=(Split(1_000, 59_000, 0b0001, one_way=False),))
PAGE = 8
HELD_MAX = 3 * PAGE
"""Of a page, its finalization and the blocks of the views under way; far less than the straggler missed."""


def test_a_straggler_catches_up_page_by_page_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page's finalization makes room for the next page, however far the tip is."""
    monkeypatch.setattr(block_tree, "MAX_BLOCKS", HELD_MAX)
    world = World(FAR_BEHIND, page_max=PAGE)
    world.run(60_000)
    missed = world.top - world.honest[0].disk.finalized.height
    assert missed > 2 * HELD_MAX
    world.weather()
    assert world.pages >= missed // PAGE


def test_pages_without_their_finalizations_exhaust_what_a_validator_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same catch-up fails with a name when the finalizations are left out, so the test above can fail."""
    monkeypatch.setattr(block_tree, "MAX_BLOCKS", HELD_MAX)
    with pytest.raises(block_tree.TooManyBlocks, match="with each page"):
        World(FAR_BEHIND, page_max=PAGE, pages_are_finalized=False).weather()


def test_pages_of_any_size_carry_a_validator_through_the_storms() -> None:
    """Crashes and losses between two pages, and newer requests beside older ones, do no harm."""
    turned = 0
    for seed in range(60):
        world = World(random_storm(seed), page_max=1 + seed % 3)
        world.weather()
        turned += world.pages
    assert turned > 0


class DropsWhatItHolds(Simplex):
    """Asks before it reads, as the sequencer does."""

    asked = held = 0

    def on_certificate(self, certificate: Certificate, now: int) -> list[Effect]:
        type(self).asked += 1
        if self.holds(certificate.vote):
            type(self).held += 1
            return []
        return super().on_certificate(certificate, now)


def test_leaving_held_certificates_unread_changes_no_effect() -> None:
    """`holds` is an economy: under the storms, too, every effect of every validator stays the same."""
    for seed in range(12):
        assert digest_of_effects(random_storm(seed), DropsWhatItHolds) == digest_of_effects(random_storm(seed))
    assert 0 < DropsWhatItHolds.held < DropsWhatItHolds.asked


def test_double_votes_become_evidence_that_names_the_two_faced_validator() -> None:
    """Evidence against an honest validator is a violation in every test here; this one shows there is evidence."""
    world = World(Storm(seed=2, byzantine=True))
    world.weather()
    assert world.evidence > 0


# ---- broken variants: a property nobody has seen fail is not a check


class NullifiesAndFinalizes(Simplex):
    """Forgets that nullify and finalize exclude each other."""

    def _may(self, kind: VoteKind, view: int) -> bool:
        if kind is not VoteKind.NOTARIZE and view >= self._own.floor:
            return kind not in self._own.of(view)
        return super()._may(kind, view)


class TwoAreEnough(Simplex):
    """Certifies with two votes of four."""

    def _restore(self, *args: object) -> None:
        self.quorum = 2
        self._tally = Tally(self.validators, 2)
        super()._restore(*args)  # type: ignore[arg-type]  # passed through unchanged


class VotesAgainForAnOldView(Simplex):
    """Votes in views below one it has voted in."""

    def _may(self, kind: VoteKind, view: int) -> bool:
        floor, self._own.floor = self._own.floor, 0
        try:
            return super()._may(kind, view)
        finally:
            self._own.floor = floor


class SendsBeforeDurable(Simplex):
    """Lets the vote leave before its row is flushed."""

    def _take(self) -> list[Effect]:
        return sorted(super()._take(), key=lambda effect: isinstance(effect, PersistVote))


class NeverResends(Simplex):
    """Says everything once."""

    def on_timeout(self, view: int, kind: TimerKind, now: int) -> list[Effect]:
        return [] if kind is TimerKind.RESEND else super().on_timeout(view, kind, now)


class NeverNullifies(Simplex):
    """Waits for a dead leader for ever."""

    def _nullify(self) -> None:
        return


class NeverFetches(Simplex):
    """Does not ask for blocks it has missed."""

    def _take(self) -> list[Effect]:
        return [effect for effect in super()._take() if not isinstance(effect, RequestBlocks)]


class Forgiving(dict[int, Certificate]):
    def __missing__(self, view: int) -> Certificate:
        return Certificate(Vote.nullify(view), ())


class BuildsWithoutJustification(Simplex):
    """Leads from its finalized head whatever was notarized since, and votes for leaders who do."""

    def _gap(self) -> tuple[int, ...]:
        return ()

    def _best(self) -> Head:
        return self.finalized

    def on_block_built(self, view: int, **built: Any) -> list[Effect]:
        self._chain.book.nullified = Forgiving(self._chain.book.nullified)
        return super().on_block_built(view, **built)

    def _justification(self, proposal: Proposal) -> list[Certificate] | None:
        parent = proposal.parent_certificate
        return [parent] if parent is not None and self._is_valid(parent) else []


def is_caught(expected: str, machine: type[Simplex] = Simplex, *, forgets_votes: bool = False) -> bool:
    """Whether some storm of the campaign shows this violation."""
    for seed in range(MUTANT_STORMS):
        try:
            World(random_storm(seed), machine, forgets_votes=forgets_votes).weather()
        except PropertyViolated as violation:
            if expected in str(violation):
                return True
    return False


@pytest.mark.parametrize(
    ("machine", "violation"),
    [
        (NullifiesAndFinalizes, "signed nullify and finalize"),
        (TwoAreEnough, "two blocks are finalized"),
        (VotesAgainForAnOldView, "voted in view"),
        (SendsBeforeDurable, "before it was durable"),
        (NeverResends, "no finalization above"),
        (NeverNullifies, "no finalization above"),
        (NeverFetches, "no finalization above"),
        (BuildsWithoutJustification, "two blocks are finalized"),
    ],
)
def test_each_broken_rule_is_caught(machine: type[Simplex], violation: str) -> None:
    """Dropping any one rule is noticed within the campaign, and for the reason that rule exists."""
    assert is_caught(violation, machine)


def test_forgetting_votes_in_a_crash_is_caught() -> None:
    """A lost vote table without a floor from the peers makes a validator contradict itself."""
    assert is_caught(" signed ", forgets_votes=True)


@pytest.mark.parametrize(("count", "seeds"), [(1, 150), (2, 60), (3, 60), (4, 80), (7, 25), (10, 10)])
def test_the_unbroken_protocol_survives_the_same_campaign(count: int, seeds: int) -> None:
    """The storms that catch the mutants are within what the real one must bear, for every size of the set."""
    for seed in range(seeds):
        World(random_storm(seed, count)).weather()
