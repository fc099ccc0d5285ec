"""Messages survive the wire exactly, are parsed strictly, and are signed as EIP-712 says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from harness.consensus.messages import (
    Certificate,
    Message,
    Proposal,
    SignedVote,
    Vote,
    VoteKind,
    certified_vote,
    from_json,
    to_json,
)
from harness.consensus.signing import (
    _CURVE_ORDER,
    DOMAIN_NAME,
    DOMAIN_VERSION,
    address_of,
    is_signed_by,
    keccak,
    proposal_digest,
    recover,
    recover_elsewhere,
    sign,
    vote_digest,
)
from harness.rollup.blocks import Hash

KEY = bytes(range(1, 33))
numbers = st.integers(0, 2**63 - 1)
hashes = st.binary(min_size=32, max_size=32).map(lambda raw: Hash("0x" + raw.hex()))
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
signatures = st.binary(min_size=65, max_size=65)
votes = st.one_of(
    st.builds(Vote, st.sampled_from((VoteKind.NOTARIZE, VoteKind.FINALIZE)), numbers, numbers, hashes),
    numbers.map(Vote.nullify),
)
certificates = st.builds(
    Certificate, votes, st.lists(st.tuples(addresses, signatures), max_size=5).map(tuple)
)
proposals = st.builds(
    Proposal, numbers, numbers, hashes, hashes, st.binary(max_size=64), st.none() | certificates,
    st.lists(certificates, max_size=2).map(tuple), signatures,
)
messages = st.one_of(st.builds(SignedVote, votes, addresses, signatures), certificates, proposals)


@given(messages)
def test_every_message_survives_the_wire(message: Message) -> None:
    """`from_json` inverts `to_json`."""
    assert from_json(to_json(message)) == message


@given(messages)
def test_a_certificates_vote_is_read_without_its_signatures(message: Message) -> None:
    """The short look agrees with the whole parse, and does not take other messages for certificates."""
    row = to_json(message)
    assert certified_vote(row) == (message.vote if isinstance(message, Certificate) else None)
    if isinstance(message, Certificate):
        assert certified_vote({**row, "signatures": None}) == message.vote


@pytest.mark.parametrize(
    ("change", "names"),
    [({"view": True}, "message.view"), ({"kind": "maybe"}, "message.kind"), ({"block_hash": "0x0A"}, "block_hash"),
     ({"colour": 1}, "message.colour"), ({"block_hash": "0x" + "aB" * 32}, "lower-case")],
)
def test_the_short_look_refuses_what_the_whole_parse_refuses(change: dict[str, Any], names: str) -> None:
    """Reading less must not mean believing more."""
    row = {**to_json(EXAMPLE.nullifications[0]), **change}
    for read in (certified_vote, from_json):
        with pytest.raises(ValueError, match=names):
            read(row)
    strangers: tuple[Any, ...] = ([], None, {"view": 1})
    for stranger in strangers:
        with pytest.raises(ValueError, match="message"):
            certified_vote(stranger)


EXAMPLE = Proposal(
    3, 2, Hash("0x" + "01" * 32), Hash("0x" + "02" * 32), b"txs",
    Certificate(Vote(VoteKind.NOTARIZE, 1, 1, Hash("0x" + "01" * 32)), (("0x" + "0a" * 20, b"s" * 65),)),
    (Certificate(Vote.nullify(2), (("0x" + "0a" * 20, b"t" * 65),)),), b"u" * 65,
)


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        (["view"], -1, "message.view"),
        (["view"], True, "message.view"),
        (["view"], 2**63, "message.view"),
        (["height"], 1.0, "message.height"),
        (["payload"], "0x0", "message.payload"),
        (["payload"], "0x0 a", "message.payload"),
        (["payload"], None, "message.payload"),
        (["block_hash"], "0x" + "AB" * 32, "message.block_hash"),
        (["block_hash"], "0x" + "ab" * 31, "message.block_hash"),
        (["colour"], 1, "message.colour"),
        (["type"], "prophecy", "message.type"),
        (["nullifications"], {}, "message.nullifications"),
        (["nullifications", 0, "kind"], "maybe", r"message.nullifications\[0\].kind"),
        (["nullifications", 0, "kind"], ["nullify"], r"message.nullifications\[0\].kind"),
        (["nullifications", 0, "height"], 4, r"message.nullifications\[0\].block_hash"),
        (["parent_certificate", "signatures", 0], ["0x"], r"message.parent_certificate.signatures\[0\]"),
        (["parent_certificate", "signatures", 0, 1], "0x00", r"signatures\[0\]\[1\]"),
        (["signature"], "0x00", "message.signature"),
    ],
)
def test_what_is_not_a_message_is_refused_with_the_path_to_the_key(path: list[Any], value: Any, names: str) -> None:
    """A peer's garbage must never become a message, and the log must say what was wrong with it."""
    row = copy.deepcopy(to_json(EXAMPLE))
    at: Any = row
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(ValueError, match=names):
        from_json(row)


def test_a_missing_key_is_named() -> None:
    """A missing key and a message that is no object are both told apart from a bad value."""
    row = to_json(EXAMPLE)
    del row["payload"]
    with pytest.raises(ValueError, match=r"message\.payload is missing"):
        from_json(row)
    with pytest.raises(ValueError, match="message is list"):
        from_json([])


def typed(primary: str, fields: dict[str, str], values: dict[str, Any]) -> bytes:
    """The digest by eth-account, an implementation that is not ours."""
    signable = encode_typed_data(full_message={
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
            ],
            primary: [{"name": name, "type": kind} for name, kind in fields.items()],
        },
        "primaryType": primary,
        "domain": {"name": DOMAIN_NAME, "version": DOMAIN_VERSION, "chainId": 901},
        "message": values,
    })
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@given(votes)
def test_votes_are_signed_as_eip_712_typed_data(vote: Vote) -> None:
    """L1 verifies evidence with the standard digest, so ours must be that one."""
    fields = {"kind": "uint8", "view": "uint64", "height": "uint64", "blockHash": "bytes32"}
    values = {
        "kind": int(vote.kind), "view": vote.view, "height": vote.height,
        "blockHash": bytes.fromhex(vote.block_hash[2:]),
    }
    assert vote_digest(901, vote) == typed("Vote", fields, values)
    assert vote_digest(902, vote) != vote_digest(901, vote)


def test_proposals_are_signed_as_eip_712_typed_data() -> None:
    """The leader signs view, place, hash and payload."""
    fields = {
        "view": "uint64", "height": "uint64", "parentHash": "bytes32", "blockHash": "bytes32", "payloadHash": "bytes32"
    }
    values = {
        "view": 3, "height": 2, "parentHash": b"\x01" * 32, "blockHash": b"\x02" * 32, "payloadHash": keccak(b"txs")
    }
    assert proposal_digest(901, EXAMPLE) == typed("Proposal", fields, values)


@given(st.binary(min_size=32, max_size=32))
def test_signatures_are_those_of_eth_account_and_recover_to_the_signer(digest: bytes) -> None:
    """Same key, same digest, same 65 bytes as the reference wallet; and nobody else's."""
    account = Account.from_key(KEY)
    signature = sign(digest, KEY)
    assert signature == bytes(account.unsafe_sign_hash(digest).signature)
    assert address_of(KEY) == account.address.lower()
    assert is_signed_by(digest, signature, account.address.lower())
    # And whoever did not make it finds the same signer by the signature alone.
    assert recover_elsewhere(digest, signature) == account.address.lower()
    assert not is_signed_by(keccak(digest), signature, account.address.lower())


def test_a_signature_that_l1_would_refuse_is_nobodys() -> None:
    """The malleated twin recovers to the signer in plain ECDSA, but OpenZeppelin refuses it; so do we."""
    digest = keccak(b"x")
    good = sign(digest, KEY)
    s = _CURVE_ORDER - int.from_bytes(good[32:64], "big")
    twin = good[:32] + s.to_bytes(32, "big") + bytes((55 - good[64],))
    assert recover(digest, good) == recover_elsewhere(digest, good) == address_of(KEY)
    assert recover(digest, twin) is None
    assert recover(digest, good[:64] + b"\x00") is None
    assert recover(digest, b"\x00" * 64 + b"\x1b") is None
    assert recover(digest, b"\xff" * 32 + good[32:]) is None
    assert recover(digest, b"") is None
