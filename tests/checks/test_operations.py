"""Clients told one thing while the chain holds another, and chains out of shape."""

from __future__ import annotations

import pytest

from harness.checks.results import Verdict
from tests.checks.builder import Run

GONE = "0x" + "99" * 32


@pytest.mark.parametrize(
    ("said", "in_chain", "succeeded", "verdict"),
    [
        ("ok", True, True, Verdict.HOLDS), ("ok", True, False, Verdict.VIOLATED),
        ("ok", False, False, Verdict.VIOLATED), ("fail", True, True, Verdict.VIOLATED),
        ("fail", True, False, Verdict.HOLDS), ("fail", False, False, Verdict.HOLDS),
        ("info", True, True, Verdict.UNKNOWN), ("info", False, False, Verdict.UNKNOWN),
    ],
)
def test_known_outcomes_must_be_the_chains(said: str, in_chain: bool, succeeded: bool, verdict: Verdict) -> None:
    """An acknowledged write that is gone is lost, a refused one that landed a phantom; indeterminate may be either."""
    run = Run().block().op("x", "invoke")
    run.op("x", said, run.transaction(ok=succeeded) if in_chain else GONE)
    result = run.judge("OPS")
    assert result.verdict is verdict, result
    if verdict is Verdict.VIOLATED:
        assert (result.evidence[0]["id"], result.evidence[0]["said"]) == ("x", said)


def test_a_write_only_in_a_dropped_block_is_lost() -> None:
    run = Run().block().op("x", "invoke")
    run.op("x", "ok", GONE).close()
    dropped = dict(next(line for line in run.lines if line["kind"] == "block"))
    dropped["hash"] = "0x" + "ab" * 32
    dropped["transactions"] = [{"hash": GONE, "sender": "0x" + "11" * 20, "to": None, "ok": True, "gas": 1,
                                "error": None}]
    run.lines.append(dropped)
    assert run.judge("OPS").verdict is Verdict.VIOLATED


def test_indeterminate_operations_are_counted() -> None:
    run = Run().block().op("x", "invoke").op("y", "invoke").op("z", "invoke")
    run.op("x", "info", run.transaction()).op("y", "ok", run.transaction())
    assert "2 indeterminate, of which 1 landed" in run.judge("OPS").summary


def test_a_transaction_included_twice_is_found() -> None:
    run = Run().block()
    run.transaction()
    run.block()
    run._serial -= 1
    run.transaction()
    result = run.judge("R1")
    assert result.verdict is Verdict.VIOLATED
    assert (result.evidence[0]["first_block"], result.evidence[0]["block"]) == (1, 2)


@pytest.mark.parametrize(("first", "second", "verdict"), [
    (4, 4, Verdict.HOLDS), (4, 5, Verdict.HOLDS), (4, 6, Verdict.VIOLATED), (4, 3, Verdict.VIOLATED),
])
def test_an_origin_that_falls_or_jumps_is_found(first: int, second: int, verdict: Verdict) -> None:
    assert Run().block(origin=first).block(origin=second).judge("R2").verdict is verdict


def test_time_that_falls_is_found() -> None:
    assert Run().block().block(timestamp=5).judge("R2").verdict is Verdict.VIOLATED


def test_blocks_of_one_second_and_blocks_without_origin_are_in_shape() -> None:
    """Half-second blocks share a timestamp; the first blocks may have no origin yet."""
    run = Run().block(origin=None).block(dt=0, origin=4).block(dt=0, origin=4).block(origin=None)
    result = run.judge("R2")
    assert (result.verdict, result.guarded) == (Verdict.HOLDS, 3)
