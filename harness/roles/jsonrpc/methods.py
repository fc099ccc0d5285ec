"""The allow-list: every method a client may call, and which answers stay the same until a head moves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from harness.ports import Json, RpcSession
from harness.roles.jsonrpc import (
    block_methods,
    fee_methods,
    node_methods,
    signing,
    state_methods,
    submission,
)
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.dev_methods import DEV_METHODS
from harness.roles.jsonrpc.values import Params

Method = Callable[[Desk, Params, RpcSession], Awaitable[Json]]

STEADY: Final[dict[str, Method]] = {
    "eth_blockNumber": block_methods.block_number,
    "eth_call": state_methods.call,
    "eth_chainId": node_methods.chain_id,
    "eth_createAccessList": state_methods.create_access_list,
    "eth_estimateGas": state_methods.estimate_gas,
    "eth_getBalance": state_methods.get_balance,
    "eth_getBlockByHash": block_methods.get_block_by_hash,
    "eth_getBlockByNumber": block_methods.get_block_by_number,
    "eth_getBlockReceipts": block_methods.get_block_receipts,
    "eth_getBlockTransactionCountByHash": block_methods.count_by_hash,
    "eth_getBlockTransactionCountByNumber": block_methods.count_by_number,
    "eth_getCode": state_methods.get_code,
    "eth_getLogs": block_methods.get_logs,
    "eth_getProof": state_methods.get_proof,
    "eth_getStorageAt": state_methods.get_storage_at,
    "eth_getTransactionByBlockHashAndIndex": block_methods.transaction_by_hash_and_index,
    "eth_getTransactionByBlockNumberAndIndex": block_methods.transaction_by_number_and_index,
    "eth_getTransactionCount": state_methods.get_transaction_count,
    "eth_getTransactionReceipt": block_methods.get_receipt,
    "eth_getUncleByBlockHashAndIndex": block_methods.no_uncle,
    "eth_getUncleByBlockNumberAndIndex": block_methods.no_uncle,
    "eth_getUncleCountByBlockHash": block_methods.uncle_count,
    "eth_getUncleCountByBlockNumber": block_methods.uncle_count,
    "net_listening": node_methods.net_listening,
    "net_version": node_methods.net_version,
    "web3_clientVersion": node_methods.client_version,
}
"""Functions of the heads and their parameters alone, unless these say `pending`."""

FRESH: Final[dict[str, Method]] = {
    "debug_traceCall": state_methods.trace_call,
    "debug_traceTransaction": state_methods.trace_transaction,
    "eth_accounts": submission.accounts,
    "eth_blobBaseFee": fee_methods.blob_base_fee,
    "eth_feeHistory": fee_methods.fee_history,
    "eth_gasPrice": fee_methods.gas_price,
    "eth_getRawTransactionByHash": block_methods.get_raw_transaction,
    "eth_getTransactionByHash": block_methods.get_transaction,
    "eth_maxPriorityFeePerGas": fee_methods.max_priority_fee,
    "eth_requestAccounts": submission.accounts,
    "eth_sendRawTransaction": submission.send_raw_transaction,
    "eth_sendRawTransactionSync": submission.send_raw_transaction_sync,
    "eth_sendTransaction": submission.send_transaction,
    "eth_sign": signing.sign,
    "eth_signTransaction": submission.sign_transaction_only,
    "eth_syncing": node_methods.syncing,
    "net_peerCount": node_methods.net_peer_count,
    "optimism_syncStatus": node_methods.rollup_sync_status,
    "personal_sign": signing.personal_sign,
    "rollup_heads": node_methods.rollup_heads,
    "rollup_syncStatus": node_methods.rollup_sync_status,
    "txpool_content": node_methods.txpool_content,
    "txpool_inspect": node_methods.txpool_inspect,
    "txpool_status": node_methods.txpool_status,
    "web3_sha3": node_methods.sha3,
    **DEV_METHODS,
}
"""Depend on the pool, on time or on the client, or change something."""
