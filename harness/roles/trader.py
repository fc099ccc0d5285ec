"""A levered trader: follows its plan of operations, turning leverage into size at the price it sees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from harness.plan import PlannedOperation
from harness.ports import Json, PortError
from harness.roles.admin import series_id
from harness.roles.client import L2_GAS_LIMIT, PATIENCE_S, ChainClient, Outcome
from harness.roles.context import RoleContext
from harness.roles.forced_path import ForcedPath
from harness.roles.l1_client import L1Client
from harness.roles.maker import notional_size, quote_from_json
from harness.roles.market import WAD
from harness.roles.swapping import NothingToQuote, quoted
from harness.venue.book import MODES, Order, encode_place
from harness.venue.bridge import encode_send
from harness.venue.exchange import (
    AccountState,
    decode_state,
    encode_deposit,
    encode_state,
    encode_trade,
    encode_withdraw,
)
from harness.venue.pools import (
    CROSS,
    account_of,
    encode_deposit_coin,
    encode_move_collateral,
    encode_withdraw_coin,
)
from harness.venue.spot import decode_reserves, encode_reserves, encode_swap

MILLI = 1000
QUOTE_TIMEOUT_S = 1.0
ORDER_LIFETIME_S = 5
FORCIBLE_GAS = 1_000_000
"""A limit of which several fit into what one L1 block may force; no call of a trader's takes half of it."""
L1_GAS = 300_000
"""Of sending a message, which takes some 110 000."""
TO_VENUE = b"\x01"
"""The receiver credits the sender whatever the payload says; without one it would not be called."""


class NothingToDo(Exception):
    """The operation makes no sense in the state the trader finds; it ends as failed without having been sent."""


class Trader:
    """Runs its planned operations one after another; one that comes late is done late, as a person would."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.maker = context.plan.of_kind("maker")[0].name
        self.products = {p.id: p for p in context.plan.products}
        self._forced = ForcedPath(context) if context.plan.force_after_ns else None
        # Who does not wait for ever with a top-up does not wait for ever with what comes before it.
        patience_s = PATIENCE_S if self._forced is None else self._forced.patience_s
        self.client = ChainClient.of(context, patience_s=patience_s)
        self.account = self.client.account
        self._gas = L2_GAS_LIMIT if self._forced is None else FORCIBLE_GAS

    async def run(self) -> None:
        operations = dict(self.context.plan.operations).get(self.context.name, ())
        done = self.context.store.get("done", "operations") or 0
        for index, operation in enumerate(operations):
            if index < done:
                continue
            clock = self.context.clock
            await clock.sleep((operation.at_ns - clock.monotonic()) / 1e9)
            if clock.monotonic() >= self.context.plan.storm_ns:
                return
            # Marked before it is tried: a trader that crashed in mid-trade does not trade twice.
            self.context.store.put("done", "operations", index + 1)
            self.context.store.flush()
            await self._operate(operation)

    async def run_and_take_turns(self, turn: Callable[[], Awaitable[None]]) -> None:
        """What is planned, then `turn` once per L2 block until the storm ends: the life of who has a strategy."""
        await self.run()
        clock, interval = self.context.clock, self.context.plan.profile.l2_block_ms / 1000
        while clock.monotonic() < self.context.plan.storm_ns:
            with suppress(PortError):  # what it cannot see or ask for it does not act on now
                await turn()
            await clock.sleep(interval)

    async def _operate(self, operation: PlannedOperation) -> None:
        if operation.action in ("swap", "bridge"):
            await (self._swap if operation.action == "swap" else self._bridge)(operation)
            return
        args = {
            "product": operation.product,
            "side": operation.side,
            "leverage_milli": operation.leverage_milli,
            "fraction_milli": operation.fraction_milli,
            "amount": str(operation.amount_native),
            **self._pool_of(operation),
        }
        self.client.invoke(operation.id, operation.action, args)
        sent: dict[str, Json] = {}
        try:
            to, data = await self._call_for(operation, sent)
        except (PortError, NothingToDo) as error:
            outcome = Outcome("fail", f"not sent: {error}")
        else:
            forced = self._forced if operation.action == "deposit" else None
            outcome = await self.client.send(to, data, gas=self._gas, forced=forced)
        self.client.conclude(operation.id, operation.action, outcome, sent)

    async def _call_for(self, operation: PlannedOperation, sent: dict[str, Json]) -> tuple[str, bytes]:
        """The contract and calldata that carry out an operation now; of a trade, its series and size into `sent`."""
        vault = self.context.deployment["vault"]
        match operation.action:
            case "deposit" if operation.product:
                return vault, encode_deposit_coin(self.products[operation.product].terms.pool, operation.amount_native)
            case "deposit":
                return vault, encode_deposit(operation.amount_native)
            case "withdraw" if operation.product:
                return vault, encode_withdraw_coin(self.products[operation.product].terms.pool, operation.amount_native)
            case "withdraw":
                return vault, encode_withdraw(operation.amount_native)
            case "move":
                pool = self.products[operation.product].terms.pool
                source, target = (CROSS, pool) if operation.side > 0 else (pool, CROSS)
                return vault, encode_move_collateral(source, target, operation.amount_native)
            case "swap" | "bridge":
                raise AssertionError(f"a {operation.action} is no business of the venue's")
            case "open" | "reduce" | "close":
                size = await self._size(operation)
                sent |= {"series": series_id(self.context, operation.product), "size": str(size)}
                if self.context.plan.trading == "book":
                    return self.context.deployment["order_book"], encode_place(self._order(operation.product, size))
                payload = {"product": operation.product, "size": str(size)}
                reply = await self.context.network.request(self.maker, "quote", payload, timeout=QUOTE_TIMEOUT_S)
                quote, signature = quote_from_json(reply)
                sent["deadline"] = quote.deadline
                return self.context.deployment["clearing_house"], encode_trade(quote, signature, size)

    def _pool_of(self, operation: PlannedOperation) -> dict[str, Json]:
        """Which coin pool a deposit or withdrawal is of; nothing of dollars, which are the cross pool's."""
        if operation.action not in ("deposit", "withdraw") or not operation.product:
            return {}
        return {"pool": self.products[operation.product].terms.pool}

    async def _swap(self, operation: PlannedOperation) -> None:
        """All of an amount into the spot pool, for what it is quoted now less what the trader puts up with."""
        amm = self.context.deployment["spot_amm"]
        try:
            view = await self.client.read(amm, encode_reserves())
            swap, args = quoted(operation, decode_reserves(view.data), now_s=self.context.clock.now() // 1_000_000_000)
        except (PortError, NothingToQuote) as error:
            self.client.invoke(operation.id, "swap", {"asset": operation.product})
            self.client.conclude(operation.id, "swap", Outcome("fail", f"not sent: {error}"))
            return
        await self.client.operate(operation.id, "swap", args, amm, encode_swap(swap))

    async def _bridge(self, operation: PlannedOperation) -> None:
        """Send collateral from L1, to the own account on the venue or the own wallet; it arrives once it is final."""
        assert self.context.spec.l1 is not None, "a trader that uses the bridge has an L1 node"
        to_venue = operation.product == "venue"
        target = self.context.deployment["vault_deposits"] if to_venue else self.account.address
        call = encode_send(target, operation.amount_native, operation.gas, TO_VENUE if to_venue else b"")
        l1 = L1Client(
            self.context.network, self.context.clock, account=self.account, node=self.context.spec.l1,
            l1_block_s=self.context.plan.profile.l1_block_ms / 1000,
        )  # fmt: skip
        args = {"amount": str(operation.amount_native), "to": operation.product, "gas": operation.gas}
        self.client.invoke(operation.id, "bridge", args)
        outcome = await l1.send(self.context.deployment["l1_bridge"], call, gas=L1_GAS)
        self.client.conclude_l1(operation.id, "bridge", outcome)

    def _order(self, product: str, size: int) -> Order:
        """A market order over whole lots: whatever the book offers within the band, and nothing left behind."""
        lot = self.context.plan.venue.lot_wad
        whole = abs(size) // lot * lot
        if not whole:
            raise NothingToDo(f"{size} of {product} is less than a lot of {lot}")
        deadline = self.context.clock.now() // 1_000_000_000 + ORDER_LIFETIME_S
        number = series_id(self.context, product)
        return Order(number, whole if size > 0 else -whole, 0, MODES["market"], deadline)

    async def _size(self, operation: PlannedOperation) -> int:
        """Signed units of underlying to trade, of an inverse future dollars, at least one unit of 1e-18."""
        product = self.products[operation.product]
        account = account_of(self.account.address, product.terms.pool)
        view = await self.client.read(
            self.context.deployment["lens"], encode_state([account], [product.underlying])
        )
        state = decode_state(view.data)
        mine = state.accounts[0]
        if operation.action == "open":
            price = state.assets[0].price
            if mine.equity <= 0 or price == 0:
                raise NothingToDo(f"equity {mine.equity} at price {price} opens nothing")
            notional = mine.equity * operation.leverage_milli // MILLI
            is_inverse = product.kind == "inverse"
            size = notional * abs(price) // WAD if is_inverse else notional_size(notional, abs(price))
            side = operation.side
        else:
            held = self._held(mine, operation.product)
            fraction = MILLI if operation.action == "close" else operation.fraction_milli
            size, side = abs(held) * fraction // MILLI, -1 if held > 0 else 1
        if size == 0:
            raise NothingToDo(f"nothing of {operation.product} to {operation.action}")
        return side * size

    def _held(self, mine: AccountState, product: str) -> int:
        wanted = series_id(self.context, product)
        return next((p.size for p in mine.positions if p.series_id == wanted), 0)
