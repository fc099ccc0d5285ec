"""Custody and accounting: every unit is somewhere, positions cancel, dust only gathers, storage equals the model."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from harness.checks.registry import Check
from harness.checks.results import Cases, Finding
from harness.checks.subject import Subject
from harness.history.records import AccountState, PositionState, StateRecord
from harness.model.book import Book
from harness.model.fixed import NATIVE


def conservation(subject: Subject) -> Finding:
    cases, judged, partial = Cases(), 0, 0
    replay = subject.replay
    for snapshot in replay.snapshots:
        if snapshot.unlisted:
            partial += 1
            continue
        owed = _owed(snapshot.state, replay.venue.book)
        judged += 1 if owed or snapshot.state.custody else 0
        for pool, gap in _pool_gaps(snapshot.state, replay.venue.book):
            if gap:
                cases.add(severity=abs(gap), block=snapshot.state.number, pool=pool, gap_wad=gap)
        for held in snapshot.state.pools:
            if held.coin and held.custody != held.balance:
                cases.add(severity=abs(held.custody - held.balance), block=snapshot.state.number, pool=held.pool,
                          coin=held.coin, custody=held.custody, balance=held.balance)
        gap = snapshot.state.custody * NATIVE - owed
        if gap:
            cases.add(severity=abs(gap), block=snapshot.state.number, custody_wad=snapshot.state.custody * NATIVE,
                      owed_wad=owed, gap_wad=gap)
    for block, tx, gap in replay.imbalances:
        cases.add(severity=abs(gap), block=block, tx=tx, gap_wad=gap, where="model")
    partly = f"; {partial} more list only some accounts" if partial else ""
    return cases.finding(
        judged,
        holds=f"custody equals what is owed, to the wei, at {judged} state records and after {replay.events} events"
              + partly,
        violated="custody differs from what is owed",
        nothing="no state record of a canonical block shows money and lists every account" + partly,
    )


def _owed(state: StateRecord, book: Book) -> int:
    """In dollars: what all pools owe that hold dollars."""
    coins = {held.pool for held in state.pools if held.coin}
    owed = state.insurance + state.fees + state.dust - state.deficit
    owed += sum(held.insurance + held.fees + held.dust - held.deficit for held in state.pools
                if held.pool and held.pool not in coins)
    for account in state.accounts.values():
        if account.pool not in coins:
            owed += account.cash - sum(position.notional for position in account.positions)
    return owed + sum(shown.clearing for number, shown in state.series.items() if _pool(book, number) not in coins)


def _pool(book: Book, number: int) -> int:
    series = book.series.get(number)
    return 0 if series is None else series.pool


def _pool_gaps(state: StateRecord, book: Book) -> list[tuple[int, int]]:
    """Of each pool, what its balance is beyond what it owes."""
    gaps = {held.pool: held.balance + held.deficit - held.insurance - held.fees - held.dust for held in state.pools}
    if not gaps:
        return []
    for account in state.accounts.values():
        owed = account.cash - sum(position.notional for position in account.positions)
        gaps[account.pool] = gaps.get(account.pool, 0) - owed
    for number, shown in state.series.items():
        pool = _pool(book, number)
        gaps[pool] = gaps.get(pool, 0) - shown.clearing
    return sorted(gaps.items())


def custody_moves(subject: Subject) -> Finding:
    cases, count = Cases(), 0
    for snapshot in subject.replay.snapshots:
        count += bool(snapshot.state.custody or snapshot.custody)
        gap = snapshot.state.custody - snapshot.custody
        if gap:
            cases.add(severity=abs(gap), block=snapshot.state.number, custody_native=snapshot.state.custody,
                      deposits_less_withdrawals=snapshot.custody)
        for held in snapshot.state.pools:
            ledger = snapshot.ledgers.get(held.pool)
            if held.coin and ledger is not None and held.custody != ledger.balance:
                cases.add(severity=abs(held.custody - ledger.balance), block=snapshot.state.number, coin=held.coin,
                          custody_native=held.custody, deposits_less_withdrawals=ledger.balance)
    return cases.finding(
        count,
        holds=f"custody is deposits less withdrawals at {count} state records",
        violated="tokens moved without a deposit or withdrawal",
        nothing="no state record of a canonical block shows money",
    )


def insurance(subject: Subject) -> Finding:
    cases, count = Cases(), 0
    for snapshot in subject.replay.snapshots:
        got = snapshot.state.insurance
        count += bool(got or snapshot.insurance)
        if got < 0 or got != snapshot.insurance:
            cases.add(severity=abs(got - snapshot.insurance), block=snapshot.state.number, expected=snapshot.insurance,
                      got=got)
        for held in snapshot.state.pools:
            due = snapshot.ledgers[held.pool].insurance if held.pool in snapshot.ledgers else 0
            if held.pool and (held.insurance < 0 or held.insurance != due):
                cases.add(severity=abs(held.insurance - due), block=snapshot.state.number, pool=held.pool, expected=due,
                          got=held.insurance)
    return cases.finding(
        count,
        holds=f"the insurance is never negative and moves only by funding, penalties and cover, at {count} records",
        violated="the insurance is negative or moved without a cause",
        nothing="no state record of a canonical block shows insurance",
    )


def loss_pieces(subject: Subject) -> Finding:
    """The pieces are what the events say; the loss they must make up is the model's. A loss that nobody told of shows
    in storage: who holds nothing any more owes nothing either."""
    cases = Cases()
    losses = subject.replay.facts.losses
    for snapshot in subject.replay.snapshots:
        for address, shown in snapshot.state.accounts.items():
            if shown.cash < 0 and not any(position.size for position in shown.positions):
                cases.add(severity=-shown.cash, block=snapshot.state.number, account=address, cash=shown.cash,
                          positions=0, where="storage")
    for fact in losses:
        pieces = fact.got_covered + fact.got_costs + fact.got_remaining
        negative = min(fact.got_covered, fact.got_costs, fact.got_remaining) < 0
        if pieces != fact.loss or negative or fact.cash < 0:
            cases.add(severity=abs(pieces - fact.loss), block=fact.block, tx=fact.tx, account=fact.account,
                      loss=fact.loss, covered=fact.got_covered, deleveraged=fact.got_costs,
                      bad_debt=fact.got_remaining, cash_after=fact.cash)
    return cases.finding(
        len(losses),
        holds=f"insurance, deleveraging and deficit bore {len(losses)} losses, to the wei, and left nobody below zero",
        violated="a loss and the pieces it was split into differ, or a closed account is below zero",
        nothing="no account ended below zero",
    )


def nothing_leaves_behind_a_deficit(subject: Subject) -> Finding:
    """Guarded by every block that began with a deficit; what is told of a haircut must be what the deficit lost."""
    cases, judged = Cases(), 0
    for snapshot in subject.replay.snapshots:
        judged += bool(snapshot.state.deficit or snapshot.deficit)
        if snapshot.state.deficit != snapshot.deficit or snapshot.state.deficit < 0:
            cases.add(severity=abs(snapshot.state.deficit - snapshot.deficit), block=snapshot.state.number,
                      deficit=snapshot.state.deficit, expected=snapshot.deficit)
        for held in snapshot.state.pools:
            due = snapshot.ledgers[held.pool].deficit if held.pool in snapshot.ledgers else 0
            judged += bool(held.pool and (held.deficit or due))
            if held.pool and held.deficit != due:
                cases.add(severity=abs(held.deficit - due), block=snapshot.state.number, pool=held.pool,
                          deficit=held.deficit, expected=due)
    for fact in subject.replay.facts.withdrawals:
        if fact.deficit > 0:
            cases.add(severity=fact.deficit, block=fact.block, tx=fact.tx, account=fact.account, did="withdraw",
                      deficit=fact.deficit)
    for cut in subject.replay.facts.haircuts:
        judged += 1
        total = sum(amount for _, amount in cut.got)
        if total != cut.got_amount or total + cut.got_remaining != cut.deficit:
            cases.add(severity=abs(total - cut.got_amount), block=cut.block, tx=cut.tx, did="haircut",
                      deficit=cut.deficit, paid=total, told=cut.got_amount, remaining=cut.got_remaining)
    return cases.finding(
        judged,
        holds=f"in {judged} blocks with a deficit nobody withdrew, and what was paid of it is what it fell by",
        violated="money left while losses were uncovered, or the deficit moved without being paid",
        nothing="there never was a deficit",
    )


def run_on_the_bank(subject: Subject) -> Finding:
    """What one account may withdraw depends on no other's withdrawal, so every order is covered by the sum: by the
    model, and by what storage would let them take."""
    cases, judged = Cases(), 0
    for snapshot in subject.replay.snapshots:
        custody = {"": snapshot.state.custody}
        custody |= {held.coin: held.custody for held in snapshot.state.pools if held.coin}
        could = {coin: max(snapshot.withdrawable.get(coin, 0), snapshot.stored.get(coin, 0))
                 for coin in snapshot.withdrawable.keys() | snapshot.stored.keys()}
        judged += any(could.values())
        for coin, most in sorted(could.items()):
            there = custody.get(coin, 0)
            if most > there:
                cases.add(severity=most - there, block=snapshot.state.number, coin=coin or "dollars",
                          withdrawable_native=most, custody_native=there)
    return cases.finding(
        judged,
        holds=f"at {judged} state records custody covers everything all accounts could withdraw, in any order",
        violated="accounts could withdraw more than custody holds: the last to come would get nothing",
        nothing="no state record of a canonical block shows anything to withdraw",
    )


def zero_sum(subject: Subject) -> Finding:
    cases, judged = Cases(), 0
    for snapshot in subject.replay.snapshots:
        if snapshot.unlisted:
            continue
        total: dict[int, int] = {}
        for account in snapshot.state.accounts.values():
            for position in account.positions:
                total[position.series] = total.get(position.series, 0) + position.size
        for series_id, series in snapshot.state.series.items():
            # Settled positions have left the accounts; what they held must still cancel what is left.
            net = total.get(series_id, 0) + snapshot.settled_size.get(series_id, 0)
            judged += 1 if total.get(series_id) or series.open_interest else 0
            if net:
                cases.add(severity=abs(net), block=snapshot.state.number, series=series_id, net_size=net)
    return cases.finding(
        judged,
        holds=f"longs and shorts cancel in {judged} readings of open series",
        violated="positions do not cancel",
        nothing="no state record of a canonical block shows an open position",
    )


def dust(subject: Subject) -> Finding:
    """Of every pool, each in its own currency."""
    cases, roundings = Cases(), 0
    previous: dict[int, int] = {}
    for snapshot in subject.replay.snapshots:
        roundings = snapshot.roundings
        shown = {0: snapshot.state.dust} | {held.pool: held.dust for held in snapshot.state.pools}
        for pool, got in shown.items():
            before = previous.get(pool, 0)
            if got < before:
                cases.add(severity=before - got, block=snapshot.state.number, pool=pool, dust=got, before=before)
            elif not 0 <= got <= roundings:
                cases.add(severity=abs(got), block=snapshot.state.number, pool=pool, dust=got, roundings=roundings)
        previous = shown
    return cases.finding(
        roundings,
        holds=f"dust never fell and never passed the number of roundings ({sum(previous.values())} wei after "
              f"{roundings})",
        violated="dust fell, or is outside 0 … number of roundings",
        nothing="nothing was rounded before the last state record of a canonical block",
    )


def replay_equals_storage(subject: Subject) -> Finding:
    cases, fields = Cases(), 0
    replay = subject.replay
    for found in replay.discrepancies:
        cases.add(severity=_distance(found.expected, found.got), block=found.block, tx=found.tx, what=found.what,
                  expected=found.expected, got=found.got)
    for snapshot in replay.snapshots:
        fields += snapshot.fields
        for path, expected, got in snapshot.differences:
            cases.add(severity=_distance(expected, got), block=snapshot.state.number, node=snapshot.state.node,
                      what=path, expected=expected, got=got)
    count = len(replay.snapshots)
    guarded = count if replay.events else 0
    return cases.finding(
        guarded,
        holds=f"{fields} storage fields at {count} blocks and every amount of {replay.events} events equal the model",
        violated="value differs from the model",
        nothing="no state record of a canonical block, or no event before it",
    )


def _distance(expected: object, got: object) -> int:
    if isinstance(expected, int) and isinstance(got, int):
        return abs(expected - got)
    return 0


def requirement_order(subject: Subject) -> Finding:
    """Also that both grow with the size: of all accounts with one position alone, of one series and side, in a reading.
    """
    cases, judged = Cases(), 0
    for snapshot in subject.replay.snapshots:
        for series, smaller, larger in _neighbours(snapshot.state):
            if larger.im < smaller.im or larger.mm < smaller.mm:
                cases.add(severity=max(smaller.im - larger.im, smaller.mm - larger.mm), block=snapshot.state.number,
                          series=series, sizes=[_sole(smaller).size, _sole(larger).size], im=[smaller.im, larger.im],
                          mm=[smaller.mm, larger.mm])
        for address, account in snapshot.state.accounts.items():
            judged += bool(account.im or account.mm)
            if not account.im >= account.mm >= 0:
                cases.add(severity=account.mm - account.im, block=snapshot.state.number, account=address,
                          im=account.im, mm=account.mm)
    return cases.finding(
        judged,
        holds=f"IM ≥ MM ≥ 0 in {judged} readings, and of accounts with one position each the larger needs no less",
        violated="an account needs more to keep a position than to open it, less than nothing, or less for a larger",
        nothing="no state record of a canonical block shows a margin requirement",
    )


def _sole(account: AccountState) -> PositionState:
    return next(position for position in account.positions if position.size)


def _neighbours(state: StateRecord) -> Iterator[tuple[int, AccountState, AccountState]]:
    """Pairs of accounts that hold one position and nothing else, of one series and side, the smaller first."""
    alone: dict[tuple[int, bool], list[AccountState]] = {}
    for account in state.accounts.values():
        held = [position for position in account.positions if position.size]
        if len(held) == 1:
            alone.setdefault((held[0].series, held[0].size > 0), []).append(account)
    for (series, _), accounts in alone.items():
        for smaller, larger in pairwise(sorted(accounts, key=lambda account: abs(_sole(account).size))):
            yield series, smaller, larger


CHECKS = (
    Check("C1", "conservation", "custody equals everything the venue owes, exactly, at every state record and event",
          conservation),
    Check("C2", "custody moves", "tokens enter and leave custody only by deposits, withdrawals and insurance funding",
          custody_moves),
    Check("C3", "insurance", "the insurance fund is never negative and moves only as liquidations and settlements say",
          insurance),
    Check("C4", "loss pieces", "insurance, deleveraging and deficit take exactly the loss", loss_pieces,
          occasion="a loss beyond what an account has"),
    Check("C6", "nothing leaves behind a deficit", "nobody withdraws while losses are uncovered, and a haircut pays "
          "what the deficit falls by", nothing_leaves_behind_a_deficit, occasion="a deficit"),
    Check("C7", "run on the bank", "custody covers all that could be withdrawn, whoever comes first", run_on_the_bank),
    Check("A1", "zero sum", "the positions of a series cancel",
          zero_sum),
    Check("A3", "dust", "rounding residue never falls and never exceeds one wei per rounding", dust),
    Check("A6", "replay", "storage equals the model's replay of the events, field by field, and so does every amount",
          replay_equals_storage),
    Check("M3", "requirement order", "the initial margin is never below the maintenance margin, nor that below zero, "
          "and neither is less for a larger position",
          requirement_order),
)
