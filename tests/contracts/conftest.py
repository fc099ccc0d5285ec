"""A venue on one real Anvil, fresh for every test, driven one transaction a block at explicit timestamps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import IpcClient, RpcError
from harness.anvil.spec import ChainSpec
from harness.plan import ANSWER_MAX_WAD, AssetTerms, VenueParameters
from harness.rollup.blocks import Hash, L1Origin, Log
from harness.venue import exchange as ex
from harness.evm import wallet
from harness.evm.accounts import KEEPERS, MAKER, OWNER, REPORTERS, account
from harness.venue.deployment import DEPOSITOR, interfaces
from harness.solidity.artifacts import Artifacts
from harness.solidity.genesis import GenesisSpec, build_genesis
from harness.toolchain import ToolError, anvil_binary

W = 10**18
USD = 10**6                     # native units of a dollar
T0 = 1_700_000_000
CHAIN = 901
GAS = 15_000_000
TRADERS = (100, 101, 102, 103)
EVERYONE = (OWNER, MAKER, KEEPERS[0], KEEPERS[1], *TRADERS)
START = 100_000_000 * USD       # tokens of each account at genesis
COINS = 10_000                  # and coins
INSURANCE = 100 * USD
PARAMS = VenueParameters(
    im_bps=1000, mm_bps=625, penalty_bps=250, keeper_share_bps=5000, taker_fee_bps=5, band_bps=1000,
    option_im_bps=1500, option_min_im_bps=1000, option_mm_bps=750, min_sources=3, max_price_age_s=20, grace_s=30,
    uptime_gap_s=3, settlement_window_s=15,
    # Tests about other things move prices as far, and observe as rarely, as they like.
    halt_duration_s=0, settlement_max_gap_s=10**6, coverage_bps=0,
)
STRICT = replace(PARAMS, halt_duration_s=5, settlement_max_gap_s=25, coverage_bps=6_000)
"""With the reference venue's breaker and gap rule."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a transaction ended. `error` is "" when it succeeded."""

    error: str
    events: tuple[ex.Event, ...]
    gas: int

    def one(self, name: str) -> dict[str, Any]:
        """Arguments of the only event of this name."""
        (found,) = [event.args for event in self.events if event.name == name]
        return found


class Venue:
    """The deployed contracts, and whoever uses them. `now` is the timestamp of the next block."""

    def __init__(self, client: IpcClient, deployment: dict[str, Any]) -> None:
        self.client = client
        self.at = deployment
        self.now = T0
        self.origin_time = 0    # what L1's clock showed the newest system transaction
        self.rounds = 0
        self.quotes = 0
        self.nonces: dict[int, int] = {}

    def send(self, who: int, contract: str, data: bytes) -> Outcome:
        """Mine one signed transaction in a block of its own at `now`."""
        nonce = self.nonces.get(who, 0)
        self.nonces[who] = nonce + 1
        raw = wallet.sign_transaction(account(who).key, chain_id=CHAIN, nonce=nonce, to=self.at[contract], data=data,
                                      gas=GAS)
        request = {"from": account(who).address, "to": self.at[contract], "data": "0x" + data.hex()}
        return self._mine(("eth_sendRawTransaction", ["0x" + raw.hex()]), request)

    def together(self, *calls: tuple[int, str, bytes]) -> list[Outcome]:
        """Mine several signed transactions, in that order, in one block at `now`. A failed one says only that it failed."""
        sends: list[tuple[str, list[Any]]] = []
        for who, contract, data in calls:
            nonce = self.nonces.get(who, 0)
            self.nonces[who] = nonce + 1
            raw = wallet.sign_transaction(account(who).key, chain_id=CHAIN, nonce=nonce, to=self.at[contract],
                                          data=data, gas=GAS // len(calls))
            sends.append(("eth_sendRawTransaction", ["0x" + raw.hex()]))
        *hashes, mined = self.client.batch([*sends, ("evm_mine", [{"timestamp": self.now, "blocks": 1}])])
        assert not isinstance(mined, RpcError), mined
        receipts = [self.client.call("eth_getTransactionReceipt", item) for item in hashes]
        assert [int(receipt["transactionIndex"], 16) for receipt in receipts] == list(range(len(calls)))
        return [
            Outcome("" if receipt["status"] == "0x1" else "failed", self._events(receipt), int(receipt["gasUsed"], 16))
            for receipt in receipts
        ]

    def ok(self, who: int, contract: str, data: bytes) -> Outcome:
        """`send` what must succeed."""
        outcome = self.send(who, contract, data)
        assert outcome.error == ""
        return outcome

    def raw(self, contract: str, function: str, *arguments: Any) -> bytes:
        """Calldata of any function, those no role calls included."""
        return interfaces()[contract].encode_call(function, *arguments)

    def ask(self, contract: str, function: str, *arguments: Any) -> tuple[Any, ...]:
        """A view's answer in the newest block; raises AssertionError with the decoded error if it reverts."""
        data = self.raw(contract, function, *arguments)
        return interfaces()[contract].decode_result(function, self.call(contract, data))

    def call(self, contract: str, data: bytes) -> bytes:
        try:
            answer = self.client.call("eth_call", {"to": self.at[contract], "data": "0x" + data.hex()}, "latest")
        except RpcError as error:
            raise AssertionError(ex.explain_revert(bytes.fromhex(str(error.data)[2:]))) from None
        return bytes.fromhex(answer[2:])

    def system(self, *, auto: bool = False, origin: int | None = None) -> Outcome:
        """The block's L1-attributes transaction; `origin` is what L1's clock shows, by default as late as it is here."""
        self.origin_time = stamp = self.now if origin is None else origin
        data = ex.encode_set_l1_block(L1Origin(7, Hash("0x" + "77" * 32), stamp), auto=auto)
        self.client.call("anvil_impersonateAccount", DEPOSITOR)
        request = {"from": DEPOSITOR, "to": self.at["l1_info"], "data": "0x" + data.hex(), "gas": hex(GAS),
                   "maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0"}
        return self._mine(("eth_sendTransaction", [request]), request)

    def live(self, seconds: int) -> None:
        """Time passes with the chain's system transaction as often as it takes, so that no second of it is an outage."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + PARAMS.uptime_gap_s, end)
            self.system()

    def deposit(self, who: int, dollars: int) -> None:
        self.ok(who, "vault", ex.encode_deposit(dollars * USD))

    def observe(self, price: int | list[int], asset: str = "ETH", *, timestamp: int | None = None) -> Outcome:
        """Post a round of three reporters, by default all at one price and observed now; must succeed."""
        outcome = self.send(OWNER, "price_feed", self.round(price, asset, timestamp=timestamp))
        assert outcome.error == ""
        return outcome

    def round(
        self, price: int | list[int], asset: str = "ETH", *, timestamp: int | None = None,
        signers: list[int] | None = None, number: int | None = None,
    ) -> bytes:
        """Calldata of a round: signers in ascending order of their addresses unless given."""
        prices = price if isinstance(price, list) else [price] * 3
        self.rounds += 1
        if signers is None:
            signers = sorted(REPORTERS[:len(prices)], key=lambda index: account(index).address)
        stamp = self.now if timestamp is None else timestamp
        number = self.rounds if number is None else number
        signatures = [
            wallet.sign_observation(account(signer).key, chain_id=CHAIN, feed=self.at["price_feed"],
                                    asset=asset.encode(), round_=number, timestamp=stamp, price=value)
            for signer, value in zip(signers, prices, strict=True)
        ]
        return ex.encode_submit(asset, number, stamp, prices, signatures)

    def list_series(self, kind: str, *, strike: int = 0, expires: int = 3_600, asset: str = "ETH") -> int:
        """A new series expiring `expires` seconds after T0, unless it is a perpetual; its id."""
        expiry = ex.NEVER if kind == "perpetual" else T0 + expires
        data = ex.encode_list_series(ex.KINDS[kind], asset, strike, expiry)
        return int(self.ok(OWNER, "clearing_house", data).one("SeriesListed")["id"])

    def quote(self, series: int, size: int, price: int, *, maker: int = MAKER, **changes: Any) -> wallet.Quote:
        self.quotes += 1
        fields: dict[str, Any] = {"maker": account(maker).address, "series_id": series, "price": price, "size": size,
                                  "deadline": self.now + 60, "nonce": self.quotes}
        return wallet.Quote(**fields | changes)

    def sign(self, quote: wallet.Quote, who: int = MAKER) -> bytes:
        return wallet.sign_quote(account(who).key, quote, chain_id=CHAIN, clearing_house=self.at["clearing_house"])

    def trade(self, taker: int, series: int, size: int, price: int, *, maker: int = MAKER) -> Outcome:
        quote = self.quote(series, size, price, maker=maker)
        return self.send(taker, "clearing_house", ex.encode_trade(quote, self.sign(quote, maker), size))

    def liquidate(self, keeper: int, victim: int) -> Outcome:
        return self.send(keeper, "liquidator", ex.encode_liquidate(account(victim).address))

    def liquidatable(self, who: int) -> bool:
        return ex.decode_liquidatable(self.call("lens", ex.encode_liquidatable([account(who).address])))[0]

    def finalize(self, series: int) -> Outcome:
        return self.send(OWNER, "settlement", ex.encode_finalize(series))

    def settle(self, who: int, series: int) -> Outcome:
        return self.send(OWNER, "settlement", ex.encode_settle(account(who).address, series))

    def state(self, *assets: str) -> ex.VenueState:
        addresses = [account(index).address for index in EVERYONE]
        return ex.decode_state(self.call("lens", ex.encode_state(addresses, assets or ("ETH",))))

    def of(self, who: int) -> ex.AccountState:
        return self.state().accounts[EVERYONE.index(who)]

    def _mine(self, send: tuple[str, list[Any]], request: dict[str, str]) -> Outcome:
        sent, mined = self.client.batch([send, ("evm_mine", [{"timestamp": self.now, "blocks": 1}])])
        assert not isinstance(sent, RpcError), sent
        assert not isinstance(mined, RpcError), mined
        receipt = self.client.call("eth_getTransactionReceipt", sent)
        error = "" if receipt["status"] == "0x1" else self._reason(request)
        return Outcome(error=error, events=self._events(receipt), gas=int(receipt["gasUsed"], 16))

    def _events(self, receipt: dict[str, Any]) -> tuple[ex.Event, ...]:
        logs = [Log(item["address"], tuple(item["topics"]), bytes.fromhex(item["data"][2:]))
                for item in receipt["logs"]]
        return tuple(event for log in logs if (event := ex.decode_log(log, self.at)) is not None)

    def _reason(self, request: dict[str, str]) -> str:
        """A failed transaction alone in its block left the state it found: asking again gives the same revert."""
        with pytest.raises(RpcError) as caught:
            self.client.call("eth_call", request, "latest")
        return ex.explain_revert(bytes.fromhex(str(caught.value.data)[2:]))


@contextmanager
def standing_venue(params: VenueParameters = PARAMS, artifacts: Artifacts | None = None) -> Iterator[Venue]:
    """Contracts deployed on an Anvil of their own, everyone with tokens, insurance of 100 dollars, nothing listed.

    `artifacts` are other contracts than ours. Raises ToolError where there is no Anvil.
    """
    binary = anvil_binary()
    genesis = build_genesis(GenesisSpec(
        params=params, assets=(AssetTerms("ETH"), AssetTerms("BTC"),
                AssetTerms("WTI", signed=True, min_answer=-ANSWER_MAX_WAD)), owner=account(OWNER).address,
        insurance=INSURANCE, reporters=tuple(account(index).address for index in REPORTERS[:5]),
        collateral={account(index).address: START for index in EVERYONE},
        coin={account(index).address: COINS * W for index in EVERYONE},
    ), artifacts=artifacts)
    spec = ChainSpec(chain_id=CHAIN, genesis_timestamp=T0 - 1, gas_limit=30_000_000, genesis_file=genesis.l2_file)
    node = AnvilProcess(spec, name="venue", binary=binary)
    client = IpcClient(node.socket_path, timeout_s=10)
    try:
        node.start()
        node.wait_until_ready(client)
        venue = Venue(client, dict(genesis.deployment.to_json()))
        venue.system()  # before the first call of its system transaction a chain counts as down
        yield venue
    finally:
        client.close()
        node.close()


@contextmanager
def venue_or_skip(params: VenueParameters = PARAMS, artifacts: Artifacts | None = None) -> Iterator[Venue]:
    """A standing venue; skips where there is no Anvil."""
    try:
        anvil_binary()
    except ToolError as error:
        pytest.skip(f"no Anvil: {error}")
    with standing_venue(params, artifacts) as venue:
        yield venue


@pytest.fixture
def venue(request: pytest.FixtureRequest) -> Iterator[Venue]:
    """A standing venue. Other parameters than PARAMS come by indirect parametrization."""
    with venue_or_skip(getattr(request, "param", PARAMS)) as venue:
        yield venue


@pytest.fixture
def market(venue: Venue) -> Venue:
    """The venue with ETH at 2000, a future (1), a call (2) and a put (3) struck at 2000, and a rich maker."""
    venue.observe(2000 * W)
    venue.list_series("future")
    venue.list_series("call", strike=2000 * W)
    venue.list_series("put", strike=2000 * W)
    venue.deposit(MAKER, 10_000_000)
    return venue
