"""A venue with something of everything in it, from which each case starts and to which each returns."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from harness.anvil.rpc import RpcError
from harness.evm.accounts import KEEPERS, MAKER, OWNER, account
from harness.evm.keccak import keccak
from harness.rollup.blocks import Hash, L1Origin
from harness.solidity.artifacts import Artifacts
from harness.solidity.compile import compile_contracts
from harness.venue import exchange as ex
from harness.venue import governance as gov
from harness.venue.book import MODES, TICK_WAD, Order, encode_open_market, encode_place
from harness.venue.deployment import DEPOSITOR, interfaces
from harness.venue.pools import encode_deposit_coin, encode_move_collateral, encode_open_coin_pool
from harness.venue.spot import encode_add_liquidity
from tests.contracts.conftest import GAS, STRICT, T0, USD, Outcome, Venue, W

ALICE, BOB, CAROL, DAVE, STRANGER = 100, 101, 102, 103, 900
KEEPER, POOR = KEEPERS[0], KEEPERS[1]
FUTURE, CALL, PUT, PERPETUAL, SOON, POOLED, INVERSE = 1, 2, 3, 4, 5, 6, 7
"""Series of the stage. SOON expires 60 s after genesis, POOLED is of pool 1, INVERSE of pool 2, which holds ETH."""

COINS = 2                       # the coin pool

RESTING = 1                     # the maker's order on the future's book, an ask of one at 2010
FOREVER = 2**64 - 1
L1_HEAD = 100                   # the newest L1 block that L2 knows
GUARDIAN_ROLE = keccak(b"GUARDIAN_ROLE")
ZERO = "0x" + "00" * 20
_RICH = 10**9
_CALLS_PER_BLOCK = 25
_CALL_GAS = 1_100_000           # so many of these fit a block; nothing that is refused costs more

State = dict[str, tuple[str, str, dict[str, str]]]
"""Address → balance, code, slots that are not zero. Nonces are left out: a refused call has one, too."""

Sender = int | str
"""A dev account's index, or the name of a contract or an address that is made to speak."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call that somebody tries."""

    label: str
    sender: Sender
    contract: str               # field of the deployment, an address, or "" to create one
    data: bytes
    value: int = 0


class Stage(Venue):
    """The venue of `build`; `branch` gives a place to try things in."""

    @contextmanager
    def branch(self) -> Iterator[None]:
        """Whatever happens inside has not happened afterwards."""
        kept = (self.now, self.rounds, self.quotes, dict(self.nonces))
        snapshot = self.client.call("evm_snapshot")
        try:
            yield
        finally:
            assert self.client.call("evm_revert", snapshot) is True
            self.now, self.rounds, self.quotes, self.nonces = kept

    def system(self, *, auto: bool = False, origin: int | None = None) -> Outcome:
        """As the venue's, with an L1 that is long enough for something of it to be final."""
        self.origin_time = stamp = self.now if origin is None else origin
        data = ex.encode_set_l1_block(L1Origin(L1_HEAD, Hash("0x" + "77" * 32), stamp), auto=auto)
        return self.attempt(Attempt("system", DEPOSITOR, "l1_info", data))

    def dump(self) -> State:
        """All there is on the chain."""
        raw = orjson.loads(gzip.decompress(bytes.fromhex(self.client.call("anvil_dumpState")[2:])))
        return {
            address: (item["balance"], item["code"], {
                slot: value for slot, value in item["storage"].items() if int(value, 16)
            })
            for address, item in raw["accounts"].items()
            if item["code"] not in ("", "0x") or int(item["balance"], 16)
        }

    def address(self, who: Sender) -> str:
        if isinstance(who, int):
            return account(who).address
        return str(self.at.get(who, who))

    def attempt(self, item: Attempt) -> Outcome:
        """In a block of its own."""
        if isinstance(item.sender, int) and item.contract in self.at and not item.value:
            return self.send(item.sender, item.contract, item.data)
        request = self._request(item)
        self.client.call("anvil_impersonateAccount", request["from"])
        sent = request | {"gas": hex(GAS), "maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0"}
        return self._mine(("eth_sendTransaction", [sent]), request)

    def attempt_all(self, items: Sequence[Attempt]) -> list[str]:
        """The error of each, "" for none, many a block: what changes nothing has no order."""
        errors: list[str] = []
        for first in range(0, len(items), _CALLS_PER_BLOCK):
            chunk = items[first:first + _CALLS_PER_BLOCK]
            senders = dict.fromkeys(self.address(item.sender) for item in chunk)
            for sender in senders:
                self.client.call("anvil_impersonateAccount", sender)
            requests = [self._request(item) for item in chunk]
            counts = self.client.batch([("eth_getTransactionCount", [sender, "latest"]) for sender in senders])
            nonces = {sender: int(count, 16) for sender, count in zip(senders, counts, strict=True)}
            sends: list[tuple[str, Sequence[Any]]] = []
            for request in requests:
                sends.append(("eth_sendTransaction", [request | {
                    "gas": hex(_CALL_GAS), "nonce": hex(nonces[request["from"]]), "maxFeePerGas": "0x0",
                    "maxPriorityFeePerGas": "0x0"}]))
                nonces[request["from"]] += 1
            for who in {item.sender for item in chunk if isinstance(item.sender, int)}:
                self.nonces[who] = nonces[self.address(who)]
            *hashes, mined = self.client.batch([*sends, ("evm_mine", [{"timestamp": self.now, "blocks": 1}])])
            assert not isinstance(mined, RpcError), mined
            receipts = self.client.batch([("eth_getTransactionReceipt", [item]) for item in hashes])
            for sender in senders:
                self.client.call("anvil_stopImpersonatingAccount", sender)
            errors += [
                "" if receipt["status"] == "0x1" else self._reason(request)
                for request, receipt in zip(requests, receipts, strict=True)
            ]
        return errors

    def _request(self, item: Attempt) -> dict[str, str]:
        request = {"from": self.address(item.sender), "data": "0x" + item.data.hex()}
        if item.contract:
            request["to"] = self.address(item.contract)
        if item.value:
            request["value"] = hex(item.value)
        return request

    def call_of(self, contract: str, function: str, *arguments: Any) -> bytes:
        """Calldata; of a function by its signature, too."""
        return interfaces()[contract].encode_call(function, *arguments)

    def live(self, seconds: int, price: int | None = None) -> None:
        """Time passes and the chain is up; then, if asked for, a price."""
        super().live(seconds)
        if price is not None:
            self.observe(price * W)

    def pause(self, mask: int) -> None:
        """Pauses what of it is not yet."""
        (paused,) = self.ask("pauses", "paused")
        if mask & ~paused:
            self.ok(OWNER, "pauses", gov.encode_pause(mask))

    def gaps(self) -> tuple[int, ...]:
        """C1 of each pool, and of the custody against all of them: zeros, or money was made or lost."""
        (count,) = self.ask("vault", "poolCount")
        pools = {pool: list(self.ask("vault", "accounts", pool)[0]) for pool in range(count + 1)}
        names = [address for members in pools.values() for address in members]
        state = ex.decode_state(self.call("lens", ex.encode_state(names, ("ETH", "BTC", "WTI"))))
        pool_of = {item.series_id: self.ask("clearing_house", "terms", item.series_id)[0][1] for item in state.series}
        found = []
        for books in state.pools:
            own = sum(a.cash - sum(p.notional for p in a.positions) for a in state.accounts if a.pool == books.pool)
            own += sum(s.clearing for s in state.series if pool_of[s.series_id] == books.pool)
            found.append(books.balance - (own + books.insurance + books.fees + books.dust - books.deficit))
        dollars = sum(books.balance for books in state.pools if not books.coin)
        coins = [books.custody - books.balance for books in state.pools if books.coin]
        return (*found, *coins, state.totals.custody * 10**12 - dollars)


Scene = Callable[[Stage], None]


@lru_cache(maxsize=1)
def mocks() -> Artifacts:
    """What the venue never deploys: tokens and contracts that misbehave."""
    return compile_contracts(Path(__file__).parent, folders=("mocks",))


def build(stage: Stage) -> None:
    """Positions of every kind, a resting order, an isolated pool, a spot pool; ETH at 2000."""
    stage.observe(2000 * W)
    stage.observe(60_000 * W, "BTC")
    stage.list_series("future")
    stage.list_series("call", strike=2000 * W)
    stage.list_series("put", strike=2000 * W)
    stage.list_series("perpetual")
    stage.list_series("future", expires=60)
    stage.ok(OWNER, "clearing_house", ex.encode_list_series_with(0, "ETH", 0, T0 + 3_600, (0, 1, 0, 0, 0)))
    stage.ok(OWNER, "order_book", encode_open_market(FUTURE, tick=TICK_WAD, lot=STRICT.lot_wad))
    for who, dollars in ((MAKER, 10_000_000), (ALICE, 300), (BOB, 10_000), (CAROL, 10_000), (KEEPER, 100_000)):
        stage.deposit(who, dollars)
    for who, dollars in ((MAKER, 1_000_000), (BOB, 1_000), (KEEPER, 10_000)):
        stage.ok(who, "vault", encode_move_collateral(0, 1, dollars * USD))
    for who, series in ((ALICE, FUTURE), (BOB, FUTURE), (BOB, PERPETUAL), (BOB, SOON), (BOB, POOLED)):
        assert stage.trade(who, series, W, 2000 * W).error == ""
    stage.ok(MAKER, "order_book", encode_place(Order(FUTURE, -W, 2010 * W, MODES["limit"], FOREVER)))
    for who in (MAKER, CAROL):
        stage.ok(OWNER, "spot_token", stage.raw("spot_token", "mint", account(who).address, _RICH * W))
        for token in ("spot_token", "collateral_token"):
            stage.ok(who, token, ex.encode_approve(stage.at["spot_amm"], 2**256 - 1))
    stage.ok(MAKER, "spot_amm", encode_add_liquidity(1_000 * W, 2_000_000 * USD, min_shares=0, deadline=FOREVER))
    stage.ok(OWNER, "vault", encode_open_coin_pool(COINS, stage.at["spot_token"], "ETH"))
    terms = (0, COINS, 0, 0, 0)
    stage.ok(OWNER, "clearing_house", ex.encode_list_series_with(ex.KINDS["inverse"], "ETH", 0, T0 + 3_600, terms))
    for purse in (CAROL, STRANGER):
        stage.client.call("anvil_setBalance", account(purse).address, hex(10 * W))
    for who in (MAKER, CAROL):
        stage.ok(who, "spot_token", ex.encode_approve(stage.at["vault"], 2**256 - 1))
        stage.ok(who, "vault", encode_deposit_coin(COINS, 10 * W))
    assert stage.trade(CAROL, INVERSE, 1_000 * W, 2000 * W).error == ""
    stage.live(1, 2000)


# Scenes: what has happened since `build` when a case begins.


def as_built(_: Stage) -> None:
    """Nothing."""


def fallen(stage: Stage) -> None:
    """Alice is below her maintenance margin and can still pay the penalty."""
    stage.live(1, 1800)


def auction(stage: Stage) -> None:
    """Alice is for sale."""
    stage.live(1, 1800)
    stage.live(1, 1731)
    assert stage.liquidate(KEEPER, ALICE).one("AuctionStarted")


def healed(stage: Stage) -> None:
    """Alice's auction has begun and she is well again."""
    auction(stage)
    stage.live(1, 1800)
    stage.live(1, 1900)


def overdrawn(stage: Stage) -> None:
    """Dave lost 201 more than he had; the insurance paid 50 of its 100, a winner 100, and 51 are a deficit."""
    series = stage.list_series("future")
    stage.deposit(DAVE, 300)
    assert stage.trade(DAVE, series, W, 2000 * W).error == ""
    stage.live(1, 1800)
    stage.live(1, 1600)
    stage.live(STRICT.halt_duration_s)
    stage.deposit(POOR, 1_000)
    assert stage.trade(POOR, series, -W, 1600 * W).error == ""     # the maker is out of it, and won the rest
    stage.live(1, 1500)
    assert stage.liquidate(KEEPER, DAVE).one("Liquidated")["badDebt"] == 51 * W


def indebted(stage: Stage) -> None:
    """A deficit of 1, and nothing in the insurance."""
    overdrawn(stage)
    stage.ok(CAROL, "vault", ex.encode_cover_deficit())


def expired(stage: Stage) -> None:
    """SOON is past its time, and there is a price to settle it at."""
    while stage.now < T0 + 59:
        stage.live(min(3, T0 + 59 - stage.now), 2000)
    stage.live(1, 2000)


def final(stage: Stage) -> None:
    """SOON has its price."""
    expired(stage)
    assert stage.finalize(SOON).one("SeriesFinalized")


def disputed(stage: Stage) -> None:
    """SOON is in dispute and its owner may decide: nobody observed anything for a while."""
    stage.live(T0 + 60 + STRICT.dispute_patience_s - stage.now)
    assert stage.finalize(SOON).one("SeriesDisputed")
    stage.live(STRICT.override_delay_s, 2000)


def undecided(stage: Stage) -> None:
    """SOON's dispute is over and nobody decided."""
    disputed(stage)
    stage.live(STRICT.dispute_window_s - STRICT.override_delay_s, 2000)


TIGHTER = replace(
    gov.Factors(STRICT.im_bps, STRICT.mm_bps, STRICT.option_im_bps, STRICT.option_min_im_bps, STRICT.option_mm_bps),
    im_bps=1500,
)


def tightening(stage: Stage) -> gov.Call:
    return gov.Call(stage.at["clearing_house"], gov.encode_set_factors(TIGHTER))


def announced(stage: Stage) -> None:
    """A change of the factors is scheduled."""
    stage.ok(OWNER, "timelock", gov.encode_schedule(tightening(stage), STRICT.timelock_delay_s))


def ripe(stage: Stage) -> None:
    """A change of the factors has waited long enough."""
    announced(stage)
    stage.live(STRICT.timelock_delay_s, 2000)


def paused(stage: Stage) -> None:
    """All of the venue is."""
    stage.pause(7)


def empty_spot(stage: Stage) -> None:
    """Nobody has anything in the spot pool but those who locked it."""
    (shares,) = stage.ask("spot_amm", "balanceOf", account(MAKER).address)
    data = stage.raw("spot_amm", "removeLiquidity", shares, 0, 0, FOREVER)
    stage.ok(MAKER, "spot_amm", data)
