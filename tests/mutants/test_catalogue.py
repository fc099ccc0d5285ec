"""The catalogue of mutants: each applies to the contracts as they are, names real checks, and is found by its id."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.mutants.catalogue import CatalogueError, Mutant, all_mutants, find_mutant
from harness.mutants.patching import DoesNotApply, mutant_contracts, patched
from harness.scenario.errors import ScenarioError
from harness.solidity.compile import contracts_root

IDS = [mutant.id for mutant in all_mutants()]


def entry(**changes: object) -> dict[str, object]:
    """A sound entry of the catalogue, with changes."""
    change = {"file": "exchange/Vault.sol", "old": "fees += fee;", "new": ""}
    sound: dict[str, object] = {
        "id": "Y1", "breaks": "something", "trips": ["C1"], "scenario": "calm", "changes": [change],
    }  # fmt: skip
    return sound | changes


def catalogue(folder: Path, *entries: dict[str, object]) -> Path:
    (folder / "mutants").mkdir()
    (folder / "mutants" / "catalogue.yaml").write_text(yaml.safe_dump({"mutants": list(entries)}))
    return folder


@pytest.mark.parametrize("id", IDS)
def test_every_mutant_applies_and_changes_code(id: str) -> None:
    """A contract that moved on without its mutants would leave a check untested, silently."""
    mutant = find_mutant(id)
    ours = {p.relative_to(contracts_root()).as_posix(): p.read_text() for p in contracts_root().rglob("*.sol")}
    broken = patched(mutant)
    assert broken.keys() == ours.keys()
    changed = {name for name in ours if broken[name] != ours[name]}
    assert changed == {change.file for change in mutant.changes}


def test_every_mutant_of_the_specification_is_there_and_none_escapes() -> None:
    """X1 to X38; where the venue has nothing to break, the row says why it is equivalent."""
    fates = {mutant.id: mutant.fate for mutant in all_mutants()}
    assert [f"X{number}" for number in range(1, 39) if f"X{number}" not in fates] == []
    assert [id for id, fate in fates.items() if id.startswith("X") and fate == "escapes"] == []


MUST_TRIP = {
    1: "LS2 LS7", 2: "LL4 LS4", 3: "G1", 4: "G2", 5: "Q1 Q2", 6: "O9 LS2", 7: "LS6 C4", 8: "Q4", 9: "LS6", 10: "S3",
    11: "S4", 12: "S1 C1", 13: "O5", 14: "S5", 15: "A3 C1", 16: "F1", 17: "F3", 18: "LL2", 19: "LL2", 20: "S6 C7",
    21: "LL1", 23: "LL1", 24: "LS4", 25: "LL3", 26: "LL3", 28: "LS4 LL1", 30: "G5", 31: "B4", 32: "O8", 33: "C5",
    34: "S6", 36: "S7", 37: "O4", 38: "B2 B5",
}
"""The properties that the specification's table names."""
OTHERWISE = {
    22: ("T7", "the book is the only place where a bad input could cost somebody his order, and T7 judges that"),
    27: ("LS5", "a lot stands for its least size, and what would leave less than one is closed whole"),
    29: ("", "nothing in a storm calls back; a contracts' test has the token that does"),
    35: ("A6", "its M1 to the wei is a boundary test; the calibration would be free to survive"),
}


def test_each_of_the_specifications_is_caught_by_the_property_it_names() -> None:
    """Or by another, for a reason; a row that drifts to whatever notices first proves nothing of that property."""
    first = {mutant.id: next(iter(mutant.trips), "") for mutant in all_mutants()}
    wrong = {number: first[f"X{number}"] for number, names in MUST_TRIP.items()
             if first[f"X{number}"] not in names.split()}
    assert wrong == {}
    assert {number: first[f"X{number}"] for number in OTHERWISE} == {
        number: name for number, (name, _) in OTHERWISE.items()}
    assert sorted(MUST_TRIP.keys() | OTHERWISE.keys()) == list(range(1, 39))


def test_ten_are_our_own_that_we_thought_would_escape() -> None:
    """Some did, and say why; what was foretold and what became of it stay side by side."""
    thought = [mutant for mutant in all_mutants() if mutant.thought == "escapes"]
    assert len(thought) >= 10
    assert all(mutant.id.startswith("Y") for mutant in thought)
    assert {mutant.fate for mutant in thought} >= {"caught", "escapes"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trips": ["C99"]}, "no check C99"),
        ({"trips": []}, "names its checks"),
        ({"scenario": "clam"}, "no scenario clam"),
        ({"fate": "escapes"}, "no other does"),
        ({"fate": "escapes", "trips": []}, "say why"),
        ({"id": "Z1"}, "id"),
        ({"extra": 1}, "extra"),
        ({"changes": []}, "changes"),
    ],
)
def test_a_damaged_catalogue_is_refused_with_its_reason(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        all_mutants(catalogue(tmp_path, entry(**changes)))


def test_two_mutants_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="Y1 is there twice"):
        all_mutants(catalogue(tmp_path, entry(), entry()))


def test_a_change_must_fit_exactly_once() -> None:
    """Neither nowhere nor twice: the text says which change, and how often it was found."""
    mutant = Mutant.model_validate(entry(changes=[{"file": "exchange/Vault.sol", "old": "cash[", "new": ""}]))
    with pytest.raises(DoesNotApply, match=r"Y1: 'cash\[' occurs \d+ times in exchange/Vault.sol, not once"):
        patched(mutant)
    gone = Mutant.model_validate(entry(changes=[{"file": "exchange/Gone.sol", "old": "x", "new": ""}]))
    with pytest.raises(DoesNotApply, match=r"occurs 0 times in exchange/Gone\.sol"):
        patched(gone)


def test_sources_of_a_mutant_are_whole_and_named_by_their_content() -> None:
    first, second = mutant_contracts(find_mutant("X15")), mutant_contracts(find_mutant("x15"))
    assert first == second != mutant_contracts(find_mutant("Y4"))
    assert (first / "exchange" / "Margin.sol").read_text() == patched(find_mutant("X15"))["exchange/Margin.sol"]


def test_an_unknown_mutant_is_named_with_its_neighbours() -> None:
    with pytest.raises(ScenarioError, match="no mutant"):
        find_mutant("X99")
