"""The contract events a history names, with the type of every argument, as contracts/RULES.md declares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from harness.history import fields
from harness.history.errors import HistoryError

Argument = int | str | bool | tuple[int, ...]
_Reader = Callable[[Any, str], Argument]

_INT: Final[_Reader] = fields.integer
_ADDRESS: Final[_Reader] = fields.address
_TEXT: Final[_Reader] = fields.text
_FLAG: Final[_Reader] = fields.flag
_INTS: Final[_Reader] = fields.integers

EVENTS: Final[Mapping[str, Mapping[str, _Reader]]] = {
    "UptimeChanged": {"up": _FLAG, "startedAt": _INT},
    "OutageEnded": {"since": _INT, "until": _INT, "downTime": _INT},
    "AssetListed": {"asset": _TEXT, "isSigned": _FLAG, "minAnswer": _INT, "maxAnswer": _INT},
    "RoundAccepted": {
        "asset": _TEXT, "round": _INT, "timestamp": _INT, "price": _INT, "sources": _INT, "prices": _INTS,
    },
    "MarketHalted": {"asset": _TEXT, "from": _INT, "to": _INT, "until": _INT},
    "Deposited": {"account": _ADDRESS, "amount": _INT},
    "Withdrawn": {"account": _ADDRESS, "amount": _INT},
    "InsuranceFunded": {"from": _ADDRESS, "amount": _INT, "pool": _INT},
    "AccountOpened": {"account": _ADDRESS, "owner": _ADDRESS, "pool": _INT},
    "CollateralMoved": {"owner": _ADDRESS, "from": _INT, "to": _INT, "amount": _INT},
    "CoinPoolOpened": {"pool": _INT, "asset": _TEXT, "token": _ADDRESS},
    "CoinDeposited": {"account": _ADDRESS, "pool": _INT, "amount": _INT},
    "CoinWithdrawn": {"account": _ADDRESS, "pool": _INT, "amount": _INT},
    "SeriesListed": {"id": _INT, "kind": _INT, "asset": _TEXT, "strike": _INT, "expiry": _INT},
    "TermsSet": {
        "seriesId": _INT, "optionMargin": _INT, "pool": _INT, "oiLower": _INT, "oiCap": _INT, "profitCap": _INT,
    },
    "Traded": {
        "seriesId": _INT, "taker": _ADDRESS, "maker": _ADDRESS, "size": _INT, "price": _INT, "nonce": _INT, "fee": _INT,
    },
    "MarketOpened": {"seriesId": _INT, "tick": _INT, "lot": _INT},
    "OrderPlaced": {
        "orderId": _INT, "account": _ADDRESS, "seriesId": _INT, "size": _INT, "price": _INT, "mode": _INT,
        "deadline": _INT,
    },
    "OrderFilled": {"orderId": _INT, "takerOrderId": _INT, "size": _INT, "price": _INT},
    "OrderRemoved": {"orderId": _INT, "reason": _INT, "rest": _INT},
    "PositionTransferred": {
        "account": _ADDRESS, "keeper": _ADDRESS, "seriesId": _INT, "size": _INT, "price": _INT,
    },
    "Liquidated": {
        "account": _ADDRESS, "keeper": _ADDRESS, "equityBefore": _INT, "maintenanceMargin": _INT,
        "toKeeper": _INT, "toInsurance": _INT, "covered": _INT, "badDebt": _INT,
        "stage": _INT,
    },
    "AuctionStarted": {
        "account": _ADDRESS, "keeper": _ADDRESS, "startActive": _INT, "equity": _INT, "maintenanceMargin": _INT,
    },
    "AuctionCancelled": {"account": _ADDRESS},
    "Deleveraged": {
        "account": _ADDRESS, "counterparty": _ADDRESS, "seriesId": _INT, "size": _INT, "price": _INT, "cost": _INT,
    },
    "DeficitCovered": {"amount": _INT, "remaining": _INT, "pool": _INT},
    "Haircut": {"account": _ADDRESS, "amount": _INT},
    "DeficitSocialized": {"amount": _INT, "remaining": _INT, "pool": _INT},
    "SeriesDisputed": {"seriesId": _INT, "covered": _INT, "beyond": _INT},
    "PriceOverridden": {"seriesId": _INT, "price": _INT, "by": _ADDRESS},
    "DisputeResolved": {"seriesId": _INT, "route": _INT, "price": _INT},
    "SeriesFinalized": {"seriesId": _INT, "price": _INT},
    "Settled": {"account": _ADDRESS, "seriesId": _INT, "size": _INT, "price": _INT, "cashDelta": _INT},
    "FundingAccrued": {"seriesId": _INT, "index": _INT, "rate": _INT, "integral": _INT},
    "FundingSettled": {"account": _ADDRESS, "seriesId": _INT, "cashDelta": _INT},
    "Enqueued": {"index": _INT, "kind": _INT, "gas": _INT, "payload": _TEXT, "accumulator": _TEXT},
    "PauseChanged": {"before": _INT, "paused": _INT, "by": _ADDRESS},
    "CallScheduled": {
        "id": _TEXT, "index": _INT, "target": _ADDRESS, "value": _INT, "data": _TEXT, "predecessor": _TEXT,
        "delay": _INT,
    },
    "CallExecuted": {"id": _TEXT, "index": _INT, "target": _ADDRESS, "value": _INT, "data": _TEXT},
    "FactorsChanged": {
        "imBps": _INT, "mmBps": _INT, "optionImBps": _INT, "optionMinImBps": _INT, "optionMmBps": _INT,
    },
    "KeeperShareSet": {"shareBps": _INT},
    "ReporterChanged": {"reporter": _ADDRESS, "isReporter": _FLAG},
    "Initialized": {"version": _INT},
    "Upgraded": {"implementation": _ADDRESS},
    "Swapped": {
        "account": _ADDRESS, "buys": _FLAG, "amountIn": _INT, "amountOut": _INT, "minOut": _INT, "deadline": _INT,
    },
    "LiquidityAdded": {"account": _ADDRESS, "underlying": _INT, "quote": _INT, "shares": _INT},
    "LiquidityRemoved": {"account": _ADDRESS, "underlying": _INT, "quote": _INT, "shares": _INT},
    "BadDebt": {"account": _ADDRESS, "covered": _INT, "remaining": _INT},
    "MessageSent": {
        "id": _TEXT, "nonce": _INT, "sender": _ADDRESS, "target": _ADDRESS, "value": _INT, "gas": _INT,
        "payload": _TEXT,
    },
    "MessageProven": {"id": _TEXT, "sentAt": _INT, "l1Number": _INT, "l1Hash": _TEXT, "stateRoot": _TEXT},
    "MessageExecuted": {
        "id": _TEXT, "nonce": _INT, "sender": _ADDRESS, "target": _ADDRESS, "value": _INT, "sentAt": _INT,
    },
    "MessageFailed": {"id": _TEXT, "sentAt": _INT},
}
"""Event name → argument name → how it is read. Other events (token transfers, L1 contracts) pass through unread."""

_SINCE_POOLS: Final = frozenset({"InsuranceFunded", "DeficitCovered", "DeficitSocialized"})
"""Events that have named their pool only since there is more than the cross pool: without one they are of that."""


def read_arguments(name: str, raw: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The event's arguments with every integer exact; the raw ones for an event this table does not know."""
    readers = EVENTS.get(name)
    if readers is None:
        return raw
    if name in _SINCE_POOLS and "pool" not in raw:
        raw = {**raw, "pool": 0}
    try:
        return {key: read(raw[key], key) for key, read in readers.items()}
    except KeyError as missing:
        raise HistoryError(f"{where}: event {name} lacks its argument {missing.args[0]!r}") from None
    except HistoryError as error:
        raise HistoryError(f"{where}: event {name}: {error}") from None
