"""A keeper: liquidates what has fallen below maintenance margin, finalizes and settles what has expired, and moves a
perpetual's rate on once its premium window is over.

Several keepers compete. Each takes its own share of the accounts at once and the others' share only after a few
blocks without success, so that they neither race for every account nor leave one alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from harness.evm.accounts import account
from harness.ports import PortError
from harness.roles.admin import series_id
from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.roles.deposit import deposit_once
from harness.venue.exchange import (
    VenueState,
    decode_liquidatable,
    decode_state,
    encode_accrue,
    encode_finalize,
    encode_liquidatable,
    encode_liquidate,
    encode_settle,
    encode_state,
)

DEPOSIT_NATIVE = 20_000_000 * 10**6
PATIENCE_BLOCKS = 4
"""Blocks a keeper leaves another's share to the other."""
CALLS_PER_TURN_MAX = 16


@dataclass(frozen=True, slots=True)
class Duty:
    """One call worth making, named so that its age can be followed from block to block."""

    key: str
    action: str
    args: dict[str, str | int]
    to: str
    data: bytes
    share: int  # whose it is: index modulo the number of keepers


class Keeper:
    """One turn per L2 block: read, decide, send a bounded batch, wait for the outcomes."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        self.keepers = context.plan.of_kind("keeper")
        clients = context.plan.of_kind("trader", "maker", "keeper")
        indices = [*(c.account for c in clients if c.account is not None), *context.plan.users]
        self.accounts = [account(index).address for index in dict.fromkeys(indices)]
        self.assets = [asset for asset, _ in context.plan.markets]
        self.client = ChainClient.of(context)
        self.account = self.client.account
        self._ask_liquidatable = encode_liquidatable(self.accounts)
        self._ask_state = encode_state(self.accounts, self.assets)
        self._has_perpetuals = any(product.kind == "perpetual" for product in context.plan.products)
        self._accrued_window = -1
        """The newest premium window in which every perpetual was seen accrued."""
        self._ages: dict[str, int] = {}
        """Duty → turns it has been open."""
        self._operations = 0

    async def run(self) -> None:
        await deposit_once(self.context, self.client, DEPOSIT_NATIVE)
        interval = self.context.plan.profile.l2_block_ms / 1000
        while True:
            with suppress(PortError):  # no gateway in reach: the next block is another chance
                await self._turn()
            await self.context.clock.sleep(interval)

    async def _turn(self) -> None:
        duties = [*await self._liquidations(), *await self._upkeep()]
        self._ages = {duty.key: self._ages.get(duty.key, 0) + 1 for duty in duties}
        mine = [
            duty
            for duty in duties
            if duty.share == self.context.spec.index % len(self.keepers) or self._ages[duty.key] > PATIENCE_BLOCKS
        ][:CALLS_PER_TURN_MAX]
        if not mine:
            return
        names = []
        for duty in mine:
            self._operations += 1
            name = f"{self.context.name}/{duty.action}-{self.context.clock.monotonic()}-{self._operations}"
            self.client.invoke(name, duty.action, duty.args)
            names.append(name)
        outcomes = await self.client.send_all([(duty.to, duty.data) for duty in mine])
        for name, duty, outcome in zip(names, mine, outcomes, strict=True):
            self.client.conclude(name, duty.action, outcome)

    async def _liquidations(self) -> list[Duty]:
        deployment = self.context.deployment
        view = await self.client.read(deployment["lens"], self._ask_liquidatable)
        flags = decode_liquidatable(view.data)
        return [
            Duty(
                f"liquidate {address}",
                "liquidate",
                {"account": address},
                deployment["liquidator"],
                encode_liquidate(address),
                index % len(self.keepers),
            )
            for index, (address, is_due) in enumerate(zip(self.accounts, flags, strict=True))
            if is_due and address != self.account.address
        ]

    async def _upkeep(self) -> list[Duty]:
        """Funding to accrue, series to finalize, positions to settle."""
        now_s = self.context.clock.now() // 1_000_000_000
        expired = [
            (series_id(self.context, product.id), self.context.genesis_timestamp + product.expires_s, product)
            for product in self.context.plan.products
            if self.context.genesis_timestamp + product.expires_s <= now_s
        ]
        window = now_s // self.context.plan.venue.premium_window_s
        must_accrue = self._has_perpetuals and window > self._accrued_window
        if not expired and not must_accrue:
            return []
        view = await self.client.read(
            self.context.deployment["lens"], self._ask_state
        )
        state = decode_state(view.data)
        observed = {asset.name: asset.timestamp for asset in state.assets}
        duties = self._accruals(state, view.timestamp) if must_accrue else []
        for number, expiry, product in expired:
            series = next((s for s in state.series if s.series_id == number), None)
            if series is None:
                continue
            if not series.is_final:
                if observed.get(product.underlying, 0) >= expiry and view.timestamp >= expiry:
                    duties.append(self._finalize(number))
            elif series.open_positions:
                duties += self._settle(state, number)
        return duties

    def _accruals(self, state: VenueState, timestamp: int) -> list[Duty]:
        window = timestamp // self.context.plan.venue.premium_window_s
        late = [market.series_id for market in state.perpetuals if market.window < window]
        if state.perpetuals and not late:
            self._accrued_window = window
        return [
            Duty(
                f"accrue {number} {window}",
                "accrue",
                {"series": number},
                self.context.deployment["perpetuals"],
                encode_accrue(number),
                number % len(self.keepers),
            )
            for number in late
        ]

    def _finalize(self, number: int) -> Duty:
        return Duty(
            f"finalize {number}",
            "finalize",
            {"series": number},
            self.context.deployment["settlement"],
            encode_finalize(number),
            number % len(self.keepers),
        )

    def _settle(self, state: VenueState, number: int) -> Sequence[Duty]:
        return [
            Duty(
                f"settle {number} {holder.address}",
                "settle",
                {"account": holder.address, "series": number},
                self.context.deployment["settlement"],
                encode_settle(holder.address, number),
                index % len(self.keepers),
            )
            for index, holder in enumerate(state.accounts)
            if any(p.series_id == number and p.size for p in holder.positions)
        ]
