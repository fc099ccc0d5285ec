"""The bridge (B1–B6, V7): what L2 executes is what L1 sent for good, once, to the unit, and in time.

L1's builder records every block it makes, those that a reorg replaces among them; the newest says which of them stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import NotReplayable, Subject
from harness.history.records import BlockRecord, Event

NOBODY = "0x" + "00" * 20
NO_HASH = "0x" + "00" * 32
FIELDS = ("nonce", "sender", "target", "value")


@dataclass(slots=True)
class L1Side:
    """What L1 is and what it was."""

    blocks: Mapping[int, BlockRecord]             # canonical, by number
    sent: Mapping[str, tuple[int, Event]]         # id → where it stands, and the event
    dropped: Mapping[str, tuple[int, Event]]      # in blocks that a reorg replaced, and nowhere else

    def locked_up_to(self, number: int | None) -> int:
        """Tokens that messages of blocks up to this one locked."""
        return sum(event.args["value"] for at, event in self.sent.values() if number is not None and at <= number)


@dataclass(slots=True)
class Executed:
    """One execution on L2, with what L2 knew."""

    block: BlockRecord
    event: Event
    proof: Event | None          # the newest proof of it before

    @property
    def id(self) -> str:
        return str(self.event.args["id"])


@dataclass(slots=True)
class L2Side:
    """What the canonical L2 did with messages, in order."""

    executed: list[Executed] = field(default_factory=list)
    failed: list[tuple[BlockRecord, Event]] = field(default_factory=list)
    refused_again: list[tuple[BlockRecord, str]] = field(default_factory=list)  # as delivered, with the id
    odd_mints: list[tuple[BlockRecord, int, int]] = field(default_factory=list)  # transactions that minted another sum


def l1_side(subject: Subject) -> L1Side:
    """Raises NotReplayable where the L1 blocks have a hole."""
    history = subject.history
    recorded = [block for block in history.blocks.values() if block.chain == "l1"]
    blocks: dict[int, BlockRecord] = {}
    tip = recorded[-1] if recorded else None
    while tip is not None:
        blocks[tip.number] = tip
        if tip.number <= 1:
            break
        below = history.blocks.get(tip.parent)
        if below is None:
            raise NotReplayable(f"L1 block {tip.number - 1} ({tip.parent}) was never recorded")
        tip = below
    sent = {event.args["id"]: (block.number, event) for block in blocks.values() for event in _sent(block)}
    dropped = {
        event.args["id"]: (block.number, event)
        for block in recorded
        for event in _sent(block)
        if event.args["id"] not in sent
    }
    return L1Side(blocks, sent, dropped)


def _sent(block: BlockRecord) -> Iterator[Event]:
    return (event for event in block.events if event.name == "MessageSent")


def l2_side(subject: Subject) -> L2Side:
    side = L2Side()
    proofs: dict[str, Event] = {}
    run = subject.history.run
    inbox = run.deployment.get("bridge_inbox") if run is not None else None
    for block in subject.chain:
        minted: Counter[int] = Counter()
        due: Counter[int] = Counter()
        for event in block.events:
            args = event.args
            match event.name:
                case "MessageProven":
                    proofs[args["id"]] = event
                case "MessageExecuted":
                    side.executed.append(Executed(block, event, proofs.get(args["id"])))
                    due[event.tx] += args["value"]
                case "MessageFailed":
                    side.failed.append((block, event))
                    due[event.tx] += 0
                case "Transfer" if args["from"] == NOBODY:
                    minted[event.tx] += int(args["value"])
        for index in due:
            if minted[index] != due[index]:
                side.odd_mints.append((block, due[index], minted[index]))
        for transaction in block.transactions:
            if transaction.to == inbox and (transaction.error or "").startswith("AlreadyDelivered(id="):
                side.refused_again.append((block, str(transaction.error)[len("AlreadyDelivered(id="):-1]))
    return side


def executed_once(subject: Subject) -> Finding:
    side, cases = subject.once(l2_side), Cases()
    first: dict[str, int] = {}
    for done in side.executed:
        if done.id in first:
            cases.add(severity=done.event.args["value"], block=done.block.number, id=done.id,
                      first_block=first[done.id], value=done.event.args["value"])
        first.setdefault(done.id, done.block.number)
    return cases.finding(
        len(side.executed),
        holds=f"{len(side.executed)} messages were executed once each; {len(side.refused_again)} attempts to do it "
              "again were refused",
        violated="message executed again",
        nothing="no message was executed",
    )


def source_is_final(subject: Subject) -> Finding:
    """By what the executing block's L1 origin makes final, which is what the contract can know."""
    l1, side, cases = subject.once(l1_side), subject.once(l2_side), Cases()
    depth = subject.bounds.finality_l1_blocks
    for done in side.executed:
        origin, args = done.block.origin, done.event.args
        at, source = l1.sent.get(done.id, (None, None))
        final_from = None if at is None else at + depth
        wrong = [] if source is None else [name for name in FIELDS if source.args[name] != args[name]]
        if source is None:
            why = "L1 has not sent it"
        elif wrong:
            why = "not as L1 sent it: " + ", ".join(wrong)
        elif args["sentAt"] != at:
            why = f"said to be of L1 block {args['sentAt']}"
        elif origin is None or final_from is None or origin < final_from:
            why = "its L1 block was not final"
        else:
            continue
        early = depth if final_from is None or origin is None else final_from - origin
        cases.add(severity=early, block=done.block.number, id=done.id, why=why, l1_block=at, l1_origin=origin,
                  final_from=final_from, value=args["value"])
    return cases.finding(
        len(side.executed),
        holds=f"{len(side.executed)} messages were executed as L1 had sent them {depth} L1 blocks before, or more",
        violated="message executed that finalised L1 has not sent",
        nothing="no message was executed",
    )


def minted_within_locked(subject: Subject) -> Finding:
    """At every block, by what L1 had locked up to its origin; the cases are the blocks that execute something."""
    l1, side, cases = subject.once(l1_side), subject.once(l2_side), Cases()
    minted = judged = 0
    for done in side.executed:
        minted += done.event.args["value"]
        judged += done.event.args["value"] > 0
        locked = l1.locked_up_to(done.block.origin)
        if minted > locked:
            cases.add(severity=minted - locked, block=done.block.number, l1_origin=done.block.origin, minted=minted,
                      locked=locked)
    locked = l1.locked_up_to(max(l1.blocks, default=0))
    return cases.finding(
        judged,
        holds=f"{minted} units were minted on L2, and of the {locked} locked on L1 never more than L2 had seen",
        violated="more is minted on L2 than is locked on L1",
        nothing="no message with tokens was executed",
    )


def proved_by_a_root(subject: Subject) -> Finding:
    l1, side, cases = subject.once(l1_side), subject.once(l2_side), Cases()
    for done in side.executed:
        proof, args = done.proof, done.event.args
        if proof is None:
            why = "nobody proved it"
        elif NO_HASH in (proof.args["l1Hash"], proof.args["stateRoot"]) or not proof.args["sentAt"]:
            why = "proved by nothing"
        elif proof.args["sentAt"] != args["sentAt"] or not args["nonce"] or not args["sentAt"]:
            why = "not the message that was proved"
        elif (known := l1.blocks.get(proof.args["l1Number"])) is None or known.hash != proof.args["l1Hash"]:
            why = "proved by a block that is not L1's"
        else:
            continue
        shown = {} if proof is None else {"l1_block": proof.args["l1Number"], "l1_hash": proof.args["l1Hash"]}
        cases.add(severity=args["value"], block=done.block.number, id=done.id, why=why, nonce=args["nonce"], **shown)
    return cases.finding(
        len(side.executed),
        holds=f"{len(side.executed)} messages were proved by the state of an L1 block before they were executed",
        violated="message executed on a zero or unknown root, or without nonce",
        nothing="no message was executed",
    )


def dropped_is_not_credited(subject: Subject) -> Finding:
    l1, side, cases = subject.once(l1_side), subject.once(l2_side), Cases()
    for done in side.executed:
        if done.id in l1.dropped:
            at, event = l1.dropped[done.id]
            cases.add(severity=event.args["value"], block=done.block.number, id=done.id, l1_block=at,
                      value=event.args["value"])
    value = sum(event.args["value"] for _, event in l1.dropped.values())
    return cases.finding(
        len(l1.dropped),
        holds=f"{len(l1.dropped)} messages ({value} units) that an L1 reorg dropped were never credited",
        violated="message credited that L1 has dropped",
        nothing="no L1 reorg dropped a message for good",
    )


def failure_loses_nothing(subject: Subject) -> Finding:
    """What failed is tried again within the recovery bound, or that of heal: who takes it for done never does."""
    side, cases = subject.once(l2_side), Cases()
    executed = {done.id for done in side.executed}
    failed = {str(event.args["id"]): block for block, event in side.failed}   # the last time
    bound_ns, heal_ns = int(subject.bounds.recover_s * 1e9), subject.history.phase_ns("heal") or 0
    for block, due, minted in side.odd_mints:
        cases.add(severity=abs(minted - due), block=block.number, why="minted another sum than it executed", due=due,
                  minted=minted)
    for block, id_ in side.refused_again:
        if id_ not in executed:
            cases.add(block=block.number, id=id_, why="refused as delivered, and it never was",
                      failed_at=failed[id_].number if id_ in failed else None)
    for id_, block in failed.items():
        waited_ns = subject.history.end_ns - max(block.t, heal_ns)
        if id_ not in executed and waited_ns > bound_ns:
            cases.add(block=block.number, id=id_, why="nobody tried it again", waited_s=waited_ns / 1e9)
    retried = len(executed & failed.keys())
    return cases.finding(
        len(side.failed),
        holds=f"{len(side.failed)} failed attempts minted nothing; {retried} of {len(failed)} messages succeeded later",
        violated="a delivery lost or doubled its value, or was not tried again",
        nothing="no delivery failed",
    )


def delivered_in_time(subject: Subject) -> Finding:
    """Counted from when a message is final on L2, or from heal if that is later: a fault may have the relayers."""
    chain, l1, side = subject.chain, subject.once(l1_side), subject.once(l2_side)
    depth, bound_ns = subject.bounds.finality_l1_blocks, int(subject.bounds.recover_s * 1e9)
    heal_ns, end_ns = subject.history.phase_ns("heal") or 0, subject.history.end_ns
    tried: dict[str, int] = {}
    for block, event in (*((done.block, done.event) for done in side.executed), *side.failed):
        tried[event.args["id"]] = min(block.t, tried.get(event.args["id"], block.t))
    waiting = sorted(l1.sent.items(), key=lambda item: item[1][0], reverse=True)
    cases, judged, slowest = Cases(), 0, 0
    for block in chain:
        while waiting and block.origin is not None and waiting[-1][1][0] + depth <= block.origin:
            id_, (at, event) = waiting.pop()
            since_ns = max(block.t, heal_ns)
            tried_ns = tried.get(id_)
            if tried_ns is None and end_ns < since_ns + bound_ns:
                continue  # the run ended before it was due
            judged += 1
            if tried_ns is None or tried_ns > since_ns + bound_ns:
                took_s = None if tried_ns is None else (tried_ns - since_ns) / 1e9
                cases.add(severity=(tried_ns or end_ns) - since_ns, block=block.number, id=id_, l1_block=at,
                          value=event.args["value"], bound_s=subject.bounds.recover_s, took_s=took_s)
            else:
                slowest = max(slowest, tried_ns - block.t)
    return cases.finding(
        judged,
        holds=f"{judged} messages were tried in time, the slowest {slowest / 1e9:.1f} s after it was final on L2",
        violated=f"message not tried {subject.bounds.recover_s:g} s after it was final and all was healed",
        nothing="no message was final for as long as its delivery may take",
    )


_USED = "a message over the bridge"

CHECKS = (
    Check("B1", "messages once", "no message over the bridge is executed twice", executed_once, occasion=_USED),
    Check("B2", "source final", "a message is executed on L2 as a finalised L1 block sent it", source_is_final,
          occasion=_USED),
    Check("B3", "minted within locked", "never is more minted on L2 than is locked on L1", minted_within_locked,
          occasion=_USED),
    Check("B4", "no zero root", "a message is executed only if the state of a known L1 block proves it",
          proved_by_a_root, occasion=_USED),
    Check("B5", "dropped deposits", "what an L1 reorg drops is not credited on L2", dropped_is_not_credited,
          occasion="an L1 reorg that drops a message"),
    Check("B6", "failed deliveries", "a failed delivery mints nothing and can be tried again", failure_loses_nothing,
          occasion="a delivery that fails"),
    Check("V7", "messages in time", "a final message is delivered, or tried, within the recovery bound",
          delivered_in_time, occasion=_USED),
)
