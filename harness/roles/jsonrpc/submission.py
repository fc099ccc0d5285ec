"""Methods that write: raw transactions into the pool, and those of the dev accounts, which the node signs itself."""

from __future__ import annotations

from typing import Final

from harness.evm.accounts import Account, account
from harness.evm.wallet import TRANSACTION_BYTES_MAX, DecodedTransaction, decode_transaction, sign_transaction
from harness.ports import Json, PortError, RpcSession
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.block_methods import receipt_at
from harness.roles.jsonrpc.calls import CallObject, call_object
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.faults import (
    RESOURCE_UNAVAILABLE,
    RpcFault,
    invalid,
    refused,
    unsupported,
)
from harness.roles.jsonrpc.fee_methods import TIP_WEI
from harness.roles.jsonrpc.state_methods import estimated
from harness.roles.jsonrpc.values import Params
from harness.roles.mempool import Rejected

USERS: Final = range(3, 10)
"""Dev accounts no role uses: a node signs for them when asked, as Anvil and Hardhat do for theirs."""

SYNC_TIMEOUT_MS: Final = 20_000
SYNC_TIMEOUT_MS_MAX: Final = 60_000
NOT_YET_PROCESSED: Final = 4  # EIP-7966
_INTRINSIC_GAS: Final = 21_000
_CREATION_GAS: Final = 32_000


async def send_raw_transaction(desk: Desk, params: Params, session: RpcSession) -> Json:
    raw = params.take("data", values.data)
    params.done()
    return await submit(desk, session, raw)


async def send_raw_transaction_sync(desk: Desk, params: Params, session: RpcSession) -> Json:
    """Submit, and answer with the receipt once the transaction is in a block."""
    raw = params.take("data", values.data)
    timeout_ms = min(params.optional("timeout", values.small) or SYNC_TIMEOUT_MS, SYNC_TIMEOUT_MS_MAX)
    params.done()
    name = await submit(desk, session, raw)
    deadline = desk.clock.monotonic() + timeout_ms * 1_000_000
    while (place := desk.chain.place_of(name)) is None:
        left = (deadline - desk.clock.monotonic()) / 1e9
        if left <= 0:
            raise RpcFault(NOT_YET_PROCESSED, f"the transaction is pending, in no block after {timeout_ms} ms", name)
        await desk.wait_for_change(left)
    return await receipt_at(desk, session, place)


async def submit(desk: Desk, session: RpcSession, raw: bytes) -> str:
    """Into the pool, after what geth checks first; the hash. Raises `RpcFault`."""
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise refused(f"oversized data: transaction size {len(raw)}, limit {TRANSACTION_BYTES_MAX}")
    try:
        transaction = decode_transaction(raw)
    except ValueError as error:
        raise refused(f"not a transaction: {error}") from error
    if transaction.hash in desk.source.pool:
        raise refused(f"already known: {transaction.hash} is pending")
    least = _INTRINSIC_GAS + (_CREATION_GAS if transaction.to is None else 0)
    least += sum(16 if byte else 4 for byte in transaction.data)
    if transaction.gas_limit < least:
        raise refused(f"intrinsic gas too low: gas {transaction.gas_limit}, minimum needed {least}")
    await _check_funds(desk, session, transaction)
    try:
        return await desk.source.submit(raw)
    except Rejected as rejected:
        raise refused(str(rejected.args[0])) from rejected
    except PortError as error:
        raise RpcFault(
            RESOURCE_UNAVAILABLE, f"the block builder did not answer ({error}); the transaction may still be included"
        ) from error


def _cost(transaction: DecodedTransaction) -> int:
    return transaction.value + transaction.gas_limit * transaction.max_fee


async def _check_funds(desk: Desk, session: RpcSession, transaction: DecodedTransaction) -> None:
    """What the sender has must cover what it has pending, this one included."""
    cost = _cost(transaction)
    if cost == 0:
        return
    balance = int(await desk.query(session, "eth_getBalance", [transaction.sender], at=desk.chain.tip), 16)
    if cost > balance:
        raise refused(
            f"insufficient funds for gas * price + value: address {transaction.sender} have {balance} want {cost}"
        )
    others = [
        each for nonce, each in desk.source.pool.pending_of(transaction.sender).items() if nonce != transaction.nonce
    ]
    pending = sum(map(_cost, others))
    if cost + pending > balance:
        raise refused(
            f"insufficient funds for gas * price + value: address {transaction.sender} have {balance} queued cost "
            f"{pending}, tx cost {cost}, overshot {cost + pending - balance}"
        )


# -- the dev accounts


def users() -> dict[str, Account]:
    """The accounts a node signs for, by address."""
    return {account(index).address: account(index) for index in USERS}


async def accounts(desk: Desk, params: Params, session: RpcSession) -> Json:
    params.done()
    return list(users())


async def send_transaction(desk: Desk, params: Params, session: RpcSession) -> Json:
    """For a dev account: fill in what is missing, sign and submit."""
    message = params.take("transaction", call_object)
    params.done()
    async with desk.signing:
        return await submit(desk, session, await _signed(desk, session, message))


async def sign_transaction_only(desk: Desk, params: Params, session: RpcSession) -> Json:
    message = params.take("transaction", call_object)
    params.done()
    raw = await _signed(desk, session, message)
    return {"raw": f"0x{raw.hex()}", "tx": {"hash": decode_transaction(raw).hash}}


async def _signed(desk: Desk, session: RpcSession, message: CallObject) -> bytes:
    if message.sender is None:
        raise invalid("transaction.from is missing; eth_accounts lists whom this node signs for")
    signer = users().get(message.sender)
    if signer is None:
        raise refused(
            f"unknown account {message.sender}: this node signs for {', '.join(users())}; sign yourself and send it "
            "with eth_sendRawTransaction"
        )
    if message.access_list:
        raise unsupported("this node does not sign access lists; sign yourself and use eth_sendRawTransaction")
    priority = message.max_priority_fee if message.max_priority_fee is not None else TIP_WEI
    max_fee = 2 * desk.source.base_fee() + priority if message.max_fee is None else message.max_fee
    if message.gas_price is not None:
        priority = max_fee = message.gas_price
    gas = message.gas
    if gas is None:
        gas = await estimated(desk, session, message, at=desk.chain.tip)
    nonce = desk.source.pool.next_nonce(message.sender) if message.nonce is None else message.nonce
    try:
        return sign_transaction(
            signer.key, chain_id=desk.source.chain_id, nonce=nonce, to=message.to, data=message.data, gas=gas,
            max_fee=max_fee, max_priority=min(priority, max_fee), value=message.value,
        )  # fmt: skip
    except ValueError as error:
        raise invalid(str(error)) from error

