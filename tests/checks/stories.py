"""Whole little runs that several tests share."""

from __future__ import annotations

from math import isqrt
from typing import Any

from harness.evm.accounts import account
from harness.evm.wallet import sign_transaction
from harness.history.records import Event
from harness.model.params import FAST, VenueParams
from harness.venue.exchange import encode_deposit
from harness.venue.spot import Reserves
from tests.checks.builder import Run, W, address

USD = 10**6


def market(*, expires_in: int = 60, insurance: int = 50, params: VenueParams = FAST) -> Run:
    """One block: ETH at 100, a future (1), a call (2) and a put (3) at 100, and funded accounts."""
    run = Run(params).block().price(100)
    for kind, strike in ((0, 0), (1, 100), (2, 100)):
        run.list_series(kind, expires_in=expires_in, strike=strike)
    run.insure(insurance)
    for name, amount in (("alice", 100), ("bob", 100), ("writer", 1000), ("maker", 100_000), ("keeper", 10_000)):
        run.deposit(name, amount)
    return run


def full() -> Run:
    """Everything a run can show, all of it right: every check holds and has something to guard."""
    run = market()
    run.price(20, asset="OIL").list_series(0, expires_in=60, asset="OIL").deposit("gambler", 25)
    run.trade("gambler", "maker", 1, 20, series=4)
    run.list_series(3).deposit("hedger", 1000).trade("hedger", "maker", 3, 102, series=5)
    run.op("trader-0/1", "invoke").trade("alice", "maker", 5, 100)
    run.trade("bob", "maker", 5, 101).trade("bob", "writer", 2, 7, series=2).trade("maker", "writer", 3, 9, series=3)
    paid = run.transaction()
    run.op("trader-2/1", "invoke").trade("bob", "maker", 1, 101)
    run.op("trader-2/1", "ok", run.last, deadline=run.timestamp).trade("bob", "maker", -1, 101)
    run.op("trader-0/1", "ok", paid).op("trader-0/2", "invoke")
    run.op("trader-0/2", "fail", run.transaction(ok=False, error="StalePrice(...)")).op("trader-0/3", "invoke")
    run.state()
    run.block().price(90).withdraw("writer", 100).trade("bob", "maker", -2, 90).state()
    run.phase("storm").fault("inject")
    run.block().price(84).state()
    run.block().liquidate("alice").trade("bob", "maker", -1, 84).state()
    run.block(dt=5)
    run.transaction(ok=False, error="SequencerGrace(1)", to="liquidator")
    run.op("trader-1/1", "invoke", action="deposit").deposit("bob", 1)
    run.op("trader-1/1", "ok", run.last, action="deposit")
    run.price(80).state()
    run.fault("heal").phase("heal")
    run.blocks(29).block().price(76).price(-3, asset="OIL").state()
    run.block().liquidate("alice").liquidate("bob").state()
    run.phase("liveness")
    run.block().price(77).accrue(5).blocks(15, price=77).blocks(2)
    run.block().price(77, age=2).block()
    run.block().price(78).price(-3, asset="OIL").trade("hedger", "maker", -4, 78, series=5).state()
    run.transaction(ok=False, error="SeriesExpired(1,2)")
    run.block().finalize(1).finalize(2).finalize(3).finalize(4).state()
    run.block()
    for series in (1, 2, 3, 4):
        for name in ("maker", "writer", "keeper", "bob", "gambler", "alice"):
            if series in run.venue.book.account(address(name)).positions:
                run.settle(name, series)
    run.state()
    run.l1_reorg("replica-0", safe_from=run.number - 2, safe_to=run.number - 3)
    return run.blocks(14).state().phase("end")


def booked() -> Run:
    """An order book from its opening to an empty side, with every step and every removal, all of it right."""
    run = market(expires_in=120).open_market(1).open_market(2).list_series(3).open_market(4).state()
    run.block().place("maker", 4, 99).place("writer", 3, 99).place("maker", 2, 98, mode=1).place("writer", -3, 101)
    run.place("maker", -2, 101).place("maker", -5, 103, good_for=3).place("maker", -4, 5, series=2)
    run.place("writer", 3, 100, series=4).state()
    run.block().price(100).place("alice", 4, 102).place("bob", 2, 0, mode=3).place("bob", 1, 4, series=2, mode=2)
    run.place("writer", -5, 99, series=4).place("alice", -1, 98, mode=2).state()
    run.block().cancel_order("maker", 3).place("writer", -1, 99, mode=2).place("alice", 2, 101, mode=1)
    run.blocks(3, price=101).block().price(101).place("alice", 2, 104).state()
    # Both makers' bids are above the band by now; and the first has no margin left for more.
    run.block().deposit("poor", 11).place("poor", 1, 102).place("poor", 1, 101).block().price(102).state()
    run.place("maker", -2, 101).state().block().price(88).place("writer", -1, 88).state()
    return run.blocks(14, price=90).state()


class Pool:
    """A spot pool in a run: swaps that give what the constant product says, or what they are told to."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.pool = Reserves(1_000 * W, 200_000 * USD, isqrt(1_000 * W * 200_000 * USD))
        self._ops = 0
        self._quoted = 0
        self._tell("LiquidityAdded", account=address("admin"), underlying=self.pool.underlying, quote=self.pool.quote,
                   shares=self.pool.shares - 1_000)

    def swap(self, name: str, *, buys: bool, amount: int, tolerance: int | None = None, late: int = 0,
             **wrong: Any) -> Pool:
        """`tolerance` bps of what it is quoted in the pool as it is now; None for a swap that nobody announced."""
        out = self.pool.amount_out(buys=buys, amount_in=amount)
        least = 0 if tolerance is None else self._invoke(buys, amount, tolerance)
        self.pool = self.pool.after(buys=buys, amount_in=amount)
        self._tell("Swapped", **{"account": address(name), "buys": buys, "amountIn": amount, "amountOut": out,
                                 "minOut": least, "deadline": self.run.timestamp - late, **wrong})
        if tolerance is not None:
            self.run.op(f"swap/{self._ops}", "ok", self.run.last, action="swap")
        return self

    def refused(self, name: str, error: str | None, *, buys: bool, amount: int, tolerance: int = 0) -> Pool:
        """A swap that the pool turns away with that error."""
        self._invoke(buys, amount, tolerance)
        hash_ = self.run.transaction(ok=False, error=error, sender=name)
        self.run.op(f"swap/{self._ops}", "fail", hash_, action="swap")
        return self

    def add(self, underlying: int, quote: int, /, **off: int) -> Pool:
        """A pair that fits the reserves, and the shares it is worth; `off` is what its event says too much."""
        shares = min(underlying * self.pool.shares // self.pool.underlying, quote * self.pool.shares // self.pool.quote)
        return self._move(underlying, quote, shares, "LiquidityAdded", off)

    def remove(self, shares: int, /, **off: int) -> Pool:
        pool = self.pool
        return self._move(-(shares * pool.underlying // pool.shares), -(shares * pool.quote // pool.shares), -shares,
                          "LiquidityRemoved", off)

    def _move(self, underlying: int, quote: int, shares: int, event: str, off: dict[str, int]) -> Pool:
        pool = self.pool
        self.pool = Reserves(pool.underlying + underlying, pool.quote + quote, pool.shares + shares)
        right = {"underlying": abs(underlying), "quote": abs(quote), "shares": abs(shares)}
        self._tell(event, account=address("admin"), **{name: value + off.get(name, 0) for name, value in right.items()})
        return self

    def _invoke(self, buys: bool, amount: int, tolerance: int) -> int:
        """The operation of the next swap; returns the least amount it accepts."""
        least = -(-self._quoted * (10_000 - tolerance) // 10_000)
        args = {"asset": "ETH", "buys": buys, "amount_in": str(amount), "expected": str(self._quoted),
                "min_out": str(least), "tolerance_bps": tolerance}
        self._ops += 1
        self.run.op(f"swap/{self._ops}", "invoke", action="swap", args=args)
        return least

    def _tell(self, event: str, **args: Any) -> None:
        self.run.raw(event, **args)
        self.run.venue.apply(Event(event, "Venue", 0, args))

    def quote(self, *, buys: bool, amount: int) -> Pool:
        """What the next swap with a tolerance was quoted."""
        self._quoted = self.pool.amount_out(buys=buys, amount_in=amount)
        return self


def swapped() -> Run:
    """A swap that a leader traded around, one left alone, and a pair around nobody."""
    run = market()
    pool = Pool(run)
    run.block()
    pool.quote(buys=True, amount=5_000 * USD).swap("leader", buys=True, amount=1_000 * USD)
    pool.swap("alice", buys=True, amount=5_000 * USD, tolerance=150).swap("leader", buys=False, amount=4 * W)
    run.state().blocks(2).block()
    pool.quote(buys=False, amount=W).swap("bob", buys=False, amount=W, tolerance=1)
    pool.swap("leader", buys=True, amount=USD).swap("leader", buys=False, amount=W // 300)
    late = run.timestamp - 1
    got, least = pool.pool.amount_out(buys=False, amount_in=W), pool._quoted
    pool.refused("bob", f"SlippageExceeded(got={got},min={least})", buys=False, amount=W)
    pool.refused("bob", f"DeadlineOver(deadline={late},blockTimestamp={run.timestamp})", buys=False, amount=W)
    pool.refused("bob", "ERC20InsufficientBalance(1,2,3)", buys=False, amount=W)
    pool.refused("bob", None, buys=True, amount=W)
    run.state()
    pool.add(pool.pool.underlying // 10, pool.pool.underlying // 10 * pool.pool.quote // pool.pool.underlying)
    pool.remove(pool.pool.shares // 7).remove(1)
    run.state()
    return run.blocks(14).block()


def termed() -> Run:
    """Series with terms: a capped future, one that lends little against profit, a spread with relief, naked shorts."""
    run = market(expires_in=200).list_series(0, expires_in=200).terms(oi_lower=500, oi_cap=2_000)
    run.list_series(0, expires_in=200).terms(profit_cap=20)
    for kind, strike in ((1, 90), (1, 110), (2, 100)):
        run.list_series(kind, expires_in=200, strike=strike).terms(option_margin=1)
    run.list_series(1, expires_in=200, strike=100).terms(option_margin=2).list_series(3)
    run.deposit("spreader", 60).deposit("naked", 300).state()
    run.block().trade("alice", "maker", 4, 100, series=4).trade("bob", "maker", 5, 100, series=5)
    run.trade("maker", "spreader", 2, 12, series=6).trade("spreader", "maker", 2, 2, series=7)
    run.trade("maker", "naked", 3, 4, series=9).state()
    run.block().price(108).state().block().trade("bob", "maker", 1, 108, series=5).state()
    run.block().price(96).trade("alice", "maker", -1, 96, series=4).state()
    return run.blocks(14, price=97).state()


def ruin() -> Run:
    """Losses beyond all insurance, each way down the ladder, all of it right.

    Diver is deleveraged; alice falls in the grace of an outage and is settled below zero; the deficit is paid by new
    insurance, then from the fund, then by everybody.
    """
    run = market(expires_in=40, insurance=10)
    run.deposit("diver", 100).trade("diver", "maker", 9, 100).trade("alice", "maker", 9, 100)
    run.trade("bob", "maker", 3, 100).state()
    run.deposit("alice", 100).block().price(84).state().block().liquidate("diver").state()
    run.blocks(20, price=84).block(dt=9).price(60).state()
    run.blocks(10, price=60).block().finalize(1).settle("alice").settle("maker").state()
    run.block().insure(1).cover_deficit().state()
    run.block().price(60).haircut().state().block().withdraw("maker", 5).state()
    run.block().settle("bob").state()
    return run.blocks(14).state()


def governed() -> Run:
    """Pauses of each kind with what stays possible in them, factors tightened and an upgrade, both announced; right.

    Alice falls under a pause of liquidation and is taken by auction in parts of two pauses; bob by the new code.
    """
    run = market(expires_in=35)
    run.shows_governance = True
    run.list_series(0, expires_in=300).list_series(3).trade("alice", "maker", 9, 100, series=4)
    run.trade("bob", "maker", 8, 100, series=4).trade("writer", "maker", 3, 102, series=5)
    run.trade("writer", "maker", 2, 100, series=1).state().blocks(16, price=100).block().accrue(5).state()
    run.announce(1_100, 700, 1_500, 1_000, 750, salt=1).block().announce(2, salt=2).state()
    run.block().pause(1).state()
    run.transaction(ok=False, error="TradingPaused()")
    run.block().price(91).op("trader-0/1", "invoke", action="deposit").deposit("bob", 30)
    run.op("trader-0/1", "ok", run.last, action="deposit").trade("writer", "maker", -1, 91, series=5).state()
    run.block().price(91).start_auction("alice").accrue(5).state().block().price(91).block().pause(2).state()
    run.transaction(ok=False, error="LiquidationPaused()", to="liquidator")
    run.blocks(12, price=91).block().finalize(1).settle("writer").settle("maker").state()
    run.block().price(91).unpause(3).pause(4).state()
    run.transaction(ok=False, error="WithdrawalsPaused()")
    run.blocks(4, price=91).block().unpause(4).pause(1)
    run.op("keeper-0/1", "invoke", action="settle", args={"account": address("bob"), "series": 1})
    run.op("keeper-0/1", "fail", run.transaction(ok=False, error="NothingToSettle()"), action="settle").state()
    run.block().unpause(1).state().blocks(24, price=91).block().price(91).liquidate("alice").state()
    run.block().set_factors(1_100, 700, 1_500, 1_000, 750, salt=1).state()
    run.block().state().upgrade(salt=2).block().price(91).state()
    run.transaction(ok=False, error="InvalidInitialization()", to="liquidator")
    run.block().price(88).block().liquidate("bob").state()
    run.fault("inject", word="kill", target="replica-0").fault("heal", word="kill", target="replica-0")
    return run.blocks(14, price=90).state()


def pooled() -> Run:
    """An isolated pool beside the cross one: its own loss, its own insurance, deficit and haircut; all of it right.

    Alice is long in both; only what she moved into the pool is lost in it.
    """
    run = market(expires_in=40, insurance=50).list_series(0, expires_in=40).terms(pool=1).insure(5, pool=1)
    run.trade("bob", "maker", 5, 100).state()
    run.block().price(100).deposit("alice", 100).move("alice", 90, to=1).move("maker", 500, to=1)
    run.move("keeper", 400, to=1)
    run.trade("alice@1", "maker@1", 8, 100, series=4).trade("alice", "maker", 1, 100, series=1).state()
    run.block().price(99).move("maker", 20, to=0, source=1).state().block().price(94).state()
    run.block().liquidate("alice@1", "keeper@1").state().block().price(60).state()
    run.block().liquidate("alice@1", "keeper@1").liquidate("bob").state()
    run.blocks(33, price=60).block().price(60)
    for series, names in ((1, ("alice", "bob", "maker", "keeper")), (4, ("alice@1", "maker@1", "keeper@1"))):
        run.finalize(series)
        for name in names:
            if series in run.venue.book.account(address(name)).positions:
                run.settle(name, series)
    run.state()
    if run.venue.book.ledgers[1].deficit and run.venue.book.ledgers[1].insurance:
        run.cover_deficit(pool=1)
    if run.venue.book.ledgers[1].deficit:
        run.haircut(pool=1)
    return run.state().blocks(14).state()


def coined() -> Run:
    """Coin pools beside the cross one, from quiet trade through every step of the ladder to settlement; all right.

    Of three that are long of the falling coin alice goes down by parts, diver to a bidder, and of carol the shorts must
    give up profit. Bob is short, with less coin than he owes contracts, when it doubles. Pool 2 holds another coin, has
    no insurance, and falls while nobody may be liquidated.
    """
    run = market(expires_in=60).price(20_000, asset="BTC").coin_pool().coin_pool("BTC")
    run.list_series(4, expires_in=60).terms(pool=1).list_series(4, expires_in=500).terms(pool=1, profit_cap=50)
    run.list_series(4, expires_in=60, asset="BTC").terms(pool=2).insure(1, pool=1)
    for name, wad in (("alice", 2 * W), ("bob", 3 * W), ("carol", 2 * W), ("diver", 2 * W), ("maker", 90 * W)):
        run.deposit_coin(name, wad)
    run.deposit_coin("keeper", 50 * W).deposit_coin("alice", W * 4 // 5, pool=2)
    run.deposit_coin("maker", W, pool=2)
    run.trade("alice@1", "maker@1", 1_001, 100, series=4).trade("diver@1", "maker@1", 900, 101, series=4)
    run.trade("carol@1", "maker@1", 900, 101, series=4).trade("bob@1", "maker@1", -700, 99, series=5)
    run.trade("alice@2", "maker@2", 9_000, 20_001, series=6).trade("alice", "maker", 1, 100).state()
    run.block().price(100).withdraw_coin("alice", W // 7).state().block().withdraw_coin("maker", W).state()
    run.block().price(92).trade("diver@1", "maker@1", -7, 91, series=4).state()
    run.block().price(89).state().block().liquidate("alice@1", "keeper@1").deposit_coin("carol", W).state()
    run.block().price(84).state().block().liquidate("diver@1", "keeper@1").state()
    run.block().price(60).state().block().liquidate("carol@1", "keeper@1").liquidate("alice@1", "keeper@1").state()
    run.block().price(165).state().block().liquidate("bob@1", "keeper@1").state()
    run.blocks(27, price=160).block().price(20_000, asset="BTC").block(dt=9).price(160).price(500, asset="BTC")
    run.state().blocks(10, price=160).block(dt=2).price(160).price(500, asset="BTC")
    run.finalize(4).finalize(6).finalize(1).settle("alice").settle("maker").state()
    for series, names in ((4, ("alice@1", "bob@1", "diver@1", "maker@1", "keeper@1")), (6, ("alice@2", "maker@2"))):
        for name in names:
            if series in run.venue.book.account(address(name)).positions:
                run.settle(name, series)
    run.state().block().haircut(pool=2).state()
    return run.blocks(14).state()


def doubt() -> Run:
    """Three assets, each silent across an expiry: their futures are disputed, and each finds another way out."""
    run = Run().block().price(100).price(50, asset="BTC").price(20, asset="OIL")
    for asset in ("ETH", "BTC", "OIL"):
        run.list_series(0, expires_in=30, asset=asset)
    for name in ("alice", "maker"):
        run.deposit(name, 10_000)
    for series, price in ((1, 100), (2, 50), (3, 20)):
        run.trade("alice", "maker", 3, price, series=series)
    run.state().blocks(30).block().price(95)
    for series in (1,):
        run.dispute(series)
    run.state().block().price(96).blocks(15, price=96).block().resolve(1).settle("alice", 1).settle("maker", 1)
    run.blocks(4).block().dispute(2).dispute(3).state()
    run.blocks(19).block().resolve(2, override=48 * W).settle("alice", 2).state()
    run.blocks(39).block().price(-3, asset="OIL").resolve(3).settle("maker", 3).settle("alice", 3)
    return run.settle("maker", 2).blocks(14).state()


SAVED = account(100)
"""Somebody with a key: what is put through the forced queue is signed."""


def plea(dollars: int, *, nonce: int = 0, gas: int = 400_000) -> bytes:
    """A top-up that `SAVED` signs."""
    return sign_transaction(SAVED.key, chain_id=901, nonce=nonce, to=address("vault"), gas=gas,
                            data=encode_deposit(dollars * USD))


def in_distress() -> Run:
    """Alice and `SAVED` are below their margin; the chain stands still for 9 s, and the open block is its first."""
    run = market(expires_in=500).deposit(SAVED.address, 100)
    for name in ("alice", SAVED.address):
        run.trade(name, "maker", 9, 100)
    return run.block().price(94).l1_block(1).block(dt=9).price(94)


def forced() -> Run:
    """Two top-ups and something else are forced in one L1 block, and one more a block later; the grace passes, and who
    did not top up is liquidated."""
    other = sign_transaction(account(101).key, chain_id=901, nonce=0, to=address("venue"), gas=400_000)
    garbage, twice = b"\x02 no transaction", plea(100)
    run = in_distress().l1_block(2, plea(100), ago=4, fork=77)   # taken back by L1, and there again
    run.l1_block(2, plea(100), other, garbage, twice, plea(50, nonce=1), ago=3)
    run.l1_block(3, plea(10, nonce=2), first=5)
    run.block(origin=1).price(94).block(origin=2).signed(plea(100), deposits=100).signed(other)
    run.signed(plea(50, nonce=1), deposits=50).price(94)
    run.block(origin=3).signed(plea(10, nonce=2), deposits=10).price(94)
    return run.blocks(28, price=94).block().liquidate("alice").l1_block(4, plea(10, nonce=3), first=6).block().state()
