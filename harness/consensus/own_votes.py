"""What this validator has signed, and the rule each of its votes must pass: it contradicts nothing signed before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from harness.consensus.messages import SignedVote, Vote, VoteKind
from harness.consensus.signing import vote_digest

Sign = Callable[[bytes], bytes]
"""Digest → 65-byte signature; deterministic (RFC 6979), e.g. `partial(signing.sign, key=key)`."""


class OwnVotes:
    """The votes of one validator, by view and kind; views below `floor` are closed for good."""

    def __init__(self, me: str, *, chain_id: int, sign: Sign) -> None:
        self._me, self._chain_id, self._sign = me, chain_id, sign
        self._views: dict[int, dict[VoteKind, SignedVote]] = {}
        self.floor = 0  # only grows; the highest view voted in, or more where rows may have been lost

    def restore(self, votes: Iterable[SignedVote], *, floor_view: int) -> list[SignedVote]:
        """Take the rows of an earlier life, and return them by view, then kind.

        Where the peers saw a later view than the rows hold (`floor_view` is 1 + that view), rows were lost, and
        nothing is voted below it.
        """
        rows = sorted(votes, key=lambda row: (row.vote.view, row.vote.kind))
        for signed in rows:
            self._views.setdefault(signed.vote.view, {})[signed.vote.kind] = signed
            self.floor = signed.vote.view
        if floor_view > self.floor + 1:
            self.floor = floor_view
        return rows

    def may(self, kind: VoteKind, view: int, *, is_nullified: bool) -> bool:
        """Whether this vote contradicts nothing I ever signed; `is_nullified`: a nullification of the view is held."""
        if view < self.floor:
            return False
        own = self.of(view)
        if kind in own:
            return False
        if kind is VoteKind.NULLIFY:
            return VoteKind.FINALIZE not in own
        if VoteKind.NULLIFY in own:
            return False
        return not (kind is VoteKind.FINALIZE and is_nullified)

    def sign(self, vote: Vote) -> SignedVote:
        """Sign a vote that `may` allows, and remember it."""
        signed = SignedVote(vote, self._me, self._sign(vote_digest(self._chain_id, vote)))
        self._views.setdefault(vote.view, {})[vote.kind] = signed
        self.floor = max(self.floor, vote.view)
        return signed

    def of(self, view: int) -> Mapping[VoteKind, SignedVote]:
        return self._views.get(view, {})

    def since(self, view: int) -> list[SignedVote]:
        """The votes held of this view and later ones, by view, then kind."""
        return [
            signed for voted in sorted(self._views) if voted >= view for _, signed in sorted(self._views[voted].items())
        ]

    @property
    def highest_view(self) -> int:
        """The highest view voted in, as far as is remembered; 0 if none."""
        return max(self._views, default=0)

    def forget_below(self, view: int) -> None:
        """Forget votes of views closed for good; what `floor` guards stays."""
        if len(self._views) > 2:
            keep = min(view, self.floor)
            self._views = {voted: votes for voted, votes in self._views.items() if voted >= keep}

    def __len__(self) -> int:
        return len(self._views)
