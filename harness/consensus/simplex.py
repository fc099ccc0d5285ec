"""Simplex (Chan & Pass, 2023) for one validator, as a pure state machine that answers inputs with effects.

Protocol. Views count up; view v is led by `validators[v mod n]`. The leader proposes a block on the newest notarized
block such that every view between is nullified. A validator executes it and votes *notarize*; q = n − f such votes
make a notarization, which moves everyone to v + 1 and lets those that did not vote *nullify* in v vote *finalize*;
q of those finalize the block and its ancestors. No proposal within T2 + 2Δ of entering the view, or no notarization
within T2 + 3Δ, and it votes nullify; q of those move everyone on without a block. Nobody ever votes nullify and
finalize in one view: with quorum intersection that is the whole safety argument.

Driving it. Call one method at a time with `now` in monotonic nanoseconds, then carry out the returned effects **in
order, before the next call's effects**. Long ones (build, execute, fetch) are only started; their result comes back
through the method named below. If an effect fails (the store is full), stop the node: do not carry out the rest.

- `PersistCertificate(certificate)`: put a row (key: kind, view); no flush needed.
- `PersistVote(vote)`: put a row (key: view, kind) and flush everything put so far.
- `Broadcast(message)`: send `to_json(message)` to every other validator (and replica), unreliably; the receiver parses
  it with `from_json` and calls `on_message`.
- `EnterView(view, leader)`: older timers and an older build may be cancelled.
- `SetTimer(view, kind, after_ns)`: call `on_timeout(view, kind)` after that long; a stale one is harmless.
- `BuildBlock(view, parent_hash, height, not_before_ns)`: wait until then, build and execute a block, call
  `on_block_built`; if that is impossible, `on_build_refused`, which gives the view up without waiting for timeouts.
- `ExecuteBlock(proposal, certified)`: execute the payload on the parent (it is executed), compare the hash, and unless
  `certified` judge origin and timestamp; call `on_executed`. Where an origin is not known yet, say so in `refusal` at
  once and call again with `refusal=None` when it is: the block can already be built on.
  The journal row of a block is put before `on_block_built` or `on_executed`, so the vote's flush covers it.
- `RequestBlocks(from_height, tip_height, tip_hash, peers)`: fetch the chain from a peer, the first named first, execute
  it upward and call `on_block_executed` for each block. A newer request replaces an older one. Work in pages and after
  each hand the page's finalization to `on_certificate`, so that memory stays bounded.
- `RequestCertificates(views)`: ask the peers; a peer answers `certificates_for(views)`; each goes to `on_certificate`.
- `Notarized(...)`: move the unsafe head; the block is executed.
- `Finalized(...)`: move the committed head, one height at a time. It need not be flushed: a restarted validator learns
  it again (flush before telling someone who must never hear less). After the next flush, certificate rows of views
  below the certificate's, and all vote rows below it but the newest, may be deleted.
- `Equivocation(first, second)`: keep the evidence.

Restart. Construct with the finalized head of the journal, every vote and certificate row, and `floor_view` = 1 + the
highest view any of q peers saw signed by me (`highest_view_signed_by`; 0 if none). Then `start`, then
`on_block_executed` for each journal block above the finalized head, parents first. If the peers saw a later view than
the rows hold, rows were lost and nothing is voted below the floor. A validator whose name is not in `validators`
(a replica) follows with the same code and never votes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.consensus.block_tree import Block, BlockState, BlockTree
from harness.consensus.certificates import CertificateBook, Verify, follows, is_valid
from harness.consensus.effects import (
    Broadcast,
    BuildBlock,
    Effect,
    EnterView,
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
from harness.consensus.messages import Certificate, Message, Proposal, SignedVote, Vote, VoteKind
from harness.consensus.signing import is_signed_by, proposal_digest, vote_digest
from harness.consensus.tally import Tally, quorum_of
from harness.rollup.blocks import Hash

MAX_VIEWS_AHEAD = 64
"""Votes for views further ahead are dropped; a validator that far behind catches up by certificates."""

VOTE_WINDOW = 32
"""Views behind the current one whose votes are still counted and compared for evidence."""

BACKOFF_CAP = 8
"""Most that repeated nullifications stretch Δ in the view timers."""

RESEND_CAP = 4
"""The resend interval doubles from Δ to at most this many Δ."""


@dataclass(frozen=True, slots=True)
class Timing:
    block_interval_ns: int  # T2
    network_bound_ns: int   # Δ


@dataclass(frozen=True, slots=True)
class Head:
    """A block and the view it was certified in; genesis is (0, its height, its hash)."""

    view: int
    height: int
    block_hash: Hash


Sign = Callable[[bytes], bytes]
"""Digest → 65-byte signature; deterministic (RFC 6979), e.g. `partial(signing.sign, key=key)`."""


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
        self._faulty = len(self.validators) - self.quorum
        self._rank = {name: index for index, name in enumerate(self.validators)}
        if len(self._rank) != len(self.validators) or not self.validators:
            raise ValueError(f"validators are {self.validators}; expected at least one name, each once")
        self._chain_id, self._sign, self._verify, self._timing = chain_id, sign, verify, timing
        self._now = 0
        self._out: list[Effect] = []
        self._started = False

        self._finalized = finalized
        self._finalization: Certificate | None = None       # the newest that took effect
        self._pending: Certificate | None = None            # a newer one whose block is not executed yet
        self._book = CertificateBook(finalized.view)
        self._notarized_view = finalized.view               # of the last `Notarized`
        self._tree = BlockTree(finalized.block_hash, finalized.height)
        self._tally = Tally(self.validators, self.quorum)
        self._highest_signed: dict[str, int] = {}

        self._own: dict[int, dict[VoteKind, SignedVote]] = {}
        self._vote_floor = 0                                # no vote below this view, ever
        self.view = finalized.view + 1
        self._restore(votes, certificates, floor_view)

        self._proposal: Proposal | None = None              # the current view's, mine or the leader's
        self._parent: Head | None = None                    # what I was asked to build on in this view
        self._execution_asked = False                       # of the current view's proposal
        self._parent_requested = False
        self._gap_requested = False
        self._nullified_run = 0                             # nullified views since the last finalization
        self._resend_ns = timing.network_bound_ns
        self._requests = 0                                  # rotates the peers asked

    # ---- what can be read

    @property
    def finalized(self) -> Head:
        return self._finalized

    @property
    def finalization(self) -> Certificate | None:
        """The certificate of the finalized head, if this process has seen it."""
        return self._finalization

    def leader(self, view: int) -> str:
        return self.validators[view % len(self.validators)]

    def certificates_for(self, views: Iterable[int]) -> tuple[Certificate, ...]:
        """What I hold of these views, and the newest finalization: the answer to `RequestCertificates`."""
        found = [self._finalization] if self._finalization is not None else []
        return tuple(dict.fromkeys((*found, *self._book.of(views))))

    def highest_view_signed_by(self, voter: str) -> int:
        """The highest view of any valid vote seen from this voter since start; 0 if none."""
        return self._highest_signed.get(voter, 0)

    # ---- inputs

    def start(self, now: int) -> list[Effect]:
        self._now = now
        self._started = True
        # After a restart what I said before may be what others wait for: repeat it soon.
        self._enter(self.view, resend_after=self._timing.network_bound_ns)
        # Alone (q = 1) a row written just before the crash already was its certificate, and nobody else will say so.
        for _, own in sorted(self._own.items()):
            for _, signed in sorted(own.items()):
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
        if self._is_known(certificate) or not self._is_valid(certificate):
            return []
        self._now = now
        self._learn(certificate)
        return self._take()

    def on_proposal(self, proposal: Proposal, now: int) -> list[Effect]:
        view = proposal.view
        if view == self.view and self._proposal is not None:
            return []
        if view < self.view and self._tree.get(proposal.block_hash) is not None:
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
        block = Block(proposal.height, proposal.parent_hash, BlockState.KNOWN, now, proposal)
        if view == self.view and self._proposal is None:
            self._proposal = proposal
            self._tree.add(proposal.block_hash, block)
            self._consider_proposal()
        elif view < self.view and proposal.block_hash in self._book.by_hash and (
            proposal.parent_hash in self._book.by_hash or self._tree.is_executed(proposal.parent_hash)
        ):
            # Late, but its block was certified meanwhile and this is its body. The parent must be real, or a lying
            # leader could have us wait for a block that does not exist instead of fetching this one.
            self._tree.add(proposal.block_hash, block)
            self._execute_certified(proposal.block_hash)
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
        unsigned = Proposal(
            view, parent.height + 1, parent_hash, block_hash, payload, self._book.certified.get(parent.view),
            tuple(self._book.nullified[between] for between in range(parent.view + 1, view)), b"",
        )
        proposal = replace(unsigned, signature=self._sign(proposal_digest(self._chain_id, unsigned)))
        self._proposal = proposal
        block = self._tree.add(
            block_hash, Block(proposal.height, parent_hash, BlockState.EXECUTED, now, None)
        )
        block.state = BlockState.EXECUTED
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
        block = self._tree.get(block_hash)
        if block is None:
            return []
        if not executed:
            if block.state is BlockState.EXECUTING:
                block.state = BlockState.FAILED if block.certified_run else BlockState.KNOWN
                self._execute_certified(block_hash)
            return self._take()
        first = block.state is not BlockState.EXECUTED
        block.state = BlockState.EXECUTED
        proposal = self._proposal
        if (
            refusal is None and proposal is not None and view == self.view == proposal.view
            and proposal.block_hash == block_hash and self._may(VoteKind.NOTARIZE, view)
        ):
            self._cast(Vote(VoteKind.NOTARIZE, view, proposal.height, block_hash))
        if first:
            self._on_available(block_hash)
        return self._take()

    def on_block_executed(self, *, height: int, block_hash: Hash, parent_hash: Hash, now: int) -> list[Effect]:
        """A block fetched from a peer or read from the journal is executed; parents first, others are ignored."""
        self._now = now
        if not self._tree.is_executed(parent_hash):
            return []
        block = self._tree.add(block_hash, Block(height, parent_hash, BlockState.KNOWN, None, None))
        if block.state is not BlockState.EXECUTED:
            block.state, block.height, block.parent_hash = BlockState.EXECUTED, height, parent_hash
            block.proposal = None
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

    def on_recovered_view(self, view: int, now: int) -> list[Effect]:
        """A peer saw a vote of mine in `view`; if I do not remember it, my rows were lost: vote above it only."""
        self._now = now
        if view > max(self._own, default=0):
            self._vote_floor = max(self._vote_floor, view + 1)
        return self._take()

    # ---- voting

    def _may(self, kind: VoteKind, view: int) -> bool:
        """Whether this vote contradicts nothing I ever signed. Every vote passes here."""
        if self.me not in self._rank or view < self._vote_floor:
            return False
        own = self._own.get(view, {})
        if kind in own:
            return False
        if kind is VoteKind.NULLIFY:
            return VoteKind.FINALIZE not in own
        if VoteKind.NULLIFY in own:
            return False
        return not (kind is VoteKind.FINALIZE and view in self._book.nullified)

    def _cast(self, vote: Vote, *, after_persist: Proposal | None = None) -> None:
        signed = SignedVote(vote, self.me, self._sign(vote_digest(self._chain_id, vote)))
        self._own.setdefault(vote.view, {})[vote.kind] = signed
        self._vote_floor = max(self._vote_floor, vote.view)
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
        if certificate is not None and not self._is_known(certificate):
            self._accept(certificate, formed=True)
        elif (
            vote.kind is VoteKind.NULLIFY and vote.view == self.view and self._proposal is None
            and signed.voter == self.leader(vote.view)
        ):
            self._nullify()  # the leader itself gave the view up: no proposal is coming

    def _note_vote(self, signed: SignedVote) -> None:
        if signed.vote.view > self._highest_signed.get(signed.voter, 0):
            self._highest_signed[signed.voter] = signed.vote.view
        equivocation = self._tally.add(signed)
        if equivocation is not None:
            self._out.append(equivocation)

    # ---- certificates

    def _is_valid(self, certificate: Certificate) -> bool:
        return is_valid(
            certificate, chain_id=self._chain_id, rank=self._rank, quorum=self.quorum, verify=self._verify)

    def _is_known(self, certificate: Certificate) -> bool:
        """Held already, or too old to matter."""
        if certificate.kind is VoteKind.FINALIZE:
            pending = self._pending
            return certificate.height <= self._finalized.height or (
                pending is not None and pending.view >= certificate.view
                and not self._tree.is_executed(certificate.block_hash)
            )
        if certificate.view <= self._finalized.view:
            return True
        if certificate.kind is VoteKind.NULLIFY:
            return certificate.view in self._book.nullified
        return self._book.certifies(certificate.view, certificate.block_hash)

    def _learn(self, certificate: Certificate) -> None:
        """Take in a valid certificate from outside; its votes count like any others."""
        if certificate.view >= self.view - VOTE_WINDOW:
            for signed in certificate.votes():
                self._note_vote(signed)
        if not self._is_known(certificate):
            self._accept(certificate, formed=False)

    def _accept(self, certificate: Certificate, *, formed: bool) -> None:
        view, kind = certificate.view, certificate.kind
        if kind is VoteKind.NOTARIZE and view in self._book.certified:
            return  # for another block: more than f validators are Byzantine; the votes are evidence
        self._out.append(PersistCertificate(certificate))
        if formed and kind is not VoteKind.FINALIZE:
            # A finalization is not worth 3 messages a node each view: the next one covers it, and resends carry it.
            self._out.append(Broadcast(certificate))
        if kind is VoteKind.NULLIFY:
            self._book.add(certificate)
            if view >= self.view:
                self._nullified_run += 1
        else:
            self._certify(certificate)
            if kind is VoteKind.FINALIZE:
                self._finalize(certificate)
            elif self._may(VoteKind.FINALIZE, view):
                self._cast(Vote(VoteKind.FINALIZE, view, certificate.height, certificate.block_hash))
        if view >= self.view:
            self._enter(view + 1)
        else:
            self._try_lead()

    def _certify(self, certificate: Certificate) -> None:
        self._book.add(certificate)
        if self._tree.is_executed(certificate.block_hash):
            self._announce(certificate)
        else:
            self._execute_certified(certificate.block_hash)

    def _announce(self, certificate: Certificate) -> None:
        if certificate.view > self._notarized_view and certificate.height > self._finalized.height:
            self._notarized_view = certificate.view
            self._out.append(Notarized(certificate.block_hash, certificate.height, certificate.view, certificate))

    def _finalize(self, certificate: Certificate) -> None:
        path = self._tree.path(certificate.block_hash)
        if path is None:
            if self._pending is None or self._pending.view < certificate.view:
                self._pending = certificate
            return
        self._announce(certificate)
        for block_hash, height in path:
            self._out.append(Finalized(block_hash, height, certificate.view, certificate))
        self._finalized = Head(certificate.view, certificate.height, certificate.block_hash)
        self._finalization = certificate
        self._nullified_run = 0
        if self._pending is not None and self._pending.height <= certificate.height:
            self._pending = None
        self._tree.finalize(certificate.block_hash)
        self._book.finalize(certificate.view)

    # ---- blocks

    def _justification(self, proposal: Proposal) -> list[Certificate] | None:
        """The certificates of a well-placed proposal that are new to me, all valid; None if it is not well placed."""
        parent = proposal.parent_certificate
        new: list[Certificate] = []
        if parent is None:
            root = self._finalized
            if root.view in self._book.certified or not follows(
                proposal, view=root.view, height=root.height, block_hash=root.block_hash
            ):
                return None
        else:
            if parent.kind is VoteKind.NULLIFY or not follows(
                proposal, view=parent.view, height=parent.height, block_hash=parent.block_hash
            ):
                return None
            held = self._book.certified.get(parent.view)
            # The whole vote is compared: the height is part of what q validators vouched for.
            if held is None or (held.block_hash, held.height) != (parent.block_hash, parent.height):
                new.append(parent)
        new += [
            certificate for certificate in proposal.nullifications if certificate.view not in self._book.nullified
        ]
        return new if all(self._is_valid(certificate) for certificate in new) else None

    def _consider_proposal(self) -> None:
        """Have the current view's proposal executed, or its parent fetched, if I can still vote for it."""
        proposal = self._proposal
        if proposal is None or self._execution_asked or not self._may(VoteKind.NOTARIZE, self.view):
            return
        if self._tree.is_executed(proposal.parent_hash):
            self._execution_asked = True
            self._execute(proposal, certified=False)
        elif not self._parent_requested:
            self._parent_requested = True
            self._request(proposal.parent_hash, proposal.height - 1)

    def _execute(self, proposal: Proposal, *, certified: bool) -> None:
        block = self._tree.get(proposal.block_hash)
        if block is not None and block.state is not BlockState.EXECUTED:
            block.state = BlockState.EXECUTING
            block.certified_run = block.certified_run or certified
        self._out.append(ExecuteBlock(proposal, certified))

    def _execute_certified(self, block_hash: Hash) -> None:
        block = self._tree.get(block_hash)
        if (
            block is not None and block.state is BlockState.KNOWN and block.proposal is not None
            and block_hash in self._book.by_hash and self._tree.is_executed(block.parent_hash)
        ):
            self._execute(block.proposal, certified=True)

    def _on_available(self, block_hash: Hash) -> None:
        """A block is executed for the first time: what waited for it goes on."""
        certificate = self._book.by_hash.get(block_hash)
        if certificate is not None:
            self._announce(certificate)
        if self._pending is not None and self._pending.block_hash == block_hash:
            self._finalize(self._pending)
        for child_hash, child in self._tree.children(block_hash):
            if child.state is BlockState.KNOWN:
                self._execute_certified(child_hash)
        if self._proposal is not None and self._proposal.parent_hash == block_hash:
            self._consider_proposal()
        self._try_lead()

    def _request(self, tip: Hash, height: int) -> None:
        """Ask for the newest block towards `tip` of which no body is at hand or being executed."""
        at: Block | None = None
        while height > self._finalized.height:
            at = self._tree.get(tip)
            if at is None or at.state is BlockState.FAILED:
                break
            if at.state is not BlockState.KNOWN:
                return
            tip, height = at.parent_hash, height - 1
        if height <= self._finalized.height:
            return
        certificate = self._book.by_hash.get(tip)
        holders = [voter for voter, _ in certificate.signatures] if certificate is not None else list(self.validators)
        peers = [voter for voter in holders if voter != self.me]
        turn = self._requests % len(peers) if peers else 0
        self._requests += 1
        self._out.append(
            RequestBlocks(self._finalized.height + 1, height, tip, (*peers[turn:], *peers[:turn]))
        )

    # ---- views

    def _enter(self, view: int, *, resend_after: int | None = None) -> None:
        self.view = view
        self._proposal = None
        self._parent = None
        self._execution_asked = self._parent_requested = self._gap_requested = False
        self._tally.forget_below(view - VOTE_WINDOW)
        if len(self._own) > 2:
            keep = min(view - 1, self._vote_floor)
            self._own = {voted: votes for voted, votes in self._own.items() if voted >= keep}
        if not self._started:
            return
        interval, bound = self._timing.block_interval_ns, self._timing.network_bound_ns
        stretched = bound * self._backoff()
        self._resend_ns = bound
        self._out.append(EnterView(view, self.leader(view)))
        self._out.append(SetTimer(view, TimerKind.PROPOSAL, interval + 2 * stretched))
        self._out.append(SetTimer(view, TimerKind.NOTARIZATION, interval + 3 * stretched))
        self._out.append(SetTimer(view, TimerKind.RESEND, resend_after or interval + bound))
        self._try_lead()

    def _backoff(self) -> int:
        """1 while the nullifications in a row could be f faulty leaders, then doubling."""
        return int(min(BACKOFF_CAP, 2 ** min(16, max(0, self._nullified_run - self._faulty))))

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
        block = self._tree.get(parent.block_hash)
        if block is None or block.state is not BlockState.EXECUTED:
            if not self._parent_requested:
                self._parent_requested = True
                self._request(parent.block_hash, parent.height)
            return
        self._parent = parent
        due = self._now if block.seen_ns is None else block.seen_ns + self._timing.block_interval_ns
        self._out.append(BuildBlock(view, parent.block_hash, parent.height + 1, max(due, self._now)))

    def _best(self) -> Head:
        certificate = self._book.best
        if certificate is None:
            return self._finalized
        return Head(certificate.view, certificate.height, certificate.block_hash)

    def _gap(self) -> tuple[int, ...]:
        return self._book.gap(self.view)

    def _resend(self) -> None:
        """Repeat whatever of mine another validator may lack to leave its view, and ask again for what I lack."""
        before = self.view - 1
        entry = self._book.nullified.get(before) or self._book.certified.get(before) or self._book.best
        latest = self._pending or self._finalization
        for certificate in dict.fromkeys((entry, latest)):
            if certificate is not None:
                self._out.append(Broadcast(certificate))
        for view in sorted(self._own):
            if view >= before and view > self._finalized.view:
                self._out.extend(Broadcast(signed) for _, signed in sorted(self._own[view].items()))
        if self._proposal is not None and self.leader(self.view) == self.me:
            self._out.append(Broadcast(self._proposal))
        if gap := self._gap():
            self._out.append(RequestCertificates(gap))
        best = self._pending or self._book.best
        if best is not None:
            self._request(best.block_hash, best.height)
        self._out.append(SetTimer(self.view, TimerKind.RESEND, self._resend_ns))
        self._resend_ns = min(2 * self._resend_ns, RESEND_CAP * self._timing.network_bound_ns)

    # ---- restart

    def _restore(self, votes: Iterable[SignedVote], certificates: Iterable[Certificate], floor_view: int) -> None:
        finalized = self._finalized
        for signed in sorted(votes, key=lambda row: (row.vote.view, row.vote.kind)):
            self._own.setdefault(signed.vote.view, {})[signed.vote.kind] = signed
            self._tally.add(signed)
            self._vote_floor = signed.vote.view
        if floor_view > self._vote_floor + 1:
            self._vote_floor = floor_view
        for certificate in sorted(certificates, key=lambda row: (row.view, row.kind)):
            if certificate.kind is VoteKind.NULLIFY:
                if certificate.view > finalized.view:
                    self._book.add(certificate)
            elif certificate.view >= finalized.view:
                self._book.add(certificate)
                if certificate.kind is VoteKind.FINALIZE:
                    if certificate.block_hash == finalized.block_hash:
                        self._finalization = certificate
                    elif certificate.height > finalized.height:
                        self._pending = certificate
        reached = [self.view, *self._own, *(view + 1 for view in (*self._book.certified, *self._book.nullified))]
        self._enter(max(reached))

    def _take(self) -> list[Effect]:
        out, self._out = self._out, []
        return out
