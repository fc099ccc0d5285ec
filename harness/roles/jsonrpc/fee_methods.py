"""Methods about fees. The L2 has no base fee; a small tip is suggested all the same, so that replacing can outbid."""

from __future__ import annotations

from typing import Any, Final

from harness.ports import Json, RpcSession
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.faults import invalid, limited, refused
from harness.roles.jsonrpc.rich_blocks import RichBlock
from harness.roles.jsonrpc.values import Params

TIP_WEI: Final = 1_000_000_000
"""Anvil's suggestion. A transaction that pays nothing is taken too."""
HISTORY_BLOCKS_MAX: Final = 1_024
PERCENTILES_MAX: Final = 100
REWARD_BLOCKS_MAX: Final = 64
"""Blocks of a history with rewards: each is read in full."""


async def gas_price(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return hex(desk.source.base_fee() + TIP_WEI)


async def max_priority_fee(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return hex(TIP_WEI)


async def blob_base_fee(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return "0x1"


async def fee_history(desk: Desk, params: Params, session: RpcSession) -> Json:
    count = params.take("blockCount", values.small)
    newest = desk.number_named(params.take("newestBlock", values.anything), "newestBlock")
    percentiles = params.optional("rewardPercentiles", values.array(_percentile, at_most=PERCENTILES_MAX)) or []
    params.done()
    if newest is None:
        raise refused("request beyond head block")
    if sorted(percentiles) != percentiles:
        raise invalid("rewardPercentiles must not fall")
    most = REWARD_BLOCKS_MAX if percentiles else HISTORY_BLOCKS_MAX
    if count > HISTORY_BLOCKS_MAX:
        raise limited(f"a fee history has at most {HISTORY_BLOCKS_MAX} blocks, not {count}")
    count = min(count, most, newest + 1)
    oldest = newest - count + 1
    history: dict[str, Any] = {"oldestBlock": hex(max(oldest, 0)), "baseFeePerGas": [], "gasUsedRatio": []}
    if count == 0:
        return {**history, "baseFeePerGas": None}
    for number in range(oldest, newest + 1):
        block = desk.chain.block_at(number)
        history["baseFeePerGas"].append(hex(0 if block is None else block.inputs.base_fee))
        history["gasUsedRatio"].append(0.0 if block is None else block.gas_used / desk.source.gas_limit)
    following = desk.chain.block_at(newest + 1)
    history["baseFeePerGas"].append(hex(desk.source.base_fee() if following is None else following.inputs.base_fee))
    if percentiles:
        rewards = []
        for number in range(oldest, newest + 1):
            name = desk.chain.hash_at(number)
            rewards.append([hex(0)] * len(percentiles) if name is None else _rewards(
                await desk.rich(session, name), percentiles))
        history["reward"] = rewards
    history["baseFeePerBlobGas"] = ["0x1"] * (count + 1)
    history["blobGasUsedRatio"] = [0.0] * count
    return history


def _rewards(block: RichBlock, percentiles: list[float]) -> list[str]:
    """Tips per gas at those percentiles of the block's gas, cheapest transactions first."""
    base_fee = int(block.header.get("baseFeePerGas") or "0x0", 16)
    paid = sorted(
        (int(receipt["effectiveGasPrice"], 16) - base_fee, int(receipt["gasUsed"], 16)) for receipt in block.receipts
    )
    total = sum(gas for _, gas in paid)
    found: list[str] = []
    for percentile in percentiles:
        reached, tip = 0, 0
        for tip, gas in paid:  # noqa: B007  # the last one looked at is the answer
            reached += gas
            if reached * 100 >= total * percentile:
                break
        found.append(hex(max(tip, 0)))
    return found


def _percentile(value: Json, name: str) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 100:
        raise invalid(f"{name} must be a number from 0 to 100, not {values.shown(value)}")
    return float(value)
