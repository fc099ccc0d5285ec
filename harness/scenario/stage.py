"""What a plan needs before anything boots: the venue in a genesis file, chain specifications, accounts, versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.anvil import ChainKind, ChainSpec
from harness.evm.accounts import OWNER, account
from harness.plan import L1_CHAIN_ID, L1_GAS_LIMIT, L2_CHAIN_ID, Plan
from harness.roles.bankrolls import KEEPER_NATIVE, KEEPER_POOL_NATIVE, MAKER_NATIVE, MAKER_POOL_NATIVE
from harness.solidity.compile import compile_contracts
from harness.solidity.genesis import Genesis, GenesisSpec, build_genesis
from harness.toolchain import ACCEPTED_ANVIL, anvil_binary

SIM_GENESIS_TIMESTAMP = 1_583_971_200
"""2020-03-12T00:00:00Z. In sim it only has to be the same every time."""

ROLLUP_CONTRACTS = ("l1_info", "batch_inbox", "forced_queue")
"""What a network has that runs only a user's own contracts."""

BATCHER_WEI = 10_000 * 10**18
USER_WEI = 10_000 * 10**18
TRADER_L1_WEI = 100 * 10**18
USER_NATIVE = 1_000_000 * 10**6
SPOT_SHARE = 4
"""Searchers, leaders and people hold one part in so many of what the spot pool begins with."""
TRADER_SPARE_NATIVE = 10**6
"""Left in a trader's wallet beyond what its plan deposits, so that a balance is never exactly used up."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything fixed before the first block. Two stages of one plan and genesis time are equal."""

    l1: ChainSpec
    l2: ChainSpec
    deployment: Mapping[str, str]   # contract name → lower-case address
    accounts: Mapping[str, str]     # role name → lower-case address
    genesis_timestamp: int


def set_stage(plan: Plan, *, genesis_timestamp: int, contracts: Path | None = None) -> Stage:
    """Compile and deploy (from caches where they know the plan's venue) and name every account.

    `contracts` is another folder of the venue's sources, for a version that is not ours.

    Raises what `build_genesis` raises: a tool is missing, or the contracts do not compile or deploy.
    """
    anvil_binary()  # the wrong one is refused here, in words, and not by each of the nodes in its log
    accounts = _accounts(plan)
    genesis = _venue_genesis(plan, accounts, contracts)
    l2_file = genesis.l2_file
    if plan.project is not None:
        from harness.solidity.project_genesis import base_genesis, build_project_genesis

        base = base_genesis(genesis.l2_file, has_venue=plan.has_venue)
        l2_file = build_project_genesis(base, plan.project, timestamp=genesis_timestamp)
    deployment = _deployment(plan, genesis)
    return Stage(
        l1=ChainSpec(L1_CHAIN_ID, genesis_timestamp, L1_GAS_LIMIT, genesis.l1_file, ChainKind.L1),
        l2=ChainSpec(
            L2_CHAIN_ID, genesis_timestamp, plan.profile.l2_gas_limit, l2_file, ChainKind.L2, l1_info=True
        ),
        deployment=deployment,
        accounts=accounts,
        genesis_timestamp=genesis_timestamp,
    )


def base_of(plan: Plan) -> tuple[Path, Mapping[str, str]]:
    """The genesis that a project of this plan is deployed on, and where our contracts are in it."""
    from harness.solidity.project_genesis import base_genesis

    genesis = _venue_genesis(plan, _accounts(plan), None)
    return base_genesis(genesis.l2_file, has_venue=plan.has_venue), _deployment(plan, genesis)


def _accounts(plan: Plan) -> dict[str, str]:
    return {role.name: account(role.account).address for role in plan.roles if role.account is not None}


def _deployment(plan: Plan, genesis: Genesis) -> dict[str, str]:
    """Addresses of our contracts; without a venue only the rollup's own."""
    return {
        name: address
        for name, address in asdict(genesis.deployment).items()
        if isinstance(address, str) and (plan.has_venue or name in ROLLUP_CONTRACTS)
    }


def _venue_genesis(plan: Plan, accounts: Mapping[str, str], contracts: Path | None) -> Genesis:
    admins = plan.of_kind("admin")
    people = [account(index).address for index in plan.users]
    wei = dict.fromkeys(people, USER_WEI)
    batchers = {accounts[role.name]: BATCHER_WEI for role in plan.of_kind("batcher", "sequencer")}
    return build_genesis(
        GenesisSpec(
            params=plan.venue,
            assets=tuple(plan.terms_of(asset) for asset, _ in plan.markets),
            reporters=tuple(accounts[role.name] for role in plan.of_kind("reporter")),
            owner=accounts[admins[0].name] if admins else account(OWNER).address,
            collateral=dict.fromkeys(people, USER_NATIVE) | _collateral(plan, accounts),
            forced_block_gas=plan.profile.forced_gas_cap_per_l1_block,
            spot_asset=plan.spot.asset if plan.spot is not None else "",
            spot=_spot_wallets(plan, accounts, people),
            coin=_coin_wallets(plan, accounts, people),
            l1_tokens=_l1_tokens(plan, accounts, people),
            l1_balances=wei | batchers | _forcing_money(plan, accounts) | _l1_gas_money(plan, accounts),
            l2_balances=wei | _gas_money(plan, accounts),
            l1_chain_id=L1_CHAIN_ID,
            l2_chain_id=L2_CHAIN_ID,
            finality_depth=plan.profile.finality_depth_l1_blocks,
        ),
        artifacts=compile_contracts(contracts),
    )


def _collateral(plan: Plan, accounts: Mapping[str, str]) -> dict[str, int]:
    """Tokens in each wallet: what its owner is going to pay in."""
    wallets = {accounts[role.name]: KEEPER_NATIVE for role in plan.of_kind("keeper")}
    wallets |= {accounts[role.name]: MAKER_NATIVE for role in plan.of_kind("maker")}
    dollars = [each for pool, each in enumerate(plan.pool_insurance_native, start=1) if not _is_coin(plan, pool)]
    insurance = plan.insurance_native + sum(dollars)
    wallets |= {accounts[role.name]: insurance for role in plan.of_kind("admin")}
    for trader, operations in plan.operations:
        paid_in = sum(op.amount_native for op in operations if op.action == "deposit" and not op.product)
        wallets[accounts[trader]] = paid_in + TRADER_SPARE_NATIVE
    return wallets


def _is_coin(plan: Plan, pool: int) -> bool:
    return plan.coin is not None and plan.coin.pool == pool


def _coin_wallets(plan: Plan, accounts: Mapping[str, str], people: Sequence[str]) -> dict[str, int]:
    """Coin in each wallet: what its owner is going to pay into the coin pool."""
    coin = plan.coin
    if coin is None:
        return {}
    wallets = dict.fromkeys(people, coin.worth(USER_NATIVE))
    wallets |= {accounts[role.name]: coin.worth(KEEPER_POOL_NATIVE) for role in plan.of_kind("keeper")}
    wallets |= {accounts[role.name]: coin.worth(MAKER_POOL_NATIVE) for role in plan.of_kind("maker")}
    for trader, operations in plan.operations:
        wallets[accounts[trader]] = sum(op.amount_native for op in operations if op.action == "deposit" and op.product)
    return wallets | {accounts[role.name]: plan.pool_insurance_native[coin.pool - 1] for role in plan.of_kind("admin")}


def _forcing_money(plan: Plan, accounts: Mapping[str, str]) -> dict[str, int]:
    """Ether on L1 of traders that put through there what L2 leaves out."""
    if not plan.force_after_ns:
        return {}
    return {accounts[role.name]: TRADER_L1_WEI for role in plan.of_kind("trader")}


def _l1_tokens(plan: Plan, accounts: Mapping[str, str], people: Sequence[str]) -> dict[str, int]:
    """Tokens on L1: what traders bring over the bridge, and where somebody relays a stock for people."""
    wallets = dict.fromkeys(people, USER_NATIVE) if plan.bridge is not None else {}
    return wallets | {accounts[trader]: brought for trader, brought in _brought(plan).items()}


def _l1_gas_money(plan: Plan, accounts: Mapping[str, str]) -> dict[str, int]:
    return {accounts[trader]: TRADER_L1_WEI for trader in _brought(plan)}


def _brought(plan: Plan) -> dict[str, int]:
    """Trader → what its plan brings over the bridge."""
    sums = {
        trader: sum(op.amount_native for op in operations if op.action == "bridge")
        for trader, operations in plan.operations
    }
    return {trader: brought for trader, brought in sums.items() if brought}


def _gas_money(plan: Plan, accounts: Mapping[str, str]) -> dict[str, int]:
    """Ether of keepers that pay for gas."""
    gas, keepers = plan.keeper_gas, plan.of_kind("keeper")
    if gas is None:
        return {}
    bankrolls = gas.bankrolls_wei
    return {accounts[role.name]: bankrolls[place % len(bankrolls)] for place, role in enumerate(keepers)}


def _spot_wallets(plan: Plan, accounts: Mapping[str, str], people: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Underlying and quote in the wallets of those who trade in the spot pool, beside what they deposit elsewhere."""
    pool = plan.spot
    if pool is None:
        return {}
    wallets = dict.fromkeys(people, (pool.underlying // SPOT_SHARE, pool.quote // SPOT_SHARE))
    # A leader's own account: what an insider stakes.
    for role in plan.of_kind("sequencer", "searcher"):
        wallets[accounts[role.name]] = (pool.underlying // SPOT_SHARE, pool.quote // SPOT_SHARE)
    for trader, operations in plan.operations:
        quote = sum(op.amount_native for op in operations if op.action == "swap")
        # Of the underlying enough for a price that falls to a quarter of what it is at first.
        wallets[accounts[trader]] = (4 * quote * pool.underlying // pool.quote, quote)
    return wallets | {accounts[role.name]: (pool.underlying, pool.quote) for role in plan.of_kind("admin")}


def versions() -> dict[str, str]:
    """What the outcome of a run may depend on."""
    return {
        "harness": version("harness"),
        "python": platform.python_version(),
        "anvil": ACCEPTED_ANVIL,
        "platform": f"{platform.system()} {platform.machine()}",
    }


def run_record(plan: Plan, stage: Stage, *, runtime: str) -> dict[str, Any]:
    """The fields of the history's first record."""
    return {
        "scenario": plan.scenario,
        "seed": plan.seed,
        "runtime": runtime,
        "versions": versions(),
        "genesis_timestamp": stage.genesis_timestamp,
        "deployment": dict(stage.deployment),
        "accounts": dict(stage.accounts),
        "assets": {
            asset: {
                "signed": terms.signed,
                "min_answer": str(terms.min_answer),
                "max_answer": str(terms.max_answer),
            }
            for asset, terms in ((asset, plan.terms_of(asset)) for asset, _ in plan.markets)
        },
    }
