"""`Lens.state` as values: the venue at one block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Totals:
    custody: int        # native token units the vault holds
    insurance: int      # 1e18 quote, as everything below
    fees: int
    dust: int


@dataclass(frozen=True, slots=True)
class PositionState:
    series: int
    size: int           # 1e18 underlying, long > 0
    notional: int       # entry notional; 0 for options


@dataclass(frozen=True, slots=True)
class AccountState:
    """Margins at the newest stored prices, however old."""

    cash: int
    equity: int
    im: int
    mm: int
    positions: tuple[PositionState, ...]    # ascending series


@dataclass(frozen=True, slots=True)
class SeriesState:
    clearing: int
    open_interest: int
    open_positions: int
    final: bool
    price: int          # S_T once final, else 0


@dataclass(frozen=True, slots=True)
class AssetState:
    round: int          # 0: never observed
    timestamp: int
    price: int
    cumulative: int     # A at the newest observation


@dataclass(frozen=True, slots=True)
class VenueState:
    """Accounts by address and assets by name in the order asked for; series by id from 1."""

    totals: Totals
    accounts: dict[str, AccountState]
    series: dict[int, SeriesState]
    assets: dict[str, AssetState]

    def conservation_gap(self) -> int:
        """C1's left side minus its right side, 1e18 quote; 0 when every account that ever had cash is included.

        Exact at any mark price. Options carry no entry notional, so all positions' notional may be summed.
        """
        held = sum(a.cash - sum(p.notional for p in a.positions) for a in self.accounts.values())
        clearing = sum(item.clearing for item in self.series.values())
        own = self.totals.insurance + self.totals.fees + self.totals.dust
        return self.totals.custody * 10**12 - (held + own + clearing)

    def as_record(self) -> dict[str, Any]:
        """The fields of a history's `state` record: money as decimal strings."""
        totals = self.totals
        return {
            "totals": {"custody": str(totals.custody), "insurance": str(totals.insurance), "fees": str(totals.fees),
                       "dust": str(totals.dust)},
            "accounts": {
                address: {
                    "cash": str(a.cash), "equity": str(a.equity), "im": str(a.im), "mm": str(a.mm),
                    "positions": [{"series": p.series, "size": str(p.size), "notional": str(p.notional)}
                                  for p in a.positions],
                }
                for address, a in self.accounts.items()
            },
            "series": {
                str(id_): {"clearing": str(s.clearing), "open_interest": str(s.open_interest),
                           "open_positions": s.open_positions, "final": s.final, "price": str(s.price)}
                for id_, s in self.series.items()
            },
            "assets": {
                name: {"round": a.round, "timestamp": a.timestamp, "price": str(a.price),
                       "cumulative": str(a.cumulative)}
                for name, a in self.assets.items()
            },
        }


def from_result(result: tuple[Any, ...], accounts: Sequence[str], assets: Sequence[str]) -> VenueState:
    """What `Lens.state` returned for these accounts and assets, in the same order."""
    totals, account_states, series_states, asset_states = result
    return VenueState(
        totals=Totals(*totals),
        accounts={
            address.lower(): AccountState(*state[:4], positions=tuple(PositionState(*p) for p in state[4]))
            for address, state in zip(accounts, account_states, strict=True)
        },
        series={id_: SeriesState(*state) for id_, state in enumerate(series_states, start=1)},
        assets={name: AssetState(*state) for name, state in zip(assets, asset_states, strict=True)},
    )
