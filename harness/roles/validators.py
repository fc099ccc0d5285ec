"""The sequencer set as the rollup sees it: who votes, with which keys, and what counts as a valid certificate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import orjson

from harness.consensus.messages import Certificate, VoteKind, certificate_from_json, to_json
from harness.consensus.signing import is_signed_by, vote_digest
from harness.consensus.tally import quorum_of
from harness.evm.accounts import BATCHER, account
from harness.plan import Plan
from harness.rollup.blocks import Hash


@dataclass(frozen=True)
class ValidatorSet:
    """Voting addresses in leader order, and the role each belongs to."""

    chain_id: int
    addresses: tuple[str, ...]
    roles: dict[str, str]
    """address → role name"""

    @classmethod
    def of(cls, plan: Plan, *, chain_id: int) -> ValidatorSet:
        """The set of a plan: its sequencers by index. Stake-weighted terms come with the registry."""
        named = [(account(s.account).address, s.name) for s in plan.of_kind("sequencer") if s.account is not None]
        return cls(chain_id, tuple(address for address, _ in named), dict(named))

    @property
    def batch_senders(self) -> frozenset[str]:
        """Whose frames derivation accepts: the batcher and every active sequencer."""
        return frozenset([account(BATCHER).address, *self.addresses])

    def leader(self, view: int) -> str:
        """The role that leads a view."""
        return self.roles[self.addresses[view % len(self.addresses)]]

    def verify(self, certificate: Certificate) -> bool:
        """Whether q distinct members of the set signed exactly this."""
        digest = vote_digest(self.chain_id, certificate.vote)
        signers = {
            voter: None
            for voter, signature in certificate.signatures
            if voter in self.roles and is_signed_by(digest, signature, voter)
        }
        return len(signers) >= self.quorum

    @property
    def quorum(self) -> int:
        """q = n − f votes make a certificate."""
        return quorum_of(len(self.addresses))

    def verify_finalization(self, encoded: bytes, block_hash: Hash, height: int) -> bool:
        """Whether these bytes are a finalization of that block by this set; total over any bytes."""
        certificate = _decode(encoded)
        return (
            certificate is not None
            and certificate.kind is VoteKind.FINALIZE
            and certificate.block_hash == block_hash
            and certificate.height == height
            and self.verify(certificate)
        )


def encode_certificate(certificate: Certificate) -> bytes:
    """A certificate as a batch carries it."""
    return orjson.dumps(to_json(certificate))


@lru_cache(maxsize=256)
def _decode(encoded: bytes) -> Certificate | None:
    try:
        return certificate_from_json(orjson.loads(encoded))
    except (ValueError, TypeError, KeyError):
        return None
