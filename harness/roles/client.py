"""A user of the L2: signs, sends to its gateways, and knows when it does not know whether a write landed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.evm.accounts import Account, account
from harness.evm.wallet import decode_transaction, sign_transaction, transaction_hash
from harness.plan import L2_CHAIN_ID
from harness.ports import Clock, Json, Network, PortError, Recorder, Refused, Store
from harness.roles.context import RoleContext
from harness.roles.forced_path import GATEWAYS_ASKED, ForcedPath
from harness.roles.l1_client import L1Outcome
from harness.roles.refusals import is_definite, is_revert
from harness.roles.wire import WireError, data, field, number, parse_hash
from harness.rollup.blocks import Hash

L2_GAS_LIMIT = 3_000_000
INSIST_ATTEMPTS_MAX = 1_000
INSIST_INTERVAL_S = 1.0
PATIENCE_S = 4.0
"""How long a gateway is given to report a write committed."""
INSISTED = "insisted"
"""Operation → lives that have begun it."""

Phase = Literal["ok", "fail", "info"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a write ended: `ok` committed and succeeded, `fail` certainly had no effect, `info` may still land."""

    phase: Phase
    reason: str = ""
    transaction: str | None = None
    block: int | None = None

    def detail(self) -> dict[str, Json]:
        return {"tx": self.transaction, "block": self.block, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class View:
    """What a read returned, and the block it was read at."""

    data: bytes
    number: int
    hash: Hash
    timestamp: int


class ChainClient:
    """One account's connection to the L2. Writes are sequential: the next waits for the outcome of the one before."""

    def __init__(
        self,
        network: Network,
        clock: Clock,
        record: Recorder,
        *,
        account: Account,
        chain_id: int,
        gateways: Sequence[str],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.network = network
        self.clock = clock
        self.account = account
        self.gateways = tuple(gateways)
        self._record = record
        self._chain_id = chain_id
        self._patience_s = patience_s
        self._nonce: int | None = None
        """Next nonce, or None when it must be asked for: at the start, and after an outcome that is not known."""
        self._used = 0
        """Nonces below are used, as this client saw itself: a gateway with an old head may not know it yet."""
        self._unsettled: dict[int, bytes] = {}
        """Nonce → what was sent under it and may still land."""

    @classmethod
    def of(cls, context: RoleContext, *, patience_s: float = PATIENCE_S) -> ChainClient:
        """The client of a role that signs: its own account, over the gateways the plan gave it."""
        assert context.spec.account is not None, f"{context.name} signs with an account"
        return cls(
            context.network,
            context.clock,
            context.record,
            account=account(context.spec.account),
            chain_id=L2_CHAIN_ID,
            gateways=context.spec.gateways,
            patience_s=patience_s,
        )

    async def read(self, to: str, call: bytes, *, label: str = "unsafe", timeout: float = 1.0) -> View:
        """Evaluate a call at a gateway's head of that label; the first gateway that answers.

        Raises:
            Unreachable: no gateway answered. Refused: the call reverted.
        """
        payload = {"to": to, "data": call.hex(), "label": label}
        reply = await self._ask("call", payload, timeout=timeout)
        name = parse_hash(field(reply, "hash"))
        return View(data(reply, "result"), number(reply, "number"), name, number(reply, "timestamp"))

    async def send(
        self,
        to: str,
        call: bytes,
        *,
        gas: int = L2_GAS_LIMIT,
        nonce: int | None = None,
        forced: ForcedPath | None = None,
    ) -> Outcome:
        """Sign, submit and wait until committed. Never raises for what the network does: that is the outcome.

        `forced` is the way it goes where L2 takes longer than that path's patience.
        """
        return (await self.send_all([(to, call)], gas=gas, nonce=nonce, forced=forced))[0]

    async def send_all(
        self,
        calls: Sequence[tuple[str, bytes]],
        *,
        gas: int = L2_GAS_LIMIT,
        nonce: int | None = None,
        value: int = 0,
        tip_wei: int = 0,
        forced: ForcedPath | None = None,
    ) -> list[Outcome]:
        """Send several writes at once, under consecutive nonces; outcomes in the order of `calls`.

        `nonce` is the first one's, where the caller knows better than the gateways; `value` goes with each, in wei,
        and so does a tip per gas.
        """
        try:
            nonce = await self._next_nonce() if nonce is None else nonce
        except PortError as error:
            return [Outcome("fail", f"not sent: no gateway answered for a nonce ({error})")] * len(calls)
        self._nonce = None
        raws = [
            sign_transaction(
                self.account.key,
                chain_id=self._chain_id,
                nonce=nonce + offset,
                to=to,
                data=call,
                gas=gas,
                value=value,
                max_fee=tip_wei,
                max_priority=tip_wei,
            )
            for offset, (to, call) in enumerate(calls)
        ]
        async with asyncio.TaskGroup() as deliveries:
            tasks = [deliveries.create_task(self._deliver(raw, forced)) for raw in raws]
        outcomes = [task.result() for task in tasks]
        for offset, outcome in enumerate(outcomes):
            if outcome.block is not None:
                self._used = max(self._used, nonce + offset + 1)
            elif outcome.phase == "info":
                self._unsettled[nonce + offset] = raws[offset]
        self._unsettled = {used: raw for used, raw in self._unsettled.items() if used >= self._used}
        if all(outcome.block is not None for outcome in outcomes):
            self._nonce = nonce + len(calls)
        return outcomes

    async def _deliver(self, raw: bytes, forced: ForcedPath | None) -> Outcome:
        """Offer one signed transaction to L2, and through L1 where L2 neither commits nor refuses it in time."""
        if forced is None:
            return await self._offer(raw, self._patience_s)
        outcome = await self._offer(raw, forced.patience_s)
        if outcome.phase != "info":
            return outcome
        # What is censored holds up all that comes after it: it has to go the same way, and first.
        mine = decode_transaction(raw).nonce
        before = [earlier for used, earlier in sorted(self._unsettled.items()) if used < mine]
        pending = [earlier for earlier in before if await self._receipt(transaction_hash(earlier)) is None]
        name = transaction_hash(raw)
        return await forced.force([*pending, raw], lambda: self._receipt(name)) or outcome

    async def _offer(self, raw: bytes, patience_s: float) -> Outcome:
        """Offer one signed transaction to the gateways in turn until one reports it committed.

        The same signed bytes go to each, so the write lands at most once.
        """
        name = transaction_hash(raw)
        reason = ""
        was_taken = False
        for attempt in range(GATEWAYS_ASKED):
            gateway = self.gateways[attempt % len(self.gateways)]
            payload = {"raw": raw.hex(), "wait": patience_s}
            try:
                reply = await self.network.request(gateway, "tx", payload, timeout=patience_s + 0.5)
            except Refused as refused:
                reason = str(refused.args[0])
                was_taken = was_taken or not is_definite(refused)  # it may have been taken, whatever the answer says
                continue
            except PortError as error:
                was_taken = True  # the request may have arrived
                reason = str(error)
                continue
            try:
                outcome = _outcome_from_json(reply, name)
            except WireError as error:  # whatever that gateway answers, it may have taken the transaction
                was_taken, reason = True, str(error)
                continue
            if outcome is not None:
                return outcome
            was_taken, reason = True, f"{gateway} holds it, not committed yet"
        if was_taken:
            landed = await self._receipt(name)
            if landed is not None:
                return landed
            return Outcome("info", f"no receipt after {GATEWAYS_ASKED} tries: {reason}", name)
        return Outcome("fail", f"refused: {reason}", name)

    async def _receipt(self, name: str) -> Outcome | None:
        """How a transaction went, by the first gateway that knows of its inclusion."""
        for gateway in self.gateways:
            try:
                reply = await self.network.request(gateway, "receipt", {"hash": name}, timeout=1.0)
                if reply is not None:
                    return _outcome_from_json(reply, name)
            except PortError:
                continue
        return None

    async def operate(self, id: str, action: str, args: Json, to: str, call: bytes) -> Outcome:
        """`send`, written into the history as an operation: invoked, then ok, failed or indeterminate."""
        self.invoke(id, action, args)
        outcome = await self.send(to, call)
        self.conclude(id, action, outcome)
        return outcome

    async def insist(
        self, store: Store, id: str, action: str, args: Json, to: str, call: bytes, *, nonce: int
    ) -> Outcome:
        """An operation that has to land exactly once, however often its role crashes on the way.

        Its nonce is fixed beforehand, so every offer in every life of the role is the same signed bytes. One
        operation of the history, `<id>-<life>`, for each life; never `fail` unless the chain reverted it.
        """
        life = int(store.get(INSISTED, id) or 0)
        store.put(INSISTED, id, life + 1)
        store.flush()
        self.invoke(f"{id}-{life}", action, args)
        outcome = Outcome("info", "never tried")
        for _ in range(INSIST_ATTEMPTS_MAX):
            outcome = await self.send(to, call, nonce=nonce)
            if outcome.block is not None:
                break
            outcome = replace(outcome, phase="info")
            await self.clock.sleep(INSIST_INTERVAL_S)
        self.conclude(f"{id}-{life}", action, outcome)
        return outcome

    def invoke(self, id: str, action: str, args: Json) -> None:
        self._record.record("op", id=id, client=self.network.name, action=action, phase="invoke", args=args)

    def conclude(self, id: str, action: str, outcome: Outcome, sent: Json | None = None) -> None:
        """`sent` is what the call asked for, where that was not known when the operation was invoked."""
        detail = {**outcome.detail(), **(sent or {})}
        self._record.record("op", id=id, client=self.network.name, action=action, phase=outcome.phase, detail=detail)

    def conclude_l1(self, id: str, action: str, outcome: L1Outcome) -> None:
        """Of an operation on L1, where what it named is looked for."""
        self._record.record(
            "op", id=id, client=self.network.name, action=action, phase=outcome.phase, detail=outcome.detail()
        )

    async def _next_nonce(self) -> int:
        if self._nonce is not None:
            return self._nonce
        reply = await self._ask("nonce", {"address": self.account.address}, timeout=1.0)
        return max(self._used, number(reply, "nonce"))

    async def _ask(self, kind: str, payload: Json, *, timeout: float) -> Json:
        """The first answer among the gateways, in order of preference."""
        last: PortError | None = None
        for gateway in self.gateways:
            try:
                return await self.network.request(gateway, kind, payload, timeout=timeout)
            except PortError as error:
                if isinstance(error, Refused) and is_revert(error):
                    raise
                last = error
        assert last is not None, "a client has at least one gateway"
        raise last


def _outcome_from_json(reply: Json, name: str) -> Outcome | None:
    """A gateway's answer to a write; None while it is pending. Raises `WireError`."""
    if isinstance(reply, dict) and reply.get("pending"):
        return None
    phase: Phase = "ok" if field(reply, "ok") is True else "fail"
    return Outcome(phase, str(field(reply, "error") or ""), name, number(reply, "block"))
