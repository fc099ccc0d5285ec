"""The dev accounts everyone knows ("test … junk"), by index, and the table of who may use which.

| Indices | Who signs with them |
|---|---|
| 0 | owner and admin: deploys, lists series, funds the insurance |
| 1 | batcher (L1) |
| 2 | market maker |
| 3–9 | nobody: whoever uses a dev network by hand |
| 10–19 | keepers |
| 20–29 | searchers, who trade against the spot pool |
| 30–49 | oracle reporters (sign observations; also send the rounds) |
| 50–89 | sequencers (consensus keys) |
| 90–99 | relayers |
| 100 and up | traders |

Keys are derived here (BIP-39, BIP-32, path m/44'/60'/0'/0/i) on coincurve alone: importing eth-account costs a role
process half a second and tens of megabytes. A test compares them with eth-account's.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from coincurve import PrivateKey, PublicKey

from harness.evm.keccak import keccak

MNEMONIC: Final = "test test test test test test test test test test test junk"

OWNER: Final = 0
BATCHER: Final = 1
MAKER: Final = 2
USERS: Final = range(3, 10)
KEEPERS: Final = range(10, 20)
SEARCHERS: Final = range(20, 30)
REPORTERS: Final = range(30, 50)
SEQUENCERS: Final = range(50, 90)
RELAYERS: Final = range(90, 100)
TRADERS: Final = range(100, 10_000)

_HARDENED: Final = 1 << 31
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_ACCOUNTS_CACHED: Final = 16_384


@dataclass(frozen=True, slots=True)
class Account:
    """A key pair. The key is a publicly known test key, but stays out of `repr` all the same."""

    index: int
    address: str                          # lower-case 0x-hex
    key: bytes = field(repr=False)        # 32 bytes


@lru_cache(maxsize=_ACCOUNTS_CACHED)
def account(index: int) -> Account:
    """The dev account `index` of the mnemonic.

    Raises:
        ValueError: the index is negative or not below 2**31.
    """
    if not 0 <= index < _HARDENED:
        raise ValueError(f"account index {index} is not in [0, 2**31); indices are those of accounts.py's table")
    key = _child(*_branch(), index)[0]
    return Account(index=index, address=address_of(key), key=key)


def address_of(key: bytes) -> str:
    """The address of a private key, as lower-case 0x-hex."""
    return address_of_public_key(PrivateKey(key).public_key)


def address_of_public_key(public: PublicKey) -> str:
    return "0x" + keccak(public.format(compressed=False)[1:])[12:].hex()


@lru_cache(maxsize=1)
def _branch() -> tuple[bytes, bytes]:
    """Key and chain code of m/44'/60'/0'/0, the parent of every account."""
    seed = hashlib.pbkdf2_hmac("sha512", MNEMONIC.encode(), b"mnemonic", 2048)
    digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
    key, code = digest[:32], digest[32:]
    for step in (44 + _HARDENED, 60 + _HARDENED, _HARDENED, 0):
        key, code = _child(key, code, step)
    return key, code


def _child(key: bytes, code: bytes, step: int) -> tuple[bytes, bytes]:
    """BIP-32 private child derivation. The 2**-127 chance of an invalid child is an error, not a retry."""
    hardened = step >= _HARDENED
    data = (b"\x00" + key if hardened else PrivateKey(key).public_key.format()) + step.to_bytes(4, "big")
    digest = hmac.digest(code, data, "sha512")
    tweak = int.from_bytes(digest[:32], "big")
    child = (tweak + int.from_bytes(key, "big")) % _CURVE_ORDER
    if tweak >= _CURVE_ORDER or child == 0:
        raise ValueError(f"BIP-32 child {step} does not exist for this mnemonic")
    return child.to_bytes(32, "big"), digest[32:]
