"""Whatever has to be refused is tried in a real run, and meets the error that the rules have for it."""

from __future__ import annotations

import pytest

from harness.history.reader import read
from harness.scenario.folder import RunFolder

from .conftest import Run

pytestmark = [pytest.mark.node, pytest.mark.scenario]

REFUSALS = {
    "take-used-quote": "NonceUsed",
    "take-late-quote": "QuoteExpired",
    "trade-expired": "SeriesExpired",
    "trade-out-of-band": "PriceOutOfBand",
    "open-beyond-margin": "InsufficientMargin",
    "liquidate-accomplice": "NotLiquidatable",
    "liquidate-healthy": "NotLiquidatable",
    "settle-early": "NotFinal",
    "finalize-early": "NotExpired",
    "forge-price": "UnknownReporter",
    "withdraw-too-much": "InsufficientMargin",
}
"""What an adversary tries at any time, and what each of its attempts names as its refusal."""
IN_THE_BOOK = {
    "order-expired": "SeriesExpired",
    "order-beyond-band": "PriceBeyondBand",
    "order-off-lot": "SizeOffLot",
    "order-off-tick": "PriceOffTick",
    "order-too-late": "OrderExpired",
    "cross-post-only": "WouldCross",
    "cancel-anothers": "NotYourOrder",
}
OUTRUN = ("cross-post-only",)
"""What is no wrong any more where the best order went while it was on its way."""


@pytest.mark.parametrize(("scenario", "refusals"), [("adversaries", REFUSALS), ("order-book", IN_THE_BOOK)])
def test_every_attempt_is_met_by_its_refusal_and_none_goes_through(
    run: Run, scenario: str, refusals: dict[str, str]
) -> None:
    """A rule that nobody tries to break in a run is a rule that no check of the run has seen held."""
    met: dict[str, set[str]] = {}
    history = read(RunFolder(run(scenario).folder).history)
    attempts = [operation for operation in history.operations if operation.invoke.args.get("refusal")]
    for attempt in attempts:
        assert attempt.outcome is not None
        assert attempt.outcome.phase != "ok" or attempt.invoke.action in OUTRUN, attempt
        said = str(attempt.outcome.detail.get("reason", "")).partition("(")[0]
        if said == attempt.invoke.args["refusal"]:
            met.setdefault(attempt.invoke.action, set()).add(said)
    assert met == {action: {error} for action, error in refusals.items()}
