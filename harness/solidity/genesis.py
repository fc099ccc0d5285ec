"""Genesis files with everything deployed, made once on a scratch node and cached: a network boots without deploying."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import IpcClient
from harness.anvil.spec import ChainSpec
from harness.plan import AssetTerms, VenueParameters
from harness.rollup.profile import FAST
from harness.solidity import deploy
from harness.solidity.artifacts import Artifacts, write_atomically
from harness.solidity.compile import compile_contracts
from harness.toolchain import ACCEPTED_ANVIL, anvil_binary, cache_home
from harness.venue.deployment import CONTRACTS, IMPLEMENTATIONS, L1_INFO, ON_L1, Deployment

FORMAT: Final = 2
"""Part of the cache key; raise it when the same inputs should give another file."""

_SCRATCH_TIMESTAMP: Final = 1
_SCRATCH_GAS: Final = 1_000_000_000  # a whole batch of set-up calls in one block
_SCRATCH_TIMEOUT_S: Final = 30.0
_MAX_ALLOWANCE: Final = 2**256 - 1


@dataclass(frozen=True, slots=True)
class GenesisSpec:
    """What the chains hold before their first block. Equal specs give equal files."""

    params: VenueParameters
    assets: tuple[AssetTerms, ...]              # names of at most 32 ASCII characters
    reporters: tuple[str, ...]                  # addresses
    owner: str                                  # lists series, mints, changes reporters
    collateral: Mapping[str, int] = field(default_factory=dict)   # address → native units, allowed to the vault
    insurance: int = 0                          # native units, paid in by the owner
    spot_asset: str = ""                        # what the spot pool is of
    spot: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Address → native units of underlying and of quote in its wallet, both allowed to the spot pool."""
    coin: Mapping[str, int] = field(default_factory=dict)
    """Address → native units of the coin in its wallet, beside those for the spot pool, allowed to the vault."""
    l1_tokens: Mapping[str, int] = field(default_factory=dict)
    """Address → native units of the L1 token in its wallet, allowed to the bridge."""
    l1_balances: Mapping[str, int] = field(default_factory=dict)  # address → wei
    l2_balances: Mapping[str, int] = field(default_factory=dict)  # address → wei; of people, who hold no code
    forced_block_gas: int = FAST.forced_gas_cap_per_l1_block   # L2 gas that one L1 block may force
    l1_chain_id: int = 900
    l2_chain_id: int = 901
    finality_depth: int = deploy.FINALITY_DEPTH   # L1 blocks; the bridge executes nothing younger


@dataclass(frozen=True, slots=True)
class Genesis:
    """Files for `anvil --init`, and where everything is."""

    l2_file: Path
    l1_file: Path
    deployment: Deployment


def build_genesis(spec: GenesisSpec, *, artifacts: Artifacts | None = None) -> Genesis:
    """The genesis of both chains, from the cache or built on a scratch Anvil (blocks for some 0.3 s; needs no fee).

    Raises:
        DeploymentFailed: a constructor or a set-up call reverted, for instance because of a bad parameter.
        CompilationFailed, ToolError, EngineFailure: what the building rests on failed.
    """
    artifacts = artifacts or compile_contracts()
    deployment = deploy.predicted(spec.l1_chain_id, spec.l2_chain_id)
    folder = cache_home() / "genesis" / _cache_key(spec, artifacts)
    genesis = Genesis(l2_file=folder / "l2.json", l1_file=folder / "l1.json", deployment=deployment)
    if genesis.l2_file.exists() and genesis.l1_file.exists():
        return genesis
    state = _deployed_state(spec, artifacts, deployment)
    l1_alloc = {address.lower(): {"balance": hex(wei)} for address, wei in sorted(spec.l1_balances.items())}
    l1_alloc |= {address: state.pop(address) for address in (getattr(deployment, name) for name in ON_L1)}
    for address, wei in sorted(spec.l2_balances.items()):
        state.setdefault(address.lower(), {"balance": hex(wei)})
    write_atomically(genesis.l1_file, genesis_file(spec.l1_chain_id, l1_alloc))
    write_atomically(genesis.l2_file, genesis_file(spec.l2_chain_id, state))
    return genesis


def _cache_key(spec: GenesisSpec, artifacts: Artifacts) -> str:
    plain = asdict(spec) | {
        "assets": [[item.name, item.signed, str(item.min_answer), str(item.max_answer)] for item in spec.assets],
        # As text: amounts may not fit JSON's 64 bits.
        "l1_tokens": {address.lower(): str(amount) for address, amount in spec.l1_tokens.items()},
        "collateral": {address.lower(): str(amount) for address, amount in spec.collateral.items()},
        "l1_balances": {address.lower(): str(amount) for address, amount in spec.l1_balances.items()},
        "l2_balances": {address.lower(): str(amount) for address, amount in spec.l2_balances.items()},
        "insurance": str(spec.insurance),
        "spot": {address.lower(): list(map(str, amounts)) for address, amounts in spec.spot.items()},
        "coin": {address.lower(): str(amount) for address, amount in spec.coin.items()},
    }
    content = orjson.dumps([FORMAT, artifacts.key, ACCEPTED_ANVIL, plain], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:32]


def _deployed_state(spec: GenesisSpec, artifacts: Artifacts, deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Deploy on a scratch node; its contracts as genesis accounts, by address."""
    chain = ChainSpec(chain_id=spec.l2_chain_id, genesis_timestamp=_SCRATCH_TIMESTAMP, gas_limit=_SCRATCH_GAS,
                      genesis_file=None)
    node = AnvilProcess(chain, name="scratch", binary=anvil_binary())
    client = IpcClient(node.socket_path, timeout_s=_SCRATCH_TIMEOUT_S)
    try:
        node.start()
        node.wait_until_ready(client)
        created = deploy.creations(artifacts, deployment, params=spec.params, owner=spec.owner,
                                   reporters=spec.reporters, assets=spec.assets, spot_asset=spec.spot_asset,
                                   forced_block_gas=spec.forced_block_gas,
                                   finality_depth=spec.finality_depth)
        deploy.execute(client, [*created, *_set_up(spec, deployment)], timestamp=_SCRATCH_TIMESTAMP)
        dump = orjson.loads(gzip.decompress(bytes.fromhex(client.call("anvil_dumpState")[2:])))
    finally:
        client.close()
        node.close()
    return _alloc(dump["accounts"], deployment)


def _set_up(spec: GenesisSpec, at: Deployment) -> list[deploy.Transaction]:
    """Tokens, allowances and the insurance fund, by real calls."""
    from harness.venue.exchange import encode_approve, encode_fund_insurance, encode_mint  # by who builds it alone

    calls: list[deploy.Transaction] = []

    def call(label: str, sender: str, to: str, data: bytes) -> None:
        calls.append(deploy.Transaction(f"{label} by {sender}", sender, to, data))

    for address, amount in sorted(spec.collateral.items()):
        call("mint", spec.owner, at.collateral_token, encode_mint(address, amount))
        call("approve", address, at.collateral_token, encode_approve(at.vault, _MAX_ALLOWANCE))
    for address, amount in sorted(spec.l1_tokens.items()):
        call("mint", spec.owner, at.l1_token, encode_mint(address, amount))
        call("approve", address, at.l1_token, encode_approve(at.l1_bridge, _MAX_ALLOWANCE))
    for address, (underlying, quote) in sorted(spec.spot.items()):
        for token, amount in ((at.spot_token, underlying), (at.collateral_token, quote)):
            call("mint", spec.owner, token, encode_mint(address, amount))
            call("approve", address, token, encode_approve(at.spot_amm, _MAX_ALLOWANCE))
    for address, amount in sorted(spec.coin.items()):
        call("mint", spec.owner, at.spot_token, encode_mint(address, amount))
        call("approve", address, at.spot_token, encode_approve(at.vault, _MAX_ALLOWANCE))
    if spec.insurance > 0:
        call("mint", spec.owner, at.collateral_token, encode_mint(spec.owner, spec.insurance))
        # After its own approval above this changes nothing, and an owner without collateral needs it.
        call("approve", spec.owner, at.collateral_token, encode_approve(at.vault, _MAX_ALLOWANCE))
        call("fundInsurance", spec.owner, at.vault, encode_fund_insurance(spec.insurance))
    return calls


def _alloc(accounts: dict[str, dict[str, Any]], deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Only contracts: people start with nonce 0 and nothing else. Zero slots would stay in Anvil's trie for ever."""
    moved = {deploy.predicted_l1_info(): L1_INFO}
    alloc = {
        moved.get(address.lower(), address.lower()): {
            "balance": account["balance"],
            "nonce": hex(int(str(account["nonce"]), 0)),
            "code": account["code"],
            "storage": {_word(slot): _word(value) for slot, value in sorted(account["storage"].items())
                        if int(value, 16) != 0},
        }
        for address, account in sorted(accounts.items())
        if account["code"] not in ("", "0x")
    }
    ours = {getattr(deployment, name) for name in (*CONTRACTS, *IMPLEMENTATIONS)}
    return {address: account for address, account in alloc.items() if address in ours}


def _word(number: str) -> str:
    return f"0x{int(number, 16):064x}"


def genesis_file(chain_id: int, alloc: dict[str, dict[str, Any]]) -> bytes:
    """Geth's format; Anvil takes time, gas limit and fees from its flags instead."""
    return orjson.dumps(
        {"config": {"chainId": chain_id}, "nonce": "0x0", "timestamp": "0x0", "extraData": "0x",
         "gasLimit": "0x1c9c380", "difficulty": "0x0", "alloc": alloc},
        option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS,
    )
