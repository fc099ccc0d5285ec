"""What was put through L1's forced queue: that it executes, in its order and first (Q1), and in time to save (Q2).

Both are read from the history alone: L1's `Enqueued` events against the transactions of the canonical L2 chain. What an
entry's sender owned is not recorded; an entry left out that may have cost something is therefore not held against
anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from harness.checks.liquidations import steps_down
from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.evm.wallet import DecodedTransaction, decode_transaction, transaction_hash
from harness.history.reader import History
from harness.history.records import BlockRecord
from harness.model.pauses import LIQUIDATION
from harness.venue.exchange import decode_call
from harness.venue.pools import account_of

L2_CHAIN_ID = 901
SIGNED_TRANSACTION = 0
PLAIN_GAS_PER_BYTE, PLAIN_GAS = 16, 53_000
"""A gas limit below so much may be too little for a transaction to be included; how little, is not judged here."""

Place = tuple[int, int]
"""(L2 block, transaction)"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the queue on the canonical L1 chain."""

    index: int
    l1_block: int
    enqueued_at: int                       # the L1 block's timestamp
    gas: int
    hash: str
    transaction: DecodedTransaction | None  # None where no signed transaction can be made of it


@dataclass(frozen=True, slots=True)
class Fate:
    """What the L2 chain made of an entry."""

    entry: Entry
    due: BlockRecord | None                # the first L2 block with its origin; None where the chain never got there
    place: Place | None                    # where it executed, as an entry or by itself
    problem: str = ""                      # what was wrong with that


def canonical_l1(history: History) -> list[BlockRecord]:
    """The L1 blocks that nothing replaced, ascending: its builder records them as it makes them."""
    canonical: list[BlockRecord] = []
    tip = next((block for block in reversed(tuple(history.blocks.values())) if block.chain == "l1"), None)
    while tip is not None:
        canonical.append(tip)
        tip = history.blocks.get(tip.parent)
    return canonical[::-1]


def entries_of(history: History) -> Iterator[Entry]:
    """The queue, in its order, as of the L1 blocks that nothing replaced."""
    for block in canonical_l1(history):
        for event in block.events:
            if event.name != "Enqueued":
                continue
            payload = bytes.fromhex(event.args["payload"][2:])
            decoded = None
            if event.args["kind"] == SIGNED_TRANSACTION:
                with suppress(ValueError):
                    decoded = decode_transaction(payload)
            yield Entry(event.args["index"], block.number, block.timestamp, event.args["gas"],
                        transaction_hash(payload), decoded)


def fates(subject: Subject) -> tuple[Fate, ...]:
    """Each entry's, in the queue's order."""
    chain = subject.chain
    queue: dict[int, list[Entry]] = {}
    for entry in entries_of(subject.history):
        queue.setdefault(entry.l1_block, []).append(entry)
    if not queue:
        return ()
    places = {transaction.hash: (block.number, at) for block in chain
              for at, transaction in enumerate(block.transactions)}
    used: dict[str, int] = {}
    found: list[Fate] = []
    origin = 0
    for block in chain:
        if block.origin is not None and block.origin != origin:
            # A step of more than one origin would leave out the blocks between: what is queued there is due here.
            for number in range(origin + 1, block.origin + 1):
                found += _head(queue.pop(number, ()), block, places, used)
            origin = block.origin
        for transaction in block.transactions:
            used[transaction.sender] = used.get(transaction.sender, 0) + 1
    found += [Fate(entry, None, places.get(entry.hash)) for entries in queue.values() for entry in entries]
    return tuple(sorted(found, key=lambda fate: fate.entry.index))


def _head(
    entries: Sequence[Entry], block: BlockRecord, places: Mapping[str, Place], used: Mapping[str, int]
) -> Iterator[Fate]:
    """What became of the entries that a block owes; `used` are nonces used before it."""
    nonces, place = dict(used), 0
    for entry in entries:
        here = block.transactions[place] if place < len(block.transactions) else None
        if here is not None and here.hash == entry.hash:
            nonces[here.sender] = nonces.get(here.sender, 0) + 1
            yield Fate(entry, block, (block.number, place))
            place += 1
            continue
        where = places.get(entry.hash)
        yield Fate(entry, block, where, _wrong(entry, nonces, where, block))


def _wrong(entry: Entry, nonces: Mapping[str, int], where: Place | None, block: BlockRecord) -> str:
    """Why an entry should have executed at this point of the block, where it should have."""
    transaction = entry.transaction
    if transaction is None or transaction.chain_id != L2_CHAIN_ID or transaction.gas_limit > entry.gas:
        return ""
    if transaction.nonce != nonces.get(transaction.sender, 0):
        return ""
    if transaction.value or transaction.max_fee or transaction.gas_limit < PLAIN_GAS + PLAIN_GAS_PER_BYTE * len(
        transaction.data
    ):
        return ""
    if where is None:
        return "never executed"
    return f"executed out of place, as transaction {where[1]} of block {where[0]}"


def forced_in_order(subject: Subject) -> Finding:
    """S15: each entry once, in queue order, before any other transaction of the first block with its origin."""
    cases, judged, consumed, slowest = Cases(), 0, 0, 0
    window = subject.bounds.forced_window_s
    now = subject.chain[-1].timestamp if subject.chain else 0
    for fate in subject.once(fates):
        entry = fate.entry
        took = (now if fate.due is None else fate.due.timestamp) - entry.enqueued_at
        late = took > window
        if fate.due is None and not late:
            continue  # the run ended while it was on its way
        judged += 1
        if fate.problem or late:
            cases.add(severity=max(took, 0), entry=entry.index, tx=entry.hash, l1_block=entry.l1_block,
                      block=None if fate.due is None else fate.due.number, took_s=took, bound_s=window,
                      wrong=fate.problem or "the L2 chain came to its L1 block too late")
        elif fate.due is not None and fate.place is not None and fate.place[0] == fate.due.number:
            slowest = max(slowest, took)
        else:
            consumed += 1
    return cases.finding(
        judged,
        holds=f"{judged - consumed} of {judged} forced entries executed first in their block, in queue order, within "
              f"{slowest} s of being enqueued (bound {window} s); {consumed} could not and were consumed",
        violated="a forced entry was skipped, late or out of order",
        nothing="nothing was put through the forced queue",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grace:
    """After a restart, or after liquidation was allowed again."""

    begins: Place
    ends: int                              # block time

    def covers(self, fate: Fate) -> bool:
        """Whether it was forced before the end, and had not executed when the grace began."""
        return fate.entry.enqueued_at < self.ends and (fate.place is None or self.begins < fate.place)


def graces(subject: Subject) -> list[Grace]:
    facts, grace_s = subject.replay.facts, subject.bounds.venue.grace_s
    allowed = (fact for fact in facts.pauses if fact.before & LIQUIDATION and not fact.paused & LIQUIDATION)
    return [Grace((fact.block, -1), fact.timestamp + grace_s) for fact in facts.restarts] + [
        Grace((fact.block, fact.tx), fact.timestamp + grace_s) for fact in allowed
    ]


def top_up_before_liquidation(subject: Subject) -> Finding:
    """Judged for a top-up that L1 had before a grace ended, and L2 not yet when the grace began; to the last second."""
    cases, judged, saved = Cases(), 0, 0
    all_fates = subject.once(fates)
    if not all_fates:
        return cases.finding(0, holds="", violated="", nothing="nothing was put through the forced queue")
    deployment = {} if subject.history.run is None else subject.history.run.deployment
    steps, known = steps_down(subject), graces(subject)
    for fate in all_fates:
        account = _topped_up(fate.entry, deployment)
        is_consumed = fate.due is not None and fate.place is None and not fate.problem
        within = [grace for grace in known if grace.covers(fate)]
        if account is None or is_consumed or not within:
            continue
        judged += 1
        begins, ends = min(grace.begins for grace in within), max(grace.ends for grace in within)
        before = [step for step in steps if step.account == account and begins < (step.block, step.tx)
                  and (fate.place is None or (step.block, step.tx) < fate.place)]
        saved += not before
        for step in before:
            cases.add(severity=step.block - begins[0], block=step.block, tx=step.tx, account=account,
                      entry=fate.entry.index, l1_block=fate.entry.l1_block, enqueued_at=fate.entry.enqueued_at,
                      grace_until=ends, took_effect=None if fate.place is None else fate.place[0])
    return cases.finding(
        judged,
        holds=f"{saved} top-ups forced before a grace ended took effect before anybody could liquidate their account",
        violated="liquidated although a top-up had been forced before the grace ended",
        nothing="no top-up was on its way through the forced queue in a grace",
    )


def _topped_up(entry: Entry, deployment: Mapping[str, object]) -> str | None:
    """The account that an entry pays collateral into; None where it does something else."""
    if entry.transaction is None:
        return None
    match decode_call(entry.transaction.to, entry.transaction.data, deployment):
        case ("vault", "deposit", _):
            return entry.transaction.sender
        case ("vault", "moveCollateral", (_, int() as target, *_)) | ("vault", "depositCoin", (int() as target, *_)):
            return account_of(entry.transaction.sender, target)
    return None


INCLUSION = Check(
    "Q1", "forced inclusion", "what L1 forces executes in queue order, first in its block, within the window",
    forced_in_order, occasion="a transaction put through the forced queue",
)  # fmt: skip
"""Of the rollup's own, whatever is deployed on it."""

CHECKS = (
    INCLUSION,
    Check("Q2", "forced top-up", "a top-up forced before a grace ends takes effect before its account is liquidated",
          top_up_before_liquidation, occasion="a forced top-up on its way in a grace"),
)
