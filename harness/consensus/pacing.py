"""How long a validator waits in a view: the timers, their back-off under trouble, and the rhythm of its resends."""

from __future__ import annotations

from dataclasses import dataclass

from harness.consensus.effects import SetTimer, TimerKind

BACKOFF_CAP = 8
"""Most that repeated nullifications stretch Δ in the view timers."""

RESEND_CAP = 4
"""The resend interval doubles from Δ to at most this many Δ."""


@dataclass(frozen=True, slots=True)
class Timing:
    block_interval_ns: int  # T2
    network_bound_ns: int   # Δ


class Pacing:
    """The timers of one view after another; `faulty` leaders in a row are bad luck, more are a slow network."""

    def __init__(self, timing: Timing, *, faulty: int) -> None:
        self.timing = timing
        self._faulty = faulty
        self._resend_ns = timing.network_bound_ns

    def backoff(self, nullified_run: int) -> int:
        """1 while the nullifications in a row could be f faulty leaders, then doubling."""
        return int(min(BACKOFF_CAP, 2 ** min(16, max(0, nullified_run - self._faulty))))

    def enter(self, view: int, *, nullified_run: int, resend_after_ns: int | None) -> list[SetTimer]:
        """The timers of a view that begins now. Without `resend_after_ns` the first resend is at T2 + Δ."""
        interval, bound = self.timing.block_interval_ns, self.timing.network_bound_ns
        stretched = bound * self.backoff(nullified_run)
        self._resend_ns = bound
        return [
            SetTimer(view, TimerKind.PROPOSAL, interval + 2 * stretched),
            SetTimer(view, TimerKind.NOTARIZATION, interval + 3 * stretched),
            SetTimer(view, TimerKind.RESEND, resend_after_ns or interval + bound),
        ]

    def resend_again(self, view: int) -> SetTimer:
        """The timer of the next resend in the same view, each twice as far off as the one before."""
        timer = SetTimer(view, TimerKind.RESEND, self._resend_ns)
        self._resend_ns = min(2 * self._resend_ns, RESEND_CAP * self.timing.network_bound_ns)
        return timer
