"""Errors that no extreme argument and no pause brings about: each with the situation that does, or why nothing can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import cast

import rlp

from harness.evm import wallet
from harness.evm.abi import asset_word
from harness.evm.accounts import MAKER, OWNER, REPORTERS, account
from harness.solidity.compile import compile_contracts
from harness.solidity.deploy import creation_code
from harness.venue import exchange as ex
from harness.venue import governance as gov
from harness.venue.book import MODES, TICK_WAD, Order, encode_open_market, encode_update
from harness.venue.pools import encode_open_coin_pool
from harness.venue.spot import Swap, encode_swap
from tests.contracts.bad_input.cases_authority import attested, scheduled
from tests.contracts.bad_input.cases_bridge import (
    EMPTY_LIST,
    ID,
    L1_BLOCK,
    bridged,
    heard_of,
    id_of,
    proven,
    say_proven,
)
from tests.contracts.bad_input.cases_money import name
from tests.contracts.bad_input.cases_trading import ETH, second_version
from tests.contracts.bad_input.stage import (
    ALICE,
    BOB,
    CALL,
    CAROL,
    COINS,
    DAVE,
    FOREVER,
    FUTURE,
    KEEPER,
    L1_HEAD,
    POOLED,
    SOON,
    ZERO,
    Attempt,
    Scene,
    Sender,
    Stage,
    announced,
    as_built,
    auction,
    disputed,
    expired,
    fallen,
    final,
    mocks,
    overdrawn,
    ripe,
    undecided,
)
from tests.contracts.conftest import STRICT, T0, USD, W

ORDERS_MAX, POSITIONS_MAX, SERIES_MAX, OBSERVATIONS = 64, 32, 255, 64
_ODD = "0x" + "0d" * 20         # where a contract of our own is put


@dataclass(frozen=True, slots=True)
class Situation:
    """What must have happened, and the call that is then refused by `error`."""

    label: str
    error: str
    attempt: Callable[[Stage], Attempt]
    scene: Scene = as_built


def by(sender: Sender, contract: str, function: str, *arguments: object) -> Callable[[Stage], Attempt]:
    return lambda stage: Attempt(function, sender, contract, stage.call_of(contract, function, *arguments))


def of(error: str, sender: Sender, contract: str, function: str, *arguments: object, after: Scene = as_built,
       label: str = "") -> Situation:
    return Situation(label or error, error, by(sender, contract, function, *arguments), after)


def trade(stage: Stage, taker: int, series: int, price: int, *, maker: int = MAKER, signature: bytes | None = None,
          house: str | None = None) -> Attempt:
    quote = stage.quote(series, W, price, maker=maker)
    if signature is None:
        house = stage.at["clearing_house"] if house is None else house
        signature = wallet.sign_quote(account(maker).key, quote, chain_id=901, clearing_house=house)
    return Attempt("trade", taker, "clearing_house", ex.encode_trade(quote, signature, W))


def trading(error: str, taker: int, series: int, price: int = 2000 * W, *, after: Scene = as_built, label: str = "",
            signature: bytes | None = None, house: str | None = None) -> Situation:
    return Situation(label or error, error,
                     lambda stage: trade(stage, taker, series, price, signature=signature, house=house), after)


def constructed(error: str, contract: str, *addresses: int, **params: int) -> Situation:
    """A contract that is never deployed with such a parameter."""

    def attempt(stage: Stage) -> Attempt:
        arguments = (astuple(replace(STRICT, **params)), *[ZERO] * addresses[0], *addresses[1:])
        return Attempt("constructor", OWNER, "", creation_code(compile_contracts()[contract], *arguments))

    return Situation(f"{error} at construction", error, attempt)


def endowed(stage: Stage) -> None:
    stage.client.call("anvil_setBalance", stage.at["timelock"], "0x1")


def upgrade(error: str, attempt: Callable[[Stage], tuple[str, bytes]], *, value: int = 0) -> Situation:
    return Situation(error, error, lambda stage: Attempt(
        "upgradeToAndCall", "timelock", "liquidator", stage.call_of("liquidator", "upgradeToAndCall", *attempt(stage)),
        value), endowed)  # fmt: skip


def signed_by(stage: Stage, signers: list[int], *, asset: bytes = ETH, feed: str | None = None, chain: int = 901,
              price: int = 2000 * W, meant: bytes = ETH) -> Attempt:
    """A round of `meant` now, whose signatures are of these, over that asset, feed and chain."""
    number, at = stage.rounds + 1, feed or stage.at["price_feed"]
    signatures = [
        wallet.sign_observation(account(signer).key, chain_id=chain, feed=at, asset=asset, round_=number,
                                timestamp=stage.now, price=price) for signer in signers
    ]
    data = stage.call_of("price_feed", "submit", meant, number, stage.now, [price] * len(signers), signatures)
    return Attempt("submit", CAROL, "price_feed", data)


def a_second_later(stage: Stage) -> None:
    stage.live(1)


def reporting(label: str, error: str, attempt: Callable[[Stage], Attempt], after: Scene = a_second_later) -> Situation:
    return Situation(label, error, attempt, after)


def honest() -> list[int]:
    return sorted(REPORTERS[:3], key=lambda index: account(index).address)


def replayed(stage: Stage) -> Attempt:
    data = stage.round(2001 * W)
    stage.ok(CAROL, "price_feed", data)
    return Attempt("submit", CAROL, "price_feed", data)


def reordered(stage: Stage) -> Attempt:
    """Observed before, and numbered before, one that came first."""
    late = stage.round(2001 * W)
    stage.live(1, 2002)
    return Attempt("submit", CAROL, "price_feed", late)


def renumbered(stage: Stage) -> Attempt:
    """Numbered after, but observed no later than, what is known."""
    stage.observe(2001 * W)
    return signed_by(stage, honest())


def dismissed(stage: Stage) -> Attempt:
    reporter = account(honest()[0]).address
    stage.attempt(Attempt("", "timelock", "price_feed", stage.call_of("price_feed", "setReporter", reporter, False)))
    return signed_by(stage, honest())


def at_nothing(stage: Stage) -> Attempt:
    return Attempt("submit", CAROL, "price_feed", stage.call_of(
        "price_feed", "submit", *attested(stage, (ETH, stage.rounds + 1, stage.now, [0, 0, 0], None))))  # fmt: skip


REPORTS = [
    reporting("the same round again", "RoundNotNewer", replayed),
    reporting("a round overtaken by a later one", "RoundNotNewer", reordered),
    reporting("a new number on an old observation", "TimestampNotNewer", renumbered),
    reporting("signed for another asset", "UnknownReporter", lambda s: signed_by(s, honest(), asset=asset_word("BTC"))),
    reporting("signed for another feed", "UnknownReporter", lambda s: signed_by(s, honest(), feed=_ODD)),
    reporting("signed for another chain", "UnknownReporter", lambda s: signed_by(s, honest(), chain=1)),
    reporting("signed by strangers", "UnknownReporter", lambda s: signed_by(s, [ALICE, BOB, CAROL])),
    reporting("signed by a reporter of former times", "UnknownReporter", dismissed),
    reporting("one reporter three times", "SignersNotAscending", lambda s: signed_by(s, honest()[:1] * 3)),
    reporting("two reporters", "TooFewSources", lambda s: signed_by(s, honest()[:2])),
    reporting("a price of nothing", "NonPositivePrice", at_nothing),
    reporting("a price in 24 decimals", "AnswerOutOfBounds", lambda s: signed_by(s, honest(), price=2000 * 10**24)),
    reporting("a price in 36 decimals", "SafeCastOverflowedIntDowncast",
              lambda s: signed_by(s, honest(), price=2000 * W * W)),
    of("AssetAlreadyListed", OWNER, "price_feed", "listAsset", ETH, False, 0, 1),
]


def much_observed(stage: Stage) -> None:
    for second in range(OBSERVATIONS + 2):
        stage.live(1, 2000 + second % 2)


VIEWS = [
    of("AfterLastObservation", CAROL, "price_feed", "cumulativeAt", ETH, T0 + 600),
    of("BeforeFirstObservation", CAROL, "price_feed", "cumulativeAt", ETH, T0 - 1),
    of("ObservationDropped", CAROL, "price_feed", "cumulativeAt", ETH, T0 + 2, after=much_observed),
    of("NoPrice", CAROL, "price_feed", "sumsAt", asset_word("WTI"), T0),
]


def under_water(stage: Stage) -> None:
    stage.live(1, 1500)


def unobserved(stage: Stage) -> None:
    stage.live(T0 + 60 - stage.now)


def just_disputed(stage: Stage) -> None:
    stage.live(T0 + 60 + STRICT.dispute_patience_s - stage.now)
    assert stage.finalize(SOON).one("SeriesDisputed")


def bargain(price: int) -> Scene:
    """Alice's auction runs and the price is another."""

    def scene(stage: Stage) -> None:
        auction(stage)
        stage.live(1, price)

    return scene


def of_six_decimals(stage: Stage) -> Attempt:
    """A coin pool of a second token like the dollar."""
    code = stage.client.call("eth_getCode", stage.at["collateral_token"], "latest")
    stage.client.call("anvil_setCode", _ODD, code)
    return Attempt("openCoinPool", OWNER, "vault", encode_open_coin_pool(COINS + 1, _ODD, "BTC"))


def opening(error: str, token: str, asset: str) -> Situation:
    return Situation(error, error, lambda stage: Attempt(
        "openCoinPool", OWNER, "vault", encode_open_coin_pool(COINS + 1, stage.at[token], asset)))


COIN_POOLS = [
    opening("CoinInUse", "spot_token", "BTC"),
    opening("PriceMayBeNegative", "spot_amm", "WTI"),
    Situation("CoinDecimals", "CoinDecimals", of_six_decimals),
    of("HoldsCoin", BOB, "vault", "moveCollateral", 0, COINS, USD),
    of("CollateralMismatch", OWNER, "clearing_house", "listSeriesWith", 4, ETH, 0, T0 + 3_600, (0, 1, 0, 0, 0)),
]

def moved_since(stage: Stage) -> None:
    """Alice took a little away in the second in which a round was observed that comes only now."""
    stage.live(1)
    moved = stage.now
    stage.ok(ALICE, "vault", ex.encode_withdraw(1))
    stage.live(1)
    stage.ok(OWNER, "price_feed", stage.round(1800 * W, timestamp=moved))


LADDER = [
    of("AuctionRunning", KEEPER, "liquidator", "liquidate", name(ALICE), after=auction),
    of("BidNotCovered", KEEPER, "liquidator", "bid", name(ALICE), after=bargain(1600)),
    of("StillSolvent", KEEPER, "liquidator", "bid", name(ALICE), after=bargain(1760)),
    of("PriceBeforeMove", KEEPER, "liquidator", "liquidate", name(ALICE), after=moved_since),
    of("StillLiquidatable", CAROL, "liquidator", "cancelAuction", name(ALICE), after=auction),
    of("SelfLiquidation", ALICE, "liquidator", "liquidate", name(ALICE), after=fallen),
    of("InsuranceNotExhausted", CAROL, "liquidator", "haircut", 0, after=overdrawn),
    of("DeficitUncovered", BOB, "vault", "withdraw", USD, after=overdrawn),
    of("PoolShort", MAKER, "vault", "withdraw", 10**17),
    of("AlreadyFinal", CAROL, "settlement", "finalize", SOON, after=final),
    of("SeriesInDispute", CAROL, "settlement", "finalize", SOON, after=disputed),
    of("PriceNotObserved", CAROL, "settlement", "finalize", SOON, after=unobserved),
    of("StillDisputed", CAROL, "settlement", "resolve", SOON, after=disputed),
    of("OverrideTooEarly", OWNER, "settlement", "overridePrice", SOON, 2000 * W, after=just_disputed),
    of("DisputeWindowOver", OWNER, "settlement", "overridePrice", SOON, 2000 * W, after=undecided),
]


def capped(stage: Stage) -> Attempt:
    listed = stage.ok(OWNER, "clearing_house", ex.encode_list_series_with(0, "ETH", 0, T0 + 3_600, (0, 0, 0, 1, 0)))
    return trade(stage, CAROL, listed.one("SeriesListed")["id"], 2000 * W)


def below_zero(stage: Stage) -> Attempt:
    stage.observe(-5 * W, "WTI")
    return trade(stage, CAROL, stage.list_series("perpetual", asset="WTI"), -5 * W)


def crowded_account(stage: Stage) -> Attempt:
    """Carol holds as many series as one may."""
    for who in (CAROL, DAVE):
        stage.deposit(who, 1_000_000)
    for _ in range(POSITIONS_MAX):
        assert stage.trade(CAROL, stage.list_series("future"), W // 100, 2000 * W, maker=DAVE).error == ""
    return trade(stage, CAROL, FUTURE, 2000 * W)


def crowded_desk(stage: Stage) -> Attempt:
    """Carol has as many orders as one may."""
    order = Order(FUTURE, -W // 1000, 2020 * W, MODES["post-only"], FOREVER)
    for _ in range(4):
        stage.ok(CAROL, "order_book", encode_update([], [order] * (ORDERS_MAX // 4)))
    return Attempt("place", CAROL, "order_book", stage.call_of("order_book", "place", *astuple(order)))


def crowded_board(stage: Stage) -> Attempt:
    """As many series as there may be."""
    data = ex.encode_list_series(0, "ETH", 0, T0 + 3_600)
    left = SERIES_MAX - stage.ask("clearing_house", "seriesCount")[0]
    while left:
        listed = stage.together(*[(OWNER, "clearing_house", data)] * min(left, 25))
        assert all(outcome.error == "" for outcome in listed)
        left -= len(listed)
    return Attempt("listSeries", OWNER, "clearing_house", data)


TRADES = [
    trading("AccountNotOpen", CAROL, POOLED),
    trading("SelfTrade", MAKER, FUTURE),
    trading("SeriesExpired", CAROL, SOON, after=expired),
    trading("OptionPriceOutOfRange", CAROL, CALL, -1),
    trading("ECDSAInvalidSignature", CAROL, FUTURE, signature=bytes(64) + b"\x1b"),
    trading("ECDSAInvalidSignatureS", CAROL, FUTURE, signature=b"\x01" * 32 + b"\xff" * 32 + b"\x1b"),
    trading("WrongSigner", CAROL, FUTURE, label="a quote signed for another venue", house=_ODD),
    Situation("OpenInterestCapped", "OpenInterestCapped", capped),
    Situation("IndexNotPositive", "IndexNotPositive", below_zero),
    Situation("TooManyPositions", "TooManyPositions", crowded_account),
    Situation("TooManyOrders", "TooManyOrders", crowded_desk),
    Situation("TooManySeries", "TooManySeries", crowded_board),
    of("PerpetualExpires", OWNER, "clearing_house", "listSeries", 3, ETH, 0, T0 + 3_600),
    Situation("IsolatedSeries", "IsolatedSeries", lambda stage: Attempt(
        "openMarket", OWNER, "order_book", encode_open_market(POOLED, tick=TICK_WAD, lot=STRICT.lot_wad))),
]  # fmt: skip


def after_another(stage: Stage) -> Attempt:
    """An operation that waits for one nobody executed."""
    (first,) = stage.ask("timelock", "hashOperation", *scheduled(stage))
    later = (stage.at["pauses"], 0, gov.encode_pause(1), bytes(first), bytes(32))
    stage.ok(OWNER, "timelock", stage.raw("timelock", "schedule", *later, STRICT.timelock_delay_s))
    stage.live(STRICT.timelock_delay_s, 2000)
    return Attempt("execute", OWNER, "timelock", stage.call_of("timelock", "execute", *later))


def put(stage: Stage, mock: str, address: str = _ODD) -> str:
    stage.client.call("anvil_setCode", address, "0x" + mocks()[mock].runtime.hex())
    return address


def refusing_token(stage: Stage) -> Attempt:
    put(stage, "RefusingToken", stage.at["collateral_token"])
    return Attempt("deposit", BOB, "vault", ex.encode_deposit(USD))


def empty_pool(stage: Stage) -> Attempt:
    """A spot pool where nobody put anything: the same code with nothing in its storage."""
    code = stage.client.call("eth_getCode", stage.at["spot_amm"], "latest")
    stage.client.call("anvil_setCode", _ODD, code)
    return Attempt("swap", CAROL, _ODD, encode_swap(Swap(True, USD, 0, FOREVER)))


def enqueued(sender: Sender, value: int) -> Callable[[Stage], Attempt]:
    """Of an entry that costs 50 000 times the least price of a gas."""
    return lambda stage: Attempt("enqueue", sender, "forced_queue", stage.call_of(
        "forced_queue", "enqueue", 0, 50_000, b"transaction"), value)  # fmt: skip


def header(*fields: bytes) -> bytes:
    return cast(bytes, rlp.encode(list(fields)))


def proving(error: str, given: bytes, proof: list[bytes]) -> Situation:
    """By the header of an L1 block that L2 knows."""
    return of(error, CAROL, "bridge_inbox", "prove", ID, L1_BLOCK, given, proof, proof, after=heard_of(given))


def executed(stage: Stage) -> Attempt:
    message = astuple(bridged(stage))[1:]
    return Attempt("execute", CAROL, "bridge_inbox", stage.call_of("bridge_inbox", "execute", message))


def delivered(stage: Stage) -> None:
    proven(stage)
    assert stage.attempt(executed(stage)).one("MessageExecuted")


BRIDGE = [
    proving("RLPInvalidEncoding", b"\x01", []),
    proving("TrieProofTraversalError", header(*[bytes(32)] * 16), []),
    Situation("AlreadyDelivered", "AlreadyDelivered", executed, delivered),
    Situation("NotFinal, a message", "NotFinal", executed,
              lambda stage: say_proven(stage, id_of(bridged(stage)), L1_HEAD)),
    of("AlreadyProven", CAROL, "bridge_inbox", "prove", ID, L1_BLOCK, EMPTY_LIST, [], [],
       after=lambda stage: say_proven(stage, ID, 1)),
    of("PayloadTooLong", CAROL, "l1_bridge", "send", name(BOB), USD, 100_000, bytes(1_025)),
]

FORCED = [
    Situation("FeeTooLow", "FeeTooLow", enqueued(CAROL, 0)),
    Situation("RefundFailed", "RefundFailed", enqueued("vault", W), lambda stage: stage.client.call(
        "anvil_setBalance", stage.at["vault"], hex(W))),
]

AUTHORITY = [
    Situation("TimelockUnexecutedPredecessor", "TimelockUnexecutedPredecessor", after_another, announced),
    of("TimelockUnexpectedOperationState", OWNER, "timelock", "execute", ZERO, 0, b"", bytes(32), bytes(32), after=ripe,
       label="what nobody announced"),
    upgrade("ERC1967InvalidImplementation", lambda stage: (stage.at["vault"], b"")),
    upgrade("ERC1967NonPayable", lambda stage: (stage.at["liquidator_v2"], b""), value=1),
    upgrade("UUPSUnsupportedProxiableUUID", lambda stage: (put(stage, "OddImplementation"), b"")),
    upgrade("ShareOutOfRange", lambda stage: (stage.at["liquidator_v2"], gov.encode_initialize(10_001))),
    Situation("UUPSUnauthorizedCallContext", "UUPSUnauthorizedCallContext", lambda stage: Attempt(
        "upgradeToAndCall", "timelock", "liquidator_v1",
        stage.call_of("liquidator", "upgradeToAndCall", *second_version(stage)))),
    Situation("a version called directly", "NotLiquidator", lambda stage: Attempt(
        "liquidate", KEEPER, "liquidator_v1", ex.encode_liquidate(name(ALICE))), fallen),
    of("ERC20InvalidApprover", ZERO, "collateral_token", "approve", name(BOB), 1),
    of("ERC20InvalidSender", ZERO, "collateral_token", "transfer", name(BOB), 0),
    Situation("SafeERC20FailedOperation", "SafeERC20FailedOperation", refusing_token),
    Situation("NoLiquidity", "NoLiquidity", empty_pool),
    constructed("CapTooLarge", "Perpetuals", 2, funding_cap_bps=10**9),
    constructed("PeriodIsZero", "Perpetuals", 2, funding_period_s=0),
    constructed("LotIsZero", "Liquidator", 4, 1, lot_wad=0),
]  # fmt: skip

SITUATIONS = [*REPORTS, *VIEWS, *COIN_POOLS, *FORCED, *BRIDGE, *LADDER, *TRADES, *AUTHORITY]

UNREACHABLE = {
    "AddressEmptyCode": "an implementation without code is refused before anything is delegated to it",
    "InvalidShortString": "of EIP-712's name and version, which are constants that fit",
    "StringTooLong": "of EIP-712's name and version, which are constants that fit",
    "NotInitializing": "of OpenZeppelin's `onlyInitializing`, which nothing of ours has",
    "SafeCastOverflowedIntToUint": "every such cast is of what was compared with 0 just before",
}
"""Errors in an ABI that no call brings about, and why."""

ELSEWHERE = {
    "NotSent": "tests/contracts/test_bridge.py::"
               "test_a_slot_that_was_read_before_the_message_was_sent_proves_that_it_was_not",
    "GasTooLow": "tests/contracts/test_bridge.py::test_a_relayer_cannot_make_a_message_fail_by_giving_too_little_gas",
    "BlockGasExhausted": "tests/contracts/test_forced_queue.py::"
                         "test_the_gas_of_one_l1_block_is_capped_and_the_next_block_has_room_again",
    "PriceBeforeRestart": "tests/contracts/test_pauses.py::test_a_price_from_within_the_pause_does_not_count_after_it",
    "Reentrancy": "tests/contracts/bad_input/test_reentrancy.py::test_nothing_is_gained_in_the_middle_of_a_transfer",
}
"""Errors that need another venue than the stage, or two calls in a block, and the test that has it."""
