"""Mutants on trial in real runs: what must notice notices, and the verb says so."""

from __future__ import annotations

import os
from collections.abc import Sequence

import orjson
import pytest

from harness.cli.main import main
from harness.mutants.catalogue import all_mutants

pytestmark = [pytest.mark.node, pytest.mark.scenario]

SOME = ("X2", "X15", "X17", "X18")
"""One of each kind: caught only across an outage, by a wei, only across a silence, only with an empty fund."""
ALL = os.environ.get("HARNESS_ALL_MUTANTS") == "1"


def tried(capfdbinary: pytest.CaptureFixture[bytes], ids: Sequence[str]) -> list[dict[str, object]]:
    code = main(["mutants", "--run", "--json", *ids])
    document = orjson.loads(capfdbinary.readouterr().out)
    wrong = [item for item in document["mutants"] if not item["as_foretold"]]
    assert wrong == []
    assert code == 0
    return list(document["mutants"])


def test_some_mutants_are_caught_by_the_check_that_must(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The whole list takes some minutes: HARNESS_ALL_MUTANTS=1, or harness mutants --run."""
    ids = [mutant.id for mutant in all_mutants()] if ALL else SOME
    for item in tried(capfdbinary, ids):
        assert item["caught"] == (item["fate"] == "caught")
        assert (item["seconds"] is not None) == bool(item["violated"])


def test_a_mutant_that_nothing_notices_ends_with_code_1(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Y6 is not seen where nobody takes a quote twice; a catalogue that claims it is, is contradicted, loudly."""
    from harness.mutants import catalogue

    claimed = catalogue.find_mutant("Y6").model_copy(update={"scenario": "calm", "trips": ("T2",)})
    monkeypatch.setattr(catalogue, "find_mutant", lambda id: claimed)
    assert main(["mutants", "--run", "Y6"]) == 1
    assert b"NOT AS FORETOLD" in capfdbinary.readouterr().out


def test_one_that_cannot_be_tried_says_why_and_spoils_no_other(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a contract moved on: which row has to follow, and what the others came to all the same."""
    from harness.mutants import catalogue

    of_settlement = catalogue.find_mutant("X15")
    gone = of_settlement.changes[0].model_copy(update={"old": "no such text"})
    nonsense = of_settlement.changes[0].model_copy(update={"new": "return neverDeclared;"})
    rows = {
        "X1": of_settlement.model_copy(update={"id": "X1", "changes": (gone,)}),
        "X2": of_settlement.model_copy(update={"id": "X2", "changes": (nonsense,)}),
        "X15": of_settlement,
    }
    monkeypatch.setattr(catalogue, "find_mutant", lambda id: rows[id])
    assert main(["mutants", "--run", "--json", "X1", "X2", "X15"]) == 4
    tried = {item["id"]: item for item in orjson.loads(capfdbinary.readouterr().out)["mutants"]}
    assert "occurs 0 times" in tried["X1"]["problem"]
    assert "neverDeclared" in tried["X2"]["problem"] or "Undeclared" in tried["X2"]["problem"]
    assert [tried[id]["as_foretold"] for id in rows] == [False, False, True]


def test_the_list_says_what_is_broken_and_who_must_notice(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["mutants", "X15"]) == 0
    out = capfdbinary.readouterr().out.decode()
    assert [word in out for word in ("X15", "A3", "crowded")] == [True] * 3
    assert main(["mutants", "X99"]) == 2
