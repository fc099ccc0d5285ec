"""The helpers of Anvil's and Hardhat's single nodes: done where all nodes can agree on it, else refused with why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from harness.evm.accounts import account
from harness.evm.wallet import sign_transaction
from harness.ports import Json, RpcSession
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.faults import invalid, refused, unsupported
from harness.roles.jsonrpc.fee_methods import TIP_WEI
from harness.roles.jsonrpc.submission import USERS, submit, users
from harness.roles.jsonrpc.values import Params

Method = Callable[[Desk, Params, RpcSession], Awaitable[Json]]

MINE_BLOCKS_MAX: Final = 32
BLOCK_TIMEOUT_S: Final = 30.0
FAUCET: Final = USERS.stop - 1
"""The dev account whose money `setBalance` gives away."""

_TIME: Final = (
    "time belongs to all nodes together: each refuses blocks that run ahead of its clock or its L1; in a test on the "
    "sim runtime let virtual time pass, else shift every node's clock with a skew fault"
)
_STATE: Final = (
    "state changes by transactions alone here: every node executes every block itself, and one told to pretend "
    "something else would diverge; put it into genesis or send a transaction"
)
_SNAPSHOT: Final = (
    "one node cannot go back alone: the sequencers have committed what followed; use the pytest fixture's isolation, "
    "or `harness snapshot save` and `load` for the whole network"
)
_MINING: Final = "blocks are built by the sequencer set at its own pace; evm_mine waits for the next one"
_FORK: Final = "this network stands on its own genesis and forks no other"

_UNSUPPORTED: Final = {
    _TIME: (
        "evm_increaseTime", "evm_setNextBlockTimestamp", "evm_setTime", "anvil_setBlockTimestampInterval",
        "anvil_removeBlockTimestampInterval", "anvil_setNextBlockTimestamp", "anvil_increaseTime", "anvil_setTime",
    ),
    _STATE: (
        "anvil_setCode", "anvil_setNonce", "anvil_setStorageAt", "anvil_loadState", "anvil_dumpState",
        "anvil_setCoinbase", "anvil_setChainId", "hardhat_setCode", "hardhat_setNonce", "hardhat_setStorageAt",
        "hardhat_setCoinbase", "anvil_dealERC20", "anvil_setERC20Allowance",
    ),
    _SNAPSHOT: ("evm_snapshot", "evm_revert", "anvil_snapshot", "anvil_revert", "anvil_rollback", "anvil_reorg"),
    _MINING: (
        "evm_setAutomine", "evm_setIntervalMining", "anvil_setAutomine", "anvil_setIntervalMining",
        "evm_setBlockGasLimit", "anvil_setBlockGasLimit", "anvil_setNextBlockBaseFeePerGas",
        "hardhat_setNextBlockBaseFeePerGas", "hardhat_setPrevRandao", "anvil_setMinGasPrice", "hardhat_setMinGasPrice",
        "anvil_dropTransaction", "anvil_dropAllTransactions", "hardhat_dropTransaction", "anvil_removePoolTransactions",
    ),
    _FORK: ("anvil_reset", "hardhat_reset", "anvil_setRpcUrl"),
}  # fmt: skip


async def mine(desk: Desk, params: Params, session: RpcSession) -> Json:
    """`evm_mine`: wait until the network has built the next block."""
    if params.optional("timestamp", values.anything):
        raise unsupported(f"evm_mine cannot set a timestamp: {_TIME}")
    params.done()
    await _next_blocks(desk, 1)
    return "0x0"


async def mine_many(desk: Desk, params: Params, session: RpcSession) -> Json:
    """`anvil_mine` and `hardhat_mine`: wait for that many blocks."""
    count = params.optional("blocks", values.small) or 1
    if (params.optional("interval", values.small) or 0) > 1:
        raise unsupported(f"blocks cannot be given an interval: {_TIME}")
    params.done()
    if count > MINE_BLOCKS_MAX:
        raise invalid(f"blocks come at the network's own pace; at most {MINE_BLOCKS_MAX} are waited for, not {count}")
    await _next_blocks(desk, count)
    return None


async def _next_blocks(desk: Desk, count: int) -> None:
    wanted = desk.chain.height + count
    await _until(desk, lambda: desk.chain.height >= wanted, BLOCK_TIMEOUT_S * max(count, 1), f"block {wanted}")


async def _until(desk: Desk, is_so: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = desk.clock.monotonic() + int(seconds * 1e9)
    while not is_so():
        left = (deadline - desk.clock.monotonic()) / 1e9
        if left <= 0:
            raise refused(f"{what} did not come within {seconds:g} s; does the network build blocks? (rollup_heads)")
        await desk.wait_for_change(left)


async def set_balance(desk: Desk, params: Params, session: RpcSession) -> Json:
    """Raise a balance by a transfer from the faucet account, and return once it is in a block."""
    to = params.take("address", values.address)
    wanted = params.take("balance", values.quantity)
    params.done()
    return await _fund(desk, session, to, lambda balance: wanted - balance)


async def add_balance(desk: Desk, params: Params, session: RpcSession) -> Json:
    to = params.take("address", values.address)
    more = params.take("balance", values.quantity)
    params.done()
    return await _fund(desk, session, to, lambda _: more)


async def _fund(desk: Desk, session: RpcSession, to: str, missing: Callable[[int], int]) -> Json:
    faucet = account(FAUCET)
    async with desk.signing:
        balance = int(await desk.query(session, "eth_getBalance", [to], at=desk.chain.tip), 16)
        value = missing(balance)
        if value < 0:
            raise unsupported(
                f"the balance of {to} is {balance} wei and can only be raised here, by a transfer from "
                f"{faucet.address}: {_STATE}"
            )
        if value == 0:
            return None
        code = await desk.query(session, "eth_getCode", [to], at=desk.chain.tip)
        gas = 21_000 if code in ("0x", None) else 100_000
        raw = sign_transaction(
            faucet.key, chain_id=desk.source.chain_id, nonce=desk.source.pool.next_nonce(faucet.address), to=to,
            gas=gas, value=value, max_fee=2 * desk.source.base_fee() + TIP_WEI, max_priority=TIP_WEI,
        )  # fmt: skip
        name = await submit(desk, session, raw)
    await _until(desk, lambda: desk.chain.place_of(name) is not None, BLOCK_TIMEOUT_S, f"the transfer {name}")
    place = desk.chain.place_of(name)
    if place is not None and not place.block.receipts[place.index].succeeded:
        raise refused(f"{to} is a contract that took no money: the transfer {name} was reverted")
    return None


async def impersonate(desk: Desk, params: Params, session: RpcSession) -> Json:
    """True for the accounts this node signs for anyway; nobody else's transactions would be valid elsewhere."""
    whom = params.take("address", values.address)
    params.done()
    if whom in users():
        return None
    raise unsupported(
        f"{whom} cannot be impersonated: blocks hold signed transactions, and no other node would take one that "
        f"nobody signed; this node signs for {', '.join(users())}"
    )


async def auto_impersonate(desk: Desk, params: Params, session: RpcSession) -> Json:
    if params.take("enabled", values.boolean):
        raise unsupported("no account can be impersonated whose key is not known; see eth_accounts")
    return None


async def metadata(desk: Desk, params: Params, session: RpcSession) -> Json:
    """`anvil_nodeInfo` and `hardhat_metadata`: what a tool may want to know of where it is."""
    params.done()
    return {
        "clientVersion": f"harness/{desk.source.layer}/anvil",
        "chainId": desk.source.chain_id,
        "currentBlockNumber": hex(desk.chain.height),
        "currentBlockHash": desk.chain.tip,
        "latestBlockNumber": desk.chain.height,
        "latestBlockHash": desk.chain.tip,
        "hardFork": "cancun",
        "transactionOrder": "fifo",
        "forkConfig": {},
    }


def _refusing(method: str, why: str) -> Method:
    async def refuse(desk: Desk, params: Params, session: RpcSession) -> Json:
        raise unsupported(f"{method} is not offered: {why}")

    return refuse


async def get_automine(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return False


DEV_METHODS: Final[dict[str, Method]] = {
    **{method: _refusing(method, why) for why, methods in _UNSUPPORTED.items() for method in methods},
    "evm_mine": mine,
    "anvil_mine": mine_many,
    "hardhat_mine": mine_many,
    "anvil_setBalance": set_balance,
    "hardhat_setBalance": set_balance,
    "tenderly_setBalance": set_balance,
    "anvil_addBalance": add_balance,
    "anvil_impersonateAccount": impersonate,
    "hardhat_impersonateAccount": impersonate,
    "anvil_stopImpersonatingAccount": impersonate,
    "hardhat_stopImpersonatingAccount": impersonate,
    "anvil_autoImpersonateAccount": auto_impersonate,
    "anvil_getAutomine": get_automine,
    "hardhat_getAutomine": get_automine,
    "anvil_nodeInfo": metadata,
    "hardhat_metadata": metadata,
}


