"""What is remembered of signatures made here is what their recovery would say, and no more of it than is allowed."""

from __future__ import annotations

import pytest

from harness.evm import wallet
from harness.evm.keccak import keccak
from harness.evm.signers import SignersHere


def test_what_is_remembered_is_what_recovery_says() -> None:
    """A shortcut, and nothing else: with another digest or another signature it knows nothing."""
    digest, key = keccak(b"digest"), wallet.account(7).key
    signature = wallet.sign_digest(key, digest)
    assert wallet.recover(digest, signature) == wallet.recover_elsewhere(digest, signature) == wallet.account(7).address
    assert wallet.recover(keccak(b"another"), signature) != wallet.account(7).address
    with pytest.raises(ValueError, match="does not end in 27 or 28"):
        wallet.recover(digest, signature[:64] + b"\x00")


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    """A day of market time signs millions of times."""
    signers = SignersHere(3)
    for number in range(100):
        signers.remember(bytes([number]), b"", f"0x{number}")
    known = [number for number in range(100) if signers.of(bytes([number]), b"") is not None]
    assert known[-3:] == [97, 98, 99]
    assert len(known) <= 6
    assert signers.of(b"c", b"") == "0x99"
    assert signers.of(b"c", b"other") is None
