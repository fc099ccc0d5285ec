"""Where a contract will be is worked out by hand; the library says the same."""

from __future__ import annotations

import pytest
import rlp
from eth_hash.auto import keccak as library_keccak

from harness.evm.keccak import keccak
from harness.solidity.deploy import DEPLOYER, create_address


@pytest.mark.parametrize("nonce", [0, 1, 11, 127, 128, 255, 256, 65_535, 65_536, 2**32, 2**64 - 1])
def test_a_created_address_is_what_rlp_says(nonce: int) -> None:
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    expected = library_keccak(rlp.encode([bytes.fromhex(DEPLOYER[2:]), number]))[12:].hex()
    assert create_address(DEPLOYER, nonce) == f"0x{expected}"


@pytest.mark.parametrize("data", [b"", b"a", bytes(135), bytes(136), bytes(137), bytes(1_000)])
def test_keccak_is_keccak(data: bytes) -> None:
    """And not the SHA-3 that the standard made of it; 136 is its block."""
    assert keccak(data) == library_keccak(data)
