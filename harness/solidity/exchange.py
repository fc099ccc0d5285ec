"""Typed handles of the deployed venue: calldata for every call a role makes, and decoders for what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from harness.rollup.blocks import L1Origin, Log
from harness.solidity import venue_state
from harness.solidity.abi import asset_name, asset_word, decode_error, text_of
from harness.solidity.deployment import CONTRACTS, Deployment, all_errors, interfaces
from harness.solidity.venue_state import VenueState
from harness.solidity.wallet import Quote

KINDS: Final = {"future": 0, "call": 1, "put": 2}
"""Product kind → number in `listSeries` and `SeriesListed`."""


class Call(NamedTuple):
    """Where to send which calldata; fits `Engine.call(*call, at=…)` and `sign_transaction(to=…, data=…)`."""

    to: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """A contract's event. `contract` is a field name of `Deployment`.

    Arguments are named as declared: integers as int, addresses as lower-case 0x-hex, `asset` as its ASCII name.
    """

    name: str
    contract: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Observation:
    """One reporter's signed price of a round."""

    reporter: str       # lower-case 0x-hex
    price: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest accepted round of an asset; all zero when there is none."""

    round: int
    timestamp: int
    price: int


class Exchange:
    """The venue at one deployment. Builders are pure; sending is the role's business.

    Builders raise ValueError when an argument does not fit its type.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._codecs = interfaces()
        self._at = {field: str(getattr(deployment, field)) for field in CONTRACTS}
        self._field_at = {address: field for field, address in self._at.items()}

    # Money in and out.

    def approve(self, amount: int) -> Call:
        """Allow the vault to take `amount` native units. Genesis accounts have allowed everything already."""
        return self._call("collateral_token", "approve", self.deployment.vault, amount)

    def mint(self, to: str, amount: int) -> Call:
        """Owner only."""
        return self._call("collateral_token", "mint", to, amount)

    def deposit(self, amount: int) -> Call:
        return self._call("vault", "deposit", amount)

    def withdraw(self, amount: int) -> Call:
        return self._call("vault", "withdraw", amount)

    def fund_insurance(self, amount: int) -> Call:
        return self._call("vault", "fundInsurance", amount)

    # Trading and its end.

    def list_series(self, kind: str, asset: str, *, strike: int, expiry: int) -> Call:
        """Owner only; `kind` is a key of `KINDS`, strike 0 for futures. Ids count from 1 in order of listing."""
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}; there are {', '.join(KINDS)}")
        return self._call("clearing_house", "listSeries", KINDS[kind], asset_word(asset), strike, expiry)

    def trade(self, quote: Quote, signature: bytes, size: int) -> Call:
        """Take a quote; `size` is the sender's, of the quote's sign."""
        fields = (quote.maker, quote.series_id, quote.price, quote.size, quote.deadline, quote.nonce)
        return self._call("clearing_house", "trade", fields, signature, size)

    def liquidate(self, account: str) -> Call:
        return self._call("liquidator", "liquidate", account)

    def finalize(self, series_id: int) -> Call:
        return self._call("settlement", "finalize", series_id)

    def settle(self, account: str, series_id: int) -> Call:
        return self._call("settlement", "settle", account, series_id)

    # Prices and the rollup's own calls.

    def submit_round(
        self, asset: str, *, round_: int, timestamp: int, observations: Sequence[Observation]
    ) -> Call:
        """Observations in any order; they are sorted by reporter as the feed wants them."""
        ordered = sorted(observations, key=lambda item: item.reporter.lower())
        return self._call("price_feed", "submit", asset_word(asset), round_, timestamp,
                          [item.price for item in ordered], [item.signature for item in ordered])

    def set_l1_block(self, origin: L1Origin, *, auto: bool = False) -> Call:
        """The system transaction, sent by `deployment.DEPOSITOR`."""
        return self._call("l1_info", "setL1Block", origin.number, bytes.fromhex(origin.hash[2:]), origin.timestamp,
                          auto)

    def submit_frame(self, frame: bytes) -> Call:
        """The batcher's L1 call."""
        return self._call("batch_inbox", "submit", frame)

    # Questions and how to read their answers.

    def latest(self, asset: str) -> Call:
        return self._call("price_feed", "latest", asset_word(asset))

    def decode_latest(self, data: bytes) -> Latest:
        return Latest(*self._codecs["price_feed"].decode_result("latest", data))

    def state(self, accounts: Sequence[str], assets: Sequence[str]) -> Call:
        """The whole venue in one call."""
        return self._call("lens", "state", list(accounts), [asset_word(name) for name in assets])

    def decode_state(self, data: bytes, accounts: Sequence[str], assets: Sequence[str]) -> VenueState:
        """Needs the accounts and assets that were asked for, in the same order."""
        return venue_state.from_result(self._codecs["lens"].decode_result("state", data), accounts, assets)

    def liquidatable(self, accounts: Sequence[str]) -> Call:
        return self._call("lens", "liquidatable", list(accounts))

    def decode_liquidatable(self, data: bytes) -> tuple[bool, ...]:
        """One answer per account asked for."""
        return tuple(self._codecs["lens"].decode_result("liquidatable", data)[0])

    def balance_of(self, account: str) -> Call:
        """Tokens outside the vault."""
        return self._call("collateral_token", "balanceOf", account)

    def decode_balance(self, data: bytes) -> int:
        return int(self._codecs["collateral_token"].decode_result("balanceOf", data)[0])

    # What happened.

    def decode_log(self, log: Log) -> Event | None:
        """The event, or None when the log is not one of the venue's."""
        field = self._field_at.get(log.address)
        if field is None:
            return None
        decoded = self._codecs[field].decode_event(log.topics, log.data)
        if decoded is None:
            return None
        name, arguments = decoded
        return Event(name, field, {key: _shown(key, value) for key, value in arguments.items()})

    def decode_revert(self, data: bytes) -> str:
        """Revert data as `ErrorName(argument=value,…)`."""
        return decode_error(data, all_errors())

    def decode_call(self, to: str | None, data: bytes) -> tuple[str, str, tuple[Any, ...]] | None:
        """(field of Deployment, function, arguments) of a transaction to the venue, or None."""
        field = self._field_at.get(to or "")
        decoded = self._codecs[field].decode_call(data) if field is not None else None
        return (field, *decoded) if field is not None and decoded is not None else None

    def _call(self, field: str, function: str, *arguments: Any) -> Call:
        return Call(self._at[field], self._codecs[field].encode_call(function, *arguments))


def _shown(key: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return asset_name(value) if key == "asset" else text_of("bytes", key, value)
    return value
