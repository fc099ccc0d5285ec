"""Codecs: what goes in comes out, against eth_abi and by hand; damage is described, never raised on."""

from __future__ import annotations

import pytest
from eth_abi import encode  # type: ignore[attr-defined]  # re-exported without __all__
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from harness.evm.abi import asset_name, asset_word
from harness.evm.wallet import Quote
from harness.rollup.blocks import Hash, L1Origin, Log
from harness.venue import exchange as ex
from harness.venue.deployment import CONTRACTS, IMPLEMENTATIONS, Deployment, all_errors, interfaces

ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
AT = {name: f"0x{index:040x}" for index, name in enumerate((*CONTRACTS, *IMPLEMENTATIONS), start=1)}
INT = st.integers(-(2**255), 2**255 - 1)


def topic(value: bytes) -> Hash:
    return Hash("0x" + value.rjust(32, b"\0").hex())


@given(price=INT, size=INT, nonce=st.integers(0, 2**256 - 1), deadline=st.integers(0, 2**64 - 1), mine=INT)
def test_trade_calldata_survives_the_round_trip(price: int, size: int, nonce: int, deadline: int, mine: int) -> None:
    """Negative numbers and full words included."""
    data = ex.encode_trade(Quote(BOB, 3, price, size, deadline, nonce), b"\x05" * 65, mine)
    decoded = ex.decode_call(AT["clearing_house"], data, AT)
    assert decoded == ("clearing_house", "trade", ((BOB, 3, price, size, deadline, nonce), b"\x05" * 65, mine))


def test_selectors_are_those_of_the_signatures() -> None:
    """By hand from the rules' text, so that a renamed argument type is seen."""
    def head(signature: str) -> bytes:
        return keccak(signature.encode())[:4]

    origin = L1Origin(1, Hash("0x" + "11" * 32), 2)
    assert ex.encode_deposit(1)[:4] == head("deposit(uint256)")
    assert ex.encode_submit("ETH", 1, 2, [3], [b""])[:4] == head("submit(bytes32,uint64,uint64,int256[],bytes[])")
    assert ex.encode_trade(Quote(BOB, 1, 1, 1, 1, 1), b"", 1)[:4] == head(
        "trade((address,uint256,int256,int256,uint64,uint256),bytes,int256)"
    )
    assert ex.encode_set_l1_block(origin)[:4] == head("setL1Block(uint64,bytes32,uint64,bool)")
    assert ex.encode_inbox_submit(b"")[:4] == head("submit(bytes)")
    assert ex.encode_list_series(0, "ETH", 0, 1)[:4] == head("listSeries(uint8,bytes32,uint256,uint64)")


def test_arguments_that_do_not_fit_are_a_value_error_naming_the_function() -> None:
    """A bug in a role reads as such."""
    with pytest.raises(ValueError, match=r"do not fit deposit\(uint256\)"):
        ex.encode_deposit(-1)
    with pytest.raises(ValueError, match=r"do not fit liquidate\(address\)"):
        ex.encode_liquidate("0x12")
    with pytest.raises(ValueError, match=r"no function 'steal'; there are .*deposit"):
        interfaces()["vault"].encode_call("steal")


def test_event_arguments_are_named_and_typed() -> None:
    """Addresses lower-case, integers int, the asset its name."""
    log = Log(
        AT["price_feed"],
        (topic(keccak(b"RoundAccepted(bytes32,uint64,uint64,int256,uint256,int256[])")), topic(asset_word("ETH")),
         topic(b"\x09")),
        encode(["uint64", "int256", "uint256", "int256[]"], [1_700_000_000, -5, 4, [-6, -5, -4]]),
    )
    assert ex.decode_log(log, AT) == ex.Event(
        "RoundAccepted", "price_feed",
        {"asset": "ETH", "round": 9, "timestamp": 1_700_000_000, "price": -5, "sources": 4,
         "prices": (-6, -5, -4)},
    )


def test_argument_order_is_that_of_the_declaration() -> None:
    """Indexed arguments stand in topics, but histories show them where they were declared."""
    log = Log(AT["settlement"], (topic(keccak(b"Settled(address,uint256,int256,int256,int256)")),
                                 topic(bytes.fromhex(ALICE[2:])), topic(b"\x02")),
              encode(["int256"] * 3, [-1, 2, -3]))
    event = ex.decode_log(log, AT)
    assert event is not None
    assert list(event.args.items()) == [
        ("account", ALICE), ("seriesId", 2), ("size", -1), ("price", 2), ("cashDelta", -3),
    ]


@pytest.mark.parametrize(
    "log",
    [
        Log(BOB, (topic(keccak(b"Deposited(address,uint256)")), topic(b"\x01")), bytes(32)),
        Log(AT["vault"], (topic(b"\x01"),), b""),
        Log(AT["vault"], (), b""),
        Log(AT["vault"], (topic(keccak(b"Deposited(address,uint256)")),), bytes(32)),
        Log(AT["vault"], (topic(keccak(b"Deposited(address,uint256)")), topic(b"\x01")), b"\x01"),
    ],
)
def test_foreign_and_damaged_logs_are_no_events(log: Log) -> None:
    """Another contract's log, an unknown topic, a missing topic, short data: None, not an exception."""
    assert ex.decode_log(log, AT) is None


def test_revert_data_reads_as_the_error_with_its_values() -> None:
    """The text of an error is what a person and a test see."""
    data = keccak(b"StalePrice(bytes32,uint64,uint64)")[:4] + encode(
        ["bytes32", "uint64", "uint64"], [asset_word("ETH"), 21, 20]
    )
    assert ex.explain_revert(data) == "StalePrice(asset=ETH,age=21,maxAge=20)"
    assert ex.explain_revert(keccak(b"SequencerDown()")[:4]) == "SequencerDown()"
    panic = bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big")
    assert ex.explain_revert(panic) == "Panic(0x11: arithmetic overflow)"
    text = bytes.fromhex("08c379a0") + encode(["string"], ["no"])
    assert ex.explain_revert(text) == "Error('no')"
    assert ex.explain_revert(b"") == "reverted without data"


@given(data=st.binary(max_size=120), known=st.sampled_from([b"", *sorted(all_errors())]))
def test_no_revert_data_is_ever_raised_on(data: bytes, known: bytes) -> None:
    """It describes failures, so it may not fail."""
    assert ex.explain_revert(known + data)


@pytest.mark.parametrize("name", ["ETH", "a", "x" * 32])
def test_asset_names_survive_their_word(name: str) -> None:
    assert asset_name(asset_word(name)) == name


@pytest.mark.parametrize("name", ["", "ünit", "x" * 33])
def test_names_that_fit_no_word_are_refused(name: str) -> None:
    """bytes32 is 32 ASCII characters."""
    with pytest.raises(ValueError, match="1 to 32 ASCII"):
        asset_word(name)


def test_words_that_are_no_names_show_as_hex() -> None:
    """Nothing unprintable reaches a report."""
    assert asset_name(bytes(32)) == "0x" + "00" * 32
    assert asset_name(b"\xff" + bytes(31)) == "0xff" + "00" * 31


def test_result_of_a_call_to_nothing_says_so() -> None:
    """An empty answer is the commonest sign of a wrong address."""
    with pytest.raises(ValueError, match=r"0 bytes are not a result of latest: .*is the contract there\?"):
        ex.decode_latest(b"")


@given(frame=st.binary(max_size=200))
def test_frames_survive_the_inbox(frame: bytes) -> None:
    """What the batcher posts is what derivation reads."""
    assert ex.decode_inbox_frame(ex.encode_inbox_submit(frame)) == frame


@given(junk=st.binary(max_size=120))
def test_junk_in_the_inbox_is_no_frame(junk: bytes) -> None:
    """Anyone may send anything to the inbox; derivation must shrug."""
    assert ex.decode_inbox_frame(junk) is None
    assert isinstance(ex.decode_inbox_frame(ex.encode_inbox_submit(b"")[:4] + junk), bytes | None)


def test_deployment_survives_json_and_refuses_strangers() -> None:
    """It travels in plans, histories and to other processes."""
    deployment = Deployment(**AT, l1_chain_id=900, l2_chain_id=901)
    assert Deployment.from_json(deployment.to_json()) == deployment
    with pytest.raises(ValueError, match="deployment has fields"):
        Deployment.from_json({"vault": ALICE})


def test_c1_gap_is_the_difference_of_both_sides() -> None:
    """The one number that must be 0; a wei too much on either side shows with its sign."""
    state = ex.VenueState(
        totals=ex.Totals(custody=10, insurance=10**12, fees=5, dust=2),
        accounts=(ex.AccountState(ALICE, 9 * 10**12 - 10, 0, 0, 0, 0,
                                  (ex.PositionState(1, 1, -4), ex.PositionState(2, 1, 0))),),
        series=(ex.SeriesState(1, -1, 0, 0, False, 0),),
        perpetuals=(),
        assets=(),
    )
    # 9e12 − 10 + 4, and 1e12 + 5 + 2 − 1: together exactly 10 units.
    assert state.conservation_gap() == 0
    more = ex.VenueState(ex.Totals(10, 10**12, 5, 3), state.accounts, state.series, (), ())
    assert more.conservation_gap() == -1
