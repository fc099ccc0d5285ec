"""Signing without web3 gives the bytes eth-account gives, and reading them back refuses everything else."""

from __future__ import annotations

import pytest
import rlp
from eth_account import Account as EthAccount
from eth_account.messages import encode_defunct, encode_typed_data
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evm import accounts, wallet

TO = "0x" + "ab" * 20


@pytest.mark.parametrize("index", [0, 1, 2, 10, 31, 100, 257])
def test_dev_accounts_are_those_of_the_mnemonic(index: int) -> None:
    """Everyone's tools know these accounts by index; ours must be the same ones."""
    EthAccount.enable_unaudited_hdwallet_features()
    theirs = EthAccount.from_mnemonic(accounts.MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    ours = accounts.account(index)
    assert (ours.address, ours.key) == (theirs.address.lower(), bytes(theirs.key))


def test_first_dev_account_is_the_one_printed_by_anvil() -> None:
    """A literal from Anvil's own banner, so that the test does not rest on eth-account alone."""
    assert accounts.account(0).address == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"


def test_reserved_ranges_do_not_overlap() -> None:
    """Two roles signing with one account would race for nonces."""
    taken = [accounts.OWNER, accounts.BATCHER, accounts.MAKER, *accounts.KEEPERS, *accounts.REPORTERS,
             *accounts.SEQUENCERS, *accounts.TRADERS]
    assert len(taken) == len(set(taken))


@settings(max_examples=40, deadline=None)
@given(
    chain_id=st.integers(1, 2**32), nonce=st.integers(0, 2**40), gas=st.integers(21_000, 10**8),
    fees=st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), value=st.integers(0, 10**24),
    data=st.binary(max_size=300), create=st.booleans(),
)
def test_raw_transactions_equal_those_of_eth_account(
    chain_id: int, nonce: int, gas: int, fees: tuple[int, int], value: int, data: bytes, create: bool
) -> None:
    """Byte equality, then the way back: every field and the signer survive."""
    signer = accounts.account(100)
    to = None if create else TO
    raw = wallet.sign_transaction(signer.key, chain_id=chain_id, nonce=nonce, to=to, data=data, gas=gas,
                                  max_fee=max(fees), max_priority=min(fees), value=value)
    fields: dict[str, object] = {
        "type": 2, "chainId": chain_id, "nonce": nonce, "gas": gas, "maxFeePerGas": max(fees),
        "maxPriorityFeePerGas": min(fees), "value": value, "data": data,
    }
    if to is not None:
        fields["to"] = bytes.fromhex(to[2:])
    theirs = EthAccount.sign_transaction(fields, signer.key)
    assert raw == bytes(theirs.raw_transaction)
    decoded = wallet.decode_transaction(raw)
    assert decoded == wallet.DecodedTransaction(
        hash="0x" + bytes(theirs.hash).hex(), sender=signer.address, nonce=nonce, to=to, gas_limit=gas, value=value,
        data=data, max_fee=max(fees), max_priority_fee=min(fees), chain_id=chain_id,
    )
    assert wallet.sender_of(raw) == EthAccount.recover_transaction(raw).lower()


@pytest.mark.parametrize("with_list", [False, True])
@pytest.mark.parametrize("to", [TO, None])
def test_older_types_decode_to_what_eth_account_signed(with_list: bool, to: str | None) -> None:
    """Wallets and scripts still send them; both fees are the gas price, and the signer survives."""
    signer = accounts.account(100)
    fields: dict[str, object] = {"chainId": 901, "nonce": 7, "gas": 60_000, "gasPrice": 9, "value": 5, "data": b"\x01"}
    if with_list:
        fields |= {"type": 1, "accessList": [{"address": TO, "storageKeys": ["0x" + "01" * 32]}]}
    if to is not None:
        fields["to"] = bytes.fromhex(to[2:])
    theirs = EthAccount.sign_transaction(fields, signer.key)
    assert wallet.decode_transaction(bytes(theirs.raw_transaction)) == wallet.DecodedTransaction(
        hash="0x" + bytes(theirs.hash).hex(), sender=signer.address, nonce=7, to=to, gas_limit=60_000, value=5,
        data=b"\x01", max_fee=9, max_priority_fee=9, chain_id=901,
        access_addresses=int(with_list), access_keys=int(with_list),
    )


def test_a_legacy_transaction_that_names_no_chain_is_refused() -> None:
    """It could be replayed on any chain."""
    signed = EthAccount.sign_transaction({"nonce": 0, "gas": 21_000, "gasPrice": 1, "value": 0, "to": b"\x11" * 20},
                                         accounts.account(100).key)
    with pytest.raises(ValueError, match="names no chain"):
        wallet.decode_transaction(bytes(signed.raw_transaction))


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255), cut=st.booleans())
def test_damaged_transactions_are_refused_or_have_another_hash(at: int, flip: int, cut: bool) -> None:
    """Damage may at most turn a transaction into another one; it never passes as the one that was sent."""
    raw = wallet.sign_transaction(accounts.account(100).key, chain_id=901, nonce=3, to=TO, data=b"\x01\x02", gas=50_000)
    at %= len(raw)
    damaged = raw[:at] if cut else raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1:]
    try:
        decoded = wallet.decode_transaction(damaged)
    except ValueError:
        return
    assert decoded.hash != wallet.transaction_hash(raw)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({1: b"\x00\x01"}, "nonce = 0x0001 is not a canonical integer"),
        ({5: b"\x01" * 19}, "to has 19 bytes"),
        ({8: [b"\x01"]}, "malformed access list"),
        ({9: b"\x02"}, "not canonical: y_parity 2"),
        ({2: b"\x05"}, "max_priority_fee 5 is above its max_fee 0"),
        ({10: b""}, "recovers to no key"),
        ({0: [b"\x01"]}, "list where bytes belong"),
    ],
)
def test_each_malformed_field_is_named(change: dict[int, object], words: str) -> None:
    """Whoever posts garbage learns which field is wrong."""
    raw = wallet.sign_transaction(accounts.account(1).key, chain_id=901, nonce=0, to=TO, gas=21_000)
    fields = rlp.decode(raw[1:])
    for index, value in change.items():
        fields[index] = value
    with pytest.raises(ValueError, match=words):
        wallet.decode_transaction(b"\x02" + rlp.encode(fields))


@pytest.mark.parametrize(
    "raw", [b"", b"\x02", b"\x02\xc0", b"\x01\xc0", b"\xf8", b"\x02\x05", b"\x02" + b"\xc1" * 5000]
)
def test_garbage_is_refused_with_a_value_error(raw: bytes) -> None:
    """Bytes off the wire must never raise anything else."""
    with pytest.raises(ValueError, match="transaction"):
        wallet.decode_transaction(raw)


def test_high_s_twin_of_a_signature_is_refused() -> None:
    """Otherwise one signed transaction would have two hashes (EIP-2)."""
    raw = wallet.sign_transaction(accounts.account(1).key, chain_id=901, nonce=0, to=TO, gas=21_000)
    fields = rlp.decode(raw[1:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    fields[11] = (order - int.from_bytes(fields[11], "big")).to_bytes(32, "big")
    fields[9] = b"" if fields[9] == b"\x01" else b"\x01"
    with pytest.raises(ValueError, match="not canonical"):
        wallet.decode_transaction(b"\x02" + rlp.encode(fields))


def test_negative_field_is_refused_before_signing() -> None:
    """A negative amount is a bug of the caller and names the field."""
    with pytest.raises(ValueError, match=r"value = -1"):
        wallet.sign_transaction(accounts.account(1).key, chain_id=901, nonce=0, to=TO, gas=21_000, value=-1)


def test_quote_signature_equals_eth_account_typed_data() -> None:
    """The EIP-712 digest is the one any wallet would compute, negative numbers included."""
    maker = accounts.account(2)
    quote = wallet.Quote(maker.address, 3, -37_630000000000000000, -5 * 10**18, 1_700_000_000, 2**255)
    house = "0x" + "12" * 20
    message = encode_typed_data(
        {"name": "Harness Exchange", "version": "1", "chainId": 901, "verifyingContract": house},
        {"Quote": [{"name": n, "type": t} for t, n in (
            ("address", "maker"), ("uint256", "seriesId"), ("int256", "price"), ("int256", "size"),
            ("uint64", "deadline"), ("uint256", "nonce"))]},
        {"maker": quote.maker, "seriesId": quote.series_id, "price": quote.price, "size": quote.size,
         "deadline": quote.deadline, "nonce": quote.nonce},
    )
    theirs = EthAccount.sign_message(message, maker.key)
    assert wallet.sign_quote(maker.key, quote, chain_id=901, clearing_house=house) == bytes(theirs.signature)


def test_observation_signature_equals_eth_account_personal_message() -> None:
    """A reporter's signature is over the EIP-191 message of the packed observation."""
    reporter = accounts.account(30)
    feed = "0x" + "34" * 20
    def word(value: int) -> bytes:
        return value.to_bytes(32, "big", signed=True)
    inner = keccak(word(901) + bytes(12) + bytes.fromhex(feed[2:]) + b"ETH".ljust(32, b"\0")
                   + word(7) + word(1_700_000_000) + word(-5))
    theirs = EthAccount.sign_message(encode_defunct(inner), reporter.key)
    ours = wallet.sign_observation(reporter.key, chain_id=901, feed=feed, asset=b"ETH", round_=7,
                                   timestamp=1_700_000_000, price=-5)
    assert ours == bytes(theirs.signature)
