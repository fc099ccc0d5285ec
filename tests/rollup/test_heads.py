"""Head labels keep their order whatever is asked of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.rollup.blocks import Hash
from harness.rollup.heads import FinalityBroken, Head, Heads, HeadsError, Label

labels = st.sampled_from(list(Label))


def name(number: int, branch: int = 0) -> Hash:
    return Hash(f"0x{branch:032x}{number:032x}")


def at(unsafe: int, committed: int, safe: int, finalized: int) -> Heads:
    return Heads(*(Head(number, name(number)) for number in (unsafe, committed, safe, finalized)))


@given(st.lists(st.tuples(st.sampled_from(["advance", "reset", "fall"]), labels, st.integers(0, 8), st.integers(0, 1))))
def test_no_sequence_of_moves_breaks_the_order(moves: list[tuple[str, Label, int, int]]) -> None:
    """S5 holds by construction, a refused move changes nothing, and finalized never regresses (S4)."""
    heads = Heads.genesis(0, name(0))
    for kind, label, number, branch in moves:
        before = heads
        try:
            if kind == "advance":
                heads = heads.advance(label, number, name(number, branch))
            elif kind == "reset":
                heads = heads.reset(label, number, name(number, branch))
            else:
                heads = heads.fall_to(number, name(number, branch))
        except HeadsError:
            assert heads == before
        numbers = [heads.at(each).number for each in reversed(Label)]
        assert numbers == sorted(numbers)
        assert heads.finalized.number >= before.finalized.number
        if kind == "advance":
            assert all(heads.at(each).number >= before.at(each).number for each in Label)


def test_advancing_a_sure_label_lifts_the_less_sure_ones_it_passes() -> None:
    """A node that derives faster than it hears votes still labels in order."""
    assert at(9, 6, 4, 1).advance(Label.SAFE, 7, name(7)) == at(9, 7, 7, 1)


def test_advancing_the_same_block_again_changes_nothing() -> None:
    """Certificates are re-broadcast."""
    assert at(9, 6, 4, 1).advance(Label.COMMITTED, 6, name(6)) == at(9, 6, 4, 1)


@pytest.mark.parametrize("label", Label)
def test_a_label_neither_falls_nor_switches_block_without_a_reset(label: Label) -> None:
    """Regression is always somebody's explicit decision."""
    heads = at(5, 5, 5, 5)
    with pytest.raises(HeadsError, match=f"{label.word} would fall from 5 to 4; only a reset"):
        heads.advance(label, 4, name(4))
    with pytest.raises(HeadsError, match=f"{label.word} would change its block at height 5"):
        heads.advance(label, 5, name(5, 1))


def test_equal_heights_with_different_hashes_are_refused() -> None:
    """A safe block that contradicts the committed one at its height is an alarm, never a label."""
    with pytest.raises(HeadsError, match="would name different blocks at height 6"):
        at(9, 6, 4, 1).advance(Label.SAFE, 6, name(6, 1))


def test_reset_moves_one_label_and_refuses_to_cross_its_neighbours() -> None:
    """A batch lost to an L1 reorg lowers safe and leaves committed alone."""
    heads = at(9, 6, 4, 1)
    assert heads.reset(Label.SAFE, 2, name(2)) == at(9, 6, 2, 1)
    with pytest.raises(HeadsError, match="safe 4 would lie above committed 3"):
        heads.reset(Label.COMMITTED, 3, name(3))


def test_falling_lowers_every_label_above_the_block_and_none_below() -> None:
    """Blocks on a dead origin die together."""
    assert at(9, 6, 4, 1).fall_to(5, name(5)) == at(5, 5, 4, 1)


def test_a_finalized_block_is_never_undone() -> None:
    """A reorg deeper than finality halts with an alarm (S4)."""
    heads = at(9, 6, 4, 3)
    with pytest.raises(FinalityBroken, match="halt"):
        heads.fall_to(2, name(2))
    for number, branch in ((2, 0), (3, 1)):
        with pytest.raises(FinalityBroken, match="halt"):
            heads.reset(Label.FINALIZED, number, name(number, branch))


@given(st.lists(st.integers(0, 1 << 60), min_size=4, max_size=4).map(lambda n: sorted(n, reverse=True)))
def test_heads_survive_json(numbers: list[int]) -> None:
    """A node keeps its labels over a restart."""
    assert Heads.from_json(at(*numbers).to_json()) == at(*numbers)
