"""Methods that read state or evaluate calls in it."""

from __future__ import annotations

from typing import Any, Final

from harness.ports import Json, RpcSession
from harness.roles.jsonrpc import values
from harness.roles.jsonrpc.calls import CallObject, call_object, state_overrides
from harness.roles.jsonrpc.desk import Desk
from harness.roles.jsonrpc.faults import RpcFault, invalid, refused
from harness.roles.jsonrpc.values import Params
from harness.rollup.blocks import Hash

PROOF_SLOTS_MAX: Final = 256
_TRANSFER_GAS: Final = 21_000
QUICK_NS: Final = 3_000_000
"""A call that took longer has its gas searched step by step, so that blocks come in between."""
TRACERS: Final = frozenset({"callTracer", "prestateTracer", "4byteTracer"})
_TRACER_OPTIONS: Final = frozenset({"onlyTopCall", "withLog", "diffMode", "disableCode", "disableStorage"})
_TRACE_KEYS: Final = frozenset({"tracer", "tracerConfig", "timeout", "reexec"})

_slots = values.array(values.slot, at_most=PROOF_SLOTS_MAX)


async def get_balance(desk: Desk, params: Params, session: RpcSession) -> Json:
    account = params.take("address", values.address)
    return await desk.query(session, "eth_getBalance", [account], at=_block(desk, params))


async def get_code(desk: Desk, params: Params, session: RpcSession) -> Json:
    account = params.take("address", values.address)
    return await desk.query(session, "eth_getCode", [account], at=_block(desk, params))


async def get_storage_at(desk: Desk, params: Params, session: RpcSession) -> Json:
    account, slot = params.take("address", values.address), params.take("slot", values.slot)
    return await desk.query(session, "eth_getStorageAt", [account, slot], at=_block(desk, params))


async def get_proof(desk: Desk, params: Params, session: RpcSession) -> Json:
    account = params.take("address", values.address)
    slots = params.optional("storageKeys", _slots) or []
    return await desk.query(session, "eth_getProof", [account, slots], at=_block(desk, params))


async def get_transaction_count(desk: Desk, params: Params, session: RpcSession) -> Json:
    account = params.take("address", values.address)
    name = params.optional("block", values.anything)
    params.done()
    if name == "pending":
        return hex(desk.source.pool.next_nonce(account))
    return await desk.query(session, "eth_getTransactionCount", [account], at=desk.hash_named(name, "block"))


async def call(desk: Desk, params: Params, session: RpcSession) -> Json:
    message = params.take("transaction", call_object)
    at = desk.hash_named(params.optional("block", values.anything), "block")
    overrides = params.optional("stateOverrides", state_overrides) or {}
    if params.optional("blockOverrides", values.mapping):
        raise invalid("block overrides are not offered; state overrides are")
    params.done()
    return (await _call(desk, session, message, at, overrides, gas_cap=desk.gas_cap))[0]


async def estimate_gas(desk: Desk, params: Params, session: RpcSession) -> Json:
    """The least gas limit with which the transaction does not fail; a little more for those that take long."""
    message = params.take("transaction", call_object)
    at = desk.hash_named(params.optional("block", values.anything), "block")
    overrides = params.optional("stateOverrides", state_overrides) or {}
    params.done()
    return hex(await estimated(desk, session, message, at=at, overrides=overrides))


async def estimated(
    desk: Desk, session: RpcSession, message: CallObject, *, at: Hash, overrides: dict[str, Any] | None = None
) -> int:
    """Gas for a transaction. Raises `RpcFault`: a revert is an answer too, with its reason."""
    _, took_ns = await _call(desk, session, message, at, overrides or {}, gas_cap=desk.gas_cap)
    if not overrides and took_ns <= QUICK_NS:
        return int(await desk.query(session, "eth_estimateGas", [message.to_node(gas_cap=desk.gas_cap)], at=at), 16)
    return await _search(desk, session, message, at, overrides or {})


async def _search(desk: Desk, session: RpcSession, message: CallObject, at: Hash, overrides: dict[str, Any]) -> int:
    fails, works = _TRANSFER_GAS - 1, min(message.gas or desk.gas_cap, desk.gas_cap)
    middle = _TRANSFER_GAS
    while works - fails > max(works // 256, 1):
        try:
            await _call(desk, session, message, at, overrides, gas_cap=middle)
            works = middle
        except RpcFault:
            fails = middle
        middle = (fails + works) // 2
    return works


async def _call(
    desk: Desk, session: RpcSession, message: CallObject, at: Hash, overrides: dict[str, Any], *, gas_cap: int
) -> tuple[Json, int]:
    """The answer, and how long it took in ns."""
    params: list[Any] = [message.to_node(gas_cap=gas_cap)]
    # The block goes between the two.
    return await desk.timed_query(session, "eth_call", [*params, overrides] if overrides else params, at=at)


async def create_access_list(desk: Desk, params: Params, session: RpcSession) -> Json:
    message = params.take("transaction", call_object)
    at = _block(desk, params)
    return await desk.query(session, "eth_createAccessList", [message.to_node(gas_cap=desk.gas_cap)], at=at)


async def trace_transaction(desk: Desk, params: Params, session: RpcSession) -> Json:
    name = params.take("hash", values.hash32)
    options = params.optional("options", _trace_options) or {}
    params.done()
    place = desk.chain.place_of(name)
    if place is None:
        raise refused(f"transaction {name} is not on this node's chain")
    return await desk.query(session, "debug_traceTransaction", [name, _chosen(options)], at=place.block.hash)


async def trace_call(desk: Desk, params: Params, session: RpcSession) -> Json:
    message = params.take("transaction", call_object)
    at = desk.hash_named(params.optional("block", values.anything), "block")
    options = params.optional("options", _trace_options) or {}
    params.done()
    given = [message.to_node(gas_cap=desk.gas_cap), _chosen(options)]
    return await desk.query(session, "debug_traceCall", given, at=at)


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    if "tracer" not in options:
        raise invalid(f"the opcode logger is not offered: the nodes keep no steps; give a tracer, one of "
                      f"{', '.join(sorted(TRACERS))}")
    return options


def _trace_options(value: Json, name: str) -> dict[str, Any]:
    found = {key: each for key, each in values.mapping(value, name).items() if each is not None}
    values.known_keys(found, name, _TRACE_KEYS)
    options: dict[str, Any] = {}
    if "tracer" in found:
        if found["tracer"] not in TRACERS:
            raise invalid(f"{name}.tracer is {values.shown(found['tracer'])}; offered are {', '.join(sorted(TRACERS))}")
        options["tracer"] = found["tracer"]
    config = values.mapping(found.get("tracerConfig", {}), f"{name}.tracerConfig")
    values.known_keys(config, f"{name}.tracerConfig", _TRACER_OPTIONS)
    if config:
        options["tracerConfig"] = {key: values.boolean(each, f"{name}.{key}") for key, each in config.items()}
    return options


def _block(desk: Desk, params: Params) -> Hash:
    """The last parameter: which block, by default the latest."""
    name = params.optional("block", values.anything)
    params.done()
    return desk.hash_named(name, "block")
