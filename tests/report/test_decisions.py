"""What governance decided is told in words: what is paused, what was announced, what came of it; nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from harness.history.records import Event
from harness.plan import GovernanceStep
from harness.report.decisions import decision, step_text
from harness.venue.governance import pause_names


@pytest.mark.parametrize(
    ("name", "contract", "arguments", "says"),
    [
        ("PauseChanged", "pauses", {"before": 0, "paused": 7}, "paused: trading, liquidation, withdrawals"),
        ("PauseChanged", "pauses", {"before": 7, "paused": 0}, "paused: nothing"),
        ("CallScheduled", "timelock", {"delay": 20}, "announced a change, to be made 20 s from now"),
        ("FactorsChanged", "clearing_house", {"imBps": 1200, "mmBps": 750},
         "margin factors: initial 1200 bps, maintenance 750 bps"),
        ("Initialized", "liquidator", {"version": 2}, "liquidator is version 2 now"),
        ("Liquidated", "liquidator", {}, None),
        ("CallExecuted", "timelock", {}, None),
    ],
)
def test_a_decision_is_told_by_its_event(
    name: str, contract: str, arguments: dict[str, Any], says: str | None
) -> None:
    assert decision(Event(name, contract, 0, arguments)) == says


@pytest.mark.parametrize(
    ("mask", "says"), [(0, "nothing"), (1, "trading"), (2, "liquidation"), (5, "trading, withdrawals")]
)
def test_a_mask_is_read_bit_by_bit(mask: int, says: str) -> None:
    assert pause_names(mask) == says


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (GovernanceStep(22 * 10**9, "pause", mask=7), "pause trading, liquidation, withdrawals, at 22s"),
        (GovernanceStep(42 * 10**9, "unpause", mask=2), "unpause liquidation, at 42s"),
        (GovernanceStep(5 * 10**8, "upgrade"),
         "the liquidator's next version, announced at 0.5s, switched to 12 s later"),
        (GovernanceStep(10**9, "remove-reporter", reporter="reporter-3"),
         "reporter-3 out of the price reporters, announced at 1s, done 12 s later"),
        (GovernanceStep(10**9, "add-reporter", reporter="reporter-3"),
         "reporter-3 back among the price reporters, announced at 1s, done 12 s later"),
        (GovernanceStep(10**9, "factors", factors=(1200, 750, 1500, 1000, 750)),
         "margin factors im_bps 1200, mm_bps 750, option_im_bps 1500, option_min_im_bps 1000, option_mm_bps 750, "
         "announced at 1s, in force 12 s later"),
    ],
)
def test_a_step_is_announced_before_the_run(step: GovernanceStep, says: str) -> None:
    assert step_text(step, 12) == says
