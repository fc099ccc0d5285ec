"""The fast decoder is eth_abi's equal: same values on good data, and never another value on damaged data."""

from __future__ import annotations

import pytest
from eth_abi import decode, encode  # type: ignore[attr-defined]  # re-exported without __all__
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st

from harness.evm.words import decoder
from harness.venue.deployment import interfaces

STATE = interfaces()["lens"].functions["state"].outputs
INT, UINT = st.integers(-(2**255), 2**255 - 1), st.integers(0, 2**256 - 1)
U64, U32 = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
ADDRESS = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
ASSET = st.binary(min_size=32, max_size=32)
POSITIONS = st.lists(st.tuples(UINT, INT, INT, INT), max_size=3).map(tuple)
VENUE = st.tuples(
    st.tuples(UINT, UINT, UINT, INT, UINT),
    st.lists(st.tuples(ADDRESS, U32, INT, INT, UINT, UINT, U64, POSITIONS, U64), max_size=3).map(tuple),
    st.lists(st.tuples(UINT, INT, UINT, UINT, st.booleans(), INT, U64), max_size=3).map(tuple),
    st.lists(st.tuples(UINT, INT, INT, UINT, U64, UINT, INT), max_size=3).map(tuple),
    st.lists(st.tuples(ASSET, U64, U64, INT, INT, UINT, U64, U64, U64, U64), max_size=3)
    .map(tuple),
    st.lists(st.tuples(U32, UINT, UINT, UINT, INT, UINT, ASSET, UINT), max_size=3).map(tuple),
)


@given(value=VENUE)
def test_venue_states_decode_as_by_eth_abi(value: tuple[object, ...]) -> None:
    """Nested arrays of structs with arrays in them: the deepest type there is here."""
    data = encode(STATE, value)
    assert decoder(STATE)(data) == value == tuple(decode(STATE, data))


@given(value=VENUE, at=st.integers(0, 5_000), flip=st.integers(1, 255), cut=st.booleans())
def test_damaged_data_is_refused_or_read_as_by_eth_abi(
    value: tuple[object, ...], at: int, flip: int, cut: bool
) -> None:
    """A shorter or flipped answer must not raise anything new, nor hang on a huge length."""
    data = encode(STATE, value)
    at %= len(data)
    damaged = data[:at] if cut else data[:at] + bytes([data[at] ^ flip]) + data[at + 1:]
    try:
        ours = decoder(STATE)(damaged)
    except DecodingError:
        return
    assert ours == tuple(decode(STATE, damaged))


@pytest.mark.parametrize(("type_", "word"), [("bool", 2), ("uint64", 2**64), ("int128", 2**127), ("address", 2**160)])
def test_words_out_of_range_are_refused(type_: str, word: int) -> None:
    """A value that its type cannot hold means that this is another type's data."""
    with pytest.raises(DecodingError):
        decoder((type_,))(word.to_bytes(32, "big"))


def test_types_with_bytes_go_to_eth_abi() -> None:
    """Signatures and frames are rare enough for the slow way."""
    types = ("(address,bytes)[]", "string")
    value = ((("0x" + "11" * 20, b"\x01\x02"),), "x")
    assert decoder(types)(encode(types, value)) == value
