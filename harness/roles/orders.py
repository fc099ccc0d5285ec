"""What a role has been ordered to do wrong: standing orders by fault id, forgotten with the process."""

from __future__ import annotations

from dataclasses import dataclass

from harness.ports import OPERATOR, Json, Refused
from harness.roles.wire import field, items, text

EVEN_FORCED = "leave-out-forced"
"""How to censor so that not even what L1 forces gets in."""

MISBEHAVE = "misbehave"
"""The order's kind: `{"id", "on", "what", "how", "amount", "names"}`; without `on` it only asks."""


@dataclass(frozen=True, slots=True)
class Order:
    """`what` names the fault's word, `how` its manner, `amount` and `names` what they need."""

    what: str
    how: str
    amount: int
    names: tuple[str, ...]
    since_ns: int


class Orders:
    """The standing orders of one role, and how often it has followed each."""

    def __init__(self, *known: str) -> None:
        """`known` are the words this role can be ordered to follow."""
        self._known = known
        self._standing: dict[str, Order] = {}
        self._acts: dict[str, int] = {}

    def of(self, what: str) -> list[tuple[str, Order]]:
        """(fault id, order) of a word, oldest first."""
        return [(fault, order) for fault, order in self._standing.items() if order.what == what]

    def acted(self, fault: str, times: int = 1) -> None:
        """Note that the role did wrong by that order."""
        self._acts[fault] = self._acts.get(fault, 0) + times

    def obey(self, sender: str, kind: str, payload: Json, now_ns: int) -> Json:
        """Take an order, or take one back; says how often it was followed. Raises `Refused` for what it will not."""
        if sender != OPERATOR or kind != MISBEHAVE:
            raise Refused(f"this role takes no {kind!r}")
        fault, what = text(payload, "id"), text(payload, "what")
        if what not in self._known:
            raise Refused(f"this role cannot be ordered to {what}; it follows {', '.join(self._known)}")
        if payload.get("on") is True:
            names = tuple(str(name) for name in items(payload, "names"))
            amount = int(field(payload, "amount"))
            self._standing[fault] = Order(what, text(payload, "how"), amount, names, now_ns)
        elif payload.get("on") is False:
            self._standing.pop(fault, None)
        return {"acts": self._acts.get(fault, 0), "on": fault in self._standing}


def scaled(value: int, milli: int) -> int:
    """A value times so many thousandths, floored; at least 1."""
    return max(1, value * milli // 1000)
