"""Keccak-256 as Ethereum means it. pycryptodome's own: what picks a backend reads the metadata of every package."""

from __future__ import annotations

import sys

from Crypto.Util import _raw_api

# It would run `file` on the interpreter to learn this, in every process that imports it.
getattr(_raw_api, "cached_architecture", [])[:] = ["64bit" if sys.maxsize > 1 << 32 else "32bit", ""]

from Crypto.Hash import keccak as _keccak  # noqa: E402


def keccak(data: bytes) -> bytes:
    """The 32-byte hash."""
    return _keccak.new(data=data, digest_bits=256).digest()
