"""Labels out of order, in conflict, falling, or standing still."""

from __future__ import annotations

import pytest

from harness.checks.results import Verdict
from tests.checks.builder import Run


def chain(blocks: int = 10) -> Run:
    return Run().blocks(blocks)


@pytest.mark.parametrize(
    ("label", "number"), [("finalized", 9), ("safe", 11), ("committed", 11)],
)
def test_a_label_above_the_next_weaker_one_is_found(label: str, number: int) -> None:
    result = chain().wait(1).head("replica-0", label, number).judge("H1")
    assert result.verdict is Verdict.VIOLATED
    assert (result.evidence[0]["label"], result.evidence[0]["block"]) == (label, number)


def test_equal_labels_on_different_blocks_are_found() -> None:
    """Same number, another branch: order by number alone would not see it."""
    result = chain().wait(1).head("replica-0", "committed", 10, fork=1).judge("H1")
    assert result.verdict is Verdict.VIOLATED


def test_labels_that_move_at_one_instant_are_judged_together() -> None:
    """A node may write its committed head before its unsafe one, as long as no time passes between them."""
    run = chain().wait(1).head("replica-0", "committed", 11).head("replica-0", "unsafe", 11)
    assert run.judge("H1").verdict is Verdict.HOLDS


def test_a_label_recorded_without_any_weaker_one_is_found() -> None:
    assert Run().block().head("replica-9", "safe", 1).judge("H1").verdict is Verdict.VIOLATED


@pytest.mark.parametrize("label", ["committed", "safe", "finalized"])
def test_a_node_with_another_block_at_a_height_is_found(label: str) -> None:
    result = chain().wait(1).head("replica-1", label, 5, fork=1).judge("H2")
    assert result.verdict is Verdict.VIOLATED
    assert (result.evidence[0]["node"], result.evidence[0]["block"]) == ("replica-1", 5)


def test_two_nodes_that_agree_against_the_chain_are_found() -> None:
    run = chain().head("replica-1", "safe", 5, fork=1).head("replica-2", "safe", 5, fork=1)
    assert run.judge("H2").verdict is Verdict.VIOLATED


def test_an_unsafe_fork_is_no_disagreement() -> None:
    assert chain().wait(1).head("replica-1", "unsafe", 5, fork=1).judge("H2").verdict is Verdict.HOLDS


def test_one_node_alone_agrees_with_nobody() -> None:
    assert Run(followers=False).blocks(5).judge("H2").verdict is Verdict.UNKNOWN


def test_a_reset_takes_back_what_was_labelled_above_it() -> None:
    run = chain().wait(1).head("replica-1", "safe", 9, fork=1)
    assert run.judge("H2").verdict is Verdict.VIOLATED
    run.wait(1).head("replica-1", "safe", 4, reset=True)
    assert run.judge("H2").verdict is Verdict.HOLDS


@pytest.mark.parametrize("label", ["safe", "finalized"])
@pytest.mark.parametrize(("number", "fork"), [(3, 0), (5, 1)])
def test_a_head_that_falls_or_changes_in_place_is_found(label: str, number: int, fork: int) -> None:
    run = chain().wait(1).head("replica-1", label, 5).wait(1).head("replica-1", label, number, fork=fork)
    result = run.judge("H3")
    assert result.verdict is Verdict.VIOLATED
    assert (result.evidence[0]["node"], result.evidence[0]["from_block"]) == ("replica-1", 5)


def test_an_l1_reorg_excuses_a_reset_of_safe_but_never_of_finalized() -> None:
    def fallen(label: str) -> Verdict:
        run = chain().wait(1).head("replica-1", label, 5).wait(1).record("l1-0", "stat", name="l1-reorg")
        return run.head("replica-1", label, 3, reset=True).judge("H3").verdict

    assert fallen("safe") is Verdict.HOLDS
    assert fallen("finalized") is Verdict.VIOLATED


def test_what_an_l1_reorg_took_is_due_within_the_bound_unless_a_fault_is_in_the_way() -> None:
    def dipped() -> Run:
        run = Run(followers=False).blocks(6).head("replica-0", "safe", 4)
        return run.l1_reorg("replica-0", safe_from=4, safe_to=2)

    assert dipped().blocks(9).head("replica-0", "safe", 4).blocks(3).judge("H6").verdict is Verdict.HOLDS
    assert dipped().blocks(11).head("replica-0", "safe", 4).blocks(3).judge("H6").verdict is Verdict.VIOLATED
    assert dipped().fault("inject").blocks(12).judge("H6").verdict is Verdict.UNKNOWN
    assert dipped().blocks(5).judge("H6").verdict is Verdict.UNKNOWN


def test_two_blocks_committed_at_one_height_are_found() -> None:
    result = chain().wait(1).head("sequencer-3", "committed", 7, fork=1).judge("H4")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["block"] == 7


def test_a_commit_off_the_ancestor_path_of_the_tip_is_found() -> None:
    """Nobody else reported this height; the tip's ancestors still contradict it."""
    run = Run(followers=False).blocks(6)
    run.lines = [line for line in run.close().lines
                 if not (line["kind"] == "head" and line["label"] == "committed" and line["number"] == 4)]
    assert run.judge("H4").verdict is Verdict.HOLDS
    result = run.head("sequencer-1", "committed", 4, fork=1).judge("H4")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["other"] == "ancestor of the committed tip"


def test_l1_nodes_are_left_aside() -> None:
    run = chain().head("l1-0", "safe", 99, fork=1)
    assert [run.judge(id_).verdict for id_ in ("H1", "H2", "H3")] == [Verdict.HOLDS] * 3


def test_progress_after_heal_holds() -> None:
    assert chain().phase("heal").blocks(12).judge("H5").verdict is Verdict.HOLDS


def test_a_node_that_stands_still_after_heal_is_found() -> None:
    run = Run(followers=False).blocks(5).head("replica-0", "committed", 5).phase("heal").blocks(12)
    result = run.judge("H5")
    assert result.verdict is Verdict.VIOLATED
    assert (result.evidence[0]["node"], result.evidence[0]["block"]) == ("replica-0", 5)


def test_a_node_that_moves_only_after_the_bound_is_found() -> None:
    run = Run(followers=False).blocks(5).head("replica-0", "committed", 5).phase("heal").blocks(11)
    run.head("replica-0", "committed", 16)
    result = run.judge("H5")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["took_s"] == 11.0


def test_a_node_that_falls_behind_again_is_found() -> None:
    run = Run(followers=False).blocks(5).phase("heal").blocks(2).head("replica-0", "committed", 7).blocks(15)
    result = run.judge("H5")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["others_had"] == 12


def test_without_a_heal_or_with_too_short_an_end_progress_is_unknown() -> None:
    assert chain().judge("H5").verdict is Verdict.UNKNOWN
    assert chain().phase("heal").blocks(3).judge("H5").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("label", ["safe", "finalized"])
def test_announcing_the_same_head_again_is_no_fall(label: str) -> None:
    run = chain().wait(1).head("replica-1", label, 5).wait(1).head("replica-1", label, 5)
    assert run.judge("H3").verdict is Verdict.HOLDS


def test_the_worst_fall_is_shown_between_the_first_and_the_last() -> None:
    run = chain().wait(1)
    for number in (5, 4, 9, 2, 8, 7):
        run.head("replica-1", "finalized", number).wait(1)
    result = run.judge("H3")
    assert [(case["from_block"], case["block"]) for case in result.evidence] == [(5, 4), (9, 2), (8, 7)]
    assert result.summary.startswith("3 × ")


def test_a_reset_keeps_what_lies_at_or_below_it() -> None:
    """Taking back to 4 does not take back a wrong 4."""
    run = chain().wait(1).head("replica-1", "safe", 4, fork=1).wait(1).head("replica-1", "safe", 4, reset=True)
    assert run.judge("H2").verdict is Verdict.VIOLATED


def test_a_node_behind_at_heal_must_pass_what_others_had_committed() -> None:
    """Catching up to where the others were is not progress of its own yet."""
    run = Run(followers=False).blocks(3).head("replica-0", "committed", 3).blocks(2).phase("heal").blocks(1)
    run.head("replica-0", "committed", 5).blocks(11)
    result = run.judge("H5")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["must_pass"] == 5


def test_progress_is_counted_from_the_heal_on() -> None:
    """What a node committed before heal does not count, and the bound itself is still in time."""
    run = Run(followers=False).blocks(5).head("replica-0", "committed", 5).phase("heal").blocks(10)
    run.head("replica-0", "committed", 15)
    assert run.judge("H5").verdict is Verdict.HOLDS
    assert "10.0 s after heal" in run.judge("H5").summary
