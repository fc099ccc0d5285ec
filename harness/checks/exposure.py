"""How long accounts stayed liquidatable, and which of those blocks count against the keepers (LL1).

The promise: an account under its maintenance margin is liquidated or healed before it has been so for more than N
consecutive canonical blocks. Which blocks count:

- Judged at the end of each canonical block, at the newest accepted prices and that block's time.
- A block in which `liquidate` was forbidden (a price that is stale or not newer than the account's last move, a pause,
  grace after it or after a restart by L1's clock, a position past its expiry) does not count, and does not break the
  run either: forbidden time stops the clock, it does not reset it.
  It is forbidden too while no keeper of the run could take the next step (each holds an asset without a fresh price,
  or could not end with its initial margin), and while an auction runs in its first `auctionDuration` of active time,
  in which bidders may wait for a better price.
- A block first executed while a fault was on, or less than the recovery bound after its heal, does not count
  either: keepers may have been the ones cut off. After the `heal` phase plus the recovery bound every block counts,
  whatever a fault claims, because by then the run has promised a healthy network.
- Healing (E ≥ MM) ends the run, and so does a liquidation (a partial one restores the initial margin), even if a later
  price of the same block puts the account under again: that starts another. With margins that leave no room between
  IM and MM (naked options) an account is rightly liquidated again and again while the price runs away from it.
- A run of which no block counts was not judged, nor was one still open when the history ends before the bound: these
  neither hold nor are violated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.history.reader import History
from harness.history.records import BlockRecord
from harness.model.ladder import elapsed
from harness.model.pools import account_in
from harness.model.takeover import is_within_means
from harness.model.venue import Venue


@dataclass(slots=True)
class Exposure:
    """One account's stay under its maintenance margin."""

    account: str
    first_block: int
    last_block: int
    permitted: int = 0           # blocks in which `liquidate` would have gone through
    demanded: int = 0            # of those, blocks that count against the bound
    deficit: int = 0             # the largest MM − E seen
    ended: bool = False          # liquidated or healed within the history

    def is_judged(self, blocks_max: int) -> bool:
        """Whether the promise of at most so many counted blocks was put to the test and is known kept or broken."""
        return self.demanded > (0 if self.ended else blocks_max)


class Excuses:
    """The spans of run time in which keepers owe nothing."""

    def __init__(self, history: History, recover_s: float) -> None:
        recover_ns = int(recover_s * 1e9)
        heal_ns = history.phase_ns("heal")
        self._spans: list[tuple[int, int | None]] = []
        for window in history.fault_windows():
            end = window.end_ns
            if heal_ns is not None and window.start_ns <= heal_ns:
                end = heal_ns if end is None else min(end, heal_ns)
            self._spans.append((window.start_ns, None if end is None else end + recover_ns))

    def cover(self, t: int) -> bool:
        return any(start <= t and (end is None or t <= end) for start, end in self._spans)


def _is_auctioned(venue: Venue, account: str) -> bool:
    since = elapsed(venue.book, account)
    return since is not None and since < venue.book.params.auction_duration_s


class ExposureTracker:
    """Shown the venue at the end of every canonical block, in order."""

    def __init__(self, excuses: Excuses, keepers: Sequence[str] = ()) -> None:
        """`keepers` are the addresses the run gave that role; without any, whoever liquidates is taken to be able."""
        self.exposures: list[Exposure] = []
        self._keepers = keepers
        self._open: dict[str, Exposure] = {}
        self._excuses = excuses
        self._liquidations = 0       # of the venue's facts, how many were seen

    def observe(self, block: BlockRecord, venue: Venue) -> None:
        excused: bool | None = None
        self._end_liquidated(venue)
        for address, account in venue.book.accounts.items():
            current = self._open.get(address)
            if account.positions:
                margin = venue.book.margin(address)
                if margin.is_liquidatable:
                    if current is None:
                        current = self._open[address] = Exposure(address, block.number, block.number)
                        self.exposures.append(current)
                    current.last_block = block.number
                    current.deficit = max(current.deficit, margin.mm - margin.equity)
                    waits = _is_auctioned(venue, address)
                    if venue.guards(address).allow and not waits and self._has_able_keeper(venue, address):
                        if excused is None:
                            excused = self._excuses.cover(block.t)
                        current.permitted += 1
                        current.demanded += not excused
                    continue
            if current is not None:
                self._end(address)

    def _end_liquidated(self, venue: Venue) -> None:
        facts = venue.facts.liquidations
        for fact in facts[self._liquidations:]:
            self._end(fact.account)
        self._liquidations = len(facts)

    def _end(self, account: str) -> None:
        exposure = self._open.pop(account, None)
        if exposure is not None:
            exposure.ended = True

    def _has_able_keeper(self, venue: Venue, account: str) -> bool:
        """Whether some keeper but the account has an account in its pool, a fresh price for all it holds, and means."""
        book = venue.book
        age_max, pool = book.params.max_price_age_s, book.pool_of(account)
        for owner in self._keepers:
            keeper = account_in(book, owner, pool)
            age = None if keeper is None or keeper == account else book.oldest_age(keeper)
            if keeper is not None and age is not None and age <= age_max and is_within_means(book, account, keeper):
                return True
        return not self._keepers
