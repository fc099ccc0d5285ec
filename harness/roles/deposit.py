"""The bankroll a keeper or maker pays in when it first starts, exactly once over all its lives."""

from __future__ import annotations

from harness.roles.client import ChainClient
from harness.roles.context import RoleContext
from harness.venue.exchange import encode_deposit


async def deposit_once(context: RoleContext, client: ChainClient, amount_native: int) -> None:
    """Deposit unless an earlier life of the role saw it land; its first transaction, so its nonce is 0."""
    store = context.store
    if store.get("account", "deposited") is not None:
        return
    outcome = await client.insist(
        store,
        f"{context.name}/deposit",
        "deposit",
        {"amount": str(amount_native)},
        context.deployment["vault"],
        encode_deposit(amount_native),
        nonce=0,
    )
    if outcome.phase == "ok":
        store.put("account", "deposited", True)
        store.flush()
