"""The canonical chain run once through the model, keeping everything the checks compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.checks.exposure import Excuses, Exposure, ExposureTracker
from harness.checks.pleas import Plea, Pleader, by_transaction
from harness.checks.results import JudgeBounds
from harness.checks.storage import Snapshot, snapshot
from harness.checks.swap_refusals import SwapRefusal, SwapRefusals, swaps_by_transaction
from harness.checks.swaps import Swap, Swapper
from harness.history.reader import History, Operation
from harness.history.records import BlockRecord, RunRecord
from harness.model.facts import Discrepancy, Facts
from harness.model.feed import AssetTerms
from harness.model.venue import Venue


@dataclass(slots=True)
class Replay:
    venue: Venue
    facts: Facts
    discrepancies: list[Discrepancy] = field(default_factory=list)
    imbalances: list[tuple[int, int, int]] = field(default_factory=list)  # (block, tx, custody − what is owed)
    snapshots: list[Snapshot] = field(default_factory=list)
    exposures: list[Exposure] = field(default_factory=list)
    swaps: list[Swap] = field(default_factory=list)
    pleas: list[Plea] = field(default_factory=list)
    calls: Mapping[str, Operation] = field(default_factory=dict)  # transaction → the plea it carries
    spot_calls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # transaction → its swap's arguments
    swap_refusals: list[SwapRefusal] = field(default_factory=list)
    events: int = 0              # events of the venue that were applied


def replay(chain: Sequence[BlockRecord], history: History, bounds: JudgeBounds) -> Replay:
    """Replay every canonical block in order; pure, and linear in events × accounts."""
    venue = Venue(bounds.venue)
    venue.list_assets(listed_assets(history.run))
    result = Replay(venue, venue.facts, calls=by_transaction(history.operations),
                    spot_calls=swaps_by_transaction(history.operations))
    roles = {} if history.run is None else history.run.accounts
    keepers = [address for role, address in roles.items() if role.startswith("keeper-")]
    venue.appoint(reporters_of(history.run))
    tracker = ExposureTracker(Excuses(history, bounds.recover_s), keepers)
    for block in chain:
        apply_block(result, block, history)
        tracker.observe(block, venue)
    result.exposures = tracker.exposures
    return result


def listed_assets(run: RunRecord | None) -> dict[str, AssetTerms]:
    """The assets a run's venue began with, as the model wants them."""
    given = {} if run is None else run.assets
    return {name: AssetTerms(each.signed, each.min_answer, each.max_answer) for name, each in given.items()}


def reporters_of(run: RunRecord | None) -> list[str]:
    """Whose signature counts from genesis on."""
    roles = {} if run is None else run.accounts
    return [address for role, address in roles.items() if role.startswith("reporter-")]


def apply_block(result: Replay, block: BlockRecord, history: History) -> None:
    """The next canonical block, and the state records there are of it."""
    venue = result.venue
    result.discrepancies += venue.begin_block(block.number, block.timestamp, block.origin_time)
    swapper, pleader = Swapper(block), Pleader(block, result.calls)
    refusals = SwapRefusals(block, result.spot_calls)
    for index, event in enumerate(block.events):
        pleader.until(event.tx, venue.book)
        refusals.until(event.tx, venue.book)
        swapper.before(index, venue.book)
        result.discrepancies += venue.apply(event)
        result.events += 1
        imbalance = venue.imbalance()
        if imbalance:
            result.imbalances.append((block.number, event.tx, imbalance))
        swapper.after(index, venue.book)
    pleader.end(venue.book)
    refusals.end(venue.book)
    result.swaps += swapper.done
    result.pleas += pleader.done
    result.swap_refusals += refusals.done
    result.discrepancies += venue.end_block()
    for state in history.states.get(block.hash, ()):
        result.snapshots.append(snapshot(venue.book, state, version=venue.governance.version))
