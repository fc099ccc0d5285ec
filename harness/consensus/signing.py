"""What a validator signs (EIP-712 digests of votes and proposals) and whose signature it is."""

from __future__ import annotations

from functools import lru_cache

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak as _keccak

from harness.consensus.messages import Proposal, Vote
from harness.evm.signers import SignersHere
from harness.rollup.blocks import Hash

DOMAIN_NAME = "harness Simplex"
DOMAIN_VERSION = "1"

RECOVER_CACHE = 16_384
"""Signatures remembered: in the simulator all validators share this process, so none is recovered n times."""

MADE_HERE = SignersHere(RECOVER_CACHE)

DIGEST_CACHE = 4_096
PROPOSAL_DIGEST_CACHE = 16
"""Few, because its keys hold whole payloads."""

_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def keccak(data: bytes) -> bytes:
    return _keccak.new(data=data, digest_bits=256).digest()


_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId)")
_VOTE_TYPE = keccak(b"Vote(uint8 kind,uint64 view,uint64 height,bytes32 blockHash)")
_PROPOSAL_TYPE = keccak(
    b"Proposal(uint64 view,uint64 height,bytes32 parentHash,bytes32 blockHash,bytes32 payloadHash)"
)


@lru_cache(maxsize=64)
def _prefix(chain_id: int) -> bytes:
    """`0x1901 ‖ domainSeparator`. The chain is the L2's; no contract is named, as evidence is judged on L1."""
    return b"\x19\x01" + keccak(
        _DOMAIN_TYPE + keccak(DOMAIN_NAME.encode()) + keccak(DOMAIN_VERSION.encode()) + chain_id.to_bytes(32, "big")
    )


@lru_cache(maxsize=DIGEST_CACHE)
def vote_digest(chain_id: int, vote: Vote) -> bytes:
    """The EIP-712 digest of `Vote(kind, view, height, blockHash)` in the domain of `chain_id`."""
    return keccak(_prefix(chain_id) + keccak(
        _VOTE_TYPE + int(vote.kind).to_bytes(32, "big") + vote.view.to_bytes(32, "big")
        + vote.height.to_bytes(32, "big") + bytes.fromhex(vote.block_hash[2:])
    ))


def proposal_digest(chain_id: int, proposal: Proposal) -> bytes:
    """The EIP-712 digest of a proposal. Certificates are left out: they prove themselves."""
    return block_digest(
        chain_id, proposal.view, proposal.height, proposal.parent_hash, proposal.block_hash, proposal.payload
    )


@lru_cache(maxsize=PROPOSAL_DIGEST_CACHE)
def block_digest(
    chain_id: int, view: int, height: int, parent_hash: Hash, block_hash: Hash, payload: bytes
) -> bytes:
    return keccak(_prefix(chain_id) + keccak(
        _PROPOSAL_TYPE + view.to_bytes(32, "big") + height.to_bytes(32, "big")
        + bytes.fromhex(parent_hash[2:]) + bytes.fromhex(block_hash[2:]) + keccak(payload)
    ))


@lru_cache(maxsize=256)
def _private_key(key: bytes) -> PrivateKey:
    return PrivateKey(key)


def sign(digest: bytes, key: bytes) -> bytes:
    """65 bytes r ‖ s ‖ v. RFC 6979: the same digest and key always give the same signature."""
    compact = _private_key(key).sign_recoverable(digest, hasher=None)
    signature = compact[:64] + bytes((27 + compact[64],))
    MADE_HERE.remember(digest, signature, address_of(key))
    return signature


def recover(digest: bytes, signature: bytes) -> str | None:
    """The signer's address in lower-case 0x-hex, or None for a signature `ecrecover` on L1 would not accept."""
    return MADE_HERE.of(digest, signature) or recover_elsewhere(digest, signature)


@lru_cache(maxsize=RECOVER_CACHE)
def recover_elsewhere(digest: bytes, signature: bytes) -> str | None:
    """As `recover`, from the signature alone."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    if int.from_bytes(signature[32:64], "big") > _CURVE_ORDER // 2:
        return None  # the malleated twin: L1 refuses it, so must we, or a certificate could be good here and bad there
    try:
        public = PublicKey.from_signature_and_message(
            signature[:64] + bytes((signature[64] - 27,)), digest, hasher=None
        )
    except ValueError:
        return None
    return _address(public)


@lru_cache(maxsize=256)
def address_of(key: bytes) -> str:
    return _address(_private_key(key).public_key)


def is_signed_by(digest: bytes, signature: bytes, voter: str) -> bool:
    return recover(digest, signature) == voter


def _address(public: PublicKey) -> str:
    return "0x" + keccak(public.format(compressed=False)[1:])[12:].hex()
