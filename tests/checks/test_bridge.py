"""The boundaries of the bridge's checks: to the L1 block, to the unit and to the second."""

from __future__ import annotations

import pytest

from harness.checks.results import Verdict
from tests.checks.cases import late
from tests.checks.crossings import DEPTH, DOLLARS, FIRST, SECOND, ready, reorganised

HOLDS, VIOLATED = Verdict.HOLDS, Verdict.VIOLATED


@pytest.mark.parametrize(("origin", "verdict"), [(1 + DEPTH, VIOLATED), (2 + DEPTH, HOLDS)])
def test_a_message_is_final_when_so_many_blocks_stand_on_it(origin: int, verdict: Verdict) -> None:
    result = ready(origin=origin).execute(FIRST, sent_at=2).judge("B2")
    assert result.verdict is verdict
    if verdict is VIOLATED:
        shown = {key: result.evidence[0][key] for key in ("l1_block", "l1_origin", "final_from", "why")}
        why = "its L1 block was not final"
        assert shown == {"l1_block": 2, "l1_origin": origin, "final_from": 2 + DEPTH, "why": why}


@pytest.mark.parametrize(("value", "verdict"), [(2 * DOLLARS, HOLDS), (2 * DOLLARS + 1, VIOLATED)])
def test_all_that_is_locked_may_be_minted_and_not_a_unit_more(value: int, verdict: Verdict) -> None:
    assert ready().execute(FIRST, sent_at=2, value=value).judge("B3").verdict is verdict


def test_what_l1_locks_later_than_l2_has_seen_covers_nothing() -> None:
    """Both messages are on L1, the second in a block that is not the origin yet."""
    run = ready(origin=2 + DEPTH).l1(2 + DEPTH + 3, {**SECOND, "id": "0x" + "0b" * 32, "nonce": 3})
    run.seen(2 + DEPTH).execute(FIRST, sent_at=2, value=2 * DOLLARS + 1)
    result = run.judge("B3")
    assert (result.verdict, result.evidence[0]["locked"]) == (VIOLATED, 2 * DOLLARS)


@pytest.mark.parametrize(("seconds", "verdict"), [(10, HOLDS), (11, VIOLATED)])
def test_a_delivery_is_due_at_the_bound(seconds: int, verdict: Verdict) -> None:
    assert late(seconds).judge("V7").verdict is verdict


def test_what_failed_was_tried_and_what_is_not_final_is_not_due() -> None:
    tried = ready().fail(FIRST, sent_at=2).fail(SECOND, sent_at=2).blocks(12)
    assert (tried.judge("V7").verdict, tried.judge("V7").guarded) == (HOLDS, 2)
    assert ready(origin=1 + DEPTH).blocks(12).judge("V7").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("seconds", "verdict"), [(10, HOLDS), (11, VIOLATED)])
def test_what_failed_is_due_again_at_the_bound(seconds: int, verdict: Verdict) -> None:
    """Also what failed twice, from the second time on; and what succeeded is not."""
    once = ready().fail(FIRST, sent_at=2).fail(SECOND, sent_at=2).blocks(5).execute(SECOND, sent_at=2)
    assert once.blocks(seconds - 5).judge("B6").verdict is verdict
    assert ready().fail(FIRST, sent_at=2).blocks(9).fail(FIRST, sent_at=2).blocks(9).judge("B6").verdict is HOLDS


def test_a_message_that_a_reorg_moved_to_another_block_is_not_dropped() -> None:
    """It stands on the chain that won, so crediting it is right; the one that does not is counted as dropped."""
    result = reorganised().execute(SECOND, sent_at=3).judge("B5")
    assert (result.verdict, result.guarded) == (HOLDS, 1)


def test_l1_with_a_hole_is_unknown() -> None:
    """Whether a message stands on L1 cannot be told then."""
    run = ready().execute(FIRST, sent_at=2)
    run.close()
    run.lines = [line for line in run.lines if (line.get("chain"), line.get("number")) != ("l1", 5)]
    result = run.judge("B2")
    assert result.verdict is Verdict.UNKNOWN
    assert "L1 block 5" in result.summary
    assert "never recorded" in result.summary
