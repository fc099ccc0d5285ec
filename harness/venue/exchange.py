"""The deployed venue's calls and answers, typed: calldata for every call a role makes, decoders for what comes back.

Encoders raise ValueError when an argument does not fit its type, decoders when the data is not such an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from harness.evm.abi import asset_name, asset_word, decode_error, text_of
from harness.evm.wallet import Quote
from harness.rollup.blocks import L1Origin, Log
from harness.venue import state
from harness.venue.deployment import all_errors, interfaces
from harness.venue.state import (
    AccountState,
    AssetState,
    PerpetualState,
    PoolState,
    PositionState,
    SeriesState,
    Totals,
    VenueState,
)

__all__ = [
    "KINDS", "NEVER", "STAGES", "AccountState", "AssetState", "Event", "Latest", "PerpetualState", "PoolState",
    "PositionState", "SeriesState", "Totals", "VenueState", "decode_balance", "decode_call", "decode_inbox_frame",
    "decode_is_reporter", "decode_latest", "decode_liquidatable", "decode_log", "decode_stages", "decode_state",
    "encode_accrue", "encode_approve", "encode_balance_of", "encode_bid", "encode_cancel_auction",
    "encode_cover_deficit", "encode_deposit", "encode_finalize", "encode_fund_insurance", "encode_haircut",
    "encode_inbox_submit", "encode_is_reporter",
    "encode_latest",
    "encode_liquidatable", "encode_liquidate", "encode_list_series", "encode_list_series_with", "encode_mint",
    "encode_override_price", "encode_resolve", "encode_set_l1_block", "encode_settle", "encode_settle_funding",
    "encode_stages", "encode_state", "encode_submit", "encode_trade", "encode_withdraw", "explain_revert",
]

KINDS: Final = {"future": 0, "call": 1, "put": 2, "perpetual": 3, "inverse": 4}
"""Product kind → number in `listSeries` and `SeriesListed`."""

STAGES: Final = {"nothing": 0, "partial": 1, "start-auction": 2, "wait": 3, "bid": 4, "deleverage": 5}
"""What a keeper can do for an account → number in `Lens.stages`."""

NEVER: Final = 2**64 - 1
"""Expiry of a perpetual."""


@dataclass(frozen=True, slots=True)
class Event:
    """A contract's event. `contract` is its name in the deployment, for instance `clearing_house`.

    Arguments are named as declared: integers as int, addresses as lower-case 0x-hex, `asset` as its ASCII name.
    """

    name: str
    contract: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest accepted round of an asset; all zero when there is none."""

    round: int
    timestamp: int
    price: int


# To the collateral token.


def encode_approve(spender: str, amount: int) -> bytes:
    """Accounts funded by genesis have allowed the vault everything already."""
    return _encode("collateral_token", "approve", spender, amount)


def encode_mint(to: str, amount: int) -> bytes:
    """Owner only."""
    return _encode("collateral_token", "mint", to, amount)


def encode_balance_of(account: str) -> bytes:
    """Tokens outside the vault."""
    return _encode("collateral_token", "balanceOf", account)


def decode_balance(data: bytes) -> int:
    return int(_decode("collateral_token", "balanceOf", data)[0])


# To the vault; amounts in native token units.


def encode_deposit(amount: int) -> bytes:
    return _encode("vault", "deposit", amount)


def encode_withdraw(amount: int) -> bytes:
    return _encode("vault", "withdraw", amount)


def encode_fund_insurance(amount: int, pool: int = 0) -> bytes:
    return _encode("vault", "fundInsurance", pool, amount)


# To the clearing house.


def encode_list_series(kind: int, asset: str, strike: int, expiry: int) -> bytes:
    """Owner only. `kind` is a value of `KINDS`; strike 0 for futures and perpetuals; a perpetual's expiry is `NEVER`.

    Ids count from 1 in order of listing.
    """
    return _encode("clearing_house", "listSeries", kind, asset_word(asset), strike, expiry)


def encode_list_series_with(kind: int, asset: str, strike: int, expiry: int, terms: tuple[int, ...]) -> bytes:
    """As `encode_list_series`, on terms (option margin, pool, lower and upper bound of open interest, profit cap)."""
    return _encode("clearing_house", "listSeriesWith", kind, asset_word(asset), strike, expiry, terms)


def encode_trade(quote: Quote, signature: bytes, size: int) -> bytes:
    """Take a quote; `size` is the sender's, of the quote's sign."""
    fields = (quote.maker, quote.series_id, quote.price, quote.size, quote.deadline, quote.nonce)
    return _encode("clearing_house", "trade", fields, signature, size)


def encode_settle_funding(account: str, series_id: int) -> bytes:
    """Permissionless; `account` pays or receives its perpetual's funding so far."""
    return _encode("clearing_house", "settleFunding", account, series_id)


def encode_accrue(series_id: int) -> bytes:
    """Permissionless, to `perpetuals`: brings a perpetual's funding up to now and its rate up to date."""
    return _encode("perpetuals", "accrue", series_id)


# To the liquidator and the settlement.


def encode_liquidate(account: str) -> bytes:
    return _encode("liquidator", "liquidate", account)


def encode_bid(account: str) -> bytes:
    """Buy all that an auctioned account holds."""
    return _encode("liquidator", "bid", account)


def encode_cancel_auction(account: str) -> bytes:
    return _encode("liquidator", "cancelAuction", account)


def encode_haircut(pool: int = 0) -> bytes:
    """Permissionless: share a pool's deficit among all its accounts once its insurance is empty."""
    return _encode("liquidator", "haircut", pool)


def encode_cover_deficit(pool: int = 0) -> bytes:
    """Permissionless, to the vault: let a pool's insurance pay towards its deficit."""
    return _encode("vault", "coverDeficit", pool)


def encode_finalize(series_id: int) -> bytes:
    return _encode("settlement", "finalize", series_id)


def encode_settle(account: str, series_id: int) -> bytes:
    return _encode("settlement", "settle", account, series_id)


def encode_resolve(series_id: int) -> bytes:
    """Permissionless, to the settlement: end a dispute by the next sound window, or in the end by the carried price."""
    return _encode("settlement", "resolve", series_id)


def encode_override_price(series_id: int, price: int) -> bytes:
    """Owner only, to the settlement, and only in a dispute's own time: its settlement price, 1e18 quote."""
    return _encode("settlement", "overridePrice", series_id, price)


# To the price feed.


def encode_submit(
    asset: str, round_: int, timestamp: int, prices: Sequence[int], signatures: Sequence[bytes]
) -> bytes:
    """Post a round; prices and signatures in ascending order of the reporters' addresses."""
    return _encode("price_feed", "submit", asset_word(asset), round_, timestamp, list(prices), list(signatures))


def encode_is_reporter(address: str) -> bytes:
    return _encode("price_feed", "isReporter", address)


def decode_is_reporter(data: bytes) -> bool:
    return bool(_decode("price_feed", "isReporter", data)[0])


@lru_cache(maxsize=64)
def encode_latest(asset: str) -> bytes:
    return _encode("price_feed", "latest", asset_word(asset))


def decode_latest(data: bytes) -> Latest:
    return Latest(*_decode("price_feed", "latest", data))


# To the lens.


def encode_state(accounts: Sequence[str], assets: Sequence[str]) -> bytes:
    """The whole venue in one call."""
    return _state_call(tuple(accounts), tuple(assets))


@lru_cache(maxsize=64)
def _state_call(accounts: tuple[str, ...], assets: tuple[str, ...]) -> bytes:
    return _encode("lens", "state", accounts, [asset_word(name) for name in assets])


def decode_state(data: bytes) -> VenueState:
    return state.from_result(_decode("lens", "state", data))


def encode_liquidatable(accounts: Sequence[str]) -> bytes:
    return _encode("lens", "liquidatable", list(accounts))


def decode_liquidatable(data: bytes) -> tuple[bool, ...]:
    """One answer per account asked for, in that order."""
    return tuple(_decode("lens", "liquidatable", data)[0])


def encode_stages(accounts: Sequence[str]) -> bytes:
    return _encode("lens", "stages", list(accounts))


def decode_stages(data: bytes) -> tuple[int, ...]:
    """What a keeper can do for each account asked for, in that order: a value of `STAGES`."""
    return tuple(_decode("lens", "stages", data)[0])


# The rollup's own.


def encode_set_l1_block(origin: L1Origin, *, auto: bool = False) -> bytes:
    """The system transaction to `deployment.L1_INFO`, sent by `deployment.DEPOSITOR`."""
    return _encode("l1_info", "setL1Block", origin.number, bytes.fromhex(origin.hash[2:]), origin.timestamp, auto)


def encode_inbox_submit(frame: bytes) -> bytes:
    """The batcher's L1 call to the batch inbox."""
    return _encode("batch_inbox", "submit", frame)


def decode_inbox_frame(data: bytes) -> bytes | None:
    """The frame in calldata to the batch inbox, or None when it is no well-formed `submit`."""
    decoded = interfaces()["batch_inbox"].decode_call(data)
    return bytes(decoded[1][0]) if decoded is not None else None


# What happened.


def decode_log(log: Log, deployment: Mapping[str, Any]) -> Event | None:
    """The event, or None when the log is not one of the venue's. `deployment` maps contract names to addresses."""
    contract = _contract_at(log.address, deployment)
    decoded = interfaces()[contract].decode_event(log.topics, log.data) if contract is not None else None
    if contract is None or decoded is None:
        return None
    name, arguments = decoded
    return Event(name, contract, {key: _shown(key, value) for key, value in arguments.items()})


def decode_call(to: str | None, data: bytes, deployment: Mapping[str, Any]) -> tuple[str, str, tuple[Any, ...]] | None:
    """(contract, function, arguments) of a transaction to the venue, or None."""
    contract = _contract_at(to, deployment)
    decoded = interfaces()[contract].decode_call(data) if contract is not None else None
    return (contract, *decoded) if contract is not None and decoded is not None else None


def explain_revert(data: bytes) -> str:
    """Revert data of any of the contracts as `ErrorName(argument=value,…)`. Never raises."""
    return decode_error(data, all_errors())


def _contract_at(address: str | None, deployment: Mapping[str, Any]) -> str | None:
    return next((name for name in interfaces() if deployment.get(name) == address), None) if address else None


def _encode(contract: str, function: str, *arguments: Any) -> bytes:
    return interfaces()[contract].encode_call(function, *arguments)


def _decode(contract: str, function: str, data: bytes) -> tuple[Any, ...]:
    return interfaces()[contract].decode_result(function, data)


def _shown(key: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return asset_name(value) if key == "asset" else text_of("bytes", key, value)
    return value
