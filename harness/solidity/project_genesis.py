"""The genesis of a network with a user's contracts: the venue's (or its bare rollup part), and theirs on top."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from harness.evm.accounts import account
from harness.plan import L2_CHAIN_ID
from harness.project_plan import ProjectPlan
from harness.solidity.artifacts import write_atomically
from harness.solidity.deploy import DeploymentFailed
from harness.solidity.genesis import genesis_file
from harness.solidity.scratch_chain import ScratchChain, TransactionFailed
from harness.toolchain import ACCEPTED_ANVIL, cache_home
from harness.venue.deployment import L1_INFO

FORMAT: Final = 2
TRANSACTIONS_MAX: Final = 5_000


def base_genesis(venue_file: Path, *, has_venue: bool) -> Path:
    """What a project is deployed on: the venue's genesis, or only what the rollup itself needs of it."""
    if has_venue:
        return venue_file
    bare = venue_file.with_name("bare.json")
    if not bare.exists():
        alloc = orjson.loads(venue_file.read_bytes())["alloc"]
        write_atomically(bare, genesis_file(L2_CHAIN_ID, {**people_of(alloc), L1_INFO: alloc[L1_INFO]}))
    return bare


def people_of(alloc: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries that are no contracts: funded accounts."""
    return {address: entry for address, entry in alloc.items() if "code" not in entry}


@contextmanager
def project_chain(
    base: Path, balances: Mapping[str, int], *, timestamp: int, transactions: int
) -> Iterator[ScratchChain]:
    """A scratch chain as the project's first transaction finds it; the last one's block is just before `timestamp`."""
    with ScratchChain(chain_id=L2_CHAIN_ID, timestamp=timestamp - transactions - 1, genesis_file=base) as chain:
        for address, wei in sorted(balances.items()):
            chain.give(address, wei)
        yield chain


def build_project_genesis(base: Path, project: ProjectPlan, *, timestamp: int) -> Path:
    """The genesis file with the project in it, from the cache or made on a scratch node (blocks for some 0.3 s).

    Raises:
        DeploymentFailed: a transaction that went through when the plan was made does not any more.
        ToolError, EngineFailure: what the building rests on failed.
    """
    content = orjson.dumps(
        [FORMAT, hashlib.sha256(base.read_bytes()).hexdigest(), ACCEPTED_ANVIL, timestamp,
         [_plain(item) for item in project.genesis], [_plain(item) for item in project.accounts]],
        option=orjson.OPT_SORT_KEYS,
    )  # fmt: skip
    target = cache_home() / "genesis" / hashlib.sha256(content).hexdigest()[:32] / "l2.json"
    if target.exists():
        return target
    people = {account(item.index).address: item for item in project.accounts}
    balances = {address: item.balance_wei for address, item in people.items()}
    with project_chain(base, balances, timestamp=timestamp, transactions=len(project.genesis)) as chain:
        before = orjson.loads(base.read_bytes())["alloc"]
        strangers = set(chain.state(()).contracts) - set(before)
        for item in project.genesis:
            try:
                chain.transact(item.sender, item.to, bytes.fromhex(item.data[2:]), item.value)
            except TransactionFailed as error:
                raise DeploymentFailed(f"{item.label} went through when the plan was made, and now: {error}") from error
        state = chain.state(people)
    alloc = people_of(before)
    alloc |= {address: entry for address, entry in state.contracts.items() if address not in strangers}
    for address in people:
        # With its nonce: a creation at one used here would meet the contract it made here.
        alloc[address] = {
            "balance": hex(state.balances.get(address, 0)), "nonce": hex(state.nonces.get(address, 0)),
        }  # fmt: skip
    write_atomically(target, genesis_file(L2_CHAIN_ID, alloc))
    return target


def _plain(item: Any) -> dict[str, str]:
    return {key: str(value) for key, value in asdict(item).items()}
