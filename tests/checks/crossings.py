"""Little runs over the bridge: L1 blocks with messages in them, and what L2 makes of those."""

from __future__ import annotations

from typing import Any

from tests.checks.builder import Run, address, block_hash

L1_FORK = 10_000
"""Added to a fork's number, so that no L1 block has the hash of an L2 block."""
NOBODY = "0x" + "00" * 20
NO_HASH = "0x" + "00" * 32
DEPTH = 8
"""F, as the checks' bounds have it."""
DOLLARS = 50 * 10**6


def message(nonce: int, *, sender: str = "alice", value: int = DOLLARS) -> dict[str, Any]:
    """What `MessageSent` and `MessageExecuted` have in common."""
    return {"id": "0x" + f"{0xB00000 + nonce:064x}", "nonce": nonce, "sender": address(sender),
            "target": address(sender), "value": value}


class Crossing(Run):
    """A run whose L1 is recorded, too."""

    def l1(self, number: int, *sent: dict[str, Any], fork: int = 0, on: int | None = None) -> Crossing:
        """L1's next block, or with a fork one that replaces another; it stands on a block of fork `on`, or its own."""
        self.close()
        self._l1_times[number] = number * 3
        events = [
            {"name": "MessageSent", "contract": "l1_bridge", "tx": place,
             "args": {**{key: str(value) if type(value) is int else value for key, value in item.items()},
                      "gas": "200000", "payload": "0x"}}
            for place, item in enumerate(sent)
        ]
        parent = block_hash(number - 1, L1_FORK + (fork if on is None else on))
        self.record("l1-0", "block", chain="l1", number=number, hash=block_hash(number, L1_FORK + fork), parent=parent,
                    timestamp=number * 3, origin=None, base_fee="7", events=events,
                    transactions=[{"hash": "0x" + f"{0x11_0000 + number * 100 + place:064x}", "sender": item["sender"],
                                   "to": address("l1bridge"), "ok": True, "gas": 90_000, "error": None}
                                  for place, item in enumerate(sent)])
        return self

    def l1_to(self, last: int, *, first: int = 1) -> Crossing:
        """L1 blocks with nothing in them."""
        for number in range(first, last + 1):
            self.l1(number)
        return self

    def seen(self, origin: int) -> Crossing:
        """The next L2 block, with that L1 block as its origin."""
        self.block(origin=origin)
        return self

    def prove(self, item: dict[str, Any], *, sent_at: int, at: int, fork: int = 0, **wrong: Any) -> Crossing:
        said = {"id": item["id"], "sentAt": sent_at, "l1Number": at, "l1Hash": block_hash(at, L1_FORK + fork),
                "stateRoot": "0x" + "5e" * 32}
        self._emit_all([("MessageProven", said | wrong)])
        return self

    def execute(self, item: dict[str, Any], *, sent_at: int, minted: int | None = None, **wrong: Any) -> Crossing:
        amount = item["value"] if minted is None else minted
        mint = ("Transfer", {"from": NOBODY, "to": item["target"], "value": amount})
        self._emit_all([mint, ("MessageExecuted", {**item, "sentAt": sent_at} | wrong)])
        return self

    def fail(self, item: dict[str, Any], *, sent_at: int, minted: int = 0) -> Crossing:
        mint = [("Transfer", {"from": NOBODY, "to": item["target"], "value": minted})] if minted else []
        self._emit_all([*mint, ("MessageFailed", {"id": item["id"], "sentAt": sent_at})])
        return self

    def refuse(self, item: dict[str, Any]) -> Crossing:
        """Somebody tries it again, and is told that it is delivered."""
        self.transaction(ok=False, error=f"AlreadyDelivered(id={item['id']})", to="inbox")
        return self

    def _emit_all(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        self.transaction(to="inbox")
        assert self._open is not None
        index = len(self._open["transactions"]) - 1
        self._events += [(name, index, args) for name, args in events]


FIRST, SECOND, LOST = message(1), message(2, sender="bob"), message(3, sender="carol")


def ready(*, origin: int = 2 + DEPTH) -> Crossing:
    """Two messages in L1 block 2, proved; the open L2 block is the first in which they are final, or as given."""
    run = Crossing()
    run.lines[0]["deployment"]["bridge_inbox"] = address("inbox")
    run.l1(1).l1(2, FIRST, SECOND).l1_to(2 + DEPTH + 2, first=3)
    run.seen(origin - 1).prove(FIRST, sent_at=2, at=2).prove(SECOND, sent_at=2, at=4)
    return run.seen(origin)


def reorganised() -> Crossing:
    """As `ready`; but a third message was in an L1 block that a reorg replaced, in which the second one is again."""
    run = Crossing()
    run.lines[0]["deployment"]["bridge_inbox"] = address("inbox")
    run.l1(1).l1(2, FIRST).l1(3, SECOND, LOST).l1(3, SECOND, fork=1, on=0)
    for number in range(4, 4 + DEPTH):
        run.l1(number, fork=1)
    run.seen(1 + DEPTH).prove(FIRST, sent_at=2, at=2).seen(2 + DEPTH).prove(SECOND, sent_at=3, at=3, fork=1)
    return run.seen(3 + DEPTH)


def crossed() -> Crossing:
    """Everything as it should be: one delivered twice in vain, one that failed at first, one that L1 dropped."""
    run = reorganised().execute(FIRST, sent_at=2).fail(SECOND, sent_at=3)
    run.seen(3 + DEPTH).refuse(FIRST).execute(SECOND, sent_at=3).refuse(SECOND)
    return run.seen(3 + DEPTH)
