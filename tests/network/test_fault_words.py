"""Every fault word of scenario files can be said on the command line, and is then the same fault."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import harness.network.client
from harness.cli.main import main
from harness.network.network_file import network_plan
from harness.network.values import HandFault
from harness.plan import CHAIN_OF_KIND, Plan, PlannedFault
from harness.runtimes.random import KeyedRandom
from harness.scenario.fault_plan import plan_fault
from harness.scenario.fault_words import FAULT_WORDS, Fault
from harness.scenario.loading import Document
from harness.scenario.validation import validated


class Planning:
    """Instead of a network: plans what it is asked to put on, as a network would before it does."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.planned: list[PlannedFault] = []

    def fault(self, words: Mapping[str, Any]) -> HandFault:
        document = Document({"at": "0s", **words}, "", Path())
        doors = [role.name for role in self.plan.roles if role.kind in CHAIN_OF_KIND]
        planned = plan_fault(
            document, (), validated(Fault, document), self.plan.roles, key="h1", random=KeyedRandom(1), doors=doors
        )
        self.planned.append(planned)
        return HandFault("h1", planned.kind, planned.text, "", "on", 0.0, None, None)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Planning:
    planning = Planning(network_plan(None))
    monkeypatch.setattr(harness.network.client, "connect", lambda name=None: planning)
    return planning


@pytest.mark.parametrize("word", FAULT_WORDS)
def test_the_example_in_a_words_help_is_that_fault(
    network: Planning, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A word that joins the vocabulary needs an example here too."""
    assert main(["fault", word, "--help"]) == 0
    example = re.search(r"Example: harness (fault .*?)\n\n", capsys.readouterr().out, re.DOTALL)
    assert example is not None
    code = main(shlex.split(example[1]))
    assert code == 0, capsys.readouterr().err
    (planned,) = network.planned
    assert planned.kind == word
    assert planned.links or planned.targets or planned.reorg


def test_flags_mean_what_a_file_means(network: Planning) -> None:
    """Selectors in one flag with commas or in several, numbers as numbers, groups as arguments."""
    for arguments, words in (
        (
            "latency --from reporter-0,reporter-1 --from keeper-* --delay 1s --jitter 100ms --correlation 25%",
            {"latency": {"from": ["reporter-0", "reporter-1", "keeper-*"], "delay": "1s", "jitter": "100ms",
                         "correlation": "25%"}},
        ),
        ("loss --between leader sequencer-1,l1-0 --probability 0.5",
         {"loss": {"between": [["leader"], ["sequencer-1", "l1-0"]], "probability": 0.5}}),
        ("partition sequencer-0,keeper-0 rest --for 3s",
         {"partition": [["sequencer-0", "keeper-0"], ["rest"]], "for": "3s"}),
        ("partition --ring sequencer", {"partition": {"ring": ["sequencer"]}}),
        ("partition --from sequencer-0 --to sequencer-1", {"partition": {"from": "sequencer-0", "to": "sequencer-1"}}),
        ("skew sequencer-0 keeper-0 --offset -2s --drift 100",
         {"skew": {"of": ["sequencer-0", "keeper-0"], "offset": "-2s", "drift": 100}}),
        ("kill keeper-0,keeper-1", {"kill": ["keeper-0", "keeper-1"]}),
    ):  # fmt: skip
        assert main(["fault", *shlex.split(arguments)]) == 0, arguments
        network.fault(words)
        said, written = network.planned[-2:]
        assert said == written, arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("latency --from user,l1-0 --to sequencer-0 --delay 1s", '"user" stands alone on one side'),
        ("latency --from user --to keeper-0 --delay 1s", "latency.to: nobody there answers users"),
        ("latency --between user user --delay 1s", "stands alone"),
        ("loss --from leader --probability 120%", "loss.probability"),
        ("kill", "kill"),
        ("pause nobody", 'unknown role "nobody"'),
    ],
)
def test_nonsense_is_exit_2_with_the_words_place(
    network: Planning, arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fault", *shlex.split(arguments)]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert (out, network.planned) == ("", [])
