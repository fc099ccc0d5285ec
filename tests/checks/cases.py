"""For every check id: small histories it must reject, and one that shows too little for it to judge.

The table that test_every_check holds against the catalogue. The boundaries of each check are in its own test file; here
is one plain case of each way a check can be tripped, so that none can be added, or quietly stop working, unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.checks.results import Verdict
from harness.evm.accounts import account
from harness.evm.wallet import sign_transaction
from tests.checks.builder import START, Run, address, block_hash
from tests.checks.crossings import (
    DEPTH,
    DOLLARS,
    FIRST,
    LOST,
    NO_HASH,
    SECOND,
    Crossing,
    message,
    ready,
    reorganised,
)
from tests.checks.stories import SAVED, USD, Pool, in_distress, market, plea

W = 10**18
ALICE = address("alice")
Story = Callable[[], Run]


@dataclass(frozen=True)
class Case:
    unknown: Story               # plenty happens, only not what the check guards
    bad: dict[str, Story]        # what is wrong → a history with just that wrong


def verdicts_missing(ids: list[str], cases: dict[str, Case]) -> list[str]:
    """What the table lacks of a catalogue of those ids, or has too much; empty when it is complete."""
    lacking = [f"{id_}: no {Verdict.VIOLATED} and {Verdict.UNKNOWN} history" for id_ in ids if id_ not in cases]
    empty = [f"{id_}: no {Verdict.VIOLATED} history" for id_ in ids if id_ in cases and not cases[id_].bad]
    return lacking + empty + [f"{id_}: no such check" for id_ in cases if id_ not in ids]


def traded() -> Run:
    """Alice long 5 futures and 2 calls, bob long 2 puts."""
    run = market().trade("alice", "maker", 5, 100).trade("alice", "writer", 2, 5, series=2)
    return run.trade("bob", "writer", 2, 5, series=3)


def quiet() -> Run:
    """Money, prices and blocks, but nobody trades."""
    return market().state().blocks(4, price=100).block().state()


def two_alone(path: str, off: int | None = None) -> Run:
    """Alice long 5 futures and nothing else, bob long 6; what he needs is off by a wei more than the one future's."""
    run = market().trade("alice", "maker", 5, 100).trade("bob", "maker", 6, 100)
    needs = 10 * W if path.endswith("im") else 25 * W // 4
    return run.state(corrupt={path: -needs - 1 if off is None else off - needs})


def unread() -> Run:
    """A busy chain nobody read the storage of."""
    return traded().blocks(3, price=99)


def storage(path: str, off: int = 1) -> Story:
    """One field of storage is off."""
    return lambda: traded().state().block().state(corrupt={path: off})


def idle_bridge() -> Crossing:
    """Messages are sent and proved, and none is executed."""
    return ready().seen(3 + DEPTH)


def delivered() -> Crossing:
    return ready().execute(FIRST, sent_at=2)


def late(seconds: int) -> Crossing:
    """Both are executed so long after they could have been."""
    run = ready()
    run.blocks(seconds)
    return run.execute(FIRST, sent_at=2).execute(SECOND, sent_at=2)


def unproved() -> Crossing:
    """Final, and nobody has proved anything."""
    run = Crossing()
    run.l1(1).l1(2, FIRST, SECOND).l1_to(2 + DEPTH, first=3)
    return run.seen(2 + DEPTH)


def sick(price: int = 94) -> Run:
    """Alice long 9 from 100; the price falls and a keeper may liquidate her in the open block."""
    return market(expires_in=500).trade("alice", "maker", 9, 100).block().price(price).block()


def due() -> Run:
    """The open block is one past the expiry of everything `traded` opened; nothing is final yet."""
    run = market(expires_in=20).trade("alice", "maker", 5, 100).trade("bob", "writer", 2, 5, series=3)
    return run.blocks(20, price=97).block()


def pending() -> Run:
    """A top-up was forced in the L1 block of the restart, and waits for its origin; the open block is another."""
    return in_distress().l1_block(2, plea(100)).block(origin=1)


def twice_after_a_fork() -> Run:
    """A block that a replica showed loses, and what was in it is in two others."""
    run = market().block()
    tx = run.transaction()
    run.block()
    run._open["transactions"].append({"hash": tx, "sender": ALICE, "to": ALICE, "ok": True, "gas": 1, "error": None})
    run.close()
    lost = next(line for line in run.lines if line["kind"] == "block" and line["number"] == run.number - 1)
    run.lines.append({**lost, "t": run.t, "node": "sequencer-1", "hash": block_hash(run.number - 1, 1), "events": []})
    return run.head("replica-9", "unsafe", run.number - 1, fork=1)


def stopped() -> Run:
    """Alice and `SAVED` are below their margin, and liquidation has been allowed again in the block before this one."""
    run = market(expires_in=500).deposit(SAVED.address, 100).trade(SAVED.address, "maker", 9, 100)
    return run.block().price(94).pause(2).l1_block(1).block(origin=1).price(94).unpause(2).block(origin=1).price(94)


def entering() -> Run:
    """The same, and the open block is the first with that origin."""
    return in_distress().l1_block(2, plea(100)).block(origin=2)


def bystanding() -> bytes:
    return sign_transaction(account(101).key, chain_id=901, nonce=0, to=ALICE, gas=400_000)


def settled() -> Run:
    run = due().finalize(1).finalize(3)
    return run.settle("alice").settle("maker").settle("bob", 3).settle("writer", 3)


def settled_twice() -> Run:
    run = settled()
    again = next(args for name, _, args in run._events if name == "Settled")
    return run.block().raw("Settled", **again)


def after_outage(blocks: int, *, lag: int = 0) -> Run:
    """An outage of 9 s with alice under MM, and that many blocks (of grace) until the open one."""
    return sick().behind(lag).block(dt=9).price(94).blocks(blocks, price=94).block()


def while_down() -> Run:
    run = sick()
    return run.system("UptimeChanged", up=False, startedAt=run.timestamp).liquidate("alice")


def under_faults() -> Run:
    """Alice falls and is liquidated while the keepers are cut off."""
    run = market(expires_in=500).trade("alice", "maker", 9, 100).fault("inject").blocks(5, price=94)
    return run.block().liquidate("alice").fault("heal")


def one_node() -> Run:
    return Run(followers=False).blocks(6)


def no_heads() -> Run:
    run = quiet().close()
    run.lines = [line for line in run.lines if line["kind"] != "head"]
    return run


def heads_of_l1() -> Run:
    return no_heads().wait(1).head("l1-0", "safe", 5).head("l1-0", "safe", 3).head("l1-1", "safe", 5, fork=1)


def label(name: str, number: int, fork: int = 0) -> Story:
    """A replica that was right until now labels that block."""
    return lambda: Run().blocks(10).wait(1).head("replica-0", name, number, fork=fork)


def told(said: str, *, landed: bool) -> Story:
    def story() -> Run:
        run = traded().op("trader-0/1", "invoke")
        return run.op("trader-0/1", said, run.transaction(ok=landed)).block()
    return story


def lost() -> Run:
    return traded().op("trader-0/1", "invoke").op("trader-0/1", "ok", "0x" + "99" * 32).block()


def twice() -> Run:
    run = Run().block()
    run.transaction()
    run.block()
    run._serial -= 1
    run.transaction()
    return run


def standing_still() -> Run:
    return one_node().head("replica-0", "committed", 6).phase("heal").blocks(12)


def hedge_covered() -> Run:
    """The fund pays for one leg of a hedge although the other, worth more, is still open."""
    run = market(expires_in=20).trade("maker", "alice", -5, 100).trade("maker", "alice", -5, 2, series=3)
    run.blocks(20, price=70).block().finalize(1).finalize(3).settle("alice", 1)
    run.raw("BadDebt", account=ALICE, covered=50 * W, remaining=10 * W)
    return run.state(corrupt={"totals.insurance": -50 * W, f"accounts.{ALICE}.cash": 50 * W})


def perpetual() -> Run:
    """Alice long 3 of a perpetual (4) at a premium of 2 %."""
    return market().list_series(3).trade("alice", "maker", 3, 102, series=4)


def funded() -> Run:
    """A rate in force since the window ended, and alice's first payment of it made."""
    run = perpetual().blocks(16, price=100).block().accrue(4).blocks(5, price=100).block().price(100)
    return run.settle_funding("alice", 4)


def steps() -> Run:
    """Two accruals since alice's last settlement; the open block is of the second."""
    return funded().blocks(3, price=100).block().price(100).accrue(4).blocks(3, price=100).block().price(100)


def after_gap(seconds: int) -> Run:
    """No price for that long; the index moves as if all of it had counted."""
    return funded().blocks(seconds).block().price(100).accrue(4, index=10 * W)


def funded_by_trade(size: int) -> Run:
    """Alice trades; her funding is told as if she had held the new size all along."""
    run = perpetual().blocks(16, price=100).block().accrue(4).blocks(5, price=100).block().price(100)
    run.trade("alice", "maker", size, 100, series=4)
    index, (name, tx, args) = next(
        (i, event) for i, event in enumerate(run._events) if event[0] == "FundingSettled")
    run._events[index] = (name, tx, {**args, "cashDelta": args["cashDelta"] * (3 + size) // 3})
    return run


def bankrupt(price: int = 87) -> Run:
    """Alice long 9 from 100 at 87: −17 once closed, with 50 of insurance. At 91: 19 left, less than her penalty."""
    return sick(price)


def short_of_insurance() -> Run:
    """Diver long 9 from 100 at 84, with 10 of insurance: 44 lost, so that profits must be given up."""
    run = market(expires_in=500, insurance=10).deposit("diver", 100).trade("diver", "maker", 9, 100)
    return run.block().price(84).block()


def in_deficit() -> Run:
    """A settlement in the grace of an outage left 75 that nobody covered."""
    run = market(expires_in=30, insurance=10).trade("alice", "maker", 9, 100)
    run.block(dt=9).price(75).blocks(21, price=75)
    return run.block().finalize(1).settle("alice").settle("maker").state()


def partly(off: int) -> Run:
    """The account is liquidated for so many lots more (or wei less) than restores it."""
    run = sick().liquidate("alice")
    index = next(i for i, (name, _, _) in enumerate(run._events) if name == "PositionTransferred")
    size = run._events[index][2]["size"]
    run._corrupt(index, {"size": size + off * 10**15 if off > 0 else size - 10**15})
    return run


def debt_a_wei_short() -> Run:
    run = market(expires_in=20).trade("maker", "alice", -5, 100).blocks(20, price=60).block().finalize(1)
    run.settle("alice", 1)
    name, tx, args = run._events[-1]
    run._events[-1] = (name, tx, {**args, "remaining": args["remaining"] - 1})
    return run


def seen_sick(path: str) -> Run:
    return sick().state(corrupt={path: -1}).block().liquidate("alice")


def attempt(error: str) -> Run:
    run = sick()
    run.transaction(ok=False, error=error, to="liquidator")
    return run


def during_grace(action: str, error: str | None) -> Run:
    run = after_outage(5).op("trader-0/1", "invoke", action=action)
    return run.op("trader-0/1", "fail", run.transaction(ok=False, error=error), action=action)


def late_final(wrong: Callable[[int], int]) -> Run:
    """Finalized after a further round, at a price of which that round is part."""
    return due().block().price(99).block().finalize(1, price=wrong(97 * W))


def below_zero(**wrong: int) -> Run:
    run = Run().block().price(2, asset="OIL").list_series(0, expires_in=20, asset="OIL")
    run.deposit("alice", 100).deposit("maker", 100).trade("alice", "maker", 1, 2)
    for _ in range(20):
        run.block().price(-3, asset="OIL")
    return run.block().finalize(1).settle("alice", **wrong)


def both_sides(**wrong: int) -> Run:
    """A call and a put of one strike and expiry, both settled at 103."""
    run = market(expires_in=20).trade("alice", "writer", 2, 5, series=2).trade("bob", "writer", 2, 5, series=3)
    run.blocks(20, price=103).block().finalize(2).finalize(3)
    return run.settle("alice", 2, **wrong).settle("bob", 3)


def late_window(price: int) -> Run:
    """A round of the window lands three seconds after it was observed."""
    run = market(expires_in=20).trade("alice", "maker", 5, 100).blocks(15, price=97).blocks(4).block()
    run.timestamp += 0
    return run.price(96, age=3).price(97).block().finalize(1, price=price)


def flash(did: str) -> Run:
    """The price moves and is used in one transaction."""
    run = sick() if did == "liquidate" else market()
    run.price(94 if did == "liquidate" else 100)
    count = len(run._events)
    if did == "liquidate":
        run.liquidate("alice")
    else:
        run.trade("alice", "maker", 1, 100)
    moved = run._events[count - 1][1]
    run._events[count:] = [(name, moved, args) for name, _, args in run._events[count:]]
    return run


def flashed() -> Run:
    """The pool is at twice the index when Alice trades, and so is what she is charged."""
    run = market()
    pool = Pool(run)
    run.block()
    pool.swap("leader", buys=True, amount=83_000 * USD)
    return run.trade("alice", "maker", 1, 100, fee=10**17)


def around(*, tolerance: int | None, after: bool = True, late: int = 0, more: int = 0, **wrong: Any) -> Run:
    """A leader buys 5 of the pool before Alice does, and sells them after her: she is quoted 24.3 and gets 24.1."""
    run = market()
    pool = Pool(run)
    run.block()
    pool.quote(buys=True, amount=5_000 * USD).swap("leader", buys=True, amount=1_000 * USD)
    if more:
        wrong["amountOut"] = pool.pool.amount_out(buys=True, amount_in=5_000 * USD) + more
    pool.swap("alice", buys=True, amount=5_000 * USD, tolerance=tolerance, late=late, **wrong)
    if after:
        pool.swap("leader", buys=False, amount=4 * W)
    return run.block()


def quoted(left_s: int | None, args: Mapping[str, Any] | None = None) -> Run:
    """A quote taken, and how many seconds before its deadline, by what its taker recorded afterwards."""
    run = market().block().op("trader-0/1", "invoke", args=args).trade("alice", "maker", 1, 100)
    detail = {} if left_s is None else {"deadline": run.timestamp + left_s}
    return run.op("trader-0/1", "ok", run.last, **detail)


def provided(what: str, **off: int) -> Run:
    """A tenth of the pool more, a seventh less, or one share more than are anybody's."""
    run = market()
    pool = Pool(run)
    run.block()
    if what == "add":
        pool.add(100 * W, 20_000 * USD, **off)
    else:
        pool.remove(pool.pool.shares // 7 if what == "remove" else pool.pool.shares - 999, **off)
    return run.block().state()


def reporting(run: Run, count: int) -> Run:
    """As if the run had so many reporters."""
    run.lines[0]["accounts"] |= {f"reporter-{index}": address(f"reporter{index}") for index in range(count)}
    return run


def dismissed(sources: int, *, back: bool = False) -> Run:
    """One of four reporters loses its vote by the timelock, and may get it back; then a round of that many."""
    run = reporting(quiet(), 4)
    for salt, votes in ((1, False), (2, True)) if back else ((1, False),):
        run.block().announce(0, salt=salt).blocks(20, price=100).block()
        tx = run._next("timelock")
        run._emit("ReporterChanged", tx, reporter=address("reporter3"), isReporter=votes)
        run._execute(tx, salt, (0,))
    return run.block().price(100, sources=sources)


def turned_away(error: str, *, tolerance: int) -> Run:
    """Alice's swap behind a leader's is refused; at a tolerance of 0 she would get too little, at 150 bps enough."""
    run = market()
    pool = Pool(run)
    run.block()
    pool.quote(buys=True, amount=5_000 * USD).swap("leader", buys=True, amount=1_000 * USD)
    pool.refused("alice", error, buys=True, amount=5_000 * USD, tolerance=tolerance)
    return run.block()


def two_asks() -> Run:
    """Asks of 2 at 101 (order 1), of 3 at 100 (2) and of 1 at 100 (3)."""
    run = market().open_market().place("maker", -2, 101).place("maker", -3, 100).place("writer", -1, 100)
    return run.block()


def resting() -> Run:
    """A book with two sides, and nothing filled."""
    return market().open_market().place("maker", -2, 101).place("writer", 2, 99).state()


def capped(size: int) -> Run:
    """A future whose open interest may be 500, i.e. five at 100; its margin does not scale."""
    run = market().list_series(0, expires_in=60).terms(oi_lower=500, oi_cap=500)
    return run.block().trade("writer", "maker", size, 100, series=4)


def lent(size: int) -> Run:
    """Bob long 5 from 100 at 110, in a market that lends 20 against profit: he has 100 + 20, less fees."""
    run = market().list_series(0, expires_in=60).terms(profit_cap=20).trade("bob", "maker", 5, 100, series=4)
    return run.block().price(110).block().trade("bob", "maker", size, 110, series=4)


def spread() -> Run:
    """A call written at 90 and one held at 110, of one expiry, with relief: 20 a unit at most."""
    run = market().list_series(1, expires_in=60, strike=90).terms(option_margin=1)
    run.list_series(1, expires_in=60, strike=110).terms(option_margin=1).deposit("spreader", 100)
    run.block().trade("maker", "spreader", 2, 12, series=4).trade("spreader", "maker", 2, 2, series=5)
    return run.price(130)


SPREADER = address("spreader")


def crashed(**halt: object) -> Run:
    """Alice long 3 at 100, bob at nothing; a price 20 % down in the open block."""
    run = market(expires_in=500).trade("alice", "maker", 3, 100).block()
    return run.price(80, **halt).block()  # type: ignore[arg-type]


def unwatched(silence: int = 20) -> Run:
    """Alice holds a future (1) that expires after so long a silence of the oracle; the open block is past it."""
    run = market(expires_in=silence + 6).trade("alice", "maker", 5, 100).blocks(6, price=100).blocks(silence)
    return run.block().price(97).block()


def in_dispute(seconds: int = 0, price: int | None = None) -> Run:
    """The series of `unwatched` (30 s of silence) in dispute for so long, with or without new prices."""
    return unwatched(30).dispute(1).state().blocks(seconds, price=price).block()


def restarted_at_nothing() -> Run:
    """The feed tells of a restart without saying when, and alice is liquidated on it."""
    run = sick().block(dt=9)
    run._corrupt(-1, {"startedAt": 0})
    return run.price(94).liquidate("alice")


def sure_of_nothing() -> Run:
    """Alice is liquidated in the very first block, without any word of the system before it."""
    run = Run()
    run.number = -1
    run.block(parent="0x" + "ff" * 32).price(100, age=5).list_series(0, expires_in=500)
    for name, amount in (("alice", 100), ("maker", 100_000), ("keeper", 10_000)):
        run.deposit(name, amount)
    return run.trade("alice", "maker", 9, 100).price(94).liquidate("alice").state().block()


def pleading(action: str, error: str | None, *, paused: int = 1, setting: Story = traded,
             args: Mapping[str, Any] | None = None, **detail: Any) -> Story:
    """While something is paused a client calls for what must stay possible, and is refused."""
    def story() -> Run:
        run = setting().state().block().price(100).pause(paused).block()
        run.op("trader-0/1", "invoke", action=action, args=args)
        refused = run.transaction(ok=False, error=error, sender="alice")
        return run.op("trader-0/1", "fail", refused, action=action, **detail)
    return story


def settling(error: str, *, account: str = "bob", series: int = 1) -> Story:
    """Trading is paused and the prices are final; somebody's call to settle is refused."""
    return pleading("settle", error, setting=lambda: due().finalize(1).finalize(3),
                    args={"account": address(account), "series": series})


def resumed(seconds: int, *, price: int | None = 94, lag: int = 0) -> Run:
    """Alice under MM, liquidation paused for a block and allowed again so long ago."""
    run = sick().pause(2).price(94).behind(lag).block().unpause(2)
    return run.blocks(seconds - 1, price=price).block() if seconds else run


def paused_funding() -> Run:
    """Trading is paused between two accruals; the open block is of the second."""
    return funded().accrue(4).state().block().price(100).pause(1).blocks(6, price=100).block().price(100)


def paused_auction() -> Run:
    """An auction of which three of fourteen seconds count; the open block is right after the pause."""
    run = bankrupt(91).start_auction("alice").blocks(2, price=91).block().price(91).pause(2)
    return run.blocks(10, price=91).block().price(91).unpause(2)


def shown(setting: Story, path: str, off: int = 1) -> Story:
    """One number of governance is off in storage."""
    def story() -> Run:
        run = setting()
        run.shows_governance = True
        return run.state().block().state(corrupt={f"governance.{path}": off})
    return story


TIGHTER = (1_100, 700, 1_500, 1_000, 750)


def tightened(seconds: int, *, delay: int = 20, salt: int | None = 1, said: tuple[int, ...] | None = None) -> Run:
    """Factors announced and, so many seconds later, made."""
    run = traded().announce(*TIGHTER, delay=delay).blocks(seconds - 1, price=100).block().price(100)
    return run.set_factors(*TIGHTER, salt=salt, said=said)


def too_late(seconds: int) -> Run:
    """A trade turned away as expired, so many seconds after a series of 20 s was listed."""
    run = market(expires_in=20).blocks(seconds, price=100)
    run.transaction(ok=False, error=f"SeriesExpired(1, {START + 21})")
    return run


def two_pools(path: str = "", off: int = 1) -> Run:
    """A future (4) in an isolated pool, alice long in it; the last block has a price only, and a field that is off."""
    run = market().list_series(0, expires_in=60).terms(pool=1).insure(5, pool=1).state()
    run.block().price(100).move("alice", 50, to=1).move("maker", 500, to=1)
    run.trade("alice@1", "maker@1", 3, 100, series=4).state().block().price(101)
    return run.state(corrupt={path: off}) if path else run


def overdrawn() -> Run:
    """More leaves an isolated pool than is in it, and is back before anybody reads."""
    run = two_pools().block()
    run.move("maker", 600, to=0, source=1)
    return run.move("maker", 600, to=1).state()


def upgraded() -> Run:
    """Alice long 9 from 100; the liquidator's code is switched in a block without a price, read before and after."""
    run = market(expires_in=500).trade("alice", "maker", 9, 100).announce(2).blocks(20, price=100)
    return run.state().block().upgrade()


def set_up_by_anybody() -> Run:
    run = traded().block().op("admin-0/1", "invoke", action="reinitialize")
    return run.op("admin-0/1", "ok", run.transaction(to="liquidator"), action="reinitialize")


def after_upgrade() -> Run:
    return upgraded().block().price(94).block()


def by_another(event: str) -> Run:
    """The second of two such events comes from code behind the liquidator's address."""
    run = after_upgrade().liquidate("alice").block().price(88).block().liquidate("alice").close()
    told = [item for line in run.lines if line["kind"] == "block" for item in line["events"] if item["name"] == event]
    told[-1]["contract"] = "liquidator_v1"
    return run


def behind() -> Run:
    run = after_upgrade()
    run._next("version1")
    return run


def came_back(*, fork: int = 0) -> Run:
    run = Run().blocks(10).fault("inject", word="kill", target="replica-0").wait(1)
    run.fault("heal", word="kill", target="replica-0")
    return run.wait(1).head("replica-0", "committed", 8, fork=fork)


CASES: dict[str, Case] = {
    "C1": Case(unread, {
        "more custody than owed": storage("totals.custody"),
        "a pool that owes more than its balance": lambda: two_pools("pools.1.balance", -1),
        "one pool's loss with another": lambda: two_pools().state(
            corrupt={"pools.1.fees": -1, "pools.0.fees": 1, "totals.fees": 1}),
        "a wei of cash from nowhere": storage(f"accounts.{ALICE}.cash"),
        "a wei of dust lost": storage("totals.dust", -1),
    }),
    "C5": Case(quiet, {
        "collateral gone to the cross pool": lambda: two_pools().state(
            corrupt={"pools.1.balance": -5 * W, "pools.0.balance": 5 * W}),
        "an insurance that paid for another pool": lambda: two_pools("pools.0.insurance", -W),
        "a deficit handed over": lambda: two_pools("pools.0.deficit", W),
        "a balance below zero": lambda: two_pools("pools.1.balance", -1_000 * W),
        "a balance below zero between two reads": overdrawn,
        "a trade between pools": lambda: two_pools().trade("bob", "maker@1", 1, 100, series=4),
    }),
    "C2": Case(unread, {
        "tokens taken without a withdrawal": storage("totals.custody", -5_000_000),
        "tokens nobody deposited": storage("totals.custody"),
    }),
    "C3": Case(lambda: market(insurance=0).state(), {
        "moved without a reason": storage("totals.insurance"),
        "moved without a reason in a pool": lambda: two_pools("pools.1.insurance"),
        "negative": lambda: market(insurance=0).state(corrupt={"totals.insurance": -1}),
        "paid to an account that still holds a position": hedge_covered,
    }),
    "C4": Case(unread, {
        "insurance paid a wei more than the loss": lambda: bankrupt().liquidate("alice", covered=W),
        "a wei of the loss nobody bore": lambda: bankrupt().liquidate("alice", badDebt=1),
        "a settlement's debt a wei short": debt_a_wei_short,
        "a penalty that nobody had": lambda: bankrupt(88).liquidate("alice", stage=1).state(),
        "a debt with nothing held": lambda: settled().state(corrupt={f"accounts.{ALICE}.cash": -10**6 * W}),
    }),
    "C6": Case(unread, {
        "a withdrawal behind a deficit": lambda: in_deficit().block().withdraw("maker", 5),
        "a deficit of a pool out of nowhere": lambda: two_pools("pools.1.deficit"),
        "the deficit forgotten": lambda: in_deficit().state(corrupt={"totals.deficit": -75 * W}),
        "a haircut that paid less than it says": lambda: in_deficit().block().insure(1).cover_deficit().block()
        .price(60).haircut(amount=1),
    }),
    "C7": Case(unread, {
        "custody short of what may be withdrawn": storage("totals.custody", -90_000_000_000),
        "storage lets somebody take what others put in": storage(f"accounts.{ALICE}.cash", 10**6 * W),
        "storage asks nobody for margin": lambda: traded().state().block().state(
            corrupt={f"accounts.{address('maker')}.im": -(10**6) * W}),
    }),
    "A1": Case(quiet, {
        "positions do not cancel": storage(f"accounts.{ALICE}.positions.0.size"),
    }),
    "A2": Case(quiet, {
        "open interest is not the longs": storage("series.1.open_interest", -1),
        "open interest of a settled series": lambda: settled().state(corrupt={"series.1.open_interest": 1}),
    }),
    "A4": Case(lambda: traded().state(), {
        "a trade made cash": lambda: market().state().block().trade("alice", "maker", 5, 100)
        .state(corrupt={f"accounts.{ALICE}.cash": W}),
        "a trade lowered an entry notional": lambda: market().state().block().trade("alice", "maker", 5, 100)
        .state(corrupt={f"accounts.{ALICE}.positions.0.notional": -W}),
    }),
    "A5": Case(lambda: traded().state(), {
        "a deposit credited a wei less": lambda: quiet().block().deposit("alice", 5)
        .state(corrupt={f"accounts.{ALICE}.cash": -1}),
        "a withdrawal debited a wei less": lambda: quiet().block().withdraw("alice", 5)
        .state(corrupt={f"accounts.{ALICE}.cash": 1}),
    }),
    "A7": Case(quiet, {
        "a wei above the exact sum": lambda: traded().state(corrupt={f"accounts.{ALICE}.cash": 1}),
        "more lost than the roundings": lambda: traded().state(corrupt={f"accounts.{ALICE}.cash": -5}),
        "a fee that was never told": lambda: market().trade("alice", "maker", 5, 100, fee=0).state(),
    }),
    "A8": Case(lambda: due().finalize(1).settle("alice").block().settle("maker").state(), {
        "the first to come got more": lambda: settled().state(corrupt={f"accounts.{ALICE}.cash": 1}),
        "the last to come got less": lambda: settled().state(corrupt={f"accounts.{address('writer')}.cash": -1}),
    }),
    "A3": Case(quiet, {
        "fell": lambda: market().trade("alice", "maker", 0, 0, size_wad=W // 3, price_wad=100 * W + 1).state()
        .block().state(corrupt={"totals.dust": -1}),
        "more than one wei a rounding": storage("totals.dust", 100),
        "negative": storage("totals.dust", -100),
    }),
    "A6": Case(unread, {
        "a mean without its clamp": lambda: quiet().block().price(
            100, prices=(100 * W, 100 * W, 200 * W), said=400 * W // 3).state(),
        "a halt that was never told": lambda: crashed(halt=False).state(),
        "a halt that is shorter in storage": lambda: crashed().state(corrupt={"assets.ETH.halted_until": -1}),
        "a dispute's time": lambda: in_dispute().state(corrupt={"series.1.disputed_at": 1}),
        "a second covered too much": storage("assets.ETH.covered"),
        "resolved and not final": lambda: in_dispute(60).raw("DisputeResolved", seriesId=1, route=3, price=100 * W)
        .state(),
        "a pool's books differ": lambda: two_pools("pools.1.dust"),
        "a move that was not noted": storage(f"accounts.{ALICE}.moved_at", -1),
        "an account of another pool": lambda: two_pools(f"accounts.{address('alice@1')}.pool", -1),
        "storage differs": storage("series.1.open_positions"),
        "an amount differs": lambda: market().trade("alice", "maker", 5, 100, fee=1).state(),
        "an order out of place": lambda: resting().block().state(corrupt={"book.1.0.0": 1}),
        "an order longer than it is": lambda: resting().block().state(corrupt={"book.1.1.4": 1}),
        "bad debt that was none": hedge_covered,
        "a swap that gave a unit too much": lambda: around(tolerance=None, more=1).state(),
        "a swap without its fee": lambda: around(tolerance=None, amountOut=24_149_867_408_279_316_000).state(),
        "a swap after its deadline": lambda: around(tolerance=150, late=1).state(),
        "a swap that gave less than it accepts": lambda: around(tolerance=10).state(),
        "a unit that left the pool unseen": lambda: around(tolerance=None).state(corrupt={"spot.quote": -1}),
        "a share that nobody gave": lambda: around(tolerance=None).state(corrupt={"spot.shares": 1}),
        "liquidity at another ratio": lambda: provided("add", quote=-1),
        "a share too many for what came in": lambda: provided("add", shares=1),
        "a share that brought too much": lambda: provided("remove", underlying=1),
        "the locked shares redeemed": lambda: provided("drain"),
        "a status that changed without a reason": lambda: traded().block().system("UptimeChanged", up=True, startedAt=1)
        .state(),
    }),
    "M3": Case(quiet, {
        "MM above IM": storage(f"accounts.{ALICE}.mm", 10**30),
        "MM below zero": storage(f"accounts.{ALICE}.mm", -(10**30)),
        "less to open for the larger of two": lambda: two_alone(f"accounts.{address('bob')}.im"),
        "less to keep for the larger of two": lambda: two_alone(f"accounts.{address('bob')}.mm"),
    }),
    "M1": Case(lambda: quiet().block().withdraw("alice", 1), {
        "too large a position": lambda: market().trade("alice", "maker", 10, 100),
        "premium without cash": lambda: market().deposit("pauper", 1).trade("pauper", "writer", 5, 10, series=2),
        "worse by rule 3.9": lambda: market().trade("alice", "maker", 9, 100).block().price(97).block()
        .trade("maker", "alice", 3, 88),
        "a keeper under his margin": lambda: sick().deposit("poor", 1).liquidate("alice", "poor"),
    }),
    "M2": Case(unread, {
        "margin withdrawn": lambda: traded().block().withdraw("alice", 50),
        "a final payoff owed": lambda: market(expires_in=20).trade("maker", "writer", 5, 8, series=2)
        .blocks(20, price=200).block().finalize(2).block().withdraw("writer", 900),
    }),
    "M4": Case(lambda: market().state().block().deposit("alice", 5).state(), {
        "a top-up that lowered the equity": lambda: market().trade("alice", "maker", 9, 100).state().block()
        .deposit("alice", 1).state(corrupt={f"accounts.{ALICE}.equity": -90 * W}),
    }),
    "M5": Case(traded, {
        "more risk while under IM": lambda: market().trade("alice", "maker", 9, 100).block().price(97).block()
        .trade("maker", "alice", 3, 88),
        "a worse ratio": lambda: market().trade("alice", "maker", 9, 100).block().price(97).block()
        .trade("alice", "maker", -1, 88),
    }),
    "M6": Case(lambda: market().trade("alice", "maker", 5, 100).state(), {
        "less than the worst loss of a spread": lambda: spread().state(corrupt={f"accounts.{SPREADER}.mm": -1}),
        "to open, less than the worst loss": lambda: spread().state(corrupt={f"accounts.{SPREADER}.im": -1}),
        "less than a short owes": lambda: market().trade("maker", "writer", 5, 8, series=2).price(120)
        .state(corrupt={f"accounts.{address('writer')}.mm": -46 * W}),
    }),
    "M7": Case(traded, {
        "opened against all of it": lambda: lent(6),
    }),
    "T8": Case(traded, {
        "a unit beyond the cap": lambda: capped(6),
    }),
    "M9": Case(quiet, {
        "premium without cash": lambda: market().deposit("pauper", 1).trade("pauper", "writer", 5, 10, series=2),
    }),
    "T1": Case(quiet, {
        "future outside the band": lambda: market().trade("alice", "maker", 1, 111),
        "call dearer than its underlying": lambda: market().trade("alice", "maker", 1, 101, series=2),
        "negative premium": lambda: market().trade("alice", "maker", 1, -1, series=3),
    }),
    "T2": Case(quiet, {
        "a nonce filled twice": lambda: market().trade("alice", "maker", 1, 100, nonce=7)
        .trade("bob", "maker", 1, 100, nonce=7),
    }),
    "T9": Case(traded, {
        "a second late": lambda: quoted(-1),
        "late, as its taker said before": lambda: quoted(None, {"deadline": START}),
    }),
    "T3": Case(resting, {
        "a worse price first": lambda: two_asks().place("alice", 1, 101, fill={"orderId": 1, "price": 101 * W}),
        "the newer of two at one price": lambda: two_asks().place("alice", 1, 101, fill={"orderId": 3}),
    }),
    "T4": Case(resting, {
        "more than was offered": lambda: two_asks().place("alice", 3, 100, fill={"size": 4 * W}),
        "at another price": lambda: two_asks().place("alice", 1, 101, fill={"price": 101 * W}),
        "a fill that is another trade": lambda: two_asks().place("alice", 2, 100, fill={"size": 1 * W}),
        "of an order that is not there": lambda: two_asks().place("alice", 1, 101, fill={"orderId": 9}),
        "removed with more than it had": lambda: two_asks().cancel_order("maker", 1, rest=-3 * W),
        "beyond the taker's limit": lambda: two_asks().place("alice", 1, 100, fill={"orderId": 1, "price": 101 * W}),
    }),
    "T5": Case(resting, {
        "maker and taker are one": lambda: market().open_market().place("alice", -1, 100).block()
        .raw("OrderPlaced", orderId=2, account=ALICE, seriesId=1, size=W, price=100 * W, mode=0, deadline=START + 99)
        .raw("OrderFilled", orderId=1, takerOrderId=2, size=W, price=100 * W),
    }),
    "T6": Case(lambda: two_asks().state(), {
        "a bid above an ask": lambda: resting().block().state(corrupt={"book.1.0.3": 2 * W}),
        "an order of nothing": lambda: resting().block().state(corrupt={"book.1.1.2": 2 * W}),
    }),
    "T7": Case(resting, {
        "by another": lambda: resting().block().cancel_order("bob", 1),
        "for what its maker could well have done": lambda: resting().block().raw(
            "OrderPlaced", orderId=3, account=ALICE, seriesId=1, size=W, price=101 * W, mode=2, deadline=START + 99)
        .raw("OrderRemoved", orderId=1, reason=4, rest=-2 * W),
    }),
    "LS1": Case(unread, {
        "healthy": lambda: sick(95).liquidate("alice"),
        "on a stale price": lambda: sick().blocks(21).block().liquidate("alice"),
    }),
    "Q1": Case(unread, {
        "skipped": lambda: entering().price(94),
        "behind another": lambda: entering().price(94).signed(plea(100), deposits=100),
        "a block too late": lambda: entering().block(origin=2).signed(plea(100), deposits=100),
        "never, at an origin left out": lambda: in_distress().l1_block(2, plea(100)).l1_block(3).block(origin=3),
        "the newest first": lambda: in_distress().l1_block(2, plea(5), bystanding()).block(origin=2)
        .signed(bystanding()).signed(plea(5), deposits=5),
        "executed beyond the window": lambda: in_distress().l1_block(2, plea(100), ago=1).block(dt=33, origin=2)
        .signed(plea(100), deposits=100),
        "still not due beyond the window": lambda: in_distress().l1_block(2, plea(100), ago=1).block(dt=33),
    }),
    "Q2": Case(lambda: market().l1_block(1, plea(100)).block(origin=1).signed(plea(100), deposits=100), {
        "liquidated first, in the grace": lambda: pending().liquidate(SAVED.address).block(origin=2)
        .signed(plea(100), deposits=100),
        "liquidated first, after the grace": lambda: pending().blocks(31, price=94).block().liquidate(SAVED.address)
        .block(origin=2).signed(plea(100), deposits=100),
        "liquidated before it in one block": lambda: pending().blocks(31, price=94).block(origin=2)
        .liquidate(SAVED.address).signed(plea(100), deposits=100),
        "liquidated and never topped up": lambda: pending().blocks(31, price=94).block(origin=2)
        .liquidate(SAVED.address),
        "liquidated first, after a pause": lambda: stopped().l1_block(2, plea(100)).blocks(31, price=94).block()
        .liquidate(SAVED.address).block(origin=2).signed(plea(100), deposits=100),
        "its auction began first": lambda: pending().price(91).start_auction(SAVED.address).block(origin=2)
        .signed(plea(100), deposits=100),
    }),
    "Q5": Case(quiet, {
        "an L1 transaction twice": lambda: in_distress().l1_block(2, plea(5), fork=77).l1_block(2, plea(5))
        .l1_block(3, plea(5), first=1, named=2),
        "an L2 transaction twice": twice_after_a_fork,
        "storage wrong after it": lambda: in_distress().l1_block(2, plea(5), fork=77).l1_block(2).block()
        .state(corrupt={"totals.dust": 1}),
    }),
    "LS2": Case(lambda: sick().liquidate("alice"), {
        "within the grace": lambda: after_outage(10).liquidate("alice"),
        "within it by L1's clock": lambda: after_outage(30, lag=6).liquidate("alice"),
        "an auction within it": lambda: after_outage(10).start_auction("alice"),
        "before a price after the restart": lambda: sick().block(dt=9).blocks(35).block().liquidate("alice"),
        "while down": while_down,
    }),
    "LS4": Case(unread, {
        "penalty above its rate": lambda: sick().liquidate("alice", toKeeper=20 * W, toInsurance=20 * W),
        "taken below the index": lambda: sick().liquidate("alice", transfer={"price": 93 * W}),
        "more than a counterparty had won": lambda: short_of_insurance().liquidate(
            "diver", deleveraged={"cost": 145 * W}),
    }),
    "LS3": Case(unread, {
        "at the price of its own trade": lambda: market().trade("alice", "maker", 9, 100).block().liquidate("alice"),
        "at the price of its own withdrawal": lambda: market().trade("alice", "maker", 5, 100).block().price(99)
        .block().withdraw("alice", 1).liquidate("alice"),
        "at an older one pulled in later": lambda: market(expires_in=500).blocks(4).block()
        .trade("alice", "maker", 9, 100).block().price(94, age=2).liquidate("alice"),
        "an auction at one of the trade's second": lambda: market(expires_in=500).blocks(4).block()
        .trade("alice", "maker", 9, 100).block().price(91, age=1).start_auction("alice"),
    }),
    "LS6": Case(unread, {
        "a reward out of the insurance": lambda: bankrupt().liquidate("alice", toKeeper=5 * W, covered=22 * W),
        "insurance beyond the loss": lambda: bankrupt().liquidate("alice", covered=18 * W),
        "a penalty that nobody had": lambda: bankrupt(88).liquidate("alice", stage=1),
        "taken below the index from who has nothing": lambda: bankrupt().liquidate(
            "alice", transfer={"price": 80 * W}),
    }),
    "LL3": Case(lambda: bankrupt().liquidate("alice"), {
        "the first window forgotten": lambda: sick().liquidate("alice", toKeeper=0),
        "gas beyond the reward": lambda: sick().liquidate("alice", gas=70_000_000),
    }),
    "LS5": Case(lambda: bankrupt().liquidate("alice"), {
        "all of it closed": lambda: sick().liquidate("alice", transfer={"size": 9 * W}),
        "a lot too much": lambda: partly(2),
        "a wei too little": lambda: partly(-1),
    }),
    "LL4": Case(lambda: sick().liquidate("alice"), {
        "a bonus from the first second": lambda: bankrupt(91).liquidate("alice", toKeeper=W),
        "more than the account has": lambda: bankrupt(91).start_auction("alice").blocks(10, price=91).block()
        .liquidate("alice", toKeeper=20 * W),
        "decayed while liquidation was paused": lambda: paused_auction().liquidate("alice", stage=2, toKeeper=8 * W),
        "decayed while the chain was away": lambda: bankrupt(91).start_auction("alice").block(dt=9).price(91)
        .block().liquidate("alice", toKeeper=19 * W, toInsurance=0),
    }),
    "G2": Case(lambda: sick().liquidate("alice"), {
        "while paused": lambda: sick().pause(2).liquidate("alice"),
        "in the block of its end": lambda: resumed(0).liquidate("alice"),
        "a second within the grace": lambda: resumed(29).liquidate("alice"),
        "a second within it by L1's clock": lambda: resumed(32, lag=3).liquidate("alice"),
        "at a price from before its end": lambda: resumed(31, price=None).liquidate("alice"),
        "an auction began while paused": lambda: bankrupt(91).pause(2).start_auction("alice"),
    }),
    "G3": Case(lambda: traded().announce(*TIGHTER).pause(1).state(), {
        "by nobody": lambda: tightened(21, salt=None),
        "a second early": lambda: tightened(19),
        "after a delay of nothing": lambda: tightened(1, delay=0),
        "never announced": lambda: tightened(21, salt=2),
        "others than announced": lambda: tightened(21, said=(1_100, 700, 1_500, 1_000, 751)),
        "a reporter by nobody": lambda: traded().block().raw(
            "ReporterChanged", reporter=address("liar"), isReporter=True),
        "an upgrade by nobody": lambda: market(expires_in=500).upgrade(salt=None),
        "changed without a word": shown(traded, "mm_bps", 100),
    }),
    "G4": Case(funded, {
        "funding went on": lambda: paused_funding().accrue(4, integral=10**30),
        "an auction fell": lambda: paused_auction().liquidate("alice", stage=2, toKeeper=8 * W),
        "the funding clock ran": shown(lambda: traded().pause(1).blocks(3), "funding_clock"),
        "the auction clock ran": shown(lambda: traded().pause(2).blocks(3), "auction_clock"),
    }),
    "G6": Case(traded, {
        "opened": lambda: market().pause(1).trade("alice", "maker", 1, 100),
        "turned over": lambda: traded().pause(1).trade("alice", "maker", -6, 100),
        "withdrawn": lambda: market().pause(4).withdraw("alice", 1),
        "a haircut": lambda: in_deficit().block().insure(1).cover_deficit().block().price(60).pause(2).haircut(),
    }),
    "S10": Case(settled, {
        "refused for the pause": settling("TradingPaused()", account="alice"),
        "refused without a cause": settling("NotFinal(1)", account="alice"),
    }),
    "U1": Case(lambda: traded().state().block().state(), {
        "a wei of cash": lambda: upgraded().state(corrupt={f"accounts.{ALICE}.cash": 1}),
        "a position": lambda: upgraded().state(corrupt={f"accounts.{ALICE}.positions.0.size": -W}),
        "an auction from nowhere": lambda: upgraded().state(corrupt={f"accounts.{ALICE}.auction": 1}),
        "a move that was not made": lambda: upgraded().state(corrupt={f"accounts.{ALICE}.moved_at": 5}),
        "an account gone": lambda: upgraded().state(drop=("alice",)),
    }),
    "U2": Case(traded, {
        "by anybody": lambda: traded().block().set_up_again(),
        "as the next version": lambda: traded().block().set_up_again(2),
        "the same version again": lambda: traded().announce(2).blocks(20, price=100).block().upgrade(
            2, version=1),
        "an attempt that went through": set_up_by_anybody,
        "left open by its upgrade": lambda: traded().announce(2).blocks(20, price=100).block().upgrade(
            is_set_up=False),
    }),
    "U3": Case(lambda: sick().liquidate("alice"), {
        "a price at another scale": lambda: after_upgrade().liquidate("alice", transfer={"price": 94 * 10**8}),
        "an equity at another scale": lambda: after_upgrade().liquidate("alice", equityBefore=10**8),
        "a requirement at another scale": lambda: upgraded().state(corrupt={f"accounts.{ALICE}.mm": -W}),
    }),
    "U4": Case(lambda: sick().liquidate("alice"), {
        "code behind the address moved something": behind,
        "an event of the old code": lambda: by_another("Liquidated"),
        "another version than told": shown(upgraded, "version"),
    }),
    "U5": Case(lambda: Run().blocks(10), {
        "on another block": lambda: came_back(fork=1),
    }),
    "LL5": Case(unread, {
        "a part of it left": lambda: short_of_insurance().liquidate("diver", deleveraged={"size": 8 * W}),
        "closed twice": lambda: short_of_insurance().liquidate("diver", deleveraged={"size": 18 * W}),
        "more than the other had won": lambda: short_of_insurance().liquidate("diver", deleveraged={"cost": 900 * W}),
    }),
    "LS7": Case(unread, {
        "at a price nobody honest saw": lambda: sick(99).price(80, observed=(), wad=80 * W).record(
            "reporter-0", "observation", asset="ETH", round=3, timestamp=START + 2, price=str(80 * W),
            source=str(99 * W)).liquidate("alice"),
        "healthy at every true price": lambda: sick(96).liquidate("alice"),
    }),
    "LS8": Case(lambda: sick().liquidate("alice").state(), {
        "another equity than shown": lambda: seen_sick(f"accounts.{ALICE}.equity"),
        "another requirement than shown": lambda: seen_sick(f"accounts.{ALICE}.mm"),
        "shown as healthy": lambda: sick(95).state().block().liquidate("alice"),
    }),
    "Q4": Case(unread, {
        "opened and put up for auction at one price": lambda: market().block().trade("alice", "maker", 400, 100)
        .start_auction("alice"),
        "opened and liquidated at one price": lambda: market().block().trade("alice", "maker", 20, 100)
        .liquidate("alice"),
    }),
    "LL2": Case(unread, {
        "a panic": lambda: attempt("Panic(17)"),
        "an undocumented error": lambda: attempt("InsuranceShort(1)"),
    }),
    "LL6": Case(unread, {
        "a gas more than a quarter": lambda: sick().liquidate("alice", gas=7_500_001),
    }),
    "G1": Case(lambda: after_outage(20).deposit("alice", 1), {
        "top-up refused by another name": lambda: during_grace("deposit", "Paused()"),
        "top-up refused without a word": lambda: during_grace("deposit", None),
        "close panicked": lambda: during_grace("close", "Panic(17)"),
        "settlement for want of a fresh price": lambda: during_grace("settle", "StalePrice(1)"),
        "top-up refused": lambda: during_grace("deposit", "SequencerGrace(1)"),
        "close refused": lambda: during_grace("close", "SequencerDown()"),
        "settlement refused": lambda: during_grace("settle", "SequencerGrace(1)"),
        "top-up refused while trading is paused": pleading("deposit", "TradingPaused()"),
        "a price called stale that is fresh": pleading("close", "StalePrice(1)"),
        "a halt that is none": pleading("reduce", "MarketIsHalted(1)"),
        "a reduction refused as an opening": pleading("reduce", "TradingPaused()", series=1, size=str(-W)),
        "a pause of trading that is none": pleading("reduce", "TradingPaused()", paused=2, series=1, size=str(W)),
        "withdrawal refused for want of margin it has": pleading("withdraw", "InsufficientMargin(1,2)",
                                                                 args={"amount": "1000000"}),
        "withdrawal refused while only trading is paused": pleading("withdraw", "WithdrawalsPaused()"),
        "not final, though it is": settling("NotFinal(1)", account="alice"),
        "nothing to settle, though there is": settling("NothingToSettle(1)", account="alice"),
    }),
    "Q6": Case(traded, {
        "ordered at expiry": lambda: market(expires_in=20).open_market().blocks(20, price=97).place("alice", 1, 97),
        "refused a second before expiry": lambda: too_late(19),
        "executed at expiry": lambda: market(expires_in=20).blocks(20, price=97).trade("alice", "maker", 1, 97),
    }),
    "LL1": Case(under_faults, {
        "left liquidatable": lambda: sick().blocks(3, price=94),
        "left liquidatable after the grace": lambda: after_outage(34),
        "liquidated too late": lambda: sick().blocks(3, price=94).block().liquidate("alice"),
    }),
    "F1": Case(lambda: market().list_series(3).trade("alice", "maker", 3, 102, series=4).state(), {
        "the receiver rounded up": lambda: funded().state(corrupt={"series.4.clearing": -1}),
        "payer and receiver at different indices": lambda: funded().state(
            corrupt={f"accounts.{ALICE}.positions.0.funding_index": -W}),
    }),
    "F2": Case(traded, {
        "a rate beyond the cap": lambda: perpetual().blocks(16, price=100).block().accrue(4, rate=75 * W // 10_000 + 1),
        "stored beyond the cap": lambda: funded().state(corrupt={"series.4.funding.rate": W}),
    }),
    "F3": Case(lambda: perpetual().blocks(16, price=100).block().accrue(4), {
        "the whole gap at the first rate after it": lambda: after_gap(30),
        "outage paid as if it were up": lambda: funded().block(dt=15).accrue(4, index=W),
    }),
    "F4": Case(perpetual, {
        "at the size after the trade": lambda: funded_by_trade(2),
        "a wei in the user's favour": lambda: funded().block().price(100).settle_funding("alice", 4, cashDelta=0),
    }),
    "F5": Case(lambda: perpetual().blocks(16, price=100).block().accrue(4), {
        "late settlement paid more": lambda: steps().settle_funding("alice", 4, cashDelta=W),
        "late settlement lost more than its steps": lambda: steps().settle_funding("alice", 4, cashDelta=-W),
    }),
    "S1": Case(due, {
        "settled twice": settled_twice,
        "settled without a position": lambda: due().finalize(1).raw(
            "Settled", account=address("keeper"), seriesId=1, size=0, price=97 * W, cashDelta=0),
    }),
    "S2": Case(due, {
        "a wei too much": lambda: due().finalize(1).settle("alice", cashDelta=-15 * W + 1),
        "another size": lambda: due().finalize(1).settle("alice", size=1),
    }),
    "S3": Case(traded, {
        "finalized before expiry": lambda: traded().block().finalize(1),
        "traded at expiry": lambda: market(expires_in=20).blocks(20, price=97).trade("alice", "maker", 1, 97),
        "liquidated at expiry": lambda: market(expires_in=20).trade("alice", "maker", 9, 100).blocks(20, price=94)
        .liquidate("alice"),
        "an auction begun at expiry": lambda: market(expires_in=20).trade("alice", "maker", 9, 100).blocks(20, price=91)
        .start_auction("alice"),
    }),
    "S4": Case(due, {
        "not the average": lambda: due().finalize(1, price=97 * W + 1),
        "another price than the dispute gave": lambda: in_dispute(60).resolve(1, price=99 * W),
        "a second price": lambda: due().finalize(1).block().raw("SeriesFinalized", seriesId=1, price=97 * W),
        "storage shows another": lambda: due().finalize(1).state(corrupt={"series.1.price": 1}),
    }),
    "S6": Case(due, {
        "never finalized": lambda: due().blocks(10),
        "never disputed": lambda: market(expires_in=20).trade("alice", "maker", 5, 100).blocks(19, price=97).blocks(32),
        "a dispute nobody ended": lambda: in_dispute(71),
        "someone left behind": lambda: due().finalize(1).finalize(3).settle("alice").settle("bob", 3)
        .settle("writer", 3).blocks(10),
        "the last one paid what was left": lambda: due().finalize(1).finalize(3).settle("alice").settle("bob", 3)
        .settle("writer", 3).settle("maker", cashDelta=10 * W).blocks(10),
    }),
    "S5": Case(due, {
        "final after a silence": lambda: unwatched(30).finalize(1, price=100 * W),
        "disputed without cause": lambda: due().dispute(1),
        "disputed before patience was over": lambda: market(expires_in=20).trade("alice", "maker", 5, 100)
        .blocks(19, price=97).blocks(5).block().dispute(1),
        "a second of silence untold": lambda: unwatched(30).dispute(1, beyond=0),
        "the next window before it was over": lambda: in_dispute(14, 95).resolve(1, route=1, price=95 * W),
        "another average of the next window": lambda: in_dispute(20, 95).resolve(1, price=95 * W + 1),
        "carried before the window was over": lambda: in_dispute(40).resolve(1, route=3, price=100 * W),
        "a later round entered": lambda: late_final(lambda price: price + W),
        "before any round at expiry": lambda: market(expires_in=20).trade("alice", "maker", 5, 100)
        .blocks(19, price=97).block().raw("SeriesFinalized", seriesId=1, price=97 * W),
    }),
    "S7": Case(settled, {
        "the sign dropped": lambda: below_zero(price=3 * W),
        "zero paid for a loss": lambda: below_zero(cashDelta=0),
    }),
    "S8": Case(lambda: due().finalize(1).finalize(3).settle("bob", 3), {
        "a call that paid a wei more": lambda: both_sides(cashDelta=6 * W + 2),
        "another price for the put": lambda: both_sides(price=98 * W),
    }),
    "S9": Case(lambda: due().finalize(1), {
        "counted from when it landed": lambda: late_window(97 * W - 1),
    }),
    "O5": Case(due, {
        "the expiry price at another scale": lambda: due().finalize(1, price=97 * 10**8),
        "below every live price": lambda: due().finalize(1, price=97 * W - 1),
    }),
    "O1": Case(quiet, {
        "a trade": lambda: market().blocks(21).trade("alice", "maker", 1, 100),
        "a withdrawal": lambda: traded().blocks(21).withdraw("alice", 1),
        "a liquidation": lambda: sick().blocks(21).block().liquidate("alice"),
        "a keeper's own asset": lambda: market(expires_in=500).trade("alice", "maker", 9, 100).price(50, asset="BTC")
        .list_series(0, expires_in=500, asset="BTC").trade("keeper", "bob", 1, 50, series=4).blocks(21)
        .price(94).liquidate("alice"),
    }),
    "O2": Case(lambda: Run().blocks(3).block().deposit("alice", 5), {
        "a round again": lambda: quiet().block().price(100, round_=1),
        "a timestamp back": lambda: quiet().block().price(100, age=3),
        "from the future": lambda: quiet().block().price(100, age=-1),
    }),
    "O6": Case(lambda: Run().blocks(3).block().deposit("alice", 5), {
        "too few reporters": lambda: quiet().block().price(100, sources=2),
        "the vote of one who was removed": lambda: dismissed(4),
        "one more than there are": lambda: reporting(quiet(), 4).block().price(100, sources=5),
        "a wei above the mean": lambda: quiet().block().price(100, said=100 * W + 1),
        "the higher of two middle ones": lambda: quiet().block().price(
            100, prices=(99 * W, 100 * W, 101 * W, 102 * W), said=101 * W - W // 8),
        "a band a wei wider": lambda: quiet().block().price(
            100, prices=(100 * W, 100 * W, 200 * W), said=100 * W + (W // 2 + 1) // 3),
    }),
    "O7": Case(quiet, {
        "a trade at its own price": lambda: flash("trade"),
        "a liquidation at its own price": lambda: flash("liquidate"),
        "a trade at the price of a pool that was moved before it": flashed,
    }),
    "AM1": Case(quiet, {
        "a unit too much": lambda: around(tolerance=None, more=1),
        "a unit too little": lambda: around(tolerance=None, more=-1),
        "without the fee": lambda: around(tolerance=None, amountOut=24_149_867_408_279_316_000),
        "shares for nothing": lambda: around(tolerance=None).raw(
            "LiquidityAdded", account=ALICE, underlying=W, quote=USD, shares=10**15),
        "storage of another pool": lambda: around(tolerance=None).record(
            "replica-0", "state", number=2, hash=block_hash(2), totals=dict.fromkeys(
                ("custody", "insurance", "fees", "dust"), "0"), accounts={}, series={}, assets={},
            spot={"underlying": "1", "quote": "1", "shares": "1"}),
    }),
    "AM2": Case(lambda: around(tolerance=150), {
        "it would have got enough": lambda: turned_away("SlippageExceeded(got=23,min=24)", tolerance=150),
        "less is said than it would have got": lambda: turned_away("SlippageExceeded(got=23,min=24)", tolerance=0),
        "a deadline that is not over": lambda: turned_away(
            f"DeadlineOver(deadline={START + 9},blockTimestamp={START + 2})", tolerance=0),
        "liquidity that is there": lambda: turned_away("NoLiquidity()", tolerance=150),
    }),
    "Q3": Case(lambda: around(tolerance=None, after=False), {
        "less than it accepts": lambda: around(tolerance=10),
        "less than it accepts, by the event alone": lambda: around(tolerance=None, minOut=30 * W),
        "an event that forgot the limit": lambda: around(tolerance=10, minOut=0),
        "more than it offered": lambda: around(tolerance=150, amountIn=6_000 * USD),
        "after its deadline": lambda: around(tolerance=150, late=1),
    }),
    "O8": Case(unread, {
        "a new price under an old round": storage("assets.ETH.price"),
        "a new time under an old round": storage("assets.ETH.timestamp"),
        "a round never accepted": storage("assets.ETH.round"),
    }),
    "O3": Case(quiet, {
        "no halt": lambda: crashed(halt=False),
        "a shorter halt": lambda: crashed(halt={"until": START + 5}),
        "a halt without cause": lambda: quiet().block().raw("MarketHalted", **{
            "asset": "ETH", "from": 100 * W, "to": 100 * W, "until": START + 9}),
        "opened in a halt": lambda: crashed().trade("bob", "maker", 1, 80),
        "turned over in a halt": lambda: crashed().trade("alice", "maker", -4, 80),
    }),
    "O4": Case(lambda: Run().blocks(3).block().deposit("alice", 5), {
        "on its ceiling": lambda: Run().block().list_asset("ETH", signed=False, low=0, high=100).price(100),
        "on its floor": lambda: Run().block().list_asset("ETH", signed=False, low=5, high=100).price(5),
        "unsigned and below zero": lambda: Run().block().list_asset("ETH", signed=False, low=-5, high=5).price(-3),
        "zero without a word about bounds": lambda: Run().block().price(0),
    }),
    "O9": Case(unread, {
        "down": while_down,
        "before the first word": sure_of_nothing,
        "on the word of a round that began at nothing": restarted_at_nothing,
    }),
    "G5": Case(lambda: in_dispute(60).resolve(1), {
        "before the delay": lambda: in_dispute(5).resolve(1, override=90 * W),
        "after the window": lambda: in_dispute(60).resolve(1, override=90 * W),
        "by another": lambda: in_dispute(20).resolve(1, override=90 * W, by="mallory"),
        "out of bounds": lambda: in_dispute(20).resolve(1, override=0),
        "in no dispute": lambda: due().resolve(1, override=90 * W),
        "another price than told": lambda: in_dispute(20).resolve(1, override=90 * W, price=91 * W),
    }),
    "P1": Case(lambda: Run().block().price(100, observed=()), {
        "above all that were signed": lambda: quiet().block().price(100, observed=(97 * W, 98 * W, 99 * W)),
        "a liar moved it further than the clamp lets": lambda: quiet().block().price(
            100, observed=(100 * W,) * 2, prices=(100 * W, 100 * W, 200 * W), said=100 * W + W // 6 + 2),
    }),
    "H1": Case(no_heads, {"safe above committed": label("safe", 11), "safe on another branch": label("safe", 10, 1)}),
    "H2": Case(one_node, {"another block at a height": label("committed", 7, 1)}),
    "H3": Case(heads_of_l1, {
        "finalized fell": label("finalized", 2),
        "safe changed in place": label("safe", 8, 1),
        "safe fell though L1 stood": lambda: Run().blocks(10).wait(1).head("replica-0", "safe", 5, reset=True),
        "safe fell twice for one reorg": lambda: Run().blocks(10).l1_reorg("replica-0", safe_from=8, safe_to=7).wait(1)
        .head("replica-0", "safe", 6, reset=True),
    }),
    "H4": Case(heads_of_l1, {"two blocks at one height": label("committed", 7, 1)}),
    "H5": Case(quiet, {"stood still after heal": standing_still}),
    "H6": Case(quiet, {
        "nobody posted it again": lambda: one_node().head("replica-0", "safe", 4)
        .l1_reorg("replica-0", safe_from=4, safe_to=2).blocks(3).head("replica-0", "safe", 3).blocks(12),
    }),
    "OPS": Case(told("info", landed=True), {
        "an acknowledged write that reverted": told("ok", landed=False),
        "a refused write that landed": told("fail", landed=True),
        "an acknowledged write nowhere in the chain": lost,
    }),
    "R1": Case(lambda: Run().blocks(5), {"included twice": twice}),
    "R2": Case(lambda: market().state(), {
        "time fell": lambda: Run().block().block(timestamp=5),
        "origin jumped": lambda: Run().block(origin=4).block(origin=6),
        "origin fell": lambda: Run().block(origin=4).block(origin=3),
        "origin ahead of the block": lambda: Run().block(origin=4).behind(-1).block(origin=4),
        "origin of another time": lambda: Run().l1_block(4).block(origin=4).block(origin=4, origin_time=START - 1),
    }),
    "B1": Case(idle_bridge, {
        "executed twice": lambda: delivered().execute(FIRST, sent_at=2),
        "executed again later": lambda: delivered().seen(3 + DEPTH).execute(FIRST, sent_at=2),
    }),
    "B2": Case(idle_bridge, {
        "a block too early": lambda: ready(origin=1 + DEPTH).execute(FIRST, sent_at=2),
        "before anything is known of L1": lambda: ready().block(origin=None).execute(FIRST, sent_at=2),
        "never sent": lambda: ready().execute(message(9), sent_at=2),
        "dropped by L1": lambda: reorganised().execute(LOST, sent_at=3),
        "another amount": lambda: ready().execute(FIRST, sent_at=2, value=DOLLARS + 1),
        "to another": lambda: ready().execute(FIRST, sent_at=2, target=address("mallory")),
        "said to be older": lambda: ready().execute(FIRST, sent_at=1),
    }),
    "B3": Case(idle_bridge, {
        "a unit more than was locked": lambda: ready().execute(FIRST, sent_at=2, value=2 * DOLLARS + 1),
        "twice": lambda: delivered().execute(FIRST, sent_at=2).execute(FIRST, sent_at=2),
        "of a message that L1 dropped": lambda: reorganised().execute(LOST, sent_at=3).execute(FIRST, sent_at=2)
        .execute(SECOND, sent_at=3),
    }),
    "B4": Case(idle_bridge, {
        "proved by nobody": lambda: unproved().execute(FIRST, sent_at=2),
        "proved later": lambda: unproved().execute(FIRST, sent_at=2).prove(FIRST, sent_at=2, at=2),
        "a zero hash": lambda: unproved().prove(FIRST, sent_at=2, at=2, l1Hash=NO_HASH).execute(FIRST, sent_at=2),
        "a zero root": lambda: unproved().prove(FIRST, sent_at=2, at=2, stateRoot=NO_HASH).execute(FIRST, sent_at=2),
        "of block 0": lambda: unproved().prove(FIRST, sent_at=0, at=2).execute(FIRST, sent_at=0),
        "a hash that L1 never had": lambda: unproved().prove(FIRST, sent_at=2, at=2, fork=7).execute(FIRST, sent_at=2),
        "a block that L1 dropped": lambda: reorganised().prove(FIRST, sent_at=2, at=3).execute(FIRST, sent_at=2),
        "without a nonce": lambda: ready().execute(FIRST, sent_at=2, nonce=0),
        "of another block than was proved": lambda: ready().execute(FIRST, sent_at=1),
    }),
    "B5": Case(lambda: delivered().seen(3 + DEPTH), {
        "credited all the same": lambda: reorganised().prove(LOST, sent_at=3, at=3).execute(LOST, sent_at=3),
    }),
    "B6": Case(lambda: delivered().refuse(FIRST), {
        "a failure that mints": lambda: ready().fail(FIRST, sent_at=2, minted=DOLLARS),
        "a success that mints nothing": lambda: ready().execute(FIRST, sent_at=2, minted=0),
        "a success that mints twice": lambda: ready().execute(FIRST, sent_at=2, minted=2 * DOLLARS),
        "lost for good": lambda: ready().fail(FIRST, sent_at=2).refuse(FIRST),
        "never tried again": lambda: ready().fail(FIRST, sent_at=2).blocks(12),
    }),
    "V7": Case(idle_bridge, {
        "nobody brings it": lambda: ready().blocks(12),
        "nobody does after the heal": lambda: ready().phase("storm").blocks(12).phase("heal").blocks(12),
        "one is left": lambda: ready().execute(FIRST, sent_at=2).blocks(12),
        "too late": lambda: late(11),
    }),
}
