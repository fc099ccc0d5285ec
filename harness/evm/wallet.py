"""Deterministic signing and its reverse: type-2 transactions, quotes and observations, without web3.

Signatures are RFC 6979 with low s, so equal inputs give equal bytes everywhere; a test compares them with
eth-account's. Accounts come from `accounts.py` and are re-exported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

import rlp
from coincurve import PrivateKey, PublicKey

from harness.evm.accounts import (
    BATCHER,
    KEEPERS,
    MAKER,
    OWNER,
    REPORTERS,
    SEQUENCERS,
    TRADERS,
    Account,
    account,
    address_of,
    address_of_public_key,
)
from harness.evm.keccak import keccak
from harness.evm.signers import SignersHere

__all__ = [
    "BATCHER",
    "KEEPERS",
    "MAKER",
    "OWNER",
    "REPORTERS",
    "SEQUENCERS",
    "TRADERS",
    "Account",
    "DecodedTransaction",
    "Quote",
    "account",
    "address_of",
    "decode_transaction",
    "observation_digest",
    "quote_digest",
    "recover",
    "recover_elsewhere",
    "sender_of",
    "sign_digest",
    "sign_observation",
    "sign_quote",
    "sign_transaction",
    "transaction_hash",
]

TRANSACTION_BYTES_MAX: Final = 131_072
"""Geth's pool limit (128 kB); a frame is at most 100 kB."""

_TYPE_2: Final = b"\x02"
_LEGACY_FROM: Final = b"\xc0"  # an RLP list
_EIP_155: Final = 35           # v = 35 + 2 · chain id + parity
_SIGNED: Final = ("y_parity", "r", "s")
_LAYOUTS: Final = {
    0: ("nonce", "max_fee", "gas", "to", "value", "data", *_SIGNED),
    1: ("chain_id", "nonce", "max_fee", "gas", "to", "value", "data", "access_list", *_SIGNED),
    2: ("chain_id", "nonce", "max_priority_fee", "max_fee", "gas", "to", "value", "data", "access_list", *_SIGNED),
}
"""Fields by transaction type, in order. What a legacy one calls gas price is both fees, and its v has the parity."""
_WIDTHS: Final = {
    "chain_id": 8, "nonce": 8, "max_priority_fee": 32, "max_fee": 32, "gas": 8, "value": 32, "y_parity": 9, "r": 32,
    "s": 32,
}  # fmt: skip
_WORD_MAX: Final = (1 << 256) - 1
_U64_MAX: Final = (1 << 64) - 1
_HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_KEYS_CACHED: Final = 4_096
_DECODED_CACHED: Final = 16_384
_RECOVERED_CACHED: Final = 4_096
_DIGESTS_CACHED: Final = 1_024
_MADE_HERE: Final = SignersHere(_RECOVERED_CACHED)

_QUOTE_TYPE: Final = keccak(
    b"Quote(address maker,uint256 seriesId,int256 price,int256 size,uint64 deadline,uint256 nonce)"
)
_DOMAIN_TYPE: Final = keccak(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_DOMAIN_NAME: Final = keccak(b"Harness Exchange")
_DOMAIN_VERSION: Final = keccak(b"1")


@dataclass(frozen=True, slots=True)
class Quote:
    """A maker's signed offer; the struct of ClearingHouse.trade."""

    maker: str       # lower-case 0x-hex
    series_id: int
    price: int       # 1e18 quote per 1 underlying
    size: int        # 1e18 underlying; the largest size, signed from the taker's side
    deadline: int    # seconds; the last timestamp at which it may be taken
    nonce: int       # usable once per maker


@dataclass(frozen=True, slots=True)
class DecodedTransaction:
    """A signed transaction, taken apart; in a legacy or type-1 one both fees are its gas price."""

    hash: str                # 0x-hex, 32 bytes
    sender: str              # recovered; lower-case 0x-hex
    nonce: int
    to: str | None           # None creates a contract
    gas_limit: int
    value: int               # wei
    data: bytes
    max_fee: int             # wei per gas, all included
    max_priority_fee: int    # wei per gas
    chain_id: int
    access_addresses: int = 0  # of its access list
    access_keys: int = 0


def sign_transaction(
    key: bytes,
    *,
    chain_id: int,
    nonce: int,
    to: str | None,
    data: bytes = b"",
    gas: int,
    max_fee: int = 0,
    max_priority: int = 0,
    value: int = 0,
) -> bytes:
    """Sign an EIP-1559 transaction with an empty access list; returns the raw bytes to broadcast.

    Raises:
        ValueError: a number is negative or too large, or `to` is not an address.
    """
    for name, number, most in (
        ("chain_id", chain_id, _U64_MAX), ("nonce", nonce, _U64_MAX), ("gas", gas, _U64_MAX),
        ("max_fee", max_fee, _WORD_MAX), ("max_priority", max_priority, _WORD_MAX), ("value", value, _WORD_MAX),
    ):
        if not 0 <= number <= most:
            raise ValueError(f"transaction field {name} = {number} is not in [0, {most}]")
    fields: list[object] = [
        _int(chain_id), _int(nonce), _int(max_priority), _int(max_fee), _int(gas),
        _address(to) if to is not None else b"", _int(value), data, (),
    ]
    signature = sign_digest(key, keccak(_TYPE_2 + cast(bytes, rlp.encode(fields))))
    r, s = signature[:32].lstrip(b"\x00"), signature[32:64].lstrip(b"\x00")
    fields += [_int(signature[64] - 27), r, s]
    return _TYPE_2 + cast(bytes, rlp.encode(fields))


def transaction_hash(raw: bytes) -> str:
    """The hash a node will know these raw bytes by, as 0x-hex."""
    return "0x" + keccak(raw).hex()


@lru_cache(maxsize=_DECODED_CACHED)
def decode_transaction(raw: bytes) -> DecodedTransaction:
    """Take a raw signed transaction apart and recover who signed it: legacy (EIP-155), type 1 or type 2.

    Raises:
        ValueError: not a canonical, validly signed transaction of one of these types; says what is wrong.
    """
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise ValueError(f"transaction of {len(raw)} bytes is over the limit of {TRANSACTION_BYTES_MAX}")
    is_legacy = raw[:1] >= _LEGACY_FROM
    kind = 0 if is_legacy else raw[0] if raw else -1
    if kind not in _LAYOUTS:
        raise ValueError(
            f"transaction of type 0x{raw[:1].hex() or '(empty)'} refused; legacy ones and types 1 and 2 are taken"
        )
    layout = _LAYOUTS[kind]
    try:
        fields = rlp.decode(raw if is_legacy else raw[1:])
    except (rlp.DecodingError, RecursionError) as error:
        raise ValueError(f"transaction is not canonical RLP: {error}") from None
    if not isinstance(fields, list) or len(fields) != len(layout):
        raise ValueError(f"transaction has {len(fields)} fields, one of type {kind} has {len(layout)}")
    named = dict(zip(layout, fields, strict=True))
    access_list = named.pop("access_list", [])
    if not all(isinstance(item, bytes) for item in named.values()) or not _is_access_list(access_list):
        raise ValueError("transaction has a list where bytes belong, or a malformed access list")
    numbers = {name: _number(named[name], name, width) for name, width in _WIDTHS.items() if name in named}
    to: bytes = named["to"]
    if len(to) not in (0, 20):
        raise ValueError(f"transaction field to has {len(to)} bytes, an address has 20")
    max_fee = numbers["max_fee"]
    max_priority = numbers.get("max_priority_fee", max_fee)
    if max_priority > max_fee:
        raise ValueError(f"transaction max_priority_fee {max_priority} is above its max_fee {max_fee}")
    parity, s = numbers["y_parity"], numbers["s"]
    if is_legacy:
        if parity < _EIP_155:
            raise ValueError(f"transaction signature has v = {parity}: it names no chain (EIP-155) and could be "
                             "replayed on any; sign it for this chain's id")
        chain_id, parity = (parity - _EIP_155) // 2, (parity - _EIP_155) % 2
        unsigned = cast(bytes, rlp.encode([*fields[:6], _int(chain_id), b"", b""]))
    else:
        chain_id = numbers["chain_id"]
        unsigned = raw[:1] + cast(bytes, rlp.encode(fields[:-3]))
    if parity > 1 or s > _HALF_ORDER:
        raise ValueError(f"transaction signature is not canonical: y_parity {parity}, s {s:#x}")
    signature = numbers["r"].to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + parity])
    return DecodedTransaction(
        hash=transaction_hash(raw),
        sender=recover(keccak(unsigned), signature),
        nonce=numbers["nonce"],
        to="0x" + to.hex() if to else None,
        gas_limit=numbers["gas"],
        value=numbers["value"],
        data=named["data"],
        max_fee=max_fee,
        max_priority_fee=max_priority,
        chain_id=chain_id,
        access_addresses=len(access_list),
        access_keys=sum(len(keys) for _, keys in access_list),
    )


def sender_of(raw: bytes) -> str:
    """Who signed these raw bytes. Raises ValueError as `decode_transaction`."""
    return decode_transaction(raw).sender


def sign_digest(key: bytes, digest: bytes) -> bytes:
    """65 bytes r ‖ s ‖ v over a 32-byte digest, v being 27 or 28, s low."""
    compact = _private_key(key).sign_recoverable(digest, hasher=None)
    signature = compact[:64] + bytes([27 + compact[64]])
    _MADE_HERE.remember(digest, signature, _signer(key))
    return signature


def recover(digest: bytes, signature: bytes) -> str:
    """The address whose key made this 65-byte signature (v 27 or 28).

    Raises:
        ValueError: no key can have made it.
    """
    return _MADE_HERE.of(digest, signature) or recover_elsewhere(digest, signature)


@lru_cache(maxsize=_RECOVERED_CACHED)
def recover_elsewhere(digest: bytes, signature: bytes) -> str:
    """As `recover`, from the signature alone, whoever made it."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise ValueError(f"signature of {len(signature)} bytes does not end in 27 or 28")
    try:
        public = PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
        )
    except Exception as error:  # coincurve raises bare Exception and ValueError alike
        raise ValueError(f"signature recovers to no key: {error}") from None
    return address_of_public_key(public)


def quote_digest(quote: Quote, *, chain_id: int, clearing_house: str) -> bytes:
    """The EIP-712 digest of a quote in the clearing house's domain."""
    body = keccak(_QUOTE_TYPE + _address(quote.maker).rjust(32, b"\x00") + b"".join(map(_word, (
        quote.series_id, quote.price, quote.size, quote.deadline, quote.nonce,
    ))))
    return keccak(b"\x19\x01" + _domain(chain_id, clearing_house) + body)


def sign_quote(key: bytes, quote: Quote, *, chain_id: int, clearing_house: str) -> bytes:
    """The maker's signature of a quote."""
    return sign_digest(key, quote_digest(quote, chain_id=chain_id, clearing_house=clearing_house))


@lru_cache(maxsize=_DIGESTS_CACHED)   # every reporter checks what the others signed
def observation_digest(
    *, chain_id: int, feed: str, asset: bytes, round_: int, timestamp: int, price: int
) -> bytes:
    """The EIP-191 digest a reporter signs: one price of one asset in one round. `asset` is its 32-byte name."""
    inner = keccak(
        _word(chain_id) + _address(feed).rjust(32, b"\x00") + asset.ljust(32, b"\x00")
        + b"".join(map(_word, (round_, timestamp, price)))
    )
    return keccak(b"\x19Ethereum Signed Message:\n32" + inner)


def sign_observation(
    key: bytes, *, chain_id: int, feed: str, asset: bytes, round_: int, timestamp: int, price: int
) -> bytes:
    """A reporter's signature of an observation."""
    return sign_digest(key, observation_digest(
        chain_id=chain_id, feed=feed, asset=asset, round_=round_, timestamp=timestamp, price=price,
    ))


@lru_cache(maxsize=64)
def _domain(chain_id: int, clearing_house: str) -> bytes:
    return keccak(
        _DOMAIN_TYPE + _DOMAIN_NAME + _DOMAIN_VERSION + _word(chain_id)
        + _address(clearing_house).rjust(32, b"\x00")
    )


@lru_cache(maxsize=_KEYS_CACHED)
def _private_key(key: bytes) -> PrivateKey:
    return PrivateKey(key)


@lru_cache(maxsize=_KEYS_CACHED)
def _signer(key: bytes) -> str:
    return address_of_public_key(_private_key(key).public_key)


def _word(value: int) -> bytes:
    """An ABI word: 32 bytes, two's complement below zero. What overflows raises OverflowError."""
    return value.to_bytes(32, "big", signed=value < 0)


def _int(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _number(data: bytes, name: str, width: int) -> int:
    if len(data) > width or data[:1] == b"\x00":
        raise ValueError(f"transaction field {name} = 0x{data.hex()} is not a canonical integer of {width} bytes")
    return int.from_bytes(data, "big")


def _address(text: str) -> bytes:
    raw = bytes.fromhex(text.removeprefix("0x"))
    if len(raw) != 20:
        raise ValueError(f"{text!r} is not an address: {len(raw)} bytes instead of 20")
    return raw


def _is_access_list(item: object) -> bool:
    """EIP-2930's shape: a list of [address, [32-byte key, …]]."""
    if not isinstance(item, list):
        return False
    return all(
        isinstance(entry, list) and len(entry) == 2
        and isinstance(entry[0], bytes) and len(entry[0]) == 20
        and isinstance(entry[1], list) and all(isinstance(k, bytes) and len(k) == 32 for k in entry[1])
        for entry in item
    )
