"""A fluent builder of small histories: right by default, wrong exactly where a test says so.

Derived amounts are filled in by the model, which tests/model checks against independent arithmetic; a test corrupts
them by naming the field: `run.trade(..., fee=1)`, `run.state(corrupt={"totals.dust": 1})`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import orjson

from harness.checks.catalogue import run_checks
from harness.checks.results import CheckResult, JudgeBounds
from harness.evm.wallet import decode_transaction
from harness.history.reader import History, from_lines
from harness.history.records import Event
from harness.model.disputes import way_out
from harness.model.feed import AssetTerms
from harness.model.funding import PERPETUAL_EXPIRY, preview
from harness.model.governance import Factors
from harness.model.insurance import haircut_shares
from harness.model.ladder import terms
from harness.model.matching import MAKER_CANNOT, Do
from harness.model.orders import BOOK_NONCE, due, leftover, maker_can
from harness.model.params import FAST, VenueParams
from harness.model.perpetual import Perpetual
from harness.model.venue import Venue
from harness.model.window import GOVERNANCE

W = 10**18
START = 1_000_000
L1_FORK = 900                    # so that no block of L1 has the hash of one of L2
UNSAID = -(1 << 200)             # what a value is before the builder's model has said what is right
BOUNDS = JudgeBounds(recover_s=10.0, liquidate_blocks=3)


def address(name: str) -> str:
    """Of somebody by name; an address is taken as it is."""
    if name.startswith("0x"):
        return name
    return "0x" + name.encode().hex().ljust(40, "0")[:40]


def block_hash(number: int, fork: int = 0) -> str:
    return "0x" + f"{fork:032x}{number:032x}"


def calldata(*numbers: int) -> str:
    """A call of some selector with those words."""
    return "0x12345678" + "".join(f"{number:064x}" for number in numbers)


def wire(value: Any) -> Any:
    """As a history writes it: integers beyond bools are decimal strings."""
    if isinstance(value, tuple):
        return [wire(item) for item in value]
    return str(value) if type(value) is int else value


class Run:
    """Blocks come one after another; `block` opens the next, every action goes into the open one as a transaction."""

    def __init__(self, params: VenueParams = FAST, *, followers: bool = True) -> None:
        self.venue = Venue(params)
        self.lines: list[dict[str, Any]] = []
        self.number = 0
        self.timestamp = START
        self.t = 0
        self.rounds: dict[str, int] = {}
        self._open: dict[str, Any] | None = None
        self._events: list[tuple[str, int, dict[str, Any]]] = []
        self._after: list[dict[str, Any]] = []
        self._states: list[tuple[Mapping[str, Any], tuple[str, ...]]] = []
        self._followers = followers
        self.shows_governance = False
        self.lag = 0                 # seconds that L1's clock is behind; where a block of L1 is named, its own counts
        self._l1_times: dict[int, int] = {}
        self._serial = 0
        self.record("run", "run", scenario="test", seed=1, runtime="sim", versions={}, genesis_timestamp=START,
                    deployment={"vault": address("vault"), "liquidator": address("liquidator"),
                                "liquidator_v1": address("version1"), "liquidator_v2": address("version2")},
                    accounts={"admin-0": address("admin")},
                    assets={"OIL": {"signed": True, "min_answer": str(-(10**26)), "max_answer": str(10**26)}})
        self.venue.list_assets({"OIL": AssetTerms(True, -(10**26), 10**26)})

    # -- recording ---------------------------------------------------------------------------------------------

    def record(self, node: str, kind: str, **fields: Any) -> Run:
        self.lines.append({"t": self.t, "node": node, "kind": kind, **fields})
        return self

    def phase(self, name: str) -> Run:
        self.close()
        return self.record("run", "phase", name=name)

    def fault(self, phase: str, id_: str = "f1", *, word: str = "pause", target: str = "keeper-0") -> Run:
        self.close()
        return self.record("run", "fault", id=id_, fault=word, phase=phase, target=target, detail={})

    def head(self, node: str, label: str, number: int, *, fork: int = 0, reset: bool = False) -> Run:
        self.close()
        return self.record(node, "head", label=label, number=number, hash=block_hash(number, fork), reset=reset)

    def l1_reorg(self, node: str, *, safe_from: int, safe_to: int) -> Run:
        """L1's builder replaces blocks, and a node takes safe blocks back for it."""
        self.close()
        self.record("l1-0", "stat", name="l1-reorg", fork=1, depth=1)
        self.record(node, "stat", name="l1-reorg-seen", fork=1, depth=1, safe_from=safe_from, safe_to=safe_to)
        return self.head(node, "safe", safe_to, reset=True)

    def wait(self, seconds: float) -> Run:
        """Run time passes (and no block comes)."""
        self.close()
        self.t += int(seconds * 1e9)
        return self

    # -- blocks ------------------------------------------------------------------------------------------------

    def block(self, dt: int = 1, **fields: Any) -> Run:
        """Open the next block, `dt` seconds after the last; a gap above the uptime limit restarts the grace clock."""
        self.close()
        self.number += 1
        self.timestamp += dt
        self.t += dt * 10**9
        origin_time = fields.pop("origin_time", self._l1_times.get(fields.get("origin", -1), self.timestamp - self.lag))
        self._open = {
            "chain": "l2", "number": self.number, "hash": block_hash(self.number),
            "parent": block_hash(self.number - 1), "timestamp": self.timestamp, "origin": None,
            "origin_time": origin_time, "base_fee": 0, "transactions": [], **fields,
        }
        self._events, self._after, self._states = [], [], []
        since = self.timestamp - dt
        self.venue.begin_block(self.number, self.timestamp, origin_time)
        if self.venue.is_restart_due:
            self._emit("OutageEnded", -1, since=since, until=self.timestamp, downTime=-1)
            self._emit("UptimeChanged", -1, up=True, startedAt=self.timestamp)
        return self

    def behind(self, seconds: int) -> Run:
        """L1's clock is so far behind from the next block on."""
        self.lag = seconds
        return self

    def blocks(self, count: int, dt: int = 1, price: int | None = None) -> Run:
        for _ in range(count):
            self.block(dt)
            if price is not None:
                self.price(price)
        return self

    def l1_block(
        self, number: int, *payloads: bytes, ago: int = 0, gas: int = 400_000, first: int = 0, fork: int = L1_FORK,
        named: int | None = None,
    ) -> Run:  # fmt: skip
        """An L1 block, `ago` seconds older than the newest of L2, in which these joined the forced queue.

        Its transactions have the hashes of those of block `named`, where they are the same ones again.
        """
        self.close()
        if fork == L1_FORK:
            self._l1_times[number] = self.timestamp - ago
        events = [{"name": "Enqueued", "contract": "forced_queue", "tx": tx, "args": {
            "index": str(first + tx), "kind": "0", "gas": str(gas), "payload": "0x" + payload.hex(),
            "accumulator": "0x" + "00" * 32}} for tx, payload in enumerate(payloads)]  # fmt: skip
        transactions = [{"hash": f"0x{named or number:032x}{tx:032x}", "sender": address("someone"), "to": None,
                         "ok": True, "gas": 21_000, "error": None} for tx in range(len(payloads))]  # fmt: skip
        return self.record("l1-0", "block", chain="l1", number=number, hash=block_hash(number, fork),
                           parent=block_hash(number - 1, L1_FORK), timestamp=self.timestamp - ago, origin=None,
                           base_fee=0, transactions=transactions, events=events)

    def signed(self, raw: bytes, *, deposits: int | None = None) -> Run:
        """A transaction of a real signature in the open block; one to the vault may pay in."""
        assert self._open is not None
        decoded = decode_transaction(raw)
        self._open["transactions"].append({"hash": decoded.hash, "sender": decoded.sender, "to": decoded.to,
                                           "ok": True, "gas": 21_000, "error": None})
        if deposits is not None:
            self._emit("Deposited", len(self._open["transactions"]) - 1, account=decoded.sender,
                       amount=deposits * 10**6)
        return self

    def close(self) -> Run:
        if self._open is None:
            return self
        block, self._open = self._open, None
        self.venue.end_block()
        block["events"] = [
            {"name": name, "contract": "Venue", "tx": tx, "args": {key: wire(value) for key, value in args.items()}}
            for name, tx, args in self._events
        ]
        self.record("sequencer-0", "block", **block)
        for node in ("sequencer-0", "replica-0") if self._followers else ("sequencer-0",):
            for label, lag in (("unsafe", 0), ("committed", 0), ("safe", 2), ("finalized", 4)):
                if self.number > lag:
                    self.head(node, label, self.number - lag)
        self.lines += self._after + [self._state_record(*state) for state in self._states]
        return self

    def transaction(self, *, ok: bool = True, error: str | None = None, sender: str = "someone", to: str = "venue",
                    gas: int = 21_000) -> str:
        """A transaction of the open block without events of its own; returns its hash."""
        assert self._open is not None, "open a block first"
        self._serial += 1
        hash_ = "0x" + f"{self._serial:064x}"
        self._open["transactions"].append(
            {"hash": hash_, "sender": address(sender), "to": address(to), "ok": ok, "gas": gas, "error": error}
        )
        return hash_

    @property
    def last(self) -> str:
        """Hash of the newest transaction."""
        return "0x" + f"{self._serial:064x}"

    def op(self, id_: str, phase: str, tx: str | None = None, action: str = "open",
           args: Mapping[str, Any] | None = None, **detail: Any) -> Run:
        """An invocation is recorded at once, an outcome after the block that is open."""
        record = {"t": self.t, "node": "trader-0", "kind": "op", "id": id_, "client": "trader-0", "action": action,
                  "phase": phase, "args": args or {}, "detail": {**({} if tx is None else {"tx": tx}), **detail}}
        (self._after if phase != "invoke" and self._open is not None else self.lines).append(record)
        return self

    # -- events ------------------------------------------------------------------------------------------------

    def _emit(self, name: str, tx: int, **args: Any) -> dict[str, Any]:
        """Apply to the builder's model, taking over every value the model finds otherwise; returns the right args."""
        right = dict(args)
        for found in self.venue.apply(Event(name, "Venue", tx, args)):
            event, _, field = found.what.partition(".")
            if event == name and field in right and isinstance(found.expected, int):
                right[field] = found.expected
        self._events.append((name, tx, right))
        return right

    def _corrupt(self, position: int, wrong: Mapping[str, Any]) -> None:
        name, tx, args = self._events[position]
        self._events[position] = (name, tx, {**args, **wrong})

    def raw(self, name: str, **args: Any) -> Run:
        """An event exactly as given, which the builder's own model does not see."""
        self.transaction()
        assert self._open is not None
        self._events.append((name, len(self._open["transactions"]) - 1, args))
        return self

    def system(self, name: str, **args: Any) -> Run:
        """An event of the open block's system transaction, exactly as given; the builder's own model sees it too."""
        self.venue.apply(Event(name, "Venue", -1, args))
        self._events.append((name, -1, args))
        return self

    def _next(self, to: str = "venue", gas: int = 21_000) -> int:
        self.transaction(to=to, gas=gas)
        assert self._open is not None
        return len(self._open["transactions"]) - 1

    def list_series(self, kind: int, *, expires_in: int = 0, strike: int = 0, asset: str = "ETH") -> Run:
        self._emit("SeriesListed", self._next(), id=len(self.venue.book.series) + 1, kind=kind, asset=asset,
                   strike=strike * W,
                   expiry=PERPETUAL_EXPIRY if kind == 3 else self.timestamp + expires_in)
        return self

    def terms(self, *, option_margin: int = 0, pool: int = 0, oi_lower: int = 0, oi_cap: int = 0,
              profit_cap: int = 0) -> Run:
        """Those of the series just listed, in its transaction."""
        name, tx, listed = self._events[-1]
        assert name == "SeriesListed"
        self._emit("TermsSet", tx, seriesId=listed["id"], optionMargin=option_margin, pool=pool, oiLower=oi_lower,
                   oiCap=oi_cap, profitCap=profit_cap)
        return self

    def price(self, price: int, *, asset: str = "ETH", age: int = 0, round_: int | None = None, sources: int = 3,
              observed: tuple[int, ...] | None = None, wad: int | None = None, prices: tuple[int, ...] | None = None,
              said: int | None = None, halt: Mapping[str, Any] | bool | None = None) -> Run:
        """A round at `price` (whole quote units), reported `age` seconds ago; observations recorded alongside.

        `prices` as submitted, `said` the index the event tells; `halt` what its MarketHalted tells, False for none.
        """
        number = self.rounds.get(asset, 0) + 1 if round_ is None else round_
        self.rounds[asset] = number
        value, timestamp = price * W if wad is None else wad, self.timestamp - age
        for index, seen in enumerate((value,) * 3 if observed is None else observed):
            self.lines.append({"t": self.t, "node": f"reporter-{index}", "kind": "observation", "asset": asset,
                               "round": number, "timestamp": timestamp, "price": str(seen), "source": str(value)})
        tx = self._next()
        self._emit("RoundAccepted", tx, asset=asset, round=number, timestamp=timestamp, price=UNSAID,
                   sources=sources, prices=(value,) * sources if prices is None else prices)
        self._corrupt(-1, {} if said is None else {"price": said})
        if halt is not False:
            for due in list(self.venue._context.halts):
                self._emit("MarketHalted", tx, **dict(zip(("asset", "from", "to", "until"), due, strict=True)))
                self._corrupt(-1, halt or {})
        return self

    def list_asset(self, asset: str, *, signed: bool, low: int, high: int) -> Run:
        self._emit("AssetListed", self._next(), asset=asset, isSigned=signed, minAnswer=low * W, maxAnswer=high * W)
        return self

    def deposit(self, name: str, amount: int) -> Run:
        self._emit("Deposited", self._next(), account=address(name), amount=amount * 10**6)
        return self

    def withdraw(self, name: str, amount: int) -> Run:
        self._emit("Withdrawn", self._next(), account=address(name), amount=amount * 10**6)
        return self

    def insure(self, amount: int, *, pool: int = 0) -> Run:
        """In whole dollars, or whole coins of a coin pool."""
        native = W // self.venue.book.ledger(pool).native
        self._emit("InsuranceFunded", self._next(),
                   **{"from": address("admin"), "amount": amount * native, "pool": pool})
        return self

    def coin_pool(self, asset: str = "ETH", *, pool: int | None = None) -> Run:
        """The next pool, which holds coins of that asset."""
        number = len(self.venue.book.ledgers) if pool is None else pool
        self._emit("CoinPoolOpened", self._next(), pool=number, asset=asset, token=address(f"coin {asset}"))
        return self

    def deposit_coin(self, name: str, wad: int, *, pool: int = 1) -> Run:
        """Into the account `name@pool`, opened at need."""
        tx = self._next()
        self._open_account(tx, name, pool)
        self._emit("CoinDeposited", tx, account=address(f"{name}@{pool}"), pool=pool, amount=wad)
        return self

    def withdraw_coin(self, name: str, wad: int, *, pool: int = 1) -> Run:
        self._emit("CoinWithdrawn", self._next(), account=address(f"{name}@{pool}"), pool=pool, amount=wad)
        return self

    def _open_account(self, tx: int, name: str, pool: int) -> None:
        if pool and (address(name), pool) not in self.venue.book.isolated:
            self._emit("AccountOpened", tx, account=address(f"{name}@{pool}"), owner=address(name), pool=pool)

    def move(self, name: str, amount: int, *, to: int, source: int = 0) -> Run:
        """Collateral between an owner's accounts; the one in pool 1 is called `name@1`, and opened at need."""
        tx, owner = self._next(), address(name)
        self._open_account(tx, name, to)
        self._emit("CollateralMoved", tx, **{"owner": owner, "from": source, "to": to, "amount": amount * 10**6})
        return self

    def _fund(self, tx: int, series_id: int, names: tuple[str, ...], accrual: Mapping[str, Any] | None = None,
              funding: Mapping[str, Any] | None = None) -> None:
        """The events that come first in every transaction that touches a perpetual; none for other kinds."""
        series = self.venue.book.series.get(series_id)
        if series is None or series.perpetual is None:
            return
        market = series.perpetual
        due = preview(self.venue.book, series, market)
        if due.integral != market.integral or due.is_new_window:
            self._emit("FundingAccrued", tx, seriesId=series_id, index=UNSAID, rate=UNSAID, integral=UNSAID)
            self._corrupt(-1, accrual or {})
        for name in names:
            held = self.venue.book.account(address(name)).positions.get(series_id)
            if held is not None and held.funding_index != market.index:
                self._emit("FundingSettled", tx, account=address(name), seriesId=series_id, cashDelta=UNSAID)
                self._corrupt(-1, funding or {})

    def accrue(self, series: int, **wrong: Any) -> Run:
        self._fund(self._next(), series, (), wrong)
        return self

    def settle_funding(self, name: str, series: int, **wrong: Any) -> Run:
        self._fund(self._next(), series, (name,), funding=wrong)
        return self

    def trade(self, taker: str, maker: str, size: int, price: int, *, series: int = 1, nonce: int | None = None,
              size_wad: int | None = None, price_wad: int | None = None, **wrong: Any) -> Run:
        self._serial += 1
        tx = self._next()
        self._fund(tx, series, (taker, maker))
        self._emit("Traded", tx, seriesId=series, taker=address(taker), maker=address(maker),
                   size=size * W if size_wad is None else size_wad,
                   price=price * W if price_wad is None else price_wad,
                   nonce=self._serial if nonce is None else nonce, fee=-1)
        self._corrupt(-1, wrong)
        return self

    def open_market(self, series: int = 1, *, tick: int = W, lot: int = W) -> Run:
        self._emit("MarketOpened", self._next(), seriesId=series, tick=tick, lot=lot)
        return self

    def place(self, name: str, size: int, price: int, *, series: int = 1, mode: int = 0, good_for: int = 1_000,
              fill: Mapping[str, Any] | None = None) -> Run:
        """An order, and everything the rules make of it at once; `fill` corrupts each fill of it."""
        self._serial += 1
        self.transaction(sender=name)
        assert self._open is not None
        tx = len(self._open["transactions"]) - 1
        placed = self._emit("OrderPlaced", tx, orderId=UNSAID, account=address(name), seriesId=series, size=size * W,
                            price=price * W, mode=mode, deadline=self.timestamp + good_for)
        context = self.venue._context
        while (step := due(context)) is not None and step.do is not Do.REFUSE:
            assert context.incoming is not None
            maker = step.order.account
            if step.do is not Do.FILL or not maker_can(context, step, context.incoming):
                reason = MAKER_CANNOT if step.do is Do.FILL else step.do.value
                self._emit("OrderRemoved", tx, orderId=step.order.id, reason=reason, rest=step.order.rest)
                continue
            signed = step.size if size > 0 else -step.size
            self._fund(tx, series, (name, bytes.fromhex(maker[2:]).rstrip(b"\0").decode()))
            self._emit("Traded", tx, seriesId=series, taker=address(name), maker=maker, size=signed,
                       price=step.order.price, nonce=BOOK_NONCE + self.venue.book.orders.fills + 1, fee=-1)
            self._emit("OrderFilled", tx, orderId=step.order.id, takerOrderId=placed["orderId"], size=signed,
                       price=step.order.price)
            self._corrupt(-1, fill or {})
        reason = leftover(context)
        if reason is not None and context.incoming is not None:
            self._emit("OrderRemoved", tx, orderId=placed["orderId"], reason=reason, rest=context.incoming.order.rest)
        return self

    def cancel_order(self, name: str, order: int, **wrong: Any) -> Run:
        self._serial += 1
        self.transaction(sender=name)
        assert self._open is not None
        self._emit("OrderRemoved", len(self._open["transactions"]) - 1, orderId=order, reason=0, rest=UNSAID)
        self._corrupt(-1, wrong)
        return self

    def start_auction(self, name: str, keeper: str = "keeper", **wrong: Any) -> Run:
        self._emit("AuctionStarted", self._next("liquidator"), account=address(name), keeper=address(keeper),
                   startActive=UNSAID, equity=UNSAID, maintenanceMargin=UNSAID)
        self._corrupt(-1, wrong)
        return self

    def cancel_auction(self, name: str) -> Run:
        self._emit("AuctionCancelled", self._next("liquidator"), account=address(name))
        return self

    def liquidate(self, name: str, keeper: str = "keeper", *, stage: int | None = None,
                  transfer: Mapping[str, Any] | None = None, deleveraged: Mapping[str, Any] | None = None,
                  gas: int = 300_000, **wrong: Any) -> Run:
        """Take the account down the ladder as far as its stage goes; an auction that must come first is started and
        bid on in one block."""
        account = address(name)
        given = terms(self.venue.book, account)
        if stage is None:
            stage = 1 if given.is_partial else 3 if given.is_short else 2
        if stage == 2 and self.venue.book.account(account).auction == 0:
            self.start_auction(name, keeper)
        tx = self._next("liquidator", gas)
        last: dict[str, Any] = {
            "account": account, "keeper": address(keeper), "equityBefore": UNSAID, "maintenanceMargin": UNSAID,
            "toKeeper": UNSAID, "toInsurance": UNSAID, "covered": UNSAID, "badDebt": UNSAID, "stage": stage}
        for event, args in self._due_before(Event("Liquidated", "Venue", tx, last)):
            self._emit(event, tx, **args)
            self._corrupt(-1, {"PositionTransferred": transfer, "Deleveraged": deleveraged}.get(event) or {})
        self._emit("Liquidated", tx, **last)
        self._corrupt(-1, wrong)
        return self

    def _due_before(self, event: Event) -> list[tuple[str, dict[str, Any]]]:
        """What must have been said in the transaction before that event, by a model that was told nothing of it."""
        due: list[tuple[str, dict[str, Any]]] = []
        for found in copy.deepcopy(self.venue).apply(event):
            if found.what == "FundingAccrued" and found.got is None:
                due.append((found.what, dict(zip(("seriesId", "index", "rate", "integral"), found.expected,
                                                 strict=True))))
            elif found.what == "FundingSettled" and found.got is None:
                due.append((found.what, dict(zip(("account", "seriesId", "cashDelta"), found.expected, strict=True))))
            elif found.what == "PositionTransferred":
                due += [(found.what, {"account": event.args["account"], "keeper": event.args["keeper"],
                                      "seriesId": series, "size": size, "price": price})
                        for series, size, price in found.expected]
            elif found.what == "Deleveraged":
                due += [(found.what, {"account": event.args["account"], "counterparty": other, "seriesId": series,
                                      "size": size, "price": price, "cost": cost})
                        for other, series, size, price, cost in found.expected]
        return due

    def pause(self, what: int, **wrong: Any) -> Run:
        """By the guardian: 1 trading, 2 liquidation, 4 withdrawals."""
        return self._pause(self.venue.book.pauses.paused | what, wrong)

    def unpause(self, what: int, **wrong: Any) -> Run:
        return self._pause(self.venue.book.pauses.paused & ~what, wrong)

    def _pause(self, paused: int, wrong: Mapping[str, Any]) -> Run:
        self._emit("PauseChanged", self._next("pauses"), before=self.venue.book.pauses.paused, paused=paused,
                   by=address("guardian"))
        self._corrupt(-1, wrong)
        return self

    def announce(self, *numbers: int, delay: int = 20, salt: int = 1) -> Run:
        """The timelock is told to make a call of those words once `delay` seconds are over."""
        self._emit("CallScheduled", self._next("timelock"), id=f"0x{salt:064x}", index=0, target=address("venue"),
                   value=0, data=calldata(*numbers), predecessor="0x" + "00" * 32, delay=delay)
        return self

    def set_factors(self, *factors: int, salt: int | None = 1, said: tuple[int, ...] | None = None) -> Run:
        """The announced change of the five factors is made; without a salt by nobody the timelock knows."""
        tx = self._next("timelock")
        names = ("imBps", "mmBps", "optionImBps", "optionMinImBps", "optionMmBps")
        self._emit("FactorsChanged", tx, **dict(zip(names, factors, strict=True)))
        return self._execute(tx, salt, said or factors)

    def upgrade(self, version: int = 2, /, *, salt: int | None = 1, share: int = 5_000, is_set_up: bool = True,
                **wrong: Any) -> Run:
        """The liquidator's code is switched, and set up; `wrong` corrupts what its initialiser says."""
        tx = self._next("timelock")
        self._emit("Upgraded", tx, implementation=address(f"version{version}"))
        if not is_set_up:
            return self._execute(tx, salt, (version,))
        self._emit("KeeperShareSet", tx, shareBps=share)
        self._emit("Initialized", tx, version=version)
        self._corrupt(-1, wrong)
        return self._execute(tx, salt, (version,))

    def set_up_again(self, version: int = 1, share: int = 10_000) -> Run:
        """An initialiser that somebody could call, apart from any upgrade."""
        tx = self._next("liquidator")
        self._emit("KeeperShareSet", tx, shareBps=share)
        self._emit("Initialized", tx, version=version)
        return self

    def _execute(self, tx: int, salt: int | None, numbers: tuple[int, ...]) -> Run:
        if salt is not None:
            self._emit("CallExecuted", tx, id=f"0x{salt:064x}", index=0, target=address("venue"), value=0,
                       data=calldata(*numbers))
        return self

    def cover_deficit(self, *, pool: int = 0, **wrong: Any) -> Run:
        self._emit("DeficitCovered", self._next(), amount=UNSAID, remaining=UNSAID, pool=pool)
        self._corrupt(-1, wrong)
        return self

    def haircut(self, share: Mapping[str, Any] | None = None, *, pool: int = 0, **wrong: Any) -> Run:
        tx = self._next("liquidator")
        for who, amount in haircut_shares(self.venue.book, self.venue.book.ledgers[pool]):
            self._emit("Haircut", tx, account=who, amount=amount)
            self._corrupt(-1, share or {})
        self._emit("DeficitSocialized", tx, amount=UNSAID, remaining=UNSAID, pool=pool)
        self._corrupt(-1, wrong)
        return self

    def dispute(self, series: int = 1, **wrong: Any) -> Run:
        self._emit("SeriesDisputed", self._next(), seriesId=series, covered=UNSAID, beyond=UNSAID)
        self._corrupt(-1, wrong)
        return self

    def resolve(self, series: int = 1, *, route: int = UNSAID, override: int | None = None, by: str = "admin",
                **wrong: Any) -> Run:
        """The way out that is open; governance's when `override` is a price (in wei)."""
        tx = self._next()
        if override is not None:
            self._emit("PriceOverridden", tx, seriesId=series, price=override, by=address(by))
        due = way_out(self.venue.book, self.venue.book.series[series]) if override is None else (GOVERNANCE, override)
        said, price = due or (3, 0)
        self._emit("DisputeResolved", tx, seriesId=series, route=said if route == UNSAID else route, price=price)
        self._corrupt(-1, wrong)
        self._emit("SeriesFinalized", tx, seriesId=series, price=UNSAID)
        self._corrupt(-1, wrong)
        return self

    def finalize(self, series: int = 1, **wrong: Any) -> Run:
        self._emit("SeriesFinalized", self._next(), seriesId=series, price=-(1 << 200))
        self._corrupt(-1, wrong)
        return self

    def settle(self, name: str, series: int = 1, **wrong: Any) -> Run:
        tx = self._next()
        account = address(name)
        self._emit("Settled", tx, account=account, seriesId=series, size=1 << 200, price=-(1 << 200),
                   cashDelta=-(1 << 200))
        self._corrupt(-1, wrong)
        for debt in list(self.venue._context.debts.get(account, ())):
            self._emit("BadDebt", tx, account=account, covered=debt.covered, remaining=debt.remaining)
        return self

    def state(self, *, corrupt: Mapping[str, Any] | None = None, drop: tuple[str, ...] = ()) -> Run:
        """A `state` record of the open block, at its end; `corrupt` maps dotted paths to what is added to the truth."""
        self._states.append((corrupt or {}, drop))
        return self

    def _state_record(self, corrupt: Mapping[str, Any], drop: tuple[str, ...]) -> dict[str, Any]:
        book = self.venue.book
        shown: dict[str, Any] = {
            "t": self.t, "node": "replica-0", "kind": "state", "number": self.number, "hash": block_hash(self.number),
            "totals": {"custody": book.custody, "insurance": book.insurance, "fees": book.fees, "dust": book.dust,
                       "deficit": book.deficit},
            "accounts": {
                account: {
                    "cash": held.cash, "auction": held.auction, "pool": book.pool_of(account),
                    "moved_at": held.moved_at,
                    **dict(zip(("equity", "im", "mm"), book.margin(account)[:3], strict=True)),
                    "positions": [{"series": id_, "size": p.size, "notional": p.notional,
                                   "funding_index": p.funding_index}
                                  for id_, p in held.positions.items()],
                }
                for account, held in book.accounts.items() if account not in map(address, drop)
            },
            "series": {
                str(id_): {"clearing": s.clearing, "open_interest": s.open_interest,
                           "open_positions": s.open_positions, "final": s.final_price is not None,
                           "price": s.final_price or 0, "disputed_at": s.disputed_at, **_market(s.perpetual)}
                for id_, s in book.series.items()
            },
            "assets": {
                asset: {"round": r.round, "timestamp": r.timestamp, "price": r.price, "cumulative": r.cumulative,
                        "funded": r.funded, "active_at": r.active_at, "covered": r.covered, "beyond": r.beyond,
                        "halted_until": feed.halted_until}
                for asset, feed in book.feeds.items() if (r := feed.latest) is not None
            },
        }
        if len(book.ledgers) > 1:
            shown["pools"] = [
                {"pool": pool, **{name: getattr(held, name)
                                  for name in ("balance", "insurance", "fees", "dust", "deficit")},
                 **({"coin": held.coin, "custody": held.balance} if held.coin else {})}
                for pool, held in sorted(book.ledgers.items())
            ]
        if book.spot.shares:
            shown["spot"] = {name: getattr(book.spot, name) for name in ("underlying", "quote", "shares")}
        if self.shows_governance:
            params, pauses = book.params, book.pauses
            shown["governance"] = {
                "paused": pauses.paused, "resumed_at": pauses.resumed_at, "funding_clock": book.funding_clock,
                "auction_clock": book.auction_clock, "version": self.venue.governance.version,
                **{name: getattr(params, name) for name in (*Factors._fields, "keeper_share_bps")},
            }
        if book.orders.markets:
            shown["book"] = {
                str(series): [[o.id, o.account, o.rest, o.price, o.deadline] for o in market.in_order()]
                for series, market in book.orders.markets.items()
            }
        for path, added in corrupt.items():
            *parents, last = path.split(".")
            leaf: Any = last
            place: Any = shown
            for key in parents:
                place = place[int(key)] if isinstance(place, list) else place[key]
            leaf = int(leaf) if isinstance(place, list) else leaf
            was = place[leaf]
            place[leaf] = not was if isinstance(was, bool) else added if isinstance(added, str) else was + added
        return {key: stringed(value) if key in ("totals", "accounts", "series", "assets", "book", "pools", "spot")
                else value
                for key, value in shown.items()}

    # -- verdicts ----------------------------------------------------------------------------------------------

    def history(self) -> History:
        self.close()
        return from_lines([orjson.dumps(line) for line in sorted(self.lines, key=lambda line: line["t"])])

    def judge(self, check: str, bounds: JudgeBounds = BOUNDS) -> CheckResult:
        return run_checks(self.history(), [check], bounds)[0]


def _market(market: Perpetual | None) -> dict[str, Any]:
    if market is None:
        return {}
    return {"funding": {key: getattr(market, key)
                        for key in ("index", "rate", "integral", "window", "weight", "weighted")}}


def stringed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: stringed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [stringed(item) for item in value]
    return wire(value)
