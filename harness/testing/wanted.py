"""From the words of `@pytest.mark.network(...)` to the plan of a network: a network file's keys, and short ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.network.network_file import KEYS as FILE_KEYS
from harness.network.network_file import OF_A_STORM, plan_of
from harness.plan import Plan
from harness.scenario.errors import ScenarioError, did_you_mean
from harness.scenario.loading import Document, read_document
from harness.scenario.planning import apply_overrides

RUNTIMES = ("sim", "local", "compose")
SCOPES = ("function", "module", "session")

# Short words of the marker → where they belong in a network file.
SHORT: Mapping[str, tuple[str, ...]] = {
    "sequencers": ("network", "l2", "sequencers"),
    "replicas": ("network", "l2", "replicas"),
    "followers": ("network", "l1", "followers"),
    "profile": ("network", "profile"),
    "oracles": ("network", "oracles"),
    "keepers": ("network", "keepers"),
    "traders": ("workload", "traders"),
    "rate": ("workload", "rate"),
    "leverage": ("workload", "leverage"),
}
OWN = ("file", "runtime", "scope", "set", "warm")

# A small network, where the test says nothing: one sequencer answers within milliseconds.
_SMALL: dict[str, Any] = {
    "network": {"l1": {"followers": 0}, "l2": {"sequencers": 1, "replicas": 1}, "oracles": 3, "keepers": 1},
}


@dataclass(frozen=True, slots=True)
class WantedNetwork:
    """What a test asks for."""

    plan: Plan
    runtime: str
    scope: str      # how long the network keeps what tests did to it
    warm: float     # seconds it has run when a test gets it


def wanted_network(words: Mapping[str, Any], *, folder: Path) -> WantedNetwork:
    """Read a marker's words; paths in them are relative to `folder`.

    Raises:
        ScenarioError: a word is unknown, or the network it describes cannot be.
    """
    for word in words:
        if word not in SHORT and word not in OWN and word not in FILE_KEYS:
            known = [*SHORT, *OWN, *FILE_KEYS]
            raise ScenarioError.at(word, f"unknown word{did_you_mean(word, known)}; known here: {', '.join(known)}")
    runtime = _one_of(words, "runtime", RUNTIMES)
    scope = _one_of(words, "scope", SCOPES)
    document = _document(words, folder)
    for word, value in words.items():
        if word in SHORT:
            _put(document.data, SHORT[word], value)
        elif word == "market":
            document.data["market"] = {asset: _path(path) for asset, path in value.items()}
        elif word in FILE_KEYS:
            document.data[word] = str(value) if isinstance(value, Path) else copy.deepcopy(value)
    apply_overrides(document, words.get("set", ()))
    return WantedNetwork(plan_of(document), runtime, scope, float(words.get("warm", 0.0)))


def _document(words: Mapping[str, Any], folder: Path) -> Document:
    """The file's, less what only a storm has; or a small network."""
    if "file" not in words:
        return Document(copy.deepcopy(_SMALL), "", folder)
    document = read_document(folder / words["file"])
    document.data = {key: copy.deepcopy(value) for key, value in document.data.items() if key not in OF_A_STORM}
    return document


def _path(path: Any) -> Any:
    """`{"0s": 200, "30s": 150}` and a plain price are short for knots."""
    if isinstance(path, int | float | str):
        return {"knots": {"0s": str(path)}}
    if isinstance(path, dict) and not {"knots", "csv"} & set(path):
        return {"knots": {time: str(price) for time, price in path.items()}}
    return path


def _put(data: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for step in place[:-1]:
        data = data.setdefault(step, {})
    data[place[-1]] = copy.deepcopy(value)


def _one_of(words: Mapping[str, Any], word: str, known: tuple[str, ...]) -> str:
    value = str(words.get(word, known[0]))
    if value not in known:
        raise ScenarioError.at(word, f"is {value!r}; it is one of {', '.join(known)}")
    return value
