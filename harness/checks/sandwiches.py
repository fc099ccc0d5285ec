"""Swaps in the spot pool that others traded around (Q3): nobody gets less than it said it accepts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import BlockRecord

BPS = 10_000
WAD = 10**18


@dataclass(frozen=True, slots=True)
class Done:
    """One `Swapped` event."""

    block: int
    tx: int
    hash: str
    timestamp: int
    account: str
    buys: bool
    amount_in: int
    amount_out: int
    min_out: int
    deadline: int


@dataclass(frozen=True, slots=True)
class Sandwiched:
    """A swap between two of one other account in one block: the first its own way, the second against it."""

    front: Done
    victim: Done
    back: Done

    @property
    def taken(self) -> tuple[bool, int]:
        """(whether in quote, how much): what the back swap brought beyond what the front one cost."""
        return self.front.buys, self.back.amount_out - self.front.amount_in


def swaps_of(block: BlockRecord) -> list[Done]:
    return [
        Done(block.number, event.tx, block.transactions[event.tx].hash, block.timestamp, event.args["account"],
             event.args["buys"], event.args["amountIn"], event.args["amountOut"], event.args["minOut"],
             event.args["deadline"])
        for event in block.events if event.name == "Swapped"
    ]  # fmt: skip


def sandwiched_in(swaps: list[Done]) -> Iterator[Sandwiched]:
    """The innermost pair around each victim."""
    for place, victim in enumerate(swaps):
        before = reversed(swaps[:place])
        front = next((s for s in before if s.account != victim.account and s.buys == victim.buys), None)
        if front is None:
            continue
        back = next((s for s in swaps[place + 1:] if s.account == front.account and s.buys != victim.buys), None)
        if back is not None:
            yield Sandwiched(front, victim, back)


def sandwich_bound(subject: Subject) -> Finding:
    """Every swap is held to its limit, whoever traded around it; guarded by those that were sandwiched."""
    cases, taken, total = Cases(), {True: 0, False: 0}, 0
    victims: dict[str, Sandwiched] = {}
    asked = {
        str(operation.outcome.detail["tx"]): operation.invoke.args
        for operation in subject.history.operations
        if operation.invoke.action == "swap" and operation.outcome is not None and operation.outcome.detail.get("tx")
    }
    for block in subject.chain:
        swaps = swaps_of(block)
        for found in sandwiched_in(swaps):
            victims[found.victim.hash] = found
            in_quote, amount = found.taken
            taken[in_quote] += amount
        for swap in swaps:
            total += 1
            _hold(cases, swap, asked.get(swap.hash), victims.get(swap.hash))
    refused = sum(transaction.error is not None and transaction.error.startswith("SlippageExceeded")
                  for block in subject.chain for transaction in block.transactions)
    return cases.finding(
        len(victims),
        holds=f"each of {len(victims)} sandwiched swaps, and of {total} in all, gave at least what its sender accepts, "
              f"in time; {refused} that would not have were refused; those around took {taken[True] / 10**6:,.2f} of "
              f"quote and {taken[False] / WAD:,.4f} of underlying",
        violated="a swap gave less than its sender accepts, or after its deadline",
        nothing="nobody traded around anybody's swap",
    )


def _hold(cases: Cases, swap: Done, asked: Mapping[str, object] | None, around: Sandwiched | None) -> None:
    """Against what the event says the sender accepted, and against what the sender itself says, where it is known."""
    least, quoted = swap.min_out, None
    if asked is not None and "min_out" in asked:
        least = max(least, int(str(asked["min_out"])))
        expected, tolerance = int(str(asked["expected"])), int(str(asked["tolerance_bps"]))
        quoted = expected
        # A loss beyond the tolerance of what was quoted; the least amount is that, rounded for the sender.
        least = max(least, -(-expected * (BPS - tolerance) // BPS))
        if swap.amount_in != int(str(asked["amount_in"])) or swap.buys is not asked["buys"]:
            cases.add(severity=swap.amount_in, block=swap.block, tx=swap.tx, account=swap.account,
                      paid=swap.amount_in, asked_to_pay=str(asked["amount_in"]))
    if swap.amount_out < least or swap.timestamp > swap.deadline:
        cases.add(severity=least - swap.amount_out, block=swap.block, tx=swap.tx, account=swap.account,
                  got=swap.amount_out, least=least, quoted=quoted, block_timestamp=swap.timestamp,
                  deadline=swap.deadline, sandwiched_by=None if around is None else around.front.account)


CHECKS = (
    Check("Q3", "sandwich bound", "whoever is sandwiched in the spot pool gets at least what it accepts",
          sandwich_bound, occasion="a swap in the spot pool that somebody traded around"),
)
