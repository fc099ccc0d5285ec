"""Messages signed by the dev accounts a node signs for."""

from __future__ import annotations

from harness.evm.accounts import Account
from harness.evm.keccak import keccak
from harness.evm.wallet import sign_digest
from harness.ports import Json, RpcSession
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.faults import refused
from harness.roles.jsonrpc.submission import users
from harness.roles.jsonrpc.values import Params


async def sign(desk: Desk, params: Params, session: RpcSession) -> Json:
    """`eth_sign`: account, message."""
    signer = _signer(params.take("address", values.address))
    message = params.take("message", values.data)
    params.done()
    return _signed(signer, message)


async def personal_sign(desk: Desk, params: Params, session: RpcSession) -> Json:
    """`personal_sign`: message, account."""
    message = params.take("message", values.data)
    signer = _signer(params.take("address", values.address))
    params.optional("password", values.anything)
    params.done()
    return _signed(signer, message)


def _signer(address: str) -> Account:
    signer = users().get(address)
    if signer is None:
        raise refused(f"unknown account {address}: this node signs for {', '.join(users())}")
    return signer


def _signed(signer: Account, message: bytes) -> str:
    digest = keccak(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)
    return f"0x{sign_digest(signer.key, digest).hex()}"
