"""Faults as context managers, in the words of scenario files: whatever the test does inside, they are healed after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from harness.network.handle import Network
from harness.network.values import HandFault
from harness.scenario.errors import did_you_mean
from harness.scenario.fault_words import FAULT_WORDS


class FaultsOf:
    """`with faults.partition(["leader"], ["rest"]):`, `with faults.latency(to="sequencer-*", delay="200ms"):` …

    The words are a scenario file's: `from` is written `from_`, `-` is `_`. Several groups or roles may be given as
    arguments. The manager yields the fault as it was put on, with what was measured.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def __getattr__(self, word: str) -> Callable[..., AbstractContextManager[HandFault]]:
        written = word.replace("_", "-")
        if word.startswith("__") or written not in FAULT_WORDS:
            hint = did_you_mean(written, FAULT_WORDS)
            raise AttributeError(f"no fault is called {written}{hint}; there are {', '.join(FAULT_WORDS)}")
        return lambda *groups, **options: self.fault({written: _value(groups, options)})

    @contextmanager
    def fault(self, words: Mapping[str, Any]) -> Iterator[HandFault]:
        """One fault as a scenario file has it, without `at`: `{"latency": {"to": "replica-0", "delay": "1s"}}`."""
        fault = self._network.fault(words)
        try:
            yield fault
        finally:
            if any(item.id == fault.id and item.phase == "on" for item in self._network.faults()):
                self._network.heal(fault.id)


def _value(groups: tuple[Any, ...], options: dict[str, Any]) -> Any:
    named = {name.rstrip("_"): value for name, value in options.items()}
    if groups and named:
        raise TypeError("give either groups or named options, as in a scenario file")
    if named:
        return named
    return list(groups) if len(groups) > 1 else groups[0] if groups else []
