"""Whose signatures this process made: in the simulator all are made here, and what was made here needs no recovery."""

from __future__ import annotations


class SignersHere:
    """Signer by digest and signature, of the newest `most` to twice as many. A recovery costs some 130 µs."""

    __slots__ = ("_former", "_most", "_recent")

    def __init__(self, most: int) -> None:
        self._most = most
        self._recent: dict[tuple[bytes, bytes], str] = {}
        self._former: dict[tuple[bytes, bytes], str] = {}

    def remember(self, digest: bytes, signature: bytes, signer: str) -> None:
        """Only of a signature just made with the signer's key."""
        if len(self._recent) >= self._most:
            self._former, self._recent = self._recent, {}
        self._recent[digest, signature] = signer

    def of(self, digest: bytes, signature: bytes) -> str | None:
        """The signer, or None for a signature made elsewhere, or too long ago."""
        key = (digest, signature)
        return self._recent.get(key) or self._former.get(key)
