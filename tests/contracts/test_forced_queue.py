"""The forced queue on L1: what it takes, what that costs, how much one block may hold, and what its word commits to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from harness.anvil import AnvilEngine
from harness.anvil.spec import ChainKind, ChainSpec
from harness.evm.accounts import OWNER, account
from harness.evm.wallet import sign_transaction
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, Receipt
from harness.rollup.forced import ForcedView
from harness.rollup.profile import FAST
from harness.solidity.genesis import GenesisSpec, build_genesis
from harness.toolchain import ToolError
from harness.venue.deployment import interfaces
from harness.venue.exchange import explain_revert
from harness.venue.forced_queue import encode_enqueue, forced_entries
from tests.contracts.conftest import PARAMS, T0

pytestmark = pytest.mark.node

L1 = 900
CAP = FAST.forced_gas_cap_per_l1_block
GWEI = 10**9
ETHER = 10**18
USER = account(100)
QUEUE = interfaces()["forced_queue"]


class Queue:
    """The contract on a chain of its own, a block at a time."""

    def __init__(self, engine: AnvilEngine, address: str) -> None:
        self.engine = engine
        self.address = address
        self.tip: Hash = engine.genesis_hash
        self.number = 0
        self.nonce = 0

    def block(self, *calls: tuple[bytes, int]) -> ExecutedBlock:
        """One L1 block of these calls, each with its value in wei."""
        self.number += 1
        raws = []
        for data, value in calls:
            raws.append(sign_transaction(USER.key, chain_id=L1, nonce=self.nonce, to=self.address, data=data,
                                         gas=6_000_000, value=value))
            self.nonce += 1
        inputs = BlockInputs(L1, self.number, self.tip, T0 + 3 * self.number, 0, tuple(raws))
        block = self.engine.execute(inputs)
        self.tip = block.hash
        return block

    def enqueue(self, payload: bytes = b"\x02", gas: int = 100_000, *, value: int = ETHER, kind: int = 0) -> Receipt:
        return self.block((QUEUE.encode_call("enqueue", kind, gas, payload), value)).receipts[0]

    def ask(self, function: str, *arguments: Any) -> Any:
        data = self.engine.call(self.address, QUEUE.encode_call(function, *arguments), at=self.tip)
        return QUEUE.decode_result(function, data)[0]

    def entries(self, blocks: Sequence[ExecutedBlock]) -> ForcedView:
        """What a reader makes of these blocks; raises where they are not chained as they say."""
        view = ForcedView()
        for block in blocks:
            view.push(block.number, forced_entries(block, {"forced_queue": self.address}))
        return view

    def balance(self, address: str) -> int:
        return int(self.engine.read("eth_getBalance", address, at=self.tip), 16)


@pytest.fixture
def queue() -> Iterator[Queue]:
    genesis = build_genesis(GenesisSpec(params=PARAMS, assets=(), reporters=(), owner=account(OWNER).address,
                                        l1_balances={USER.address: 1_000 * ETHER}))
    spec = ChainSpec(L1, T0, 30_000_000, genesis.l1_file, ChainKind.L1)
    try:
        engine = AnvilEngine(spec, name="queue")
    except ToolError as missing:
        pytest.skip(str(missing))
    with engine:
        yield Queue(engine, genesis.deployment.forced_queue)


def refused(receipt: Receipt) -> str:
    assert not receipt.succeeded
    return explain_revert(receipt.revert_data)


def test_each_entry_is_chained_to_all_before_it_as_readers_compute_it(queue: Queue) -> None:
    """The word in the contract's storage is the one that a reader of the events arrives at, over several blocks."""
    call = [(encode_enqueue(bytes([2, n]), 50_000 + n), ETHER) for n in range(5)]
    blocks = [queue.block(*call[:2]), queue.block(), queue.block(*call[2:])]
    view = queue.entries(blocks)
    assert [entry.payload for entry in (*view.at(1), *view.at(3))] == [bytes([2, n]) for n in range(5)]
    assert [entry.gas for entry in view.at(3)] == [50_002, 50_003, 50_004]
    assert "0x" + bytes(queue.ask("accumulator")).hex() == view.at(3)[-1].accumulator
    assert queue.ask("length") == 5


def test_the_gas_of_one_l1_block_is_capped_and_the_next_block_has_room_again(queue: Queue) -> None:
    """L2 must be able to execute it all at the head of one block, whoever wants to fill it."""
    half = CAP // 2
    full = queue.block(*[(encode_enqueue(b"\x02", half), ETHER)] * 2, (encode_enqueue(b"\x02", 21_000), ETHER))
    assert [receipt.succeeded for receipt in full.receipts] == [True, True, False]
    assert refused(full.receipts[2]) == "BlockGasExhausted(gas=21000,left=0)"
    assert queue.enqueue(gas=half).succeeded
    assert queue.ask("length") == 3


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"kind": 1}, "UnknownKind(kind=1)"),
        ({"payload": b""}, "PayloadLength(length=0,limit=131072)"),
        ({"gas": 20_999}, f"GasOutOfRange(gas=20999,least=21000,most={CAP})"),
        ({"gas": CAP + 1}, f"GasOutOfRange(gas={CAP + 1},least=21000,most={CAP})"),
        ({"gas": 21_000, "value": 21_000 * GWEI - 1}, f"FeeTooLow(paid={21_000 * GWEI - 1},fee={21_000 * GWEI})"),
    ],
    ids=["kind", "empty", "too little gas", "too much gas", "fee"],
)
def test_what_it_does_not_take_it_says(queue: Queue, changed: dict[str, Any], error: str) -> None:
    assert refused(queue.enqueue(**changed)) == error
    assert queue.ask("length") == 0


def test_the_least_and_the_most_are_taken(queue: Queue) -> None:
    assert queue.enqueue(gas=21_000, value=21_000 * GWEI).succeeded
    assert queue.enqueue(gas=CAP).succeeded


def test_what_is_sent_above_the_fee_comes_back_and_the_fee_stays(queue: Queue) -> None:
    before = queue.balance(USER.address)
    assert queue.enqueue(gas=100_000).succeeded
    assert queue.balance(queue.address) == 100_000 * GWEI
    assert queue.balance(USER.address) == before - 100_000 * GWEI


def test_the_fee_rises_with_the_backlog_and_falls_by_itself(queue: Queue) -> None:
    """A full block leaves half of itself behind, and every block that passes takes as much off again."""
    prices = [queue.ask("feeOf", 21_000) // 21_000 // GWEI]
    for _ in range(3):
        queue.block((encode_enqueue(b"\x02", CAP), 100 * ETHER))
        prices.append(queue.ask("feeOf", 21_000) // 21_000 // GWEI)
    for _ in range(4):
        queue.block()
        prices.append(queue.ask("feeOf", 21_000) // 21_000 // GWEI)
    assert prices == [1, 3, 4, 5, 4, 3, 2, 1]


def test_a_block_that_fills_up_pays_more_for_each_entry(queue: Queue) -> None:
    """The same gas costs more behind a target's worth of others: crowding the queue is what costs."""
    target = CAP // 2
    block = queue.block((encode_enqueue(b"\x02", target), ETHER), (encode_enqueue(b"\x02", target), ETHER))
    assert all(receipt.succeeded for receipt in block.receipts)
    assert queue.balance(queue.address) == target * GWEI + target * 2 * GWEI
