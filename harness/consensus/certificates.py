"""The certificates a validator holds above the finalized view, and what makes one, or a proposal on it, good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from harness.consensus.messages import MAX_NULLIFICATIONS, Certificate, Proposal, VoteKind
from harness.consensus.signing import vote_digest
from harness.rollup.blocks import Hash

MAX_UNFINALIZED_VIEWS = MAX_NULLIFICATIONS
"""Certificates held above the finalized view; a proposal could not justify more."""

MAX_CERTIFICATES_REQUESTED = 64

Verify = Callable[[bytes, bytes, str], bool]
"""(digest, signature, voter) → whether the voter signed; pure."""


class TooManyViews(Exception):
    """More views than `MAX_UNFINALIZED_VIEWS` went by without a finalization."""


def is_valid(
    certificate: Certificate, *, chain_id: int, rank: Mapping[str, int], quorum: int, verify: Verify
) -> bool:
    """q or more validators, each once and in the order of `rank`, signed exactly this vote."""
    if len(certificate.signatures) < quorum:
        return False
    digest = vote_digest(chain_id, certificate.vote)
    last = -1
    for voter, signature in certificate.signatures:
        place = rank.get(voter, -1)
        if place <= last or not verify(digest, signature, voter):
            return False
        last = place
    return True


def follows(proposal: Proposal, *, view: int, height: int, block_hash: Hash) -> bool:
    """Whether a proposal stands on the block certified in `view` and names a nullification of each view between.

    Only the shape is judged; the certificates' signatures are not.
    """
    between = range(view + 1, proposal.view)
    return (
        view < proposal.view
        and proposal.parent_hash == block_hash
        and proposal.height == height + 1
        and len(proposal.nullifications) == len(between)
        and all(
            held.kind is VoteKind.NULLIFY and held.view == skipped
            for skipped, held in zip(between, proposal.nullifications, strict=True)
        )
    )


class CertificateBook:
    """One certificate a view and outcome; the first held stays."""

    def __init__(self, finalized_view: int) -> None:
        self.finalized_view = finalized_view
        self.certified: dict[int, Certificate] = {}       # notarization or finalization, views ≥ finalized
        self.by_hash: dict[Hash, Certificate] = {}        # the newest that certifies the block
        self.nullified: dict[int, Certificate] = {}       # views > finalized
        self.best_view = finalized_view                   # the newest certified view

    def add(self, certificate: Certificate) -> None:
        """Hold a valid certificate of a view that is not below the finalized one.

        Raises:
            TooManyViews: `MAX_UNFINALIZED_VIEWS` are held already.
        """
        view = certificate.view
        if certificate.kind is VoteKind.NULLIFY:
            self.nullified.setdefault(view, certificate)
        else:
            self.certified.setdefault(view, certificate)
            self.by_hash[certificate.block_hash] = certificate
            self.best_view = max(self.best_view, view)
        if len(self.nullified) + len(self.certified) > MAX_UNFINALIZED_VIEWS:
            raise TooManyViews(
                f"{len(self.nullified)} nullified and {len(self.certified)} notarized views since view "
                f"{self.finalized_view} was finalized; the most held is {MAX_UNFINALIZED_VIEWS}; "
                "restart this validator from its peers' finalized head"
            )

    @property
    def best(self) -> Certificate | None:
        """Of the newest certified block; None while that is the root everyone starts from."""
        return self.certified.get(self.best_view)

    @property
    def highest_view(self) -> int:
        """The highest view of any certificate held; the finalized one if none."""
        return max((self.finalized_view, *self.certified, *self.nullified))

    def certifies(self, view: int, block_hash: Hash) -> bool:
        held = self.certified.get(view)
        return held is not None and held.block_hash == block_hash

    def gap(self, view: int) -> tuple[int, ...]:
        """Views between the newest certified block and `view` without a nullification; the first few."""
        missing: list[int] = []
        for between in range(self.best_view + 1, view):
            if between not in self.nullified:
                missing.append(between)
                if len(missing) == MAX_CERTIFICATES_REQUESTED:
                    break
        return tuple(missing)

    def of(self, views: Iterable[int]) -> list[Certificate]:
        """Everything held of these views (at most `MAX_CERTIFICATES_REQUESTED` of them), and the best."""
        found = [
            held
            for view in list(views)[:MAX_CERTIFICATES_REQUESTED]
            for held in (self.certified.get(view), self.nullified.get(view))
            if held is not None
        ]
        return found if self.best is None else [*found, self.best]

    def finalize(self, view: int) -> None:
        """Forget what a finalization of `view` makes irrelevant."""
        self.finalized_view = view
        self.certified = {key: held for key, held in self.certified.items() if key >= view}
        self.by_hash = {held.block_hash: held for held in self.certified.values()}
        self.nullified = {key: held for key, held in self.nullified.items() if key > view}
