"""Every account's money once more, in exact rationals and with no rounding at all between its first event and now.

A second opinion on the venue's books that shares nothing with the model: no notional, no release, no order of
roundings. What an account has put in, paid and been paid is summed over the events at the scale of 1e36, at which a
size times a price is a whole number. What the venue keeps for it (cash less entry notional) may fall short of that by
less than one wei for each rounding, and may never be above it.

An inverse future turns a size into size / price of its coin, which is no whole number at any scale. It is floored at
that of 1e36; `slack` counts how often, so a true value lies within that many units (a wei is 1e18 of them) above.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.fixed import NATIVE, WAD

FUTURE, CALL, PUT, PERPETUAL, INVERSE = 0, 1, 2, 3, 4


class ExactBooks:
    """Fed every event in chain order. `value` is at the scale of 1e36; `roundings` bounds what may be missing."""

    def __init__(self) -> None:
        self.value: dict[str, int] = {}
        self.roundings: dict[str, int] = {}
        self.slack: dict[str, int] = {}
        self._kinds: dict[int, tuple[int, int]] = {}     # series → (kind, strike)
        self._isolated: dict[tuple[str, int], str] = {}  # (owner, pool) → account
        self._indices: dict[int, int] = {}               # perpetual → its funding index
        self._held: dict[tuple[str, int], tuple[int, int]] = {}  # perpetual position → (size, index last paid at)

    def apply(self, name: str, args: Mapping[str, Any]) -> None:
        match name:
            case "SeriesListed":
                self._kinds[args["id"]] = (args["kind"], args["strike"])
            case "Deposited":
                self._add(args["account"], args["amount"] * NATIVE * WAD, 0)
            case "AccountOpened":
                self._isolated[args["owner"], args["pool"]] = args["account"]
            case "CollateralMoved":
                owner: str = args["owner"]
                for end, sign in (("from", -1), ("to", 1)):
                    account = self._isolated.get((owner, args[end]), owner)
                    self._add(account, sign * args["amount"] * NATIVE * WAD, 0)
            case "Withdrawn":
                self._add(args["account"], -args["amount"] * NATIVE * WAD, 0)
            case "CoinDeposited":
                self._add(args["account"], args["amount"] * WAD, 0)
            case "CoinWithdrawn":
                self._add(args["account"], -args["amount"] * WAD, 0)
            case "FundingAccrued":
                self._indices[args["seriesId"]] = args["index"]
            case "FundingSettled":
                self._fund(args["account"], args["seriesId"])
            case "Traded":
                self._move(args["taker"], args["seriesId"], args["size"])
                self._move(args["maker"], args["seriesId"], -args["size"])
                self._buy(args["taker"], args["seriesId"], args["size"], args["price"])
                self._add(args["taker"], -args["fee"] * WAD, 0)
                self._buy(args["maker"], args["seriesId"], -args["size"], args["price"])
            case "PositionTransferred":
                self._move(args["account"], args["seriesId"], -args["size"])
                self._move(args["keeper"], args["seriesId"], args["size"])
                # The account sells what it held, q, at that price; the keeper buys it.
                self._buy(args["account"], args["seriesId"], -args["size"], args["price"])
                self._buy(args["keeper"], args["seriesId"], args["size"], args["price"])
            case "Liquidated":
                collected = args["toKeeper"] + args["toInsurance"]
                self._add(args["account"], (args["covered"] + args["badDebt"] - collected) * WAD, 0)
                self._add(args["keeper"], args["toKeeper"] * WAD, 0)
            case "Settled":
                if self._is_inverse(args["seriesId"]):
                    self._pay(args["account"], -args["size"], args["price"], 1)
                else:
                    self._add(args["account"], args["size"] * self._unit(args["seriesId"], args["price"]), 1)
            case "BadDebt":
                self._add(args["account"], (args["covered"] + args["remaining"]) * WAD, 0)
            case "Deleveraged":
                account, other, cost = args["account"], args["counterparty"], args["cost"]
                self._move(account, args["seriesId"], -args["size"])
                self._move(other, args["seriesId"], args["size"])
                self._buy(account, args["seriesId"], -args["size"], args["price"])
                self._buy(other, args["seriesId"], args["size"], args["price"])
                self._add(account, cost * WAD, 0)
                self._add(other, -cost * WAD, 0)
            case "Haircut":
                self._add(args["account"], -args["amount"] * WAD, 0)
            case _:
                pass

    def _is_inverse(self, series: int) -> bool:
        return self._kinds.get(series, (FUTURE, 0))[0] == INVERSE

    def _buy(self, account: str, series: int, size: int, price: int) -> None:
        """A linear unit costs its price; an inverse one, worth a quote, is owed and brings in its coin."""
        if self._is_inverse(series):
            self._pay(account, size, price, 2)
        else:
            self._add(account, -size * price, 2)

    def _pay(self, account: str, size: int, price: int, roundings: int) -> None:
        """size / price coin."""
        self._add(account, size * WAD * WAD // max(price, 1), roundings)
        self.slack[account] = self.slack.get(account, 0) + 1

    def _fund(self, account: str, series: int) -> None:
        """Funding is paid by the index's own steps, each size times its step, with nothing rounded."""
        size, paid_at = self._held.get((account, series), (0, 0))
        index = self._indices.get(series, 0)
        self._held[account, series] = (size, index)
        self._add(account, -size * (index - paid_at), 1)

    def _move(self, account: str, series: int, change: int) -> None:
        if self._kinds.get(series, (FUTURE, 0))[0] == PERPETUAL:
            size, paid_at = self._held.get((account, series), (0, 0))
            index = self._indices.get(series, 0)
            if size and paid_at != index:
                self._fund(account, series)  # without a FundingSettled of its own: owed all the same
            self._held[account, series] = (size + change, index)

    def _unit(self, series: int, price: int) -> int:
        """What one unit of the series turns into at its settlement price."""
        kind, strike = self._kinds.get(series, (FUTURE, 0))
        if kind in (FUTURE, PERPETUAL):
            return price
        return max(price - strike, 0) if kind == CALL else max(strike - price, 0)

    def _add(self, account: str, amount: int, roundings: int) -> None:
        self.value[account] = self.value.get(account, 0) + amount
        self.roundings[account] = self.roundings.get(account, 0) + roundings
