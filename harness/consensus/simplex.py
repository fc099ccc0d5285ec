"""Simplex (Chan & Pass, 2023) for one validator, as a pure state machine that answers inputs with effects.

Protocol. Views count up; view v is led by `validators[v mod n]`. The leader proposes a block on the newest notarized
block such that every view between is nullified. A validator executes it and votes *notarize*; q = n − f such votes
make a notarization, which moves everyone to v + 1 and lets those that did not vote *nullify* in v vote *finalize*;
q of those finalize the block and its ancestors. No proposal within T2 + 2Δ of entering the view, or no notarization
within T2 + 3Δ, and it votes nullify; q of those move everyone on without a block. Nobody ever votes nullify and
finalize in one view: with quorum intersection that is the whole safety argument.

This module is the protocol: what each input means for votes and views. What the validator knows of the chain is in
`chain`, what it ever signed in `own_votes`, how long it waits in `pacing`; how to drive it is told in `effects`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.consensus.block_tree import BlockState
from harness.consensus.certificates import Verify, is_valid
from harness.consensus.chain import Chain, Head
from harness.consensus.effects import (
    Broadcast,
    BuildBlock,
    Effect,
    EnterView,
    PersistCertificate,
    PersistVote,
    RequestCertificates,
    TimerKind,
)
from harness.consensus.messages import Certificate, Message, Proposal, SignedVote, Vote, VoteKind
from harness.consensus.own_votes import OwnVotes, Sign
from harness.consensus.pacing import Pacing, Timing
from harness.consensus.signing import is_signed_by, proposal_digest, vote_digest
from harness.consensus.tally import MAX_VIEWS_AHEAD, VOTE_WINDOW, Tally, quorum_of
from harness.rollup.blocks import Hash

__all__ = ["Head", "Simplex", "Timing"]  # what it takes to construct one


class Simplex:
    """One validator (or, if `me` is not among the validators, one observer)."""

    def __init__(
        self, *, chain_id: int, validators: Sequence[str], me: str, sign: Sign, timing: Timing, finalized: Head,
        votes: Iterable[SignedVote] = (), certificates: Iterable[Certificate] = (), floor_view: int = 0,
        verify: Verify = is_signed_by,
    ) -> None:
        self.validators = tuple(validators)
        self.me = me
        self.quorum = quorum_of(len(self.validators))
        self._rank = {name: index for index, name in enumerate(self.validators)}
        if len(self._rank) != len(self.validators) or not self.validators:
            raise ValueError(f"validators are {self.validators}; expected at least one name, each once")
        self._chain_id, self._verify = chain_id, verify
        self._sign = sign                                   # proposals; votes are signed in `OwnVotes`
        self._now = 0
        self._out: list[Effect] = []
        self._started = False

        self._chain = Chain(finalized, me=me, validators=self.validators)
        self._own = OwnVotes(me, chain_id=chain_id, sign=sign)
        self._pacing = Pacing(timing, faulty=len(self.validators) - self.quorum)
        self._tally = Tally(self.validators, self.quorum)

        self.view = finalized.view + 1
        self._proposal: Proposal | None = None              # the current view's, mine or the leader's
        self._parent: Head | None = None                    # what I was asked to build on in this view
        self._execution_asked = False                       # of the current view's proposal
        self._parent_requested = False
        self._gap_requested = False
        self._restore(votes, certificates, floor_view)

    # ---- what can be read

    @property
    def finalized(self) -> Head:
        return self._chain.finalized

    def leader(self, view: int) -> str:
        return self.validators[view % len(self.validators)]

    def certificates_for(self, views: Iterable[int]) -> tuple[Certificate, ...]:
        """What I hold of these views, and the newest finalization: the answer to `RequestCertificates`."""
        return self._chain.certificates_for(views)

    def holds(self, vote: Vote) -> bool:
        """Whether a certificate for this vote would be dropped: a valid one is held, or it is too old to matter.

        A driver may ask before it parses one (`messages.certified_vote`); a forgery never makes the real one held.
        """
        return self._chain.is_known(vote)

    @property
    def backoff(self) -> int:
        """How much Δ is stretched in the timers of a view entered now."""
        return self._pacing.backoff(self._chain.nullified_run)

    def highest_view_signed_by(self, voter: str) -> int:
        """The highest view of any valid vote seen from this voter since start; 0 if none."""
        return self._tally.highest_view_of(voter)

    # ---- inputs

    def start(self, now: int) -> list[Effect]:
        self._now = now
        self._started = True
        # After a restart what I said before may be what others wait for: repeat it soon.
        self._enter(self.view, resend_after_ns=self._pacing.timing.network_bound_ns)
        # Alone (q = 1) a row written just before the crash already was its certificate, and nobody else will say so.
        for signed in self._own.since(0):
            self._count(signed)
        return self._take()

    def on_message(self, message: Message, now: int) -> list[Effect]:
        if isinstance(message, SignedVote):
            return self.on_vote(message, now)
        if isinstance(message, Certificate):
            return self.on_certificate(message, now)
        return self.on_proposal(message, now)

    def on_vote(self, signed: SignedVote, now: int) -> list[Effect]:
        view = signed.vote.view
        if (
            not self.view - VOTE_WINDOW <= view <= self.view + MAX_VIEWS_AHEAD
            or signed.voter not in self._rank
            or self._tally.has(signed)
            or not self._verify(vote_digest(self._chain_id, signed.vote), signed.signature, signed.voter)
        ):
            return []
        self._now = now
        self._count(signed)
        return self._take()

    def on_certificate(self, certificate: Certificate, now: int) -> list[Effect]:
        if self._chain.is_known(certificate.vote) or not self._is_valid(certificate):
            return []
        self._now = now
        self._learn(certificate)
        return self._take()

    def on_proposal(self, proposal: Proposal, now: int) -> list[Effect]:
        view = proposal.view
        if view == self.view and self._proposal is not None:
            return []
        if view < self.view and self._chain.tree.get(proposal.block_hash) is not None:
            return []
        if not self._verify(proposal_digest(self._chain_id, proposal), proposal.signature, self.leader(view)):
            return []
        self._now = now
        if view >= self.view:
            justification = self._justification(proposal)
            if justification is None:
                return []
            for certificate in justification:
                self._learn(certificate)
        if view == self.view and self._proposal is None:
            self._proposal = proposal
            self._chain.add_body(proposal, now)
            self._consider_proposal()
        elif view < self.view:
            self._out += self._chain.add_late(proposal, now)
        return self._take()

    def on_block_built(
        self, view: int, *, parent_hash: Hash, block_hash: Hash, payload: bytes, now: int
    ) -> list[Effect]:
        """The block asked for by `BuildBlock` is built and executed. Too late for its view, it is dropped."""
        parent = self._parent
        if view != self.view or parent is None or parent.block_hash != parent_hash or self._proposal is not None:
            return []
        if not self._may(VoteKind.NOTARIZE, view):
            return []
        self._now = now
        unsigned = self._chain.propose(view, on=parent, block_hash=block_hash, payload=payload)
        proposal = replace(unsigned, signature=self._sign(proposal_digest(self._chain_id, unsigned)))
        self._proposal = proposal
        self._chain.add_built(proposal, now)
        # The vote is made durable before the proposal leaves, so that a restarted leader never proposes again.
        self._cast(Vote(VoteKind.NOTARIZE, view, proposal.height, block_hash), after_persist=proposal)
        self._on_available(block_hash)
        return self._take()

    def on_build_refused(self, view: int, now: int) -> list[Effect]:
        """I lead `view` but cannot build (ineligible, braked): nullify at once; others follow the leader's nullify."""
        if view != self.view or self._proposal is not None or self.leader(view) != self.me:
            return []
        self._now = now
        self._nullify()
        return self._take()

    def on_executed(
        self, view: int, block_hash: Hash, *, executed: bool, refusal: str | None, now: int
    ) -> list[Effect]:
        """The answer to `ExecuteBlock`.

        Args:
            executed: the payload executed on its parent and gave `block_hash`; the block can be built on.
            refusal: why this validator does not vote for it (origin, timestamp), or None to vote.
        """
        self._now = now
        if not executed:
            self._out += self._chain.fail(block_hash)
            return self._take()
        is_first = self._chain.add_executed(block_hash)
        if is_first is None:
            return []
        proposal = self._proposal
        if (
            refusal is None and proposal is not None and view == self.view == proposal.view
            and proposal.block_hash == block_hash and self._may(VoteKind.NOTARIZE, view)
        ):
            self._cast(Vote(VoteKind.NOTARIZE, view, proposal.height, block_hash))
        if is_first:
            self._on_available(block_hash)
        return self._take()

    def on_block_executed(self, *, height: int, block_hash: Hash, parent_hash: Hash, now: int) -> list[Effect]:
        """A block fetched from a peer or read from the journal is executed; parents first, others are ignored."""
        self._now = now
        if self._chain.add_fetched(block_hash, height=height, parent_hash=parent_hash):
            self._on_available(block_hash)
        return self._take()

    def on_timeout(self, view: int, kind: TimerKind, now: int) -> list[Effect]:
        if view != self.view:
            return []
        self._now = now
        if kind is TimerKind.RESEND:
            self._resend()
        elif kind is TimerKind.NOTARIZATION or self._proposal is None:
            self._nullify()
        return self._take()

    # ---- voting

    def _may(self, kind: VoteKind, view: int) -> bool:
        """Whether this vote contradicts nothing I ever signed. Every vote passes here."""
        is_nullified = view in self._chain.book.nullified
        return self.me in self._rank and self._own.may(kind, view, is_nullified=is_nullified)

    def _cast(self, vote: Vote, *, after_persist: Proposal | None = None) -> None:
        signed = self._own.sign(vote)
        self._out.append(PersistVote(signed))
        if after_persist is not None:
            self._out.append(Broadcast(after_persist))
        self._out.append(Broadcast(signed))
        self._count(signed)

    def _nullify(self) -> None:
        if self._may(VoteKind.NULLIFY, self.view):
            self._cast(Vote.nullify(self.view))

    def _count(self, signed: SignedVote) -> None:
        vote = signed.vote
        self._note_vote(signed)
        certificate = self._tally.certificate(vote)
        if certificate is not None and not self._chain.is_known(vote):
            self._accept(certificate, formed=True)
        elif (
            vote.kind is VoteKind.NULLIFY and vote.view == self.view and self._proposal is None
            and signed.voter == self.leader(vote.view)
        ):
            self._nullify()  # the leader itself gave the view up: no proposal is coming

    def _note_vote(self, signed: SignedVote) -> None:
        equivocation = self._tally.add(signed)
        if equivocation is not None:
            self._out.append(equivocation)

    # ---- certificates

    def _is_valid(self, certificate: Certificate) -> bool:
        return is_valid(certificate, chain_id=self._chain_id, rank=self._rank, quorum=self.quorum, verify=self._verify)

    def _learn(self, certificate: Certificate) -> None:
        """Take in a valid certificate from outside; its votes count like any others."""
        if certificate.view >= self.view - VOTE_WINDOW:
            for signed in certificate.votes():
                self._note_vote(signed)
        if not self._chain.is_known(certificate.vote):
            self._accept(certificate, formed=False)

    def _accept(self, certificate: Certificate, *, formed: bool) -> None:
        view, kind = certificate.view, certificate.kind
        if kind is VoteKind.NOTARIZE and view in self._chain.book.certified:
            return  # for another block: more than f validators are Byzantine; the votes are evidence
        self._out.append(PersistCertificate(certificate))
        if formed and kind is not VoteKind.FINALIZE:
            # A finalization is not worth 3 messages a node each view: the next one covers it, and resends carry it.
            self._out.append(Broadcast(certificate))
        if kind is VoteKind.NULLIFY:
            self._chain.nullify(certificate, ends_view=view >= self.view)
        else:
            self._out += self._chain.certify(certificate)
            if kind is VoteKind.NOTARIZE and self._may(VoteKind.FINALIZE, view):
                self._cast(Vote(VoteKind.FINALIZE, view, certificate.height, certificate.block_hash))
        if view >= self.view:
            self._enter(view + 1)
        else:
            self._try_lead()

    # ---- proposals and blocks

    def _justification(self, proposal: Proposal) -> list[Certificate] | None:
        """The certificates of a well-placed proposal that are new to me, all valid; None if it is not well placed."""
        new = self._chain.news_in(proposal)
        return new if new is not None and all(self._is_valid(certificate) for certificate in new) else None

    def _consider_proposal(self) -> None:
        """Have the current view's proposal executed, or its parent fetched, if I can still vote for it."""
        proposal = self._proposal
        if proposal is None or self._execution_asked or not self._may(VoteKind.NOTARIZE, self.view):
            return
        if self._chain.tree.is_executed(proposal.parent_hash):
            self._execution_asked = True
            self._out += self._chain.execute(proposal, certified=False)
        else:
            self._fetch_parent(proposal.parent_hash, proposal.height - 1)

    def _fetch_parent(self, block_hash: Hash, height: int) -> None:
        """Ask once a view; resends ask again."""
        if not self._parent_requested:
            self._parent_requested = True
            self._out += self._chain.fetch(block_hash, height)

    def _on_available(self, block_hash: Hash) -> None:
        """A block is executed for the first time: what waited for it goes on."""
        self._out += self._chain.go_on_from(block_hash)
        if self._proposal is not None and self._proposal.parent_hash == block_hash:
            self._consider_proposal()
        self._try_lead()

    # ---- views

    def _enter(self, view: int, *, resend_after_ns: int | None = None) -> None:
        self.view = view
        self._proposal = None
        self._parent = None
        self._execution_asked = self._parent_requested = self._gap_requested = False
        self._tally.forget_below(view - VOTE_WINDOW)
        self._own.forget_below(view - 1)
        if not self._started:
            return
        self._out.append(EnterView(view, self.leader(view)))
        self._out += self._pacing.enter(view, nullified_run=self._chain.nullified_run, resend_after_ns=resend_after_ns)
        self._try_lead()

    def _try_lead(self) -> None:
        view = self.view
        if (
            not self._started or self.leader(view) != self.me or self._parent is not None
            or self._proposal is not None or not self._may(VoteKind.NOTARIZE, view)
        ):
            return
        if gap := self._gap():
            if not self._gap_requested:
                self._gap_requested = True
                self._out.append(RequestCertificates(gap))
            return
        parent = self._best()
        block = self._chain.tree.get(parent.block_hash)
        if block is None or block.state is not BlockState.EXECUTED:
            self._fetch_parent(parent.block_hash, parent.height)
            return
        self._parent = parent
        due = self._now if block.seen_ns is None else block.seen_ns + self._pacing.timing.block_interval_ns
        self._out.append(BuildBlock(view, parent.block_hash, parent.height + 1, max(due, self._now)))

    def _best(self) -> Head:
        return self._chain.best

    def _gap(self) -> tuple[int, ...]:
        return self._chain.book.gap(self.view)

    def _resend(self) -> None:
        """Repeat whatever of mine another validator may lack to leave its view, and ask again for what I lack."""
        before = self.view - 1
        self._out += [Broadcast(certificate) for certificate in self._chain.newest(before)]
        self._out += [Broadcast(signed) for signed in self._own.since(max(before, self.finalized.view + 1))]
        if self._proposal is not None and self.leader(self.view) == self.me:
            self._out.append(Broadcast(self._proposal))
        if gap := self._gap():
            self._out.append(RequestCertificates(gap))
        self._out += self._chain.fetch_newest()
        self._out.append(self._pacing.resend_again(self.view))

    # ---- restart

    def _restore(self, votes: Iterable[SignedVote], certificates: Iterable[Certificate], floor_view: int) -> None:
        for signed in self._own.restore(votes, floor_view=floor_view):
            self._tally.add(signed)
        self._chain.restore(certificates)
        self._enter(max(self.view, self._own.highest_view, self._chain.book.highest_view + 1))

    def _take(self) -> list[Effect]:
        out, self._out = self._out, []
        return out
