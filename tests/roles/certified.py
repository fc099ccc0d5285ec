"""Certificates made with the dev keys of the sequencers, true and false ones."""

from __future__ import annotations

from collections.abc import Sequence

from harness.consensus.messages import Certificate, Vote, VoteKind
from harness.consensus.signing import sign, vote_digest
from harness.evm.accounts import SEQUENCERS, account
from harness.plan import L2_CHAIN_ID
from harness.rollup.blocks import Hash

QUORUM = (0, 1, 2)


def certificate(kind: VoteKind, *, view: int, height: int, block: Hash, signers: Sequence[int] = QUORUM) -> Certificate:
    """Signed by these sequencers, by index; an index beyond the set is somebody foreign."""
    vote = Vote(kind, view, height, block)
    keys = [account(SEQUENCERS.start + index) for index in signers]
    digest = vote_digest(L2_CHAIN_ID, vote)
    return Certificate(vote, tuple((each.address, sign(digest, key=each.key)) for each in keys))
