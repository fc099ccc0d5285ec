"""Deploys the venue with its real constructors onto one node that nobody else drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, Final, NamedTuple

from harness.anvil.rpc import BATCH_MAX, IpcClient, RpcError
from harness.evm.keccak import keccak
from harness.plan import AssetTerms, VenueParameters
from harness.rollup.profile import FAST
from harness.solidity.artifacts import Artifact, Artifacts
from harness.venue.deployment import CONTRACTS, IMPLEMENTATIONS, L1_INFO, Deployment

DEPLOYER: Final = "0x00000000000000000000000000000000de9107e5"
"""Creates every contract and does nothing else, so that addresses depend on no user account. Nobody has its key."""

NOBODY: Final = "0x" + "00" * 20
FINALITY_DEPTH: Final = FAST.finality_depth_l1_blocks

_PROXY: Final = "liquidator"
_ORDER: Final = (*(name for name in CONTRACTS if name != _PROXY), *IMPLEMENTATIONS, _PROXY)
"""The deployer's nonce of each contract is its place here. The proxy initialises the first version: it comes last."""

_CREATED: Final = {_PROXY: "LiquidatorProxy"} | dict.fromkeys(IMPLEMENTATIONS, "Liquidator")
"""What is created where it is not the contract one talks to."""

_GAS: Final = 15_000_000  # per transaction; the largest constructor takes some 3 M
_SENDS_PER_BATCH: Final = BATCH_MAX - 1  # the last element mines


class DeploymentFailed(Exception):
    """A constructor or a set-up call failed; the message says which and how."""


class Transaction(NamedTuple):
    """One unsigned call of an impersonated account; `to` None creates."""

    label: str
    sender: str
    to: str | None
    data: bytes


def predicted(l1_chain_id: int, l2_chain_id: int) -> Deployment:
    """Where everything will be: known before the first transaction, so that contracts can name each other."""
    addresses = {name: create_address(DEPLOYER, nonce) for nonce, name in enumerate(_ORDER)}
    return Deployment(**addresses | {"l1_info": L1_INFO}, l1_chain_id=l1_chain_id, l2_chain_id=l2_chain_id)


def predicted_l1_info() -> str:
    """Where L1Info's constructor runs, before genesis moves its code to the predeploy's address."""
    return create_address(DEPLOYER, _ORDER.index("l1_info"))


def create_address(sender: str, nonce: int) -> str:
    """Address of the contract that `sender` creates with its transaction `nonce`."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    # RLP of the pair. By hand, for a network asks this before anything else, and the library's imports take longer than
    # all the rest of its genesis; a test holds the two equal.
    item = number if len(number) == 1 and number[0] < 0x80 else bytes([0x80 + len(number)]) + number
    pair = b"\x94" + bytes.fromhex(sender[2:]) + item
    return "0x" + keccak(bytes([0xC0 + len(pair)]) + pair)[12:].hex()


def creations(
    artifacts: Artifacts,
    at: Deployment,
    *,
    params: VenueParameters,
    owner: str,
    reporters: Sequence[str],
    assets: Sequence[AssetTerms],
    spot_asset: str = "",
    forced_block_gas: int = FAST.forced_gas_cap_per_l1_block,
    finality_depth: int = FINALITY_DEPTH,
) -> list[Transaction]:
    """The creating transactions of every contract, L1's too (genesis moves them), in the deployer's nonce order."""
    from harness.evm.abi import asset_word  # by who deploys, as below
    from harness.venue.governance import encode_initialize

    liquidator = (astuple(params), at.clearing_house, at.vault, at.price_feed, at.pauses)
    arguments: dict[str, tuple[Any, ...]] = {
        "collateral_token": (owner, at.bridge_inbox),
        "l1_info": (params.uptime_gap_s,),
        "price_feed": (astuple(params), owner, at.clearing_house, at.settlement, at.pauses, at.timelock,
                       list(reporters), [(asset_word(item.name), *astuple(item)[1:]) for item in assets]),
        "vault": (astuple(params), at.collateral_token, at.clearing_house, at.liquidator, at.settlement,
                  at.pauses, at.vault_deposits),
        "clearing_house": (astuple(params), owner, at.vault, at.price_feed, at.perpetuals, at.liquidator,
                           at.settlement, at.order_book, at.pauses, at.timelock),
        "perpetuals": (astuple(params), at.clearing_house, at.price_feed),
        "pauses": (at.timelock, owner, at.l1_info),
        "timelock": (astuple(params), [owner]),
        "liquidator_v1": (*liquidator, 1),
        "liquidator_v2": (*liquidator, 2),
        _PROXY: (at.liquidator_v1, encode_initialize(params.keeper_share_bps)),
        "settlement": (astuple(params), owner, at.clearing_house, at.vault, at.price_feed),
        "lens": (at.clearing_house, at.vault, at.price_feed, at.settlement, at.liquidator, at.perpetuals),
        "batch_inbox": (),
        "forced_queue": (forced_block_gas,),
        "order_book": (astuple(params), owner, at.clearing_house, at.price_feed),
        "spot_token": (owner,),
        "spot_amm": (asset_word(spot_asset) if spot_asset else bytes(32), at.spot_token, at.collateral_token),
        "l1_token": (owner, NOBODY),
        "l1_bridge": (at.l1_token, at.l2_chain_id),
        "bridge_inbox": (at.l1_info, at.collateral_token, at.l1_bridge, at.l1_chain_id, finality_depth),
        "vault_deposits": (at.bridge_inbox, at.collateral_token, at.vault),
    }
    return [
        Transaction(f"creation of {contract}", DEPLOYER, None, creation_code(artifacts[contract], *arguments[name]))
        for name in _ORDER
        for contract in (_CREATED.get(name) or CONTRACTS[name],)
    ]


def creation_code(artifact: Artifact, *arguments: Any) -> bytes:
    """Bytecode and encoded constructor arguments: the data of a creating transaction."""
    # Imported by who deploys: a network whose genesis is cached only asks here where its contracts are.
    from eth_abi import encode  # type: ignore[attr-defined]  # re-exported without __all__

    from harness.evm.abi import canonical_type

    constructor = next((entry for entry in artifact.abi if entry["type"] == "constructor"), None)
    types = [canonical_type(item) for item in constructor["inputs"]] if constructor is not None else []
    return artifact.creation + encode(types, arguments)


def execute(client: IpcClient, transactions: Sequence[Transaction], *, timestamp: int) -> int:
    """Send as impersonated accounts at zero fee, mine, and see that each succeeded; returns the last block's time.

    Raises:
        DeploymentFailed: one was refused or reverted.
    """
    client.call("anvil_autoImpersonateAccount", True)
    nonces: dict[str, int] = {}
    for first in range(0, len(transactions), _SENDS_PER_BATCH):
        chunk = transactions[first:first + _SENDS_PER_BATCH]
        sends: list[tuple[str, Sequence[Any]]] = []
        for item in chunk:
            if item.sender not in nonces:
                nonces[item.sender] = int(client.call("eth_getTransactionCount", item.sender, "latest"), 16)
            sends.append(("eth_sendTransaction", [_request(item, nonces[item.sender])]))
            nonces[item.sender] += 1
        timestamp += 1
        answers = client.batch([*sends, ("evm_mine", [{"timestamp": timestamp, "blocks": 1}])])
        for item, answer in zip(chunk, answers, strict=False):
            if isinstance(answer, RpcError):
                raise DeploymentFailed(f"{item.label} was refused: {answer.message}; contracts/ may not fit this code")
        receipts = client.batch([("eth_getTransactionReceipt", [answer]) for answer in answers[:-1]])
        for item, receipt in zip(chunk, receipts, strict=True):
            if not isinstance(receipt, dict) or receipt["status"] != "0x1":
                raise DeploymentFailed(f"{item.label} reverted: {_reason(client, item)}; check the parameters given")
    return timestamp


def _request(item: Transaction, nonce: int) -> dict[str, str]:
    request = {"from": item.sender, "nonce": hex(nonce), "data": "0x" + item.data.hex(), "gas": hex(_GAS),
               "maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0"}
    return request if item.to is None else {**request, "to": item.to}


def _reason(client: IpcClient, item: Transaction) -> str:
    request = {"from": item.sender, "data": "0x" + item.data.hex()}
    try:
        client.call("eth_call", request if item.to is None else {**request, "to": item.to}, "latest")
    except RpcError as error:
        from harness.venue.exchange import explain_revert

        return explain_revert(bytes.fromhex(str(error.data or "0x")[2:]))
    return "asked again it succeeds; it ran out of gas, or depends on what came before"
