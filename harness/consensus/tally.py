"""Counts votes of recent views into certificates, and notices validators that vote both ways."""

from __future__ import annotations

from harness.consensus.effects import Equivocation
from harness.consensus.messages import Certificate, SignedVote, Vote, VoteKind

MAX_VIEWS_AHEAD = 64
"""Votes for views further ahead are dropped; a validator that far behind catches up by certificates."""

VOTE_WINDOW = 32
"""Views behind the current one whose votes are still counted and compared for evidence."""


def quorum_of(validators: int) -> int:
    """q = n − f with f = ⌊(n − 1) / 3⌋: any two quorums share an honest validator while at most f are Byzantine."""
    return validators - (validators - 1) // 3


class Tally:
    """The first vote of each kind, view and voter. The caller has verified signatures and bounds the views."""

    def __init__(self, validators: tuple[str, ...], quorum: int) -> None:
        self._validators = validators
        self._quorum = quorum
        self._views: dict[int, dict[VoteKind, dict[str, SignedVote]]] = {}
        self._accused: dict[tuple[int, str], None] = {}
        self._highest: dict[str, int] = {}

    def has(self, signed: SignedVote) -> bool:
        """Whether this vote was counted already, whatever its signature bytes."""
        kinds = self._views.get(signed.vote.view)
        if kinds is None:
            return False
        held = kinds[signed.vote.kind].get(signed.voter)
        return held is not None and held.vote == signed.vote

    def add(self, signed: SignedVote) -> Equivocation | None:
        """Count a vote; a second, different one of the same kind is not counted. Evidence is given once per view."""
        vote = signed.vote
        if vote.view > self._highest.get(signed.voter, 0):
            self._highest[signed.voter] = vote.view
        kinds = self._views.get(vote.view)
        if kinds is None:
            kinds = self._views[vote.view] = {kind: {} for kind in VoteKind}
        held = kinds[vote.kind].setdefault(signed.voter, signed)
        contrary: SignedVote | None = None
        if held.vote.block_hash != vote.block_hash:
            contrary = held
        elif vote.kind is VoteKind.NULLIFY:
            contrary = kinds[VoteKind.FINALIZE].get(signed.voter)
        elif vote.kind is VoteKind.FINALIZE:
            contrary = kinds[VoteKind.NULLIFY].get(signed.voter)
        if contrary is None or (vote.view, signed.voter) in self._accused:
            return None
        self._accused[vote.view, signed.voter] = None
        return Equivocation(contrary, signed)

    def certificate(self, vote: Vote) -> Certificate | None:
        """The certificate for exactly this vote if q voters cast it; with q signatures, in validator order."""
        kinds = self._views.get(vote.view)
        if kinds is None or len(kinds[vote.kind]) < self._quorum:
            return None
        votes = kinds[vote.kind]
        signatures = tuple(
            (voter, held.signature)
            for voter in self._validators
            if (held := votes.get(voter)) is not None and held.vote == vote
        )
        return Certificate(vote, signatures[: self._quorum]) if len(signatures) >= self._quorum else None

    def highest_view_of(self, voter: str) -> int:
        """The highest view of any vote ever added for this voter, forgotten ones too; 0 if none."""
        return self._highest.get(voter, 0)

    def forget_below(self, view: int) -> None:
        for old in [held for held in self._views if held < view]:
            del self._views[old]
        for accused in [held for held in self._accused if held[0] < view]:
            del self._accused[accused]

    def __len__(self) -> int:
        return len(self._views)
