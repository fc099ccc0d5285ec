"""What the guardian has paused, since when, and the two clocks that stand still with it (spec G4).

Both clocks count seconds of the active clock, so that a pause across an outage counts each second once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

TRADING, LIQUIDATION, WITHDRAWALS = 1, 2, 4
"""Bits of `paused`."""
EVERYTHING = TRADING | LIQUIDATION | WITHDRAWALS
STOPPING = (TRADING, LIQUIDATION)
"""The bits that stop a clock: funding's and the auctions'."""


@dataclass(slots=True)
class Pauses:
    paused: int = 0
    resumed_at: int = 0          # block time at which liquidation was last allowed again; 0: never paused
    changed_at: int = 0          # block time of the newest change
    since: dict[int, int] = field(default_factory=lambda: dict.fromkeys(STOPPING, 0))
    """bit → the active clock when it was set last"""
    stopped: dict[int, int] = field(default_factory=lambda: dict.fromkeys(STOPPING, 0))
    """bit → active seconds of all its pauses that have ended"""

    def copy(self) -> Pauses:
        return replace(self, since=dict(self.since), stopped=dict(self.stopped))

    def forbids(self, what: int) -> bool:
        return bool(self.paused & what)

    def change(self, paused: int, *, now: int, active: int) -> None:
        """The mask becomes `paused` at that block time and active clock."""
        before, self.paused, self.changed_at = self.paused, paused, now
        for bit in STOPPING:
            if paused & bit and not before & bit:
                self.since[bit] = active
            elif before & bit and not paused & bit:
                self.stopped[bit] += max(active - self.since[bit], 0)
                if bit == LIQUIDATION:
                    self.resumed_at = now

    def clock(self, bit: int, active: int) -> int:
        """The clock that stands still while that bit is set."""
        return (self.since[bit] if self.paused & bit else active) - self.stopped[bit]

    def allows_liquidation(self, *, origin_time: int, grace_s: int) -> bool:
        """Not paused, and past the grace after a pause, which ends by L1's clock."""
        return not self.forbids(LIQUIDATION) and not self.is_in_grace(origin_time=origin_time, grace_s=grace_s)

    def is_in_grace(self, *, origin_time: int, grace_s: int) -> bool:
        return self.resumed_at != 0 and origin_time < self.resumed_at + grace_s
