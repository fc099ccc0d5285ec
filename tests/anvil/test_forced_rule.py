"""What the forced queue's rule says of a transaction is what the execution node does with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account as EthAccount
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.anvil import AnvilEngine
from harness.anvil.spec import ChainSpec
from harness.evm.accounts import account
from harness.evm.wallet import sign_transaction
from harness.rollup.blocks import ZERO_HASH, BlockInputs, InvalidBlock
from harness.rollup.forced import AccountState, ForcedEntry, resolve, senders_of
from harness.solidity.genesis import genesis_file
from harness.toolchain import ToolError

pytestmark = pytest.mark.node

CHAIN, T0 = 901, 1_700_000_000
RICH, POOR, EMPTY = account(100), account(101), account(102)
BALANCES = {RICH.address: 10**18, POOR.address: 30_000, EMPTY.address: 0}
DECLARED = 400_000
CONTRACT = "0x" + "c0" * 20
REVERTING = "0x60006000fd"
TARGETS = (RICH.address, "0x" + "11" * 20, CONTRACT, "0x" + "00" * 19 + "01", None)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilEngine]:
    alloc: dict[str, dict[str, Any]] = {address: {"balance": hex(wei)} for address, wei in BALANCES.items()}
    alloc[CONTRACT] = {"balance": "0x0", "code": REVERTING}
    file = tmp_path_factory.mktemp("forced") / "genesis.json"
    file.write_bytes(genesis_file(CHAIN, alloc))
    try:
        made = AnvilEngine(ChainSpec(CHAIN, T0, 30_000_000, file), name="forced")
    except ToolError as missing:
        pytest.skip(str(missing))
    with made:
        yield made


@st.composite
def transactions(draw: st.DrawFn) -> bytes:
    """Of all three types, around every bound of the rule."""
    kind = draw(st.sampled_from((0, 1, 2)))
    to = draw(st.sampled_from(TARGETS))
    data = draw(st.sampled_from((b"", b"\0", b"\x01", b"\x01\0" * 40, b"\0" * 49_152, b"\0" * 49_153)))
    listed = draw(st.integers(0, 2)) if kind else 0
    intrinsic = 21_000 + 4 * data.count(0) + 16 * (len(data) - data.count(0)) + (2_400 + 1_900) * listed
    if to is None:
        intrinsic += 32_000 + 2 * ((len(data) + 31) // 32)
    fields: dict[str, Any] = {
        "chainId": draw(st.sampled_from((CHAIN, CHAIN, CHAIN, CHAIN, 900))),
        "nonce": draw(st.sampled_from((0, 0, 0, 1, 1, 2, 2**64 - 1))),
        "gas": draw(st.sampled_from((intrinsic - 1, intrinsic, intrinsic + 30_000, DECLARED, DECLARED + 1))),
        "value": draw(st.sampled_from((0, 0, 1, 30_000, 30_001, 10**18))),
        "data": data,
    }
    fee = draw(st.sampled_from((0, 0, 0, 1, 10**9)))
    fields |= {"maxFeePerGas": fee, "maxPriorityFeePerGas": 0, "type": 2} if kind == 2 else {"gasPrice": fee}
    if kind:
        fields["type"] = kind
        fields["accessList"] = [{"address": CONTRACT, "storageKeys": ["0x" + "01" * 32]}] * listed
    if to is not None:
        fields["to"] = bytes.fromhex(to[2:])
    signer = draw(st.sampled_from((RICH, RICH, POOR, EMPTY)))
    return bytes(EthAccount.sign_transaction(fields, signer.key).raw_transaction)


def spending(nonce: int, wei: int) -> bytes:
    return sign_transaction(POOR.key, chain_id=CHAIN, nonce=nonce, to=RICH.address, gas=21_000, value=wei)


def creating(size: int) -> bytes:
    return sign_transaction(RICH.key, chain_id=CHAIN, nonce=0, to=None, gas=DECLARED, data=bytes(size))


def entries_of(*raws: bytes) -> tuple[ForcedEntry, ...]:
    return tuple(ForcedEntry(index, 0, DECLARED, raw, ZERO_HASH) for index, raw in enumerate(raws))


def head_of(*raws: bytes) -> tuple[bytes, ...]:
    """What the rule says a first block begins with, for these accounts."""
    entries = entries_of(*raws)
    states = {sender: AccountState(0, BALANCES[sender]) for sender in senders_of(entries)}
    return resolve(entries, states, chain_id=CHAIN).head


def executes(engine: AnvilEngine, *raws: bytes) -> bool:
    try:
        engine.execute(BlockInputs(CHAIN, 1, engine.genesis_hash, T0 + 1, 0, raws))
    except InvalidBlock:
        return False
    return True


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(transactions(), min_size=1, max_size=6))
@example([spending(0, 30_000), spending(1, 1)])
def test_what_is_called_valid_executes_all_together(engine: AnvilEngine, raws: list[bytes]) -> None:
    """Else a leader could build no block at all: nobody votes for one without it, and no node executes one with it."""
    head = head_of(*raws)
    assert executes(engine, *head), [raw.hex()[:80] for raw in head]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transactions())
@example(creating(49_152))
@example(creating(49_153))
def test_one_alone_is_valid_just_when_it_executes_within_the_gas_paid_for(engine: AnvilEngine, raw: bytes) -> None:
    """Else the rule would throw away what somebody paid for; the gas he declared is the rule's alone."""
    valid = head_of(raw) == (raw,)
    paid_for = bool(resolve(
        [ForcedEntry(0, 0, 2**63, raw, ZERO_HASH)],
        {address: AccountState(0, wei) for address, wei in BALANCES.items()}, chain_id=CHAIN,
    ).head) == valid  # fmt: skip
    assert executes(engine, raw) is valid or not paid_for
