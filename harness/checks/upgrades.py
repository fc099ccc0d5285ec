"""New code under load: nobody's position moves by it, it is set up once, it prices alike, and never two versions live.
Also that a node which came back, from what it had saved, stands on the same states as everybody."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from harness.checks.intervals import Interval, intervals
from harness.checks.liquidations import steps_down
from harness.checks.pausing import refusals
from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import AccountState, Event
from harness.model.facts import LiquidationFact
from harness.model.fixed import WAD

STEPS = ("Liquidated", "AuctionStarted", "AuctionCancelled", "Haircut", "DeficitSocialized", "Deleveraged")
"""Events only the liquidator emits, whichever version of it."""
IMPLEMENTATIONS = ("liquidator_v1", "liquidator_v2")
"""The names under which a deployment lists the code behind the liquidator's address."""
Place = tuple[int, int]


def upgrade_places(subject: Subject) -> list[Place]:
    """(block, transaction) of every switch of the code after the set-up."""
    return [(block.number, event.tx) for block in subject.chain for event in block.events
            if event.name == "Upgraded" and block.number > 0]


def _across_upgrades(subject: Subject) -> Iterator[Interval]:
    for interval in intervals(subject):
        if any(event.name == "Upgraded" for _, event in interval.events):
            yield interval


def holdings_hash(account: AccountState) -> str:
    """Of all an account has, and nothing that a price or time changes."""
    positions = sorted((p.series, p.size, p.notional, p.funding_index) for p in account.positions)
    return sha256(repr((account.cash, account.auction, account.moved_at, positions)).encode()).hexdigest()


def holdings_unmoved(subject: Subject) -> Finding:
    """Judged for accounts to which nothing else happened between the readings around an upgrade."""
    cases, judged = Cases(), 0
    for interval in _across_upgrades(subject):
        touched, before, after = interval.touched(), interval.before.state, interval.after.state
        for address in sorted(before.accounts.keys() | after.accounts.keys()):
            if address in touched:
                continue
            judged += 1
            was, now = before.accounts.get(address), after.accounts.get(address)
            hashes = [None if item is None else holdings_hash(item) for item in (was, now)]
            if hashes[0] != hashes[1]:
                cases.add(severity=abs((now.cash if now else 0) - (was.cash if was else 0)), block=interval.block,
                          account=address, before=hashes[0], after=hashes[1],
                          cash_before=None if was is None else was.cash, cash_after=None if now is None else now.cash)
    return cases.finding(
        judged,
        holds=f"cash, positions and auctions of {judged} accounts hash alike before and after an upgrade",
        violated="an upgrade moved an account's cash, positions or auction",
        nothing="no upgrade between two state records",
    )


def set_up_once(subject: Subject) -> Finding:
    """Guarded by upgrades, and by attempts to set up again that were turned away. Newer code that its own transaction
    did not set up is anybody's to set up; to go back to what was set up before leaves nothing open."""
    cases, judged = Cases(), 0
    version = 1
    run = subject.history.run
    known = {str(run.deployment[name]): number for number, name in enumerate(IMPLEMENTATIONS, 1)
             if name in run.deployment} if run else {}
    for block in subject.chain:
        told: dict[int, list[Event]] = {}
        for event in block.events:
            if event.name in ("Initialized", "KeeperShareSet", "Upgraded"):
                told.setdefault(event.tx, []).append(event)
        for tx, events in told.items():
            names = [event.name for event in events]
            versions = [int(event.args["version"]) for event in events if event.name == "Initialized"]
            if block.number > 0:
                judged += 1
                once = len(versions) == 1 and versions[0] > version and "Upgraded" in names
                is_back = names == ["Upgraded"] and version >= known.get(
                    str(events[0].args["implementation"]), version + 1)
                if not once and not is_back:
                    cases.add(block=block.number, tx=tx, events=names, version_before=version, versions=versions)
            version = max([version, *versions])
    succeeded = {transaction.hash for block in subject.chain for transaction in block.transactions
                 if transaction.succeeded}
    for operation in subject.history.operations:
        hash_ = None if operation.outcome is None else operation.outcome.detail.get("tx")
        if operation.invoke.action == "reinitialize" and hash_ in succeeded:
            cases.add(tx=hash_, client=operation.invoke.client, attempt="went through")
    refused = refusals(subject, "InvalidInitialization")
    return cases.finding(
        judged + refused,
        holds=f"{judged} upgrades set up their new code once, in their own transaction; {refused} attempts to do so "
              "again were refused",
        violated="set up again, or apart from an upgrade, or left open by one",
        nothing="no upgrade, and nobody tried to set up again",
    )


def prices_alike(subject: Subject) -> Finding:
    """Guarded by steps down the ladder under upgraded code, and by accounts valued on both sides of an upgrade between
    two readings at the same prices."""
    cases, judged = Cases(), 0
    places = upgrade_places(subject)
    for fact in steps_down(subject):
        if not places or (fact.block, fact.tx) < places[0] or not isinstance(fact, LiquidationFact):
            continue
        judged += 1
        due = {item.series.id: item.price for item in fact.terms.items}
        scaled = [(series, price, due[series]) for series, _, price in fact.moved if price != due.get(series, price)]
        if scaled or (fact.got_equity, fact.got_maintenance) != (fact.before.equity, fact.before.mm):
            cases.add(severity=abs(fact.got_equity - fact.before.equity), block=fact.block, tx=fact.tx,
                      account=fact.account, equity=fact.before.equity, got_equity=fact.got_equity, mm=fact.before.mm,
                      got_mm=fact.got_maintenance, prices=[list(item) for item in scaled])
    book = subject.replay.venue.book
    for interval in _across_upgrades(subject):
        if interval.is_repriced or interval.before.state.number == 0:
            continue
        touched = interval.touched()
        for address, was in interval.before.state.accounts.items():
            now = interval.after.state.accounts.get(address)
            runs = any(series is None or series.perpetual is not None or series.terms is not None
                       for series in (book.series.get(position.series) for position in was.positions))
            if address in touched or now is None or not was.positions or runs:
                continue
            judged += 1
            if (was.equity, was.im, was.mm) != (now.equity, now.im, now.mm):
                cases.add(severity=abs(was.equity - now.equity), block=interval.block, account=address,
                          equity_before=was.equity, equity_after=now.equity, mm_before=was.mm, mm_after=now.mm)
    return cases.finding(
        judged,
        holds=f"{judged} liquidations and valuations under new code used the prices and the scale of the old",
        violated="new code prices the same feed otherwise",
        nothing="nobody was liquidated after an upgrade, nor valued across one at unchanged prices",
    )


def one_version_live(subject: Subject) -> Finding:
    """Guarded by steps of the ladder after an upgrade, readings of the version, and calls to an implementation."""
    cases, judged = Cases(), 0
    run = subject.history.run
    behind = {str(run.deployment[name]) for name in IMPLEMENTATIONS if name in run.deployment} if run else set()
    version, versions, emitter = 1, {}, None
    is_upgraded = False
    for block in subject.chain:
        for event in block.events:
            if event.name == "Initialized":
                version = int(event.args["version"])
            is_upgraded |= event.name == "Upgraded" and block.number > 0
            if event.name not in STEPS:
                continue
            judged += is_upgraded
            emitter = emitter or event.contract
            if event.contract != emitter:
                cases.add(block=block.number, tx=event.tx, event=event.name, by=event.contract, liquidator=emitter)
        for transaction in block.transactions:
            if transaction.to in behind:
                judged += 1
                if transaction.succeeded:
                    cases.add(block=block.number, tx=transaction.hash, called=transaction.to)
        versions[block.number] = (version, is_upgraded)
    for snapshot in subject.replay.snapshots:
        shown = snapshot.state.governance
        due, upgraded = versions.get(snapshot.state.number, (1, False))
        if shown is not None:
            judged += upgraded
            if shown.version != due:
                cases.add(severity=WAD, block=snapshot.state.number, version=shown.version, told=due)
    return cases.finding(
        judged,
        holds=f"{judged} steps, readings and calls after an upgrade: one liquidator, the version told, and nothing "
              "moved by code called behind its address",
        violated="code of another version, or behind the liquidator's address, was live",
        nothing="nothing happened at the liquidator after an upgrade",
    )


def same_states_after_return(subject: Subject) -> Finding:
    """A block's hash commits to its state root: what a node that was killed labels after its return is compared."""
    cases, judged = Cases(), 0
    returned: dict[str, int] = {}
    for record in subject.history.faults:
        if record.fault == "kill" and record.phase == "heal":
            for node in str(record.target).split(", "):
                returned.setdefault(node, record.t)
    canonical = {block.number: block.hash for block in subject.chain}
    seen: set[str] = set()
    for node, since in returned.items():
        for head in subject.history.heads_by_node.get(node, ()):
            due = canonical.get(head.number)
            if head.t < since or head.label == "unsafe" or due is None:
                continue
            judged += head.hash not in seen
            seen.add(head.hash)
            if head.hash != due:
                cases.add(severity=head.number, block=head.number, node=node, label=head.label, hash=head.hash,
                          canonical=due, returned_at_ns=since)
    return cases.finding(
        judged,
        holds=f"{len(returned)} killed nodes came back and stood on {judged} states everybody has",
        violated="a node that came back stands on another state",
        nothing="no node was killed and came back to L2's chain",
    )


_AN_UPGRADE = "an upgrade"
CHECKS = (
    Check("U1", "holdings unmoved", "an upgrade leaves cash, positions and auctions as they were", holdings_unmoved,
          occasion=_AN_UPGRADE),
    Check("U2", "set up once", "code is set up once, in the transaction of its upgrade, and never again", set_up_once,
          occasion=_AN_UPGRADE),
    Check("U3", "prices alike", "new code values and liquidates at the prices and the scale of the old", prices_alike,
          occasion="a liquidation after an upgrade"),
    Check("U4", "one version live", "after an upgrade only the new code acts, and none behind the liquidator's address",
          one_version_live, occasion=_AN_UPGRADE),
    Check("U5", "same states after return", "a node that was killed and came back stands on the states everybody has",
          same_states_after_return, occasion="a killed node that comes back"),
)
