"""The tree answers as a plain list of parents would, and forgets only what is dead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.rollup.blocks import ZERO_HASH, BlockInputs, ExecutedBlock, Hash
from harness.rollup.chain import BlockTree, ChainError, UnknownBlock


def name(index: int) -> Hash:
    return Hash(f"0x{index:064x}")


def executed(index: int, number: int, parent: Hash) -> ExecutedBlock:
    return ExecutedBlock(BlockInputs(901, number, parent, 1_000 + number, 0, ()), name(index), ZERO_HASH, 0, ())


Parents = list[int]
"""Block i+1 stands on block parents[i]; block 0 is genesis."""

shapes = st.lists(st.integers(0, 1_000), min_size=1, max_size=25).map(
    lambda draws: [draw % (index + 1) for index, draw in enumerate(draws)])


def grow(parents: Parents) -> BlockTree:
    tree = BlockTree.genesis(executed(0, 0, ZERO_HASH))
    heights = [0]
    for index, parent in enumerate(parents, start=1):
        heights.append(heights[parent] + 1)
        tree.add(executed(index, heights[index], name(parent)))
    return tree


def line(parents: Parents, index: int) -> list[int]:
    """A block and its ancestors by the plain definition, genesis first."""
    found = [index]
    while found[-1]:
        found.append(parents[found[-1] - 1])
    return found[::-1]


def straight(length: int) -> BlockTree:
    tree = grow(list(range(length)))
    tree.set_head(name(length))
    return tree


@given(shapes, st.data())
def test_heights_ancestry_and_paths_agree_with_the_plain_definition(parents: Parents, data: st.DataObject) -> None:
    """Whatever the head and however it moved, the index never lies."""
    tree = grow(parents)
    blocks = st.integers(0, len(parents))
    for head in data.draw(st.lists(blocks, max_size=4)):
        tree.set_head(name(head))
        assert [tree.at(n).hash for n in range(tree.head.number + 1)] == [  # type: ignore[union-attr]  # None fails it
            name(index) for index in line(parents, head)]
        assert tree.at(tree.head.number + 1) is None
    a, b = data.draw(blocks), data.draw(blocks)
    up_to_a, up_to_b = line(parents, a), line(parents, b)
    for number, index in enumerate(up_to_a):
        found = tree.at(number, head=name(a))
        assert found is not None
        assert found.hash == name(index)
    assert tree.is_ancestor(name(b), of=name(a)) == (b in up_to_a)
    common = [index for index in up_to_a if index in up_to_b]
    path = tree.path(name(a), name(b))
    assert path.fork.hash == name(common[-1]) == tree.fork_of(name(a), name(b)).hash
    assert [block.hash for block in path.removed] == [name(i) for i in reversed(up_to_a) if i not in common]
    assert [block.hash for block in path.added] == [name(i) for i in up_to_b if i not in common]


@given(shapes, st.data())
def test_pruning_keeps_the_window_and_all_that_stands_on_finalized(parents: Parents, data: st.DataObject) -> None:
    """Only dead blocks and old ones go, and the tree goes on working."""
    tree = grow(parents)
    head = data.draw(st.integers(0, len(parents)))
    tree.set_head(name(head))
    chain = line(parents, head)
    finalized, window = data.draw(st.sampled_from(chain)), data.draw(st.integers(0, 5))
    dropped = tree.prune(name(finalized), window=window)
    below = line(parents, finalized)[-(window + 1):]
    kept = {i for i in range(len(parents) + 1) if finalized in line(parents, i) or i in below}
    assert {i for i in range(len(parents) + 1) if name(i) in tree} == kept
    assert sorted(dropped) == sorted(name(i) for i in range(len(parents) + 1) if i not in kept)
    assert len(tree) == len(kept)
    assert tree.root.hash == name(below[0])
    assert tree.at(tree.root.number - 1) is None
    for index in kept:
        assert tree.at(tree.block(name(finalized)).number, head=name(index)) is not None or index in below
    assert tree.prune(name(finalized), window=window) == ()
    tree.add(executed(99, tree.head.number + 1, tree.head.hash))
    assert tree.set_head(name(99)).hash == name(99)


def test_questions_about_the_head_do_not_walk_the_chain() -> None:
    """A long chain costs what a short one does: the index answers, the parents are not followed."""
    tree = straight(2_000)
    walked: list[int] = []
    real = tree._parent
    tree._parent = lambda block: (walked.append(block.number), real(block))[1]  # type: ignore[method-assign,func-returns-value]  # a spy
    assert tree.at(3) is tree.block(name(3))
    assert tree.at(3, head=name(1_500)) is tree.block(name(3))
    assert tree.is_ancestor(name(7), of=name(2_000))
    tree.add(executed(3_000, 2_001, name(2_000)))
    tree.set_head(name(3_000))
    assert walked == [2_001]


def test_a_head_that_fell_and_took_another_branch_leaves_no_stale_index() -> None:
    """After an L1 reorg the old branch is still held, and its ancestors are still its own."""
    tree = straight(8)
    tree.set_head(name(5))
    tree.add(executed(9, 6, name(5)))
    tree.set_head(name(9))
    assert tree.at(6, head=name(8)) is tree.block(name(6))
    assert tree.at(7) is None


def test_a_block_known_by_its_inputs_is_completed_when_executed() -> None:
    """A proposal becomes a block without losing its place, as head too."""
    tree = straight(2)
    block = executed(3, 3, name(2))
    assert tree.add_inputs(block.inputs, block.hash).executed is None
    tree.set_head(block.hash)
    assert tree.add(block).executed is block
    assert tree.head.executed is block
    assert tree.add_inputs(block.inputs, block.hash).executed is block


def test_a_block_must_stand_on_a_held_one_and_agree_with_it() -> None:
    """Orphans, wrong heights and second contents for one hash are refused."""
    tree = straight(2)
    with pytest.raises(UnknownBlock, match="the parent of block 9"):
        tree.add(executed(9, 9, name(8)))
    with pytest.raises(ChainError, match="has height 5 on a parent of height 2"):
        tree.add(executed(9, 5, name(2)))
    with pytest.raises(ChainError, match="held with other inputs"):
        tree.add(executed(2, 2, name(7)))
    assert len(tree) == 3


def test_unknown_blocks_are_named() -> None:
    """Whoever asks for a block nobody has learns which."""
    tree = straight(2)
    for ask in (tree.block, tree.set_head, lambda hash: tree.path(hash, name(1)), lambda hash: tree.at(0, head=hash)):
        with pytest.raises(UnknownBlock) as caught:
            ask(name(77))
        assert caught.value.hash == name(77)


def test_pruning_refuses_a_finalized_block_the_head_does_not_stand_on() -> None:
    """A node never forgets its own chain by mistake."""
    tree = straight(3)
    tree.add(executed(9, 1, name(0)))
    with pytest.raises(ChainError, match="does not stand on the finalized block 1"):
        tree.prune(name(9), window=1)


def test_a_stretch_of_chain_is_read_oldest_first() -> None:
    """The batcher reads from the safe head to the committed one."""
    tree = straight(6)
    assert [block.number for block in tree.chain(name(5), above=2)] == [3, 4, 5]
    assert list(tree.chain(name(2), above=2)) == []
    tree.prune(name(4), window=0)
    assert [block.number for block in tree.chain(name(6), above=3)] == [4, 5, 6]
    with pytest.raises(UnknownBlock):
        tree.chain(name(6), above=2)


def test_blocks_of_one_height_are_listed_in_order_of_arrival() -> None:
    """Two proposals at a height are both held."""
    tree = straight(2)
    tree.add(executed(9, 2, name(1)))
    assert [block.hash for block in tree.siblings_at(2)] == [name(2), name(9)]
    assert tree.siblings_at(7) == ()
