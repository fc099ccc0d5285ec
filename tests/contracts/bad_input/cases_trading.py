"""Bad input to what trades, margins and settles: clearing house, perpetuals, order book, liquidator, settlement."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from harness.evm.abi import asset_word
from harness.evm.accounts import MAKER, OWNER
from harness.evm.wallet import Quote
from harness.venue import governance as gov
from harness.venue.book import TICK_WAD
from tests.contracts.bad_input.cases_money import ANY_ADDRESS, name, owned, plain
from tests.contracts.bad_input.stage import (
    ALICE,
    BOB,
    CAROL,
    FOREVER,
    FUTURE,
    KEEPER,
    PERPETUAL,
    RESTING,
    SOON,
    TIGHTER,
    Stage,
    auction,
    disputed,
    expired,
    fallen,
    final,
    healed,
    indebted,
    undecided,
)
from tests.contracts.bad_input.table import NO_DATA, OK, OVERFLOW, Arguments, Case
from tests.contracts.conftest import STRICT, T0, W

ETH = asset_word("ETH")
FILL = 2**255
_LATER = T0 + 3_600
_FACTORS = "FactorsOutOfRange"
_LIMITS = "LimitsOutOfRange"
_TRADING: dict[int | str, str] = {1: "TradingPaused", "halted": "MarketIsHalted", "stale": "StalePrice"}
_LIQUIDATING: dict[int | str, str] = {
    2: "LiquidationPaused", "down": "SequencerDown", "grace": "SequencerGrace", "resumed": "PauseGrace",
    "stale": "StalePrice",
}
_OWNER: dict[str, Any] = {"only": (OWNER,), "foreign": "OwnableUnauthorizedAccount"}
_UNKNOWN_SERIES = ("UnknownSeries", OK, "UnknownSeries")
_NO_MATTER_WHICH = (OK, OK, OK)
_LISTING = {
    "kind": (OK, "StrikeOutOfRange", "UnknownKind"), "asset": ("UnknownAsset", "UnknownAsset"),
    "strike": (OK, "StrikeOutOfRange", "StrikeOutOfRange"),
    "expiry": ("ExpiryNotInFuture", "ExpiryNotInFuture", OK),
}


def quoted(stage: Stage) -> Arguments:
    return astuple(stage.quote(FUTURE, W, 2000 * W)), None, W


def signed(stage: Stage, arguments: Arguments) -> Arguments:
    """The maker signs whatever the quote says now, unless there is another signature."""
    fields, signature, size = arguments
    return fields, stage.sign(Quote(*fields)) if signature is None else signature, size


CLEARING_HOUSE = [
    *owned("clearing_house"),
    Case("clearing_house.listSeries(uint8,bytes32,uint256,uint64)", OWNER, plain(0, ETH, 0, _LATER), edges=_LISTING,
         **_OWNER),
    Case("clearing_house.listSeriesWith(uint8,bytes32,uint256,uint64,(uint8,uint32,uint64,uint64,uint64))", OWNER,
         plain(0, ETH, 0, _LATER, (0, 1, 0, 0, 0)), **_OWNER, edges=_LISTING | {
             "terms_.optionMargin": (OK, "UnknownOptionMargin", "UnknownOptionMargin"),
             "terms_.pool": (OK, OK, "UnknownPool"), "terms_.oiLower": (OK, _LIMITS, _LIMITS),
             "terms_.oiCap": (OK, OK, _LIMITS), "terms_.profitCap": (OK, OK, _LIMITS)}),
    Case("clearing_house.trade((address,uint256,int256,int256,uint64,uint256),bytes,int256)", CAROL, quoted,
         finish=signed, foreign="InsufficientMargin", blocked=_TRADING, edges={
             "quote.maker": ("WrongSigner", "WrongSigner"), "quote.seriesId": _UNKNOWN_SERIES,
             "quote.price": (OVERFLOW, "PriceOutOfBand", "PriceOutOfBand", "PriceOutOfBand", OVERFLOW),
             "quote.size": ("SizeOutOfRange", "SizeOutOfRange", "SizeOutOfRange", "SizeOutOfRange", OK),
             "quote.deadline": ("QuoteExpired", "QuoteExpired", OK), "quote.nonce": (OK, "NonceUsed", "NonceReserved"),
             "makerSignature": ("ECDSAInvalidSignatureLength", "ECDSAInvalidSignatureLength"),
             "size": ("SizeOutOfRange", "SizeOutOfRange", "SizeOutOfRange", OK, "SizeOutOfRange")}),
    Case("clearing_house.settleFunding(address,uint256)", CAROL, plain(name(BOB), PERPETUAL),
         edges={"account": ANY_ADDRESS, "id": ("UnknownSeries", "NotPerpetual", "UnknownSeries")}),
    Case("clearing_house.setFactors((uint16,uint16,uint16,uint16,uint16))", "timelock", plain(astuple(TIGHTER)),
         only=("timelock",), foreign="NotTimelock", edges={
             "factors_.imBps": (_FACTORS, _FACTORS, _FACTORS), "factors_.mmBps": (_FACTORS, _FACTORS, _FACTORS),
             "factors_.optionImBps": (_FACTORS, _FACTORS, _FACTORS),
             "factors_.optionMinImBps": (_FACTORS, _FACTORS, _FACTORS),
             "factors_.optionMmBps": (_FACTORS, OK, _FACTORS)}),
    Case("clearing_house.tradeFromBook(address,address,uint256,int256,int256,uint256)", "order_book",
         plain(name(CAROL), name(MAKER), FUTURE, W, 2000 * W, FILL + 1), only=("order_book",), foreign="NotOrderBook",
         blocked=_TRADING, edges={
             "taker": ("InsufficientMargin", "InsufficientMargin"), "maker": ("MakerBelowMargin", "MakerBelowMargin"),
             "id": _UNKNOWN_SERIES, "size": (OVERFLOW, OK, OK, OK, OVERFLOW),
             "price": (OVERFLOW, "PriceOutOfBand", "PriceOutOfBand", "PriceOutOfBand", OVERFLOW),
             "nonce": _NO_MATTER_WHICH}),
    # What these three are asked for is theirs to know: they are told apart by their sender alone.
    Case("clearing_house.transferPosition(address,address,uint256,int256,int256)", "liquidator",
         plain(name(ALICE), name(KEEPER), FUTURE, W, 2000 * W), only=("liquidator",), foreign="NotLiquidator", edges={
             "from": ANY_ADDRESS, "to": ANY_ADDRESS, "id": _NO_MATTER_WHICH,
             "size": (OVERFLOW, OK, OK, OK, OVERFLOW),
             "price": ("SafeCastOverflowedUintToInt", OK, OK, OK, "SafeCastOverflowedIntDowncast")}),
    Case("clearing_house.admitWithdrawal(address)", "vault", plain(name(BOB)), only=("vault",), foreign="NotVault",
         blocked={"stale": "StalePrice"}, edges={"account": ANY_ADDRESS}),
    Case("clearing_house.admitKeeper(address)", "liquidator", plain(name(KEEPER)), only=("liquidator",),
         foreign="NotLiquidator", edges={"keeper": ANY_ADDRESS}),
    Case("clearing_house.recordFinal(uint256,int256)", "settlement", plain(SOON, 2000 * W), only=("settlement",),
         foreign="NotSettlement", edges={"id": _NO_MATTER_WHICH, "price": (OK,) * 5}),
    Case("clearing_house.clearPosition(address,uint256)", "settlement", plain(name(BOB), SOON), only=("settlement",),
         foreign="NotSettlement", edges={"account": ANY_ADDRESS, "id": _NO_MATTER_WHICH}),
]  # fmt: skip

_HOUSE: dict[str, Any] = {"only": ("clearing_house",), "foreign": "NotClearingHouse"}

PERPETUALS = [
    Case("perpetuals.accrue(uint256)", CAROL, plain(PERPETUAL), edges={"id": ("NotPerpetual",) * 3}),
    Case("perpetuals.list(uint256,bytes32)", "clearing_house", plain(7, ETH), **_HOUSE,
         edges={"id": _NO_MATTER_WHICH, "asset": ("UnknownAsset", "UnknownAsset")}),
    Case("perpetuals.recordTrade(uint256,int256,int256,int256)", "clearing_house",
         plain(PERPETUAL, W, 2000 * W, 2000 * W), **_HOUSE, edges={
             "id": _NO_MATTER_WHICH,
             "size": ("SafeCastOverflowedUintDowncast", OK, OK, OK, "SafeCastOverflowedUintDowncast"),
             "price": (OVERFLOW, OK, OK, OK, OVERFLOW), "indexPrice": (OVERFLOW, OK, "Panic(0x12", OK, OK)}),
    Case("perpetuals.settle(address,uint256,int256)", "clearing_house", plain(name(BOB), PERPETUAL, W), **_HOUSE,
         edges={"account": ANY_ADDRESS, "id": _NO_MATTER_WHICH, "size": (OK,) * 5}),
    Case("perpetuals.takeClearing(uint256)", "clearing_house", plain(PERPETUAL), **_HOUSE,
         edges={"id": _NO_MATTER_WHICH}),
]  # fmt: skip

_SIZE = ("SizeOffLot",) * 5

ORDER_BOOK = [
    *owned("order_book"),
    Case("order_book.openMarket(uint256,uint128,uint128)", OWNER, plain(PERPETUAL, TICK_WAD, STRICT.lot_wad), **_OWNER,
         edges={"seriesId": ("UnknownSeries", "MarketExists", "UnknownSeries"), "tick": ("TickOrLotIsZero", OK, OK),
                "lot": ("TickOrLotIsZero", OK, OK)}),
    Case("order_book.place(uint256,int256,int256,uint8,uint64)", CAROL, plain(FUTURE, W, 2010 * W, 0, FOREVER),
         foreign="InsufficientMargin", blocked=_TRADING, edges={
             "seriesId": ("NoMarket", OK, "NoMarket"), "size": _SIZE,
             "price": ("PriceOffTick", "PriceOffTick", OK, "PriceOffTick", "PriceOffTick"),
             "mode": (OK, "WouldCross", "UnknownMode"), "deadline": ("OrderExpired", "OrderExpired", OK)}),
    # A post-only order opens nothing, so only the price it is checked against can hold it up.
    Case("order_book.update(uint256[],(uint256,int256,int256,uint8,uint64)[])", MAKER,
         plain([RESTING], [(FUTURE, -W, 2020 * W, 1, FOREVER)]), blocked={"stale": "StalePrice"}, edges={
             "cancels": (OK,), "requests": (OK,), "requests.0.seriesId": ("NoMarket", OK, "NoMarket"),
             "requests.0.size": _SIZE,
             "requests.0.price": ("PriceOffTick", "PriceOffTick", "PriceBeyondBand", "PriceOffTick", "PriceOffTick"),
             "requests.0.mode": (OK, OK, "UnknownMode"), "requests.0.deadline": ("OrderExpired", "OrderExpired", OK)}),
    Case("order_book.cancel(uint256)", MAKER, plain(RESTING), foreign="NotYourOrder",
         edges={"orderId": ("NoOrder", OK, "NoOrder")}),
]  # fmt: skip


def second_version(stage: Stage) -> Arguments:
    return stage.at["liquidator_v2"], gov.encode_initialize(STRICT.keeper_share_bps)


LIQUIDATOR = [
    Case("liquidator.liquidate(address)", KEEPER, plain(name(ALICE)), scene=fallen, foreign="InsufficientMargin",
         blocked=_LIQUIDATING, edges={"account": ("NotLiquidatable", "NotLiquidatable")}),
    Case("liquidator.bid(address)", KEEPER, plain(name(ALICE)), scene=auction, foreign="InsufficientMargin",
         blocked=_LIQUIDATING, edges={"account": ("NoAuction", "NoAuction")}),
    Case("liquidator.cancelAuction(address)", CAROL, plain(name(ALICE)), scene=healed, blocked={"stale": "StalePrice"},
         edges={"account": ("NoAuction", "NoAuction")}),
    Case("liquidator.haircut(uint32)", CAROL, plain(0), scene=indebted,
         blocked={2: "LiquidationPaused", "stale": "StalePrice"}, edges={"pool": (OK, "NoDeficit", "NoDeficit")}),
    Case("liquidator.initialize(uint256)", OWNER, plain(5_000), base="InvalidInitialization",
         foreign="InvalidInitialization", edges={"keeperShareBps_": ("InvalidInitialization",) * 3}),
    Case("liquidator.upgradeToAndCall(address,bytes)", "timelock", second_version, only=("timelock",),
         foreign="NotTimelock", edges={"newImplementation": (NO_DATA, NO_DATA), "data": (OK, "FailedCall")}),
]  # fmt: skip

SETTLEMENT = [
    *owned("settlement"),
    Case("settlement.finalize(uint256)", CAROL, plain(SOON), scene=expired,
         edges={"seriesId": ("UnknownSeries", "NotExpired", "UnknownSeries")}),
    Case("settlement.overridePrice(uint256,int256)", OWNER, plain(SOON, 2000 * W), scene=disputed, **_OWNER, edges={
        "seriesId": ("UnknownSeries", "NotDisputed", "UnknownSeries"),
        "price": ("AnswerOutOfBounds", "AnswerOutOfBounds", "AnswerOutOfBounds", OK, "AnswerOutOfBounds")}),
    Case("settlement.resolve(uint256)", CAROL, plain(SOON), scene=undecided,
         edges={"seriesId": ("UnknownSeries", "NotDisputed", "UnknownSeries")}),
    Case("settlement.settle(address,uint256)", CAROL, plain(name(BOB), SOON), scene=final, edges={
        "account": ("NothingToSettle", "NothingToSettle"), "seriesId": ("UnknownSeries", "NotFinal", "UnknownSeries")}),
]  # fmt: skip

CASES = [*CLEARING_HOUSE, *PERPETUALS, *ORDER_BOOK, *LIQUIDATOR, *SETTLEMENT]
