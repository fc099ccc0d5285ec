"""An oracle reporter: observes, signs once per round, gathers its peers' observations and takes its turn to push.

Rounds are one second long and numbered from genesis, so that honest reporters agree on (round, timestamp) without
talking. A price is pushed when it deviates from the chain's, when the heartbeat is due, or when a product has just
expired and waits for its first observation. The turn to push rotates with the round and moves on every two seconds
while nothing lands (rollup.md §10). Whose signature the feed does not know any more (governance removed it) is left
out of the next push, and asked for again before each one after that.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field

from harness.evm.accounts import account
from harness.evm.wallet import observation_digest, recover, sign_digest
from harness.plan import L2_CHAIN_ID
from harness.ports import OPERATOR, Json, PortError, Refused
from harness.roles.client import ChainClient, Outcome
from harness.roles.context import RoleContext
from harness.roles.market import PricePath
from harness.roles.orders import Orders, scaled
from harness.roles.wire import data, quantity, text
from harness.roles.wire import number as wire_number
from harness.venue.exchange import (
    decode_is_reporter,
    decode_latest,
    encode_is_reporter,
    encode_latest,
    encode_submit,
)

ROUND_S = 1
GRACE_S = 0.2
STAGE_S = 2
NOISE_BPS = 2
BPS = 10_000
ROUNDS_KEPT = 30
SIGNED = "signed_rounds"
_UNKNOWN = re.compile(r"UnknownReporter\((?:signer=)?(0x[0-9a-fA-F]{40})\)")


@dataclass(slots=True)
class Round:
    """What is known of one round of one asset: reporter address → (price, signature)."""

    timestamp: int
    observations: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def median(self) -> int:
        """Middle of the sorted prices; the floored mean of the two middle ones for an even count."""
        prices = sorted(price for price, _ in self.observations.values())
        middle = len(prices) // 2
        return prices[middle] if len(prices) % 2 else (prices[middle - 1] + prices[middle]) // 2


class Reporter:
    """Runs one loop per second over every asset of the plan."""

    def __init__(self, context: RoleContext) -> None:
        self.context = context
        plan = context.plan
        self.peers = plan.of_kind("reporter")
        self.signers = {account(p.account).address for p in self.peers if p.account is not None}
        self.paths = {asset: PricePath(knots, period_ns=plan.market_period_ns) for asset, knots in plan.markets}
        self._signed = {asset: plan.terms_of(asset).signed for asset, _ in plan.markets}
        self.rounds: dict[tuple[str, int], Round] = {}
        self.feed = context.deployment["price_feed"]
        self.client = ChainClient.of(context, patience_s=STAGE_S)
        self.account = self.client.account
        self._orders = Orders("oracle")
        self._frozen: dict[tuple[str, str], int] = {}
        """(fault, asset) → the price it stopped at."""
        self._due_since: dict[str, int] = {}
        """Asset → round since which a push has been due."""
        self._pushing: dict[str, bool] = {}
        self._pushes = 0
        self._dismissed: set[str] = set()
        """Signers the feed has turned away: one such signature in a submission makes all of it revert."""

    async def run(self) -> None:
        self.context.network.serve(self._handle)
        clock = self.context.clock
        async with asyncio.TaskGroup() as pushes:
            while True:
                # Rounds begin on whole seconds of the reporter's own clock: a skewed reporter signs other rounds.
                await clock.sleep(ROUND_S - (clock.now() % 1_000_000_000) / 1e9)
                timestamp = clock.now() // 1_000_000_000
                self._forget(timestamp - ROUNDS_KEPT * ROUND_S)
                for asset in self.paths:
                    self._observe(asset, timestamp)
                await clock.sleep(GRACE_S)
                for asset in self.paths:
                    if not self._pushing.get(asset):
                        pushes.create_task(self._consider(asset, timestamp))

    def _observe(self, asset: str, timestamp: int) -> None:
        """Sign this round's price, durably once, and tell the peers."""
        number = timestamp - self.context.genesis_timestamp
        key = f"{asset}:{number:010d}"
        if number <= 0 or self.context.store.get(SIGNED, key) is not None:
            return
        true = self.paths[asset].at(self.context.clock.monotonic())
        noise = self.context.random.below(2 * NOISE_BPS + 1, "reporter-noise", self.context.name, asset, number)
        honest = true + true * (noise - NOISE_BPS) // BPS
        price = self._ordered(asset, honest)
        self.context.store.put(SIGNED, key, str(price))
        self.context.store.flush()
        signature = sign_digest(self.account.key, self._digest(asset, number, timestamp, price))
        self.context.record.record(
            "observation", asset=asset, round=number, timestamp=timestamp, price=str(price), source=str(true),
            **({"lied": True} if price != honest else {}),
        )
        self._hold(asset, number, timestamp, self.account.address, price, signature)
        message = {
            "asset": asset,
            "round": number,
            "timestamp": timestamp,
            "price": str(price),
            "signature": signature.hex(),
        }
        for peer in self.peers:
            if peer.name != self.context.name:
                self.context.network.send(peer.name, "observation", message)

    def _ordered(self, asset: str, price: int) -> int:
        """What this reporter says of a price it observed: the same, unless it has orders."""
        for fault, order in self._orders.of("oracle"):
            match order.how:
                case "freeze":
                    said = self._frozen.setdefault((fault, asset), price)
                case "drift":
                    seconds = (self.context.clock.monotonic() - order.since_ns) // 1_000_000_000
                    said = scaled(price, 1000 + order.amount * seconds)
                case "spike":
                    said = scaled(price, 1000 + order.amount)
                case _:
                    said = scaled(price, order.amount)
            if said != price:
                self._orders.acted(fault)
            price = said
        return price

    def _digest(self, asset: str, number: int, timestamp: int, price: int) -> bytes:
        """What a reporter signs for one price of one round."""
        return observation_digest(
            chain_id=L2_CHAIN_ID, feed=self.feed, asset=asset.encode(), round_=number, timestamp=timestamp, price=price
        )

    def _hold(self, asset: str, number: int, timestamp: int, signer: str, price: int, signature: bytes) -> None:
        held = self.rounds.setdefault((asset, number), Round(timestamp))
        held.observations.setdefault(signer, (price, signature))

    def _forget(self, before: int) -> None:
        """Drop the rounds that are too old by this reporter's own clock; a peer's word must not push others out."""
        for old in [key for key, held in self.rounds.items() if held.timestamp < before]:
            del self.rounds[old]

    async def _handle(self, sender: str, kind: str, payload: Json) -> Json:
        if sender == OPERATOR:
            return self._orders.obey(sender, kind, payload, self.context.clock.monotonic())
        if kind != "observation":
            raise Refused(f"a reporter does not answer {kind!r}")
        asset, number = text(payload, "asset"), wire_number(payload, "round")
        timestamp = wire_number(payload, "timestamp")
        price, signature = quantity(payload, "price"), data(payload, "signature")
        is_priced = asset in self.paths and (price > 0 or self._signed[asset])
        if not is_priced or timestamp != self.context.genesis_timestamp + number:
            return None
        if abs(timestamp - self.context.clock.now() // 1_000_000_000) > ROUNDS_KEPT * ROUND_S:
            return None  # nobody needs it, and what is kept stays bounded, whatever round a liar names
        try:
            signer = recover(self._digest(asset, number, timestamp, price), signature)
        except ValueError:
            return None
        if signer in self.signers:
            self._hold(asset, number, timestamp, signer, price, signature)
        return None

    async def _consider(self, asset: str, timestamp: int) -> None:
        self._pushing[asset] = True
        try:
            await self._push_if_due(asset, timestamp)
        finally:
            self._pushing[asset] = False

    async def _push_if_due(self, asset: str, timestamp: int) -> None:
        number = timestamp - self.context.genesis_timestamp
        held = self._counted(asset, number)
        if held is None:
            return
        try:
            view = await self.client.read(self.feed, encode_latest(asset), timeout=ROUND_S / 2)
        except PortError:
            return
        on_chain = decode_latest(view.data)
        if not self._is_due(held, on_chain.timestamp, on_chain.price):
            self._due_since.pop(asset, None)
            return
        since = self._due_since.setdefault(asset, number)
        turn = (since + (number - since) // STAGE_S) % len(self.peers)
        if self.peers[turn].name != self.context.name:
            return
        await self._readmit()
        for _ in self.peers:
            held = self._counted(asset, number)
            if held is None or not self._is_turned_away(await self._push(asset, number, held)):
                return

    def _counted(self, asset: str, number: int) -> Round | None:
        """What is known of a round by those whose signature counts; None where they are too few for the feed."""
        held = self.rounds.get((asset, number))
        if held is None:
            return None
        counted = {signer: said for signer, said in held.observations.items() if signer not in self._dismissed}
        return None if len(counted) < self.context.plan.venue.min_sources else Round(held.timestamp, counted)

    async def _push(self, asset: str, number: int, held: Round) -> Outcome:
        signed = sorted(held.observations.items(), key=lambda item: int(item[0], 16))
        call = encode_submit(
            asset, number, held.timestamp, [price for _, (price, _) in signed], [s for _, (_, s) in signed]
        )
        self._pushes += 1
        return await self.client.operate(
            f"{self.context.name}/push-{self.context.clock.monotonic()}-{self._pushes}",
            "push-price",
            {"asset": asset, "round": number, "timestamp": held.timestamp, "sources": len(signed)},
            self.feed,
            call,
        )

    def _is_turned_away(self, outcome: Outcome) -> bool:
        """Whether the feed refused the push for a signer it knows no more; who it is counts no further."""
        named = _UNKNOWN.search(outcome.reason)
        strangers = {signer for signer in self.signers if named is not None and signer.lower() == named[1].lower()}
        self._dismissed |= strangers
        return bool(strangers)

    async def _readmit(self) -> None:
        """Ask for each that was turned away whether the feed knows it again."""
        for signer in sorted(self._dismissed):
            with suppress(PortError):
                view = await self.client.read(self.feed, encode_is_reporter(signer), timeout=ROUND_S / 2)
                if decode_is_reporter(view.data):
                    self._dismissed.discard(signer)

    def _is_due(self, held: Round, chain_timestamp: int, chain_price: int) -> bool:
        profile = self.context.plan.profile
        if chain_timestamp == 0 or held.timestamp - chain_timestamp >= profile.oracle_heartbeat_s:
            return True
        if abs(held.median() - chain_price) * BPS >= profile.oracle_deviation_bps * abs(chain_price):
            return True
        expiries = (self.context.genesis_timestamp + product.expires_s for product in self.context.plan.products)
        return any(chain_timestamp < expiry <= held.timestamp for expiry in expiries)
