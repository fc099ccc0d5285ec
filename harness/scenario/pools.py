"""The isolated pools of a scenario: their numbers, and the coin that one of them holds instead of dollars."""

from __future__ import annotations

from harness.plan import CoinPool
from harness.scenario import schema
from harness.scenario.errors import did_you_mean
from harness.scenario.loading import Document
from harness.scenario.market import path_of
from harness.scenario.units import price_wad


def pool_numbers(document: Document, scenario: schema.Scenario) -> dict[str, int]:
    """By name: the contracts count pools in the order in which series of them are listed. Raises ScenarioError."""
    for number, entry in enumerate(scenario.products):
        if entry.pool is not None and entry.pool not in scenario.pools:
            there = f"; there is {', '.join(scenario.pools)}" if scenario.pools else "; list it in pools"
            hint = did_you_mean(entry.pool, scenario.pools) or there
            raise document.error(("products", number, "pool"), f'no pool "{entry.pool}"{hint}')
        _check_collateral(document, scenario, number, entry)
    order = list(dict.fromkeys(entry.pool for entry in scenario.products if entry.pool is not None))
    for name in scenario.pools:
        if name not in order:
            raise document.error(("pools", name), "no product is in it")
    if order and scenario.venue.trading == "book":
        raise document.error(("venue", "trading"), "the book is of the cross pool; isolated pools trade on quotes")
    return {name: number for number, name in enumerate(order, start=1)}


def coin_pool(document: Document, scenario: schema.Scenario) -> CoinPool | None:
    """The pool that holds a coin, at the market's first price; None where all hold dollars. Raises ScenarioError.

    The products' underlyings are known to be markets.
    """
    numbers = pool_numbers(document, scenario)
    found = [(name, pool.coin) for name, pool in scenario.pools.items() if pool.coin is not None]
    if not found:
        return None
    (name, coin), *others = found
    if others:
        raise document.error(("pools", others[0][0], "coin"), f"one pool of a scenario holds a coin, and {name} does")
    here = ("pools", name, "coin")
    market = scenario.market[coin]  # some inverse future's underlying
    if market.signed:
        raise document.error(here, f"{coin} may be worth less than nothing; nobody can divide by its price")
    first = path_of(document, ("market", coin), market, price_wad)[0].value
    if first <= 0:
        raise document.error(here, f"{coin} is worth nothing at first; collateral is worth something")
    if scenario.spot is not None and scenario.spot.asset != coin:
        what = f"is {scenario.spot.asset}, and pool {name} holds {coin}; a scenario has one coin"
        raise document.error(("spot", "asset"), what)
    return CoinPool(numbers[name], coin, first)


def _check_collateral(document: Document, scenario: schema.Scenario, number: int, entry: schema.Product) -> None:
    """Inverse futures are in a pool of their coin, and nothing else is."""
    pool = scenario.pools[entry.pool] if entry.pool is not None else schema.Pool()
    wanted = entry.underlying if entry.kind == "inverse" else None
    if pool.coin == wanted:
        return
    if wanted is not None:
        name = f"pool {entry.pool}" if entry.pool is not None else "the cross pool"
        what = f"{name} holds {pool.coin or 'dollars'}; an inverse future of {wanted} is in a pool with coin: {wanted}"
    else:
        what = f"pool {entry.pool} holds {pool.coin}, for inverse futures of it alone; this is a {entry.kind}"
    raise document.error(("products", number, "pool" if entry.pool is not None else "kind"), what)
