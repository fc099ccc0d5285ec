"""One validator at a time: what each input makes the state machine do."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import pytest
from simplex_world import CHAIN_ID, GENESIS, MS, TIMING, block_hash_of, fake_sign, fake_verify, names

from harness.consensus.certificates import MAX_UNFINALIZED_VIEWS, TooManyViews
from harness.consensus.effects import (
    Broadcast,
    BuildBlock,
    Effect,
    EnterView,
    Equivocation,
    ExecuteBlock,
    Finalized,
    Notarized,
    PersistCertificate,
    PersistVote,
    RequestBlocks,
    RequestCertificates,
    SetTimer,
    TimerKind,
)
from harness.consensus.messages import Certificate, Proposal, SignedVote, Vote, VoteKind
from harness.consensus.pacing import BACKOFF_CAP
from harness.consensus.signing import address_of, proposal_digest, sign, vote_digest
from harness.consensus.simplex import Head, Simplex
from harness.consensus.tally import MAX_VIEWS_AHEAD, VOTE_WINDOW, quorum_of
from harness.rollup.blocks import Hash

FOUR = names(4)
E = TypeVar("E")


def validator(index: int = 0, *, of: tuple[str, ...] = FOUR, started: bool = True, **rest: Any) -> Simplex:
    name = of[index] if index < len(of) else "0x" + "ff" * 20
    machine = Simplex(**{
        "chain_id": CHAIN_ID, "validators": of, "me": name, "sign": partial(fake_sign, name), "timing": TIMING,
        "finalized": GENESIS, "verify": fake_verify, **rest,
    })
    if started:
        machine.start(0)
    return machine


def signed(vote: Vote, voter: int) -> SignedVote:
    return SignedVote(vote, FOUR[voter], fake_sign(FOUR[voter], vote_digest(CHAIN_ID, vote)))


def certificate(vote: Vote, voters: tuple[int, ...] = (0, 1, 2)) -> Certificate:
    return Certificate(vote, tuple((FOUR[voter], signed(vote, voter).signature) for voter in voters))


def block(view: int, parent: Hash = GENESIS.block_hash, height: int = 1) -> Hash:
    return block_hash_of(parent, height, str(view).encode())


def notarize(view: int, height: int = 1, block_hash: Hash | None = None) -> Vote:
    return Vote(VoteKind.NOTARIZE, view, height, block_hash or block(view))


def proposal(
    view: int, parent: Certificate | None = None, nullified: tuple[int, ...] = (), **changes: Any
) -> Proposal:
    parent_hash = GENESIS.block_hash if parent is None else parent.block_hash
    height = 1 if parent is None else parent.height + 1
    made = replace(Proposal(
        view, height, parent_hash, block(view, parent_hash, height), str(view).encode(), parent,
        tuple(certificate(Vote.nullify(skipped)) for skipped in nullified), b"",
    ), **changes)
    return replace(made, signature=fake_sign(FOUR[view % 4], proposal_digest(CHAIN_ID, made)))


def of_type(effects: list[Effect], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def votes(effects: list[Effect]) -> list[tuple[VoteKind, int]]:
    return [(row.vote.vote.kind, row.vote.vote.view) for row in of_type(effects, PersistVote)]


def executed(machine: Simplex, made: Proposal, now: int = 0) -> list[Effect]:
    return machine.on_executed(made.view, made.block_hash, executed=True, refusal=None, now=now)


def test_any_two_quorums_share_an_honest_validator() -> None:
    """2q − n > f for every n."""
    for count in range(1, 200):
        assert 2 * quorum_of(count) - count > (count - 1) // 3
    assert [quorum_of(count) for count in (1, 2, 3, 4, 7)] == [1, 2, 3, 3, 5]


def test_a_single_validator_commits_within_one_call_with_real_signatures() -> None:
    """n = 1 needs no network: the block built is notarized, finalized and followed by the next view at once."""
    key = b"\x07" * 32
    me = address_of(key)
    machine = Simplex(
        chain_id=CHAIN_ID, validators=(me,), me=me, sign=partial(sign, key=key), timing=TIMING, finalized=GENESIS)
    order = of_type(machine.start(0), BuildBlock)[0]
    effects = machine.on_block_built(
        order.view, parent_hash=order.parent_hash, block_hash=block(1), payload=b"1", now=5 * MS)
    assert votes(effects) == [(VoteKind.NOTARIZE, 1), (VoteKind.FINALIZE, 1)]
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Notarized) < kinds.index(Finalized) < kinds.index(EnterView) < kinds.index(BuildBlock)
    assert of_type(effects, BuildBlock)[0].not_before_ns == 505 * MS
    assert machine.finalized == Head(1, 1, block(1))
    finality = of_type(effects, Finalized)[0].certificate
    assert not machine.on_certificate(finality, 0), "my own finalization is known"
    other = Simplex(
        chain_id=CHAIN_ID, validators=(me,), me="0x" + "00" * 20, sign=partial(sign, key=key), timing=TIMING,
        finalized=GENESIS)
    assert of_type(other.on_certificate(finality, 0), EnterView) == []
    assert other.view == 2


def test_a_vote_is_durable_before_anything_that_reveals_it() -> None:
    """In every list the row precedes the broadcast of the vote, and the leader's row precedes its proposal."""
    machine = validator(1)
    effects = machine.on_block_built(
        1, parent_hash=GENESIS.block_hash, block_hash=block(1), payload=b"1", now=0)
    kinds = [type(effect) for effect in effects]
    assert kinds[:3] == [PersistVote, Broadcast, Broadcast]
    assert isinstance(effects[1], Broadcast)
    assert isinstance(effects[1].message, Proposal)


def test_a_proposal_is_executed_then_voted_for_then_certified_then_finalized() -> None:
    """The normal case from a follower's side."""
    machine, made = validator(0), proposal(1)
    assert of_type(machine.on_proposal(made, 0), ExecuteBlock) == [ExecuteBlock(made, certified=False)]
    assert votes(executed(machine, made)) == [(VoteKind.NOTARIZE, 1)]
    assert machine.on_vote(signed(notarize(1), 1), 0) == []
    effects = machine.on_vote(signed(notarize(1), 2), 0)
    assert votes(effects) == [(VoteKind.FINALIZE, 1)]
    assert [held.block_hash for held in of_type(effects, Notarized)] == [block(1)]
    assert machine.view == 2
    finalize = Vote(VoteKind.FINALIZE, 1, 1, block(1))
    machine.on_vote(signed(finalize, 1), 0)
    assert [held.height for held in of_type(machine.on_vote(signed(finalize, 2), 0), Finalized)] == [1]


def test_the_next_leader_waits_a_block_interval_after_it_first_saw_the_parent() -> None:
    """Pacing: T2 between proposals as this node saw them."""
    machine, made = validator(2), proposal(1)
    machine.on_proposal(made, 40 * MS)
    executed(machine, made, 60 * MS)
    effects = machine.on_certificate(certificate(notarize(1)), 90 * MS)
    assert of_type(effects, BuildBlock) == [BuildBlock(2, block(1), 2, 540 * MS)]


def test_without_a_proposal_or_a_notarization_in_time_the_view_is_nullified() -> None:
    """2Δ for the proposal, 3Δ for its notarization, each after T2; the first does nothing once a proposal is there."""
    assert votes(validator().on_timeout(1, TimerKind.PROPOSAL, 0)) == [(VoteKind.NULLIFY, 1)]
    machine = validator()
    machine.on_proposal(proposal(1), 0)
    assert votes(machine.on_timeout(1, TimerKind.PROPOSAL, 0)) == []
    assert votes(machine.on_timeout(1, TimerKind.NOTARIZATION, 0)) == [(VoteKind.NULLIFY, 1)]
    assert votes(machine.on_timeout(1, TimerKind.NOTARIZATION, 0)) == []
    assert machine.on_timeout(0, TimerKind.NOTARIZATION, 0) == []
    timers = {timer.kind: timer.after_ns for timer in of_type(validator(started=False).start(0), SetTimer)}
    assert timers[TimerKind.PROPOSAL] == 1_000 * MS
    assert timers[TimerKind.NOTARIZATION] == 1_250 * MS


def test_after_nullify_a_notarization_moves_on_without_a_finalize_vote() -> None:
    """The rule the whole safety argument stands on."""
    machine = validator()
    machine.on_timeout(1, TimerKind.PROPOSAL, 0)
    effects = machine.on_certificate(certificate(notarize(1)), 0)
    assert machine.view == 2
    assert votes(effects) == []


def test_after_finalize_the_view_is_never_nullified_even_by_a_restarted_validator() -> None:
    """The durable row alone keeps the promise: the certificate row was lost with the crash."""
    machine = validator()
    effects = machine.on_certificate(certificate(notarize(1)), 0)
    row = of_type(effects, PersistVote)[0].vote
    assert row.vote.kind is VoteKind.FINALIZE
    again = validator(votes=[row])
    assert again.view == 1
    assert votes(again.on_timeout(1, TimerKind.NOTARIZATION, 0)) == []


def test_a_restarted_leader_does_not_propose_a_second_block() -> None:
    """Its notarize row is its proposal."""
    row = signed(notarize(1), 1)
    machine = validator(1, votes=[row], started=False)
    effects = machine.start(0)
    assert of_type(effects, BuildBlock) == []
    resent = machine.on_timeout(1, TimerKind.RESEND, 0)
    assert Broadcast(row) in resent
    assert votes(machine.on_timeout(1, TimerKind.NOTARIZATION, 0)) == [(VoteKind.NULLIFY, 1)]


def test_a_validator_that_lost_its_rows_does_not_vote_up_to_what_its_peers_saw() -> None:
    """The floor comes from the peers; rows that reach as far make it needless."""
    lost = validator(floor_view=3)
    assert votes(lost.on_timeout(1, TimerKind.PROPOSAL, 0)) == []
    lost.on_certificate(certificate(Vote.nullify(2)), 0)
    assert votes(lost.on_timeout(3, TimerKind.PROPOSAL, 0)) == [(VoteKind.NULLIFY, 3)]
    intact = validator(votes=[signed(notarize(2), 0)], floor_view=3)
    assert votes(intact.on_timeout(2, TimerKind.NOTARIZATION, 0)) == [(VoteKind.NULLIFY, 2)]
    observer = validator()
    observer.on_vote(signed(notarize(2), 3), 0)
    assert (observer.highest_view_signed_by(FOUR[3]), observer.highest_view_signed_by(FOUR[2])) == (2, 0)


GOOD = certificate(notarize(1))


@pytest.mark.parametrize(
    "bad",
    [
        certificate(notarize(1), (0, 1)),
        certificate(notarize(1), (0, 1, 1)),
        certificate(notarize(1), (2, 1, 0)),
        Certificate(notarize(1), (*GOOD.signatures[:2], ("0x" + "ee" * 20, b"x" * 65))),
        Certificate(notarize(1), (*GOOD.signatures[:2], (FOUR[2], GOOD.signatures[0][1]))),
        Certificate(notarize(1, 2), GOOD.signatures),
        Certificate(notarize(2), GOOD.signatures),
    ],
    ids=["two of four", "one twice", "unordered", "stranger", "forged", "other height", "other view"],
)
def test_a_certificate_needs_q_distinct_known_signatures_on_this_very_vote(bad: Certificate) -> None:
    """Anything less is ignored, alone or inside a proposal; the good one is not."""
    machine = validator()
    assert machine.on_certificate(bad, 0) == []
    assert machine.on_proposal(proposal(2, bad, block_hash=block(9)), 0) == []
    assert machine.view == 1
    assert machine.on_certificate(GOOD, 0) != []
    assert machine.view == 2


@pytest.mark.parametrize(
    "bad",
    [
        replace(proposal(1), signature=b"\x00" * 65),
        replace(proposal(1), payload=b"another"),
        proposal(1, height=2),
        proposal(1, parent_hash=block(7)),
        proposal(3),
        proposal(3, nullified=(1,)),
        proposal(3, nullified=(2, 1)),
        proposal(3, nullified=(1, 2, 2)),
        proposal(2, certificate(notarize(2))),
        proposal(2, certificate(Vote.nullify(1))),
        proposal(2, GOOD, parent_hash=block(7)),
        proposal(2, GOOD, height=3),
        replace(proposal(3, nullified=(1, 2)), nullifications=(GOOD, GOOD)),
    ],
    ids=[
        "unsigned", "other payload", "height", "parent", "no nullifications", "gap", "unordered", "too many",
        "parent from this view", "parent nullified", "parent not the certified one", "skips a height", "not nullified",
    ],
)
def test_an_ill_placed_proposal_is_ignored(bad: Proposal) -> None:
    """Signed by the leader, on the certified parent, every view between nullified; otherwise not even executed."""
    machine = validator()
    assert of_type(machine.on_proposal(bad, 0), ExecuteBlock) == []
    assert of_type(machine.on_proposal(proposal(3, nullified=(1, 2)), 0), ExecuteBlock) != []


def test_a_parent_certificate_is_not_believed_about_a_height_it_was_not_signed_for() -> None:
    """Holding a certificate of the same block must not let a forged height through unverified."""
    machine = validator()
    machine.on_certificate(GOOD, 0)
    forged = Certificate(notarize(1, 5), GOOD.signatures)
    assert machine.on_proposal(proposal(2, forged), 0) == []
    machine.on_block_executed(height=1, block_hash=block(1), parent_hash=GENESIS.block_hash, now=0)
    assert of_type(machine.on_proposal(proposal(2, GOOD), 0), ExecuteBlock) != []


def test_a_proposal_from_the_future_brings_its_reader_there() -> None:
    """Its justification is proof enough to jump; the blocks behind it are asked for at once."""
    machine = validator()
    parent = certificate(notarize(40, 17))
    effects = machine.on_proposal(proposal(43, parent, nullified=(41, 42)), 0)
    assert machine.view == 43
    wanted = of_type(effects, RequestBlocks)
    assert [(ask.from_height, ask.tip_height, ask.tip_hash) for ask in wanted] == [(1, 17, block(40))]
    assert FOUR[0] not in wanted[0].peers
    assert len(wanted[0].peers) == 2


def test_fetched_blocks_let_a_validator_vote_and_finalize_what_it_missed() -> None:
    """Blocks arrive parents first; the waiting proposal is then executed and the waiting finalization takes effect."""
    machine = validator(2)
    chain = [GENESIS.block_hash]
    for height in range(1, 4):
        chain.append(block(height, chain[-1], height))
    finality = certificate(Vote(VoteKind.FINALIZE, 3, 3, chain[3]))
    assert of_type(machine.on_certificate(finality, 0), Finalized) == []
    asked = of_type(machine.on_proposal(proposal(4, finality), 0), RequestBlocks)
    assert [(ask.from_height, ask.tip_hash) for ask in asked] == [(1, chain[3])]
    orphan = machine.on_block_executed(height=2, block_hash=chain[2], parent_hash=chain[1], now=0)
    assert orphan == []
    effects: list[Effect] = []
    for height in range(1, 4):
        effects += machine.on_block_executed(
            height=height, block_hash=chain[height], parent_hash=chain[height - 1], now=0)
    assert [held.height for held in of_type(effects, Finalized)] == [1, 2, 3]
    assert [held.height for held in of_type(effects, Notarized)] == [3]
    assert [order.proposal.view for order in of_type(effects, ExecuteBlock)] == [4]


def test_an_abstained_block_is_executed_all_the_same_once_it_is_certified() -> None:
    """My view of L1 decides my vote, not the chain."""
    machine, made = validator(), proposal(1)
    machine.on_proposal(made, 0)
    refused = machine.on_executed(1, made.block_hash, executed=False, refusal="origin not known", now=0)
    assert votes(refused) == []
    effects = machine.on_certificate(GOOD, 0)
    assert of_type(effects, ExecuteBlock) == [ExecuteBlock(made, certified=True)]
    assert [held.block_hash for held in of_type(executed(machine, made), Notarized)] == [block(1)]


def test_a_validator_may_make_up_its_mind_within_the_view() -> None:
    """Executed but refused, then acceptable: the second report votes."""
    machine, made = validator(), proposal(1)
    machine.on_proposal(made, 0)
    assert votes(machine.on_executed(1, made.block_hash, executed=True, refusal="origin", now=0)) == []
    assert votes(executed(machine, made)) == [(VoteKind.NOTARIZE, 1)]
    assert votes(executed(machine, made)) == []


def test_a_body_that_is_not_the_certified_block_is_fetched_instead() -> None:
    """A lying leader's payload fails to execute; the block itself comes from those who vouched for it."""
    machine, made = validator(), proposal(1, payload=b"a lie")
    machine.on_proposal(made, 0)
    machine.on_executed(1, made.block_hash, executed=False, refusal="hash differs", now=0)
    again = machine.on_certificate(GOOD, 0)
    assert of_type(again, ExecuteBlock) == [ExecuteBlock(made, certified=True)]
    machine.on_executed(1, made.block_hash, executed=False, refusal="hash differs", now=0)
    asked = of_type(machine.on_timeout(2, TimerKind.RESEND, 0), RequestBlocks)
    assert [ask.tip_hash for ask in asked] == [block(1)]


def test_a_leader_that_cannot_build_gives_its_view_up_and_the_others_follow_at_once() -> None:
    """An ineligible leader costs a message delay, not a timeout."""
    effects = validator(1).on_build_refused(1, 0)
    assert votes(effects) == [(VoteKind.NULLIFY, 1)]
    follower = validator(0)
    assert votes(follower.on_vote(of_type(effects, PersistVote)[0].vote, 0)) == [(VoteKind.NULLIFY, 1)]
    assert votes(validator(0).on_vote(signed(Vote.nullify(1), 2), 0)) == []


def test_a_leader_asks_for_the_certificates_it_skipped_before_it_builds() -> None:
    """It jumped over views 1 and 2; a peer's answer lets it build, and not before."""
    machine = validator(0)
    effects = machine.on_certificate(certificate(Vote.nullify(3)), 0)
    assert of_type(effects, RequestCertificates) == [RequestCertificates((1, 2))]
    assert of_type(effects, BuildBlock) == []
    peer = validator(2)
    for view in (1, 2):
        peer.on_certificate(certificate(Vote.nullify(view)), 0)
    answers = peer.certificates_for((1, 2))
    assert of_type(machine.on_certificate(answers[0], 0), BuildBlock) == []
    assert of_type(machine.on_certificate(answers[1], 0), BuildBlock) == [BuildBlock(4, GENESIS.block_hash, 1, 0)]


def test_timers_stretch_under_repeated_nullifications_and_snap_back_on_finalization() -> None:
    """f in a row may be f dead leaders; more than that is a network to be patient with, up to a cap."""
    machine = validator()
    waits = []
    for view in range(1, 9):
        effects = machine.on_certificate(certificate(Vote.nullify(view)), 0)
        waits += [(timer.after_ns // MS - 500) // 750
                  for timer in of_type(effects, SetTimer) if timer.kind is TimerKind.NOTARIZATION]
    assert waits == [1, 2, 4, 8, 8, 8, 8, 8]
    assert waits[-1] == BACKOFF_CAP
    machine.on_block_executed(height=1, block_hash=block(9), parent_hash=GENESIS.block_hash, now=0)
    effects = machine.on_certificate(certificate(Vote(VoteKind.FINALIZE, 9, 1, block(9))), 0)
    assert SetTimer(10, TimerKind.NOTARIZATION, 1_250 * MS) in effects


def test_both_ways_votes_are_evidence_once_and_only_for_real_contradictions() -> None:
    """Two notarized hashes, two finalized hashes, nullify and finalize; notarize then nullify is honest."""
    finalize = Vote(VoteKind.FINALIZE, 1, 1, block(1))
    for first, second in (
        (notarize(1), notarize(1, 1, block(2))),
        (finalize, replace(finalize, block_hash=block(2))),
        (finalize, Vote.nullify(1)),
        (Vote.nullify(1), finalize),
    ):
        machine = validator()
        machine.on_vote(signed(first, 3), 0)
        found = of_type(machine.on_vote(signed(second, 3), 0), Equivocation)
        assert found == [Equivocation(signed(first, 3), signed(second, 3))]
        assert found[0].voter == FOUR[3]
        assert of_type(machine.on_vote(signed(second, 3), 0), Equivocation) == []
    machine = validator()
    machine.on_vote(signed(notarize(1), 3), 0)
    assert machine.on_vote(signed(Vote.nullify(1), 3), 0) == []
    assert machine.on_vote(signed(notarize(2, 1, block(1)), 3), 0) == []


@pytest.mark.parametrize("kind", list(VoteKind))
def test_a_forged_certificate_never_hides_the_real_one(kind: VoteKind) -> None:
    """Only what is valid is held, so a driver that skips what is held still reads the real one after a forgery."""
    machine = validator()
    vote = Vote.nullify(1) if kind is VoteKind.NULLIFY else Vote(kind, 1, 1, block(1))
    good = certificate(vote)
    forgeries = (
        Certificate(vote, tuple((voter, b"\x00" * 65) for voter, _ in good.signatures)),
        Certificate(vote, good.signatures[:2]),
        Certificate(vote, ()),
    )
    for forged in forgeries:
        assert not machine.holds(forged.vote)
        assert machine.on_certificate(forged, 0) == []
    assert not machine.holds(vote)
    assert of_type(machine.on_certificate(good, 0), PersistCertificate) == [PersistCertificate(good)]
    assert machine.holds(vote)
    assert not machine.holds(Vote(VoteKind.NOTARIZE, 2, 2, block(2)))


def test_a_held_certificate_hides_no_other_of_its_view() -> None:
    """What another block, or another outcome, of the same view is certified by is evidence, and is read."""
    machine = validator()
    machine.on_certificate(GOOD, 0)
    assert machine.holds(GOOD.vote)
    assert not machine.holds(notarize(1, block_hash=block(9)))
    assert not machine.holds(Vote.nullify(1))
    assert not machine.holds(Vote(VoteKind.FINALIZE, 1, 1, block(1)))


def test_evidence_is_found_inside_certificates_too() -> None:
    """A conflicting certificate is not accepted, but its signers' other votes convict them."""
    machine = validator()
    machine.on_certificate(GOOD, 0)
    effects = machine.on_certificate(certificate(notarize(1, 1, block(2)), (1, 2, 3)), 0)
    assert [found.voter for found in of_type(effects, Equivocation)] == [FOUR[1], FOUR[2]]
    assert len(effects) == 2


def test_votes_too_far_ahead_or_behind_strangers_votes_and_forgeries_are_dropped() -> None:
    """What cannot matter is not remembered."""
    machine = validator()
    assert machine.on_vote(signed(notarize(1 + MAX_VIEWS_AHEAD), 3), 0) == []
    assert machine.highest_view_signed_by(FOUR[3]) == 1 + MAX_VIEWS_AHEAD
    for bad in (
        signed(notarize(2 + MAX_VIEWS_AHEAD), 2),
        replace(signed(notarize(1), 2), voter="0x" + "ee" * 20),
        replace(signed(notarize(1), 2), signature=b"\x00" * 65),
        replace(signed(notarize(1), 2), voter=FOUR[1]),
    ):
        assert machine.on_vote(bad, 0) == []
    assert machine.highest_view_signed_by(FOUR[2]) == machine.highest_view_signed_by(FOUR[1]) == 0


def test_an_observer_follows_and_never_votes() -> None:
    """A replica runs the same machine; it executes what is certified and labels what is final."""
    machine, made = validator(4), proposal(1)
    assert votes(machine.on_timeout(1, TimerKind.PROPOSAL, 0)) == []
    assert of_type(machine.on_proposal(made, 0), ExecuteBlock) == []
    effects = machine.on_certificate(GOOD, 0)
    assert of_type(effects, ExecuteBlock) == [ExecuteBlock(made, certified=True)]
    assert votes(effects) == []
    executed(machine, made)
    effects = machine.on_certificate(certificate(Vote(VoteKind.FINALIZE, 1, 1, block(1))), 0)
    assert [held.height for held in of_type(effects, Finalized)] == [1]


def test_memory_stays_bounded_over_thousands_of_views() -> None:
    """After each finalization only a window is kept; without any, the most held has a name."""
    key_name = names(1)
    machine = validator(0, of=key_name, started=False)
    effects = machine.start(0)
    for step in range(3_000):
        order = of_type(effects, BuildBlock)[0]
        built = block_hash_of(order.parent_hash, order.height, b"")
        effects = machine.on_block_built(
            order.view, parent_hash=order.parent_hash, block_hash=built, payload=b"", now=step)
    assert machine.finalized.height == 3_000
    assert len(machine._tally) <= VOTE_WINDOW + 1
    assert len(machine._chain.tree) == 1
    assert max(len(machine._own), len(machine._chain.book.certified), len(machine._chain.book.nullified)) <= 3


def test_too_many_views_without_a_finalization_is_an_error_with_a_name() -> None:
    """The bound is reached with a message that says what to do, not with exhausted memory."""
    machine = validator(verify=lambda digest, signature, voter: True)
    signatures = tuple((name, b"") for name in FOUR[:3])
    for view in range(1, MAX_UNFINALIZED_VIEWS + 1):
        machine.on_certificate(Certificate(Vote.nullify(view), signatures), 0)
    with pytest.raises(TooManyViews, match="since view 0 was finalized"):
        machine.on_certificate(Certificate(Vote.nullify(MAX_UNFINALIZED_VIEWS + 1), signatures), 0)


def test_a_validator_set_must_name_each_validator_once() -> None:
    """A doubled name would count twice towards q."""
    with pytest.raises(ValueError, match="each once"):
        validator(of=(FOUR[0], FOUR[0]))
