"""Keccak-256 as Ethereum means it. pycryptodome's own: what picks a backend reads the metadata of every package."""

from __future__ import annotations

from Crypto.Hash import keccak as _keccak


def keccak(data: bytes) -> bytes:
    """The 32-byte hash."""
    return _keccak.new(data=data, digest_bits=256).digest()
