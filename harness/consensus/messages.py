"""What validators say to each other: votes, certificates and proposals, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

from harness.rollup.blocks import ZERO_HASH, Hash

MAX_NUMBER = 2**63 - 1
"""Views and heights are 64-bit on the wire."""

MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
"""A proposal's block record may not be larger than a channel may inflate to."""

MAX_NULLIFICATIONS = 4096
"""Nullified views between a proposal and its parent that one proposal may justify."""

MAX_SIGNATURES = 1024
"""Signatures in one certificate; far above any validator set this testnet runs."""


TEXT_CACHE = 1_024
"""Names and hashes remembered to be well formed: of a block, tens of messages repeat the same few."""


class VoteKind(IntEnum):
    """The number is what is signed (`uint8 kind`)."""

    NOTARIZE = 1
    NULLIFY = 2
    FINALIZE = 3


_KIND_OF_WORD = {kind.name.lower(): kind for kind in VoteKind}
_WORD_OF_KIND = {kind: kind.name.lower() for kind in VoteKind}


@dataclass(frozen=True, slots=True)
class Vote:
    """What is voted. A nullify vote names no block: height 0 and the zero hash."""

    kind: VoteKind
    view: int
    height: int
    block_hash: Hash

    @staticmethod
    def nullify(view: int) -> Vote:
        return Vote(VoteKind.NULLIFY, view, 0, ZERO_HASH)


@dataclass(frozen=True, slots=True)
class SignedVote:
    vote: Vote
    voter: str        # lower-case 0x-hex address
    signature: bytes  # 65 bytes r ‖ s ‖ v, v 27 or 28, s in the lower half: what `ecrecover` and OpenZeppelin accept


@dataclass(frozen=True, slots=True)
class Certificate:
    """q or more validators signed the same vote: a notarization, a nullification or a finalization."""

    vote: Vote
    signatures: tuple[tuple[str, bytes], ...]  # (voter, signature), in the order of the validator tuple, each once

    @property
    def kind(self) -> VoteKind:
        return self.vote.kind

    @property
    def view(self) -> int:
        return self.vote.view

    @property
    def height(self) -> int:
        return self.vote.height

    @property
    def block_hash(self) -> Hash:
        return self.vote.block_hash

    def votes(self) -> tuple[SignedVote, ...]:
        return tuple(SignedVote(self.vote, voter, signature) for voter, signature in self.signatures)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A leader's block for one view, with everything needed to judge its place.

    `parent_certificate` notarizes or finalizes the parent; None only where the parent is the root every validator
    starts from. `nullifications` holds one certificate for each view strictly between the parent's and `view`, in
    order. The signature binds view, place, hash and payload to the leader; that the payload executes to `block_hash`
    is for whoever executes it to check.
    """

    view: int
    height: int
    parent_hash: Hash
    block_hash: Hash
    payload: bytes
    parent_certificate: Certificate | None
    nullifications: tuple[Certificate, ...]
    signature: bytes


Message = Proposal | SignedVote | Certificate
Json = Any


def to_json(message: Message) -> dict[str, Json]:
    """The wire and journal form; `from_json` is its inverse."""
    if isinstance(message, SignedVote):
        return {
            "type": "vote", **_vote_to_json(message.vote),
            "voter": message.voter, "signature": _hex(message.signature),
        }
    if isinstance(message, Certificate):
        return {
            "type": "certificate", **_vote_to_json(message.vote),
            "signatures": [[voter, _hex(signature)] for voter, signature in message.signatures],
        }
    parent = message.parent_certificate
    return {
        "type": "proposal", "view": message.view, "height": message.height, "parent_hash": message.parent_hash,
        "block_hash": message.block_hash, "payload": _hex(message.payload),
        "parent_certificate": None if parent is None else to_json(parent),
        "nullifications": [to_json(certificate) for certificate in message.nullifications],
        "signature": _hex(message.signature),
    }


def from_json(value: Json, path: str = "message") -> Message:
    """Parse one message strictly.

    Raises:
        ValueError: a key is missing, unknown, of the wrong type or out of range; the text names its path.
    """
    kind = _field(_mapping(value, path), "type", path)
    if kind == "vote":
        return signed_vote_from_json(value, path)
    if kind == "certificate":
        return certificate_from_json(value, path)
    if kind == "proposal":
        return proposal_from_json(value, path)
    raise ValueError(f"{path}.type is {kind!r}; expected vote, certificate or proposal")


def certified_vote(value: Json, path: str = "message") -> Vote | None:
    """What a certificate in JSON form says was voted, its signatures unread; None if it is no certificate.

    For receivers that drop most certificates unread, because a valid one for the same vote is held
    (`Simplex.holds`): most of a certificate is signatures.

    Raises:
        ValueError: as `from_json`, for the part that is read.
    """
    if _field(_mapping(value, path), "type", path) != "certificate":
        return None
    return _vote_from_json(_exactly(value, _CERTIFICATE_KEYS, path), path)


def signed_vote_from_json(value: Json, path: str = "vote") -> SignedVote:
    row = _exactly(value, _VOTE_KEYS, path)
    return SignedVote(
        _vote_from_json(row, path), _bytes_text(row["voter"], path, ".voter", size=20),
        _bytes(row["signature"], path, ".signature", size=65),
    )


def certificate_from_json(value: Json, path: str = "certificate") -> Certificate:
    row = _exactly(value, _CERTIFICATE_KEYS, path)
    signatures = []
    for index, pair in enumerate(_list(row["signatures"], path, ".signatures", MAX_SIGNATURES)):
        at = _PAIR_PATHS[index]
        voter, signature = _list(pair, path, at, 2, exactly=True)
        signatures.append((_bytes_text(voter, path, at + "[0]", size=20), _bytes(signature, path, at + "[1]", size=65)))
    return Certificate(_vote_from_json(row, path), tuple(signatures))


def proposal_from_json(value: Json, path: str = "proposal") -> Proposal:
    row = _exactly(value, _PROPOSAL_KEYS, path)
    parent = row["parent_certificate"]
    nullifications = _list(row["nullifications"], path, ".nullifications", MAX_NULLIFICATIONS)
    return Proposal(
        view=_number(row["view"], path, ".view"),
        height=_number(row["height"], path, ".height"),
        parent_hash=Hash(_bytes_text(row["parent_hash"], path, ".parent_hash", size=32)),
        block_hash=Hash(_bytes_text(row["block_hash"], path, ".block_hash", size=32)),
        payload=_bytes(row["payload"], path, ".payload", at_most=MAX_PAYLOAD_BYTES),
        parent_certificate=None if parent is None else certificate_from_json(parent, f"{path}.parent_certificate"),
        nullifications=tuple(
            certificate_from_json(item, f"{path}.nullifications[{index}]")
            for index, item in enumerate(nullifications)
        ),
        signature=_bytes(row["signature"], path, ".signature", size=65),
    )


_PAIR_PATHS = tuple(f".signatures[{index}]" for index in range(MAX_SIGNATURES))
_VOTE_KEYS = frozenset({"type", "kind", "view", "height", "block_hash", "voter", "signature"})
_CERTIFICATE_KEYS = frozenset({"type", "kind", "view", "height", "block_hash", "signatures"})
_PROPOSAL_KEYS = frozenset({
    "type", "view", "height", "parent_hash", "block_hash", "payload", "parent_certificate", "nullifications",
    "signature",
})


def _vote_to_json(vote: Vote) -> dict[str, Json]:
    return {
        "kind": _WORD_OF_KIND[vote.kind], "view": vote.view, "height": vote.height, "block_hash": vote.block_hash,
    }


def _vote_from_json(row: Mapping[str, Json], path: str) -> Vote:
    kind = row["kind"]
    if not isinstance(kind, str) or kind not in _KIND_OF_WORD:
        raise ValueError(f"{path}.kind is {kind!r}; expected one of {', '.join(_KIND_OF_WORD)}")
    vote = Vote(
        _KIND_OF_WORD[kind], _number(row["view"], path, ".view"), _number(row["height"], path, ".height"),
        Hash(_bytes_text(row["block_hash"], path, ".block_hash", size=32)),
    )
    if vote.kind is VoteKind.NULLIFY and (vote.height != 0 or vote.block_hash != ZERO_HASH):
        raise ValueError(
            f"{path}.block_hash is {vote.block_hash} at height {vote.height}; a nullify vote names no block"
        )
    return vote


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _mapping(value: Json, path: str) -> Mapping[str, Json]:
    if type(value) is not dict and not isinstance(value, Mapping):  # the first is the usual one, and quick
        raise ValueError(f"{path} is {type(value).__name__}; expected an object")
    return value


def _field(row: Mapping[str, Json], key: str, path: str) -> Json:
    if key not in row:
        raise ValueError(f"{path}.{key} is missing")
    return row[key]


def _exactly(value: Json, keys: frozenset[str], path: str) -> Mapping[str, Json]:
    row = _mapping(value, path)
    if row.keys() != keys:
        for key in sorted(keys):
            _field(row, key, path)
        unknown = sorted(str(key) for key in row if key not in keys)
        raise ValueError(f"{path}.{unknown[0]} is not a known key; expected {', '.join(sorted(keys))}")
    return row


# `path` and `key` are joined only where an error names them: joining costs more than most of these checks.


def _list(value: Json, path: str, key: str, at_most: int, *, exactly: bool = False) -> list[Json]:
    if not isinstance(value, list):
        raise ValueError(f"{path}{key} is {type(value).__name__}; expected a list")
    if len(value) > at_most or (exactly and len(value) != at_most):
        raise ValueError(f"{path}{key} has {len(value)} items; expected {'' if exactly else 'at most '}{at_most}")
    return value


def _number(value: Json, path: str, key: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{path}{key} is {value!r}; expected an integer from 0 to 2**63 - 1")
    return value


def _bytes_text(value: Json, path: str, key: str, *, size: int) -> str:
    """The text itself, once it is known to be exactly `size` bytes of lower-case 0x-hex."""
    if type(value) is str and len(value) == 2 + 2 * size and _is_lower_hex(value):
        return value
    _bytes(value, path, key, size=size)
    raise ValueError(f"{path}{key} is {value!r}; expected lower-case 0x-hex")


@lru_cache(maxsize=TEXT_CACHE)
def _is_lower_hex(text: str) -> bool:
    try:
        return "0x" + bytes.fromhex(text[2:]).hex() == text
    except ValueError:
        return False


def _bytes(value: Json, path: str, key: str, *, size: int | None = None, at_most: int | None = None) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"{path}{key} is {str(value)[:80]!r}; expected a 0x-hex string")
    if at_most is not None and len(value) > 2 + 2 * at_most:
        raise ValueError(f"{path}{key} has {(len(value) - 2) // 2} bytes; expected at most {at_most}")
    try:
        data = bytes.fromhex(value[2:])
    except ValueError:
        raise ValueError(f"{path}{key} is {value[:80]!r}; expected a 0x-hex string") from None
    if 2 * len(data) != len(value) - 2:
        # `bytes.fromhex` skips white space; two texts for one value would be two messages for one vote.
        raise ValueError(f"{path}{key} is {value[:80]!r}; expected a 0x-hex string")
    if size is not None and len(data) != size:
        raise ValueError(f"{path}{key} has {len(data)} bytes; expected {size}")
    return data
