"""Selectors choose exactly the roles their words say."""

from __future__ import annotations

import pytest

from harness.plan import RoleKind, RoleSpec
from harness.runtimes.random import KeyedRandom
from harness.scenario.selectors import Selectors, UnknownRole

KINDS: tuple[tuple[RoleKind, str, int], ...] = (
    ("l1-builder", "l1-0", 1), ("l1-follower", "l1-1", 1), ("sequencer", "sequencer", 4), ("keeper", "keeper", 2),
)  # fmt: skip


def roles(sequencers: int = 4) -> list[RoleSpec]:
    made = []
    for kind, stem, count in KINDS:
        for index in range(sequencers if kind == "sequencer" else count):
            name = stem if stem.startswith("l1") else f"{stem}-{index}"
            made.append(RoleSpec(name, kind, index, "frankfurt", None, (), None))
    return made


def selectors(*, seed: int = 1, key: str = "f1", sequencers: int = 4) -> Selectors:
    return Selectors(roles(sequencers), KeyedRandom(seed), key=key)


SEQUENCERS = tuple(f"sequencer-{i}" for i in range(4))


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["sequencer-2"], ("sequencer-2",)),
        (["sequencer-*"], SEQUENCERS),
        (["sequencer"], SEQUENCERS),
        (["l1-follower"], ("l1-1",)),
        (["sequencer[0, 3]"], ("sequencer-0", "sequencer-3")),
        (["keeper-[01]"], ("keeper-0", "keeper-1")),
        (["keeper-0", "keeper-*"], ("keeper-0", "keeper-1")),
        (["leader"], ("leader",)),
        (["all"], ("keeper-0", "keeper-1", "l1-0", "l1-1", *SEQUENCERS)),
    ],
)
def test_words_choose_roles_by_name_glob_kind_and_index(words: list[str], chosen: tuple[str, ...]) -> None:
    assert selectors().resolve(words) == chosen


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_majority_and_minority_split_the_voters(count: int) -> None:
    """Together they are all sequencers, disjoint, and the majority is more than half."""
    chosen = selectors(sequencers=count)
    majority = set(chosen.resolve(["majority"]))
    minority = set(chosen.resolve(["minority"])) if count > 1 and len(majority) < count else set()
    assert majority | minority == {f"sequencer-{i}" for i in range(count)}
    assert not majority & minority
    assert 2 * len(majority) > count


def test_one_is_drawn_from_the_seed_and_the_fault() -> None:
    drawn = {(seed, key): selectors(seed=seed, key=key).resolve(["one"]) for seed in range(8) for key in ("f1", "f2")}
    assert all(selectors(seed=seed, key=key).resolve(["one"]) == one for (seed, key), one in drawn.items())
    assert len({drawn[seed, "f1"] for seed in range(8)}) > 1
    assert any(drawn[seed, "f1"] != drawn[seed, "f2"] for seed in range(8))


def test_rest_is_everybody_not_named_in_another_group() -> None:
    first, rest = selectors().groups([["sequencer-0", "keeper-*"], ["rest"]])
    assert first == ("keeper-0", "keeper-1", "sequencer-0")
    assert rest == ("l1-0", "l1-1", "sequencer-1", "sequencer-2", "sequencer-3")


def test_an_unknown_index_names_the_role_that_is_missing() -> None:
    with pytest.raises(UnknownRole, match="sequencer-7"):
        selectors().resolve(["sequencer[0,7]"])


def test_a_word_far_from_any_role_lists_what_there_is() -> None:
    with pytest.raises(UnknownRole, match=r"there are l1-0…1, sequencer-0…3, keeper-0…1 and all, leader"):
        selectors().resolve(["xyzzy"])


def test_choosing_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="chooses nobody: minority"):
        selectors(sequencers=1).resolve(["minority"])
