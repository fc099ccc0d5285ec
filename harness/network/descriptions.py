"""What a network's user needs to know of it: accounts, contracts, and the files that other languages read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from harness.evm.accounts import account
from harness.network.values import YOU, Contract, Endpoint, NamedAccount
from harness.plan import L1_CHAIN_ID, L2_CHAIN_ID, Plan
from harness.project_plan import ProjectPlan
from harness.scenario.stage import Stage
from harness.venue.deployment import ABI_FILE, CONTRACTS, IMPLEMENTATIONS, ON_L1


def accounts_of(plan: Plan) -> tuple[NamedAccount, ...]:
    """Every account a role signs with and every funded one that is the user's, by index."""
    owners = {item.index: item.name for item in (plan.project.accounts if plan.project is not None else ())}
    owners |= {role.account: role.name for role in plan.roles if role.account is not None}
    found = []
    for index in sorted({*owners, *plan.users}):
        pair = account(index)
        found.append(NamedAccount(index, pair.address, f"0x{pair.key.hex()}", owners.get(index, YOU)))
    return tuple(found)


def contracts_of(stage: Stage, project: ProjectPlan | None) -> tuple[Contract, ...]:
    """The project's contracts, then ours in the order of `CONTRACTS`, then what else the deployment names."""
    own = [
        Contract(item.contract, item.name, item.address, "l2", L2_CHAIN_ID)
        for item in (project.contracts if project is not None else ())
    ]
    order = list(CONTRACTS)
    names = sorted(stage.deployment, key=lambda key: order.index(key) if key in order else len(order))
    ours = (
        Contract(
            CONTRACTS.get(key, key), key, stage.deployment[key], "l1" if key in ON_L1 else "l2",
            L1_CHAIN_ID if key in ON_L1 else L2_CHAIN_ID,
        )
        for key in names
    )  # fmt: skip
    return (*own, *ours)


def write_descriptions(
    folder: Path,
    *,
    name: str,
    contracts: Sequence[Contract],
    endpoints: Sequence[Endpoint],
    project: ProjectPlan | None,
) -> None:
    """deployments.json and abi/<Contract>.json in the network's folder; a project's contracts go by their own names.

    Raises OSError.
    """
    abis: dict[str, Any] = orjson.loads(ABI_FILE.read_bytes())
    own = {item.address: item for item in (project.contracts if project is not None else ())}
    (folder / "abi").mkdir(exist_ok=True)
    for item in own.values():
        (folder / "abi" / f"{item.name}.json").write_text(item.abi)
    for contract in contracts:
        if contract.name in abis and contract.address not in own:
            (folder / "abi" / f"{contract.name}.json").write_bytes(orjson.dumps(abis[contract.name]))
    document = {
        "network": name,
        "chains": {
            chain: {"chainId": chain_id, "rpc": [item.http for item in endpoints if item.chain == chain]}
            for chain, chain_id in (("l1", L1_CHAIN_ID), ("l2", L2_CHAIN_ID))
        },
        "contracts": {
            (item.key if item.address in own else item.name): {
                "address": item.address, "chain": item.chain, "chainId": item.chain_id,
                **({"abi": f"abi/{item.key}.json"} if item.address in own else
                   {"abi": f"abi/{_interface(item)}.json"} if _interface(item) in abis else {}),
            }
            for item in contracts
        },
    }  # fmt: skip
    part = folder / ".deployments.json"
    part.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    part.replace(folder / "deployments.json")


def _interface(contract: Contract) -> str:
    """Whose ABI it has: a version of the liquidator speaks as the proxy before it does."""
    return CONTRACTS["liquidator"] if contract.key in IMPLEMENTATIONS else contract.name
