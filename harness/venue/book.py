"""The order book's calls and answers, typed; what `venue.exchange` is to the other contracts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.venue.deployment import interfaces

MODES: Final = {"limit": 0, "post-only": 1, "ioc": 2, "market": 3}
"""How an order takes and whether it stays → number in `place` and `OrderPlaced`."""

REASONS: Final = ("cancelled", "expired", "self-trade", "band", "margin", "dropped", "steps")
"""Why an order left unfilled, by its number in `OrderRemoved`."""

TICK_WAD: Final = 10**16
"""What our own books' prices are multiples of, 1e18 quote; lots are the venue's."""

FILL_NONCE: Final = 2**255
"""`Traded` of the book's fill n has nonce 2^255 + n; a signed quote's is below."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants to trade."""

    series_id: int
    size: int           # 1e18 underlying, > 0 buys
    price: int          # 1e18 quote per 1 underlying; 0 of a market order
    mode: int           # a value of MODES
    deadline: int       # last timestamp at which it may be matched


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """A resting order."""

    id: int
    account: str        # lower-case 0x-hex
    rest: int           # 1e18 underlying, > 0 for a bid
    price: int
    deadline: int


@dataclass(frozen=True, slots=True)
class Best:
    """The best prices and what rests there; sizes 0 where a side is empty, an ask's < 0."""

    bid: int
    bid_size: int
    ask: int
    ask_size: int


def encode_open_market(series_id: int, *, tick: int, lot: int) -> bytes:
    """Owner only; once per series."""
    return _encode("openMarket", series_id, tick, lot)


def encode_place(order: Order) -> bytes:
    """One order; reverts where a post-only one would take."""
    return _encode("place", *_fields(order))


def encode_update(cancels: Sequence[int], orders: Sequence[Order]) -> bytes:
    """Cancel what is still there of `cancels` and place `orders`, in one transaction that no lost order spoils."""
    return _encode("update", list(cancels), [_fields(order) for order in orders])


def encode_cancel(order_id: int) -> bytes:
    return _encode("cancel", order_id)


def encode_orders(series_id: int) -> bytes:
    return _encode("orders", series_id)


def decode_orders(data: bytes) -> tuple[OpenOrder, ...]:
    """Bids best first, then asks best first, each in order of priority."""
    return tuple(OpenOrder(*item) for item in _decode("orders", data)[0])


def encode_market(series_id: int) -> bytes:
    return _encode("market", series_id)


def has_market(data: bytes) -> bool:
    """Whether the answer to `encode_market` is of a series that has one: its tick is above 0."""
    return bool(_decode("market", data)[0])


def encode_best(series_id: int) -> bytes:
    return _encode("best", series_id)


def decode_best(data: bytes) -> Best:
    return Best(*_decode("best", data))


def _fields(order: Order) -> tuple[int, int, int, int, int]:
    return (order.series_id, order.size, order.price, order.mode, order.deadline)


def _encode(function: str, *arguments: Any) -> bytes:
    return interfaces()["order_book"].encode_call(function, *arguments)


def _decode(function: str, data: bytes) -> tuple[Any, ...]:
    return interfaces()["order_book"].decode_result(function, data)
