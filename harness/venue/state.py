"""`Lens.state` as values: the venue at one block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.evm.abi import asset_name


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the cross pool, but for the custody."""

    custody: int        # native token units the vault holds for all pools
    insurance: int      # 1e18 quote, as everything below
    fees: int
    dust: int
    deficit: int = 0    # losses nobody bears yet


@dataclass(frozen=True, slots=True)
class PositionState:
    series_id: int
    size: int           # 1e18 underlying, long > 0
    notional: int       # entry notional; 0 for options
    funding_index: int = 0  # of a perpetual: the index it was last settled at


@dataclass(frozen=True, slots=True)
class AccountState:
    """Margins at the newest stored prices, however old."""

    address: str        # lower-case 0x-hex
    cash: int
    equity: int
    im: int
    mm: int
    auction: int        # active clock at the start of its auction; 0: none
    positions: tuple[PositionState, ...]    # ascending series
    pool: int = 0       # whose collateral backs it; 0: the cross pool
    moved_at: int = 0   # seconds; only a price observed after it may liquidate the account; 0: it never moved


@dataclass(frozen=True, slots=True)
class SeriesState:
    series_id: int
    clearing: int
    open_interest: int
    open_positions: int
    is_final: bool
    price: int          # S_T once final, else 0
    disputed_at: int = 0    # when its settlement price became disputed; 0: never


@dataclass(frozen=True, slots=True)
class PerpetualState:
    """A perpetual's funding as stored, not accrued to now."""

    series_id: int
    index: int          # 1e18 quote per 1 underlying: what one unit long has paid
    rate: int           # 1e18 per period; positive: longs pay shorts
    integral: int       # the asset's funded integral at the last accrual
    window: int         # number of the premium window that the trades below are of
    weight: int         # Σ |size|
    weighted: int       # Σ |size|·premium, 1e36


@dataclass(frozen=True, slots=True)
class AssetState:
    name: str
    round: int          # 0: never observed
    timestamp: int
    price: int
    cumulative: int     # A at the newest observation
    funded: int = 0     # B there
    active_at: int = 0  # the active clock when it was accepted
    covered: int = 0    # seconds with a usable price up to the newest observation
    beyond: int = 0     # seconds with one too old to settle by
    halted_until: int = 0   # nobody opens before; 0: the breaker never tripped


@dataclass(frozen=True, slots=True)
class PoolState:
    """The books of a pool, 1e18 quote; of a coin pool 1e18 coin."""

    pool: int           # 0: the cross pool
    balance: int        # the collateral that is its own
    insurance: int
    fees: int
    dust: int
    deficit: int
    coin: str = ""      # the asset that is its collateral; "": dollars
    custody: int = 0    # native units of that coin the vault holds; 0: dollars


@dataclass(frozen=True, slots=True)
class VenueState:
    """Accounts and assets in the order asked for, series, perpetuals and pools by ascending number."""

    totals: Totals
    accounts: tuple[AccountState, ...]
    series: tuple[SeriesState, ...]
    perpetuals: tuple[PerpetualState, ...]
    assets: tuple[AssetState, ...]
    pools: tuple[PoolState, ...] = ()

    def conservation_gap(self) -> int:
        """C1's left side minus its right side, 1e18 quote; 0 when every account that ever had cash is included.

        Exact at any mark price. Options carry no entry notional, so all positions' notional may be summed.
        """
        held = sum(a.cash - sum(p.notional for p in a.positions) for a in self.accounts)
        clearing = sum(item.clearing for item in self.series)
        totals = self.totals
        own = totals.insurance + totals.fees + totals.dust - totals.deficit
        own += sum(pool.insurance + pool.fees + pool.dust - pool.deficit for pool in self.pools if pool.pool)
        return totals.custody * 10**12 - (held + own + clearing)


def from_result(result: tuple[Any, ...]) -> VenueState:
    """What `Lens.state` returned, decoded by ABI."""
    totals, accounts, series, perpetuals, assets, pools = result
    return VenueState(
        totals=Totals(*totals),
        accounts=tuple(
            AccountState(
                address, cash, equity, im, mm, auction, tuple(PositionState(*item) for item in positions), pool,
                moved_at,
            )
            for address, pool, cash, equity, im, mm, auction, positions, moved_at in accounts
        ),
        series=tuple(SeriesState(*item) for item in series),
        perpetuals=tuple(PerpetualState(*item) for item in perpetuals),
        assets=tuple(AssetState(asset_name(item[0]), *item[1:]) for item in assets),
        pools=tuple(map(_pool, pools)),
    )


def _pool(item: tuple[Any, ...]) -> PoolState:
    pool, balance, insurance, fees, dust, deficit, coin, custody = item
    name = asset_name(coin) if any(coin) else ""
    return PoolState(pool, balance, insurance, fees, dust, deficit, name, custody)
