"""Seeded randomness keyed by name, the same in every runtime: each draw is a hash of what it is for.

No draw depends on another, so removing one fault or one message leaves every other draw as it was. That is what lets
a failing storm shrink.
"""

from __future__ import annotations

import hashlib

_DIGEST_BYTES = 64  # BLAKE2b's widest costs what its narrowest does
_STREAMS_KEPT_MAX = 256


class KeyedRandom:
    """The `Random` port over BLAKE2b of (seed, stream, keys)."""

    __slots__ = ("_root", "_streams", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._root = hashlib.blake2b(f"harness:{seed}".encode(), digest_size=_DIGEST_BYTES)
        self._streams: dict[str, hashlib.blake2b] = {}

    def bits(self, stream: str, *keys: int | str, width: int = 64) -> int:
        """An integer in [0, 2**width)."""
        if width <= 8 * _DIGEST_BYTES:
            return int.from_bytes(self._digest(stream, keys), "big") >> (8 * _DIGEST_BYTES - width)
        value = 0
        blocks = -(-width // (8 * _DIGEST_BYTES))
        for block in range(blocks):
            value = value << (8 * _DIGEST_BYTES) | int.from_bytes(self._digest(stream, (*keys, "block", block)), "big")
        return value >> (blocks * 8 * _DIGEST_BYTES - width)

    def below(self, bound: int, stream: str, *keys: int | str) -> int:
        """An integer in [0, bound), biased by less than 2**-64. Raises ValueError if `bound` is not positive."""
        if bound <= 0:
            raise ValueError(f"cannot draw below {bound} from {stream!r}: the bound must be positive")
        return self.bits(stream, *keys, width=bound.bit_length() + 64) % bound

    def unit(self, stream: str, *keys: int | str) -> float:
        """A float in [0, 1) with 53 random bits."""
        return (int.from_bytes(self._digest(stream, keys)[:8], "big") >> 11) * 2.0**-53

    def _digest(self, stream: str, keys: tuple[int | str, ...]) -> bytes:
        known = self._streams.get(stream)
        if known is None:
            known = self._root.copy()
            known.update(repr(stream).encode())
            if len(self._streams) < _STREAMS_KEPT_MAX:
                self._streams[stream] = known
        hasher = known.copy()
        # The repr of a tuple of ints and strings is injective, and made in C.
        hasher.update(repr(keys).encode())
        return hasher.digest()
