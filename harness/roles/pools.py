"""Accounts in isolated pools: those of a plan, and how a role that trades on its own account opens its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from harness.plan import Plan
from harness.ports import PortError
from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.venue.pools import (
    CROSS,
    account_of,
    decode_pool_count,
    encode_deposit_coin,
    encode_move_collateral,
    encode_pool_count,
)

LISTING_INTERVAL_S = 1.0
"""How often a role looks whether the pool it wants to move collateral to has been listed yet."""


def pools_of(plan: Plan) -> range:
    """The isolated pools of a plan, by number."""
    return range(1, 1 + max((product.terms.pool for product in plan.products), default=CROSS))


def accounts_of(plan: Plan, owners: Sequence[str]) -> list[str]:
    """The owners' accounts in every pool the plan has, those of the cross pool first."""
    return [account_of(owner, pool) for pool in (CROSS, *pools_of(plan)) for owner in owners]


async def open_accounts_once(context: RoleContext, client: ChainClient, amount_native: int) -> None:
    """Move so much from the cross pool to each isolated one, unless an earlier life of the role saw it land; to a coin
    pool as much coin from its wallet.

    To be called right after `deposit_once`, whose nonce is 0: what goes to pool p is the transaction of nonce p. Waits
    for the operator to open each pool.
    """
    store, vault, coin = context.store, context.deployment["vault"], context.plan.coin
    for pool in pools_of(context.plan):
        key = f"pool-{pool}"
        if store.get("account", key) is not None:
            continue
        while not await _is_listed(client, vault, pool):
            await context.clock.sleep(LISTING_INTERVAL_S)
        if coin is not None and pool == coin.pool:
            amount = coin.worth(amount_native)
            action, call = "deposit", encode_deposit_coin(pool, amount)
        else:
            amount = amount_native
            action, call = "move", encode_move_collateral(CROSS, pool, amount)
        args = {"pool": pool, "amount": str(amount)}
        outcome = await client.insist(
            store, f"{context.name}/{action}-to-{pool}", action, args, vault, call, nonce=pool
        )  # fmt: skip
        if outcome.phase == "ok":
            store.put("account", key, True)
            store.flush()


async def _is_listed(client: ChainClient, vault: str, pool: int) -> bool:
    with suppress(PortError):  # no gateway in reach: a second later is another chance
        return decode_pool_count((await client.read(vault, encode_pool_count())).data) >= pool
    return False
