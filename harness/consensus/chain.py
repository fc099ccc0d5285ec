"""The chain as one validator knows it: certificates and bodies come in; what to execute, label and fetch comes out.

A block is *certified* when q validators notarized or finalized it, and *available* when it is executed here. The
unsafe head moves to a certified block once it is available, the committed head to a finalized one once its whole
branch is; either may arrive first, so each side checks for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.consensus.block_tree import Block, BlockState, BlockTree
from harness.consensus.certificates import CertificateBook, follows
from harness.consensus.effects import Effect, ExecuteBlock, Finalized, Notarized, RequestBlocks
from harness.consensus.messages import Certificate, Proposal, Vote, VoteKind
from harness.rollup.blocks import Hash


@dataclass(frozen=True, slots=True)
class Head:
    """A block and the view it was certified in; genesis is (0, its height, its hash)."""

    view: int
    height: int
    block_hash: Hash


class Chain:
    """Certificates and bodies above the finalized block, and the heads they carry."""

    def __init__(self, finalized: Head, *, me: str, validators: Sequence[str]) -> None:
        self.finalized = finalized
        self.finalization: Certificate | None = None    # the newest that took effect
        self.pending: Certificate | None = None         # a newer one whose block is not executed yet
        self.nullified_run = 0                          # nullified views since the last finalization
        self.book = CertificateBook(finalized.view)
        self.tree = BlockTree(finalized.block_hash, finalized.height)
        self._notarized_view = finalized.view           # of the last `Notarized`
        self._me, self._validators = me, validators
        self._requests = 0                              # rotates the peers asked

    def restore(self, certificates: Iterable[Certificate]) -> None:
        """Take the certificate rows of an earlier life; nothing is executed yet."""
        finalized = self.finalized
        for certificate in sorted(certificates, key=lambda row: (row.view, row.kind)):
            if certificate.kind is VoteKind.NULLIFY:
                if certificate.view > finalized.view:
                    self.book.add(certificate)
            elif certificate.view >= finalized.view:
                self.book.add(certificate)
                if certificate.kind is VoteKind.FINALIZE:
                    if certificate.block_hash == finalized.block_hash:
                        self.finalization = certificate
                    elif certificate.height > finalized.height:
                        self.pending = certificate

    # ---- what is held

    @property
    def best(self) -> Head:
        """The newest certified block: what a leader builds on."""
        certificate = self.book.best
        if certificate is None:
            return self.finalized
        return Head(certificate.view, certificate.height, certificate.block_hash)

    def is_known(self, vote: Vote) -> bool:
        """Whether a certificate for this vote would be no news: one is held already, or it is too old to matter."""
        if vote.kind is VoteKind.FINALIZE:
            pending = self.pending
            return vote.height <= self.finalized.height or (
                pending is not None and pending.view >= vote.view and not self.tree.is_executed(vote.block_hash)
            )
        if vote.view <= self.finalized.view:
            return True
        if vote.kind is VoteKind.NULLIFY:
            return vote.view in self.book.nullified
        return self.book.certifies(vote.view, vote.block_hash)

    def certificates_for(self, views: Iterable[int]) -> tuple[Certificate, ...]:
        """What is held of these views, and the newest finalization."""
        found = [self.finalization] if self.finalization is not None else []
        return tuple(dict.fromkeys((*found, *self.book.of(views))))

    def newest(self, view: int) -> list[Certificate]:
        """What brings another validator out of `view`, and to the newest finalization."""
        entry = self.book.nullified.get(view) or self.book.certified.get(view) or self.book.best
        latest = self.pending or self.finalization
        return [certificate for certificate in dict.fromkeys((entry, latest)) if certificate is not None]

    def propose(self, view: int, *, on: Head, block_hash: Hash, payload: bytes) -> Proposal:
        """A block of mine with what justifies its place, yet to be signed; every view between is nullified."""
        return Proposal(
            view, on.height + 1, on.block_hash, block_hash, payload, self.book.certified.get(on.view),
            tuple(self.book.nullified[between] for between in range(on.view + 1, view)), b"",
        )

    def news_in(self, proposal: Proposal) -> list[Certificate] | None:
        """The certificates of a well-placed proposal that are not held, yet to be judged; None if it is ill placed."""
        parent = proposal.parent_certificate
        new: list[Certificate] = []
        if parent is None:
            root = self.finalized
            if root.view in self.book.certified or not follows(
                proposal, view=root.view, height=root.height, block_hash=root.block_hash
            ):
                return None
        else:
            if parent.kind is VoteKind.NULLIFY or not follows(
                proposal, view=parent.view, height=parent.height, block_hash=parent.block_hash
            ):
                return None
            held = self.book.certified.get(parent.view)
            # The whole vote is compared: the height is part of what q validators vouched for.
            if held is None or (held.block_hash, held.height) != (parent.block_hash, parent.height):
                new.append(parent)
        return new + [
            certificate for certificate in proposal.nullifications if certificate.view not in self.book.nullified
        ]

    # ---- certificates come in

    def nullify(self, certificate: Certificate, *, ends_view: bool) -> None:
        """Hold a nullification; `ends_view`: it is of the current view or a later one."""
        self.book.add(certificate)
        if ends_view:
            self.nullified_run += 1

    def certify(self, certificate: Certificate) -> list[Effect]:
        """Hold a notarization or finalization and move the heads as far as the executed blocks allow."""
        self.book.add(certificate)
        if self.tree.is_executed(certificate.block_hash):
            effects = self._announce(certificate)
        else:
            effects = self.execute_certified(certificate.block_hash)
        if certificate.kind is VoteKind.FINALIZE:
            effects += self._finalize(certificate)
        return effects

    def _announce(self, certificate: Certificate) -> list[Effect]:
        if certificate.view <= self._notarized_view or certificate.height <= self.finalized.height:
            return []
        self._notarized_view = certificate.view
        return [Notarized(certificate.block_hash, certificate.height, certificate.view, certificate)]

    def _finalize(self, certificate: Certificate) -> list[Effect]:
        path = self.tree.path(certificate.block_hash)
        if path is None:
            if self.pending is None or self.pending.view < certificate.view:
                self.pending = certificate
            return []
        effects = self._announce(certificate)
        effects += [Finalized(block_hash, height, certificate.view, certificate) for block_hash, height in path]
        self.finalized = Head(certificate.view, certificate.height, certificate.block_hash)
        self.finalization = certificate
        self.nullified_run = 0
        if self.pending is not None and self.pending.height <= certificate.height:
            self.pending = None
        self.tree.finalize(certificate.block_hash)
        self.book.finalize(certificate.view)
        return effects

    # ---- bodies come in

    def add_late(self, proposal: Proposal, now: int) -> list[Effect]:
        """Take the body of a block certified meanwhile. Its parent must be real, or it is ignored.

        Otherwise a lying leader could have us wait for a block that does not exist instead of fetching this one.
        """
        if proposal.block_hash not in self.book.by_hash or not (
            proposal.parent_hash in self.book.by_hash or self.tree.is_executed(proposal.parent_hash)
        ):
            return []
        self.add_body(proposal, now)
        return self.execute_certified(proposal.block_hash)

    def add_body(self, proposal: Proposal, now: int) -> None:
        block = Block(proposal.height, proposal.parent_hash, BlockState.KNOWN, now, proposal)
        self.tree.add(proposal.block_hash, block)

    def add_built(self, proposal: Proposal, now: int) -> None:
        """Take a block built, and thereby executed, here."""
        block = Block(proposal.height, proposal.parent_hash, BlockState.EXECUTED, now, None)
        self.tree.add(proposal.block_hash, block).state = BlockState.EXECUTED

    def add_executed(self, block_hash: Hash) -> bool | None:
        """A body at hand executed to its hash: whether it is newly available; None if it is forgotten meanwhile."""
        block = self.tree.get(block_hash)
        if block is None:
            return None
        is_first = block.state is not BlockState.EXECUTED
        block.state = BlockState.EXECUTED
        return is_first

    def add_fetched(self, block_hash: Hash, *, height: int, parent_hash: Hash) -> bool:
        """Take a block executed here that came from a peer or the journal; whether it is newly available."""
        if not self.tree.is_executed(parent_hash):
            return False
        block = self.tree.add(block_hash, Block(height, parent_hash, BlockState.KNOWN, None, None))
        if block.state is BlockState.EXECUTED:
            return False
        block.state, block.height, block.parent_hash = BlockState.EXECUTED, height, parent_hash
        block.proposal = None
        return True

    def execute(self, proposal: Proposal, *, certified: bool) -> list[Effect]:
        block = self.tree.get(proposal.block_hash)
        if block is not None and block.state is not BlockState.EXECUTED:
            block.state = BlockState.EXECUTING
            block.certified_run = block.certified_run or certified
        return [ExecuteBlock(proposal, certified)]

    def execute_certified(self, block_hash: Hash) -> list[Effect]:
        """Have a certified block executed whose body is at hand and whose parent is available."""
        block = self.tree.get(block_hash)
        if (
            block is None or block.state is not BlockState.KNOWN or block.proposal is None
            or block_hash not in self.book.by_hash or not self.tree.is_executed(block.parent_hash)
        ):
            return []
        return self.execute(block.proposal, certified=True)

    def fail(self, block_hash: Hash) -> list[Effect]:
        """A body did not execute to its hash. If it was judged before it was certified, it is tried once more."""
        block = self.tree.get(block_hash)
        if block is None or block.state is not BlockState.EXECUTING:
            return []
        block.state = BlockState.FAILED if block.certified_run else BlockState.KNOWN
        return self.execute_certified(block_hash)

    def go_on_from(self, block_hash: Hash) -> list[Effect]:
        """A block is available for the first time: what waited for it goes on."""
        certificate = self.book.by_hash.get(block_hash)
        effects = self._announce(certificate) if certificate is not None else []
        if self.pending is not None and self.pending.block_hash == block_hash:
            effects += self._finalize(self.pending)
        for child_hash, child in self.tree.children(block_hash):
            if child.state is BlockState.KNOWN:
                effects += self.execute_certified(child_hash)
        return effects

    # ---- bodies are missing

    def fetch_newest(self) -> list[Effect]:
        """Ask for what the newest finalized or else certified block still lacks."""
        newest = self.pending or self.book.best
        return [] if newest is None else self.fetch(newest.block_hash, newest.height)

    def fetch(self, tip: Hash, height: int) -> list[Effect]:
        """Ask for the newest block towards `tip` of which no body is at hand or being executed."""
        above = self.finalized.height
        at: Block | None = None
        while height > above:
            at = self.tree.get(tip)
            if at is None or at.state is BlockState.FAILED:
                break
            if at.state is not BlockState.KNOWN:
                return []
            tip, height = at.parent_hash, height - 1
        if height <= above:
            return []
        certificate = self.book.by_hash.get(tip)
        holders = [voter for voter, _ in certificate.signatures] if certificate is not None else self._validators
        peers = [voter for voter in holders if voter != self._me]
        turn = self._requests % len(peers) if peers else 0
        self._requests += 1
        return [RequestBlocks(above + 1, height, tip, (*peers[turn:], *peers[:turn]))]
