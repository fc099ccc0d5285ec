"""What every `Engine` promises, whichever runtime it lives in; needs a funded signer and one contract."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from harness.ports import QUERIES, Engine, EngineFailure, QueryRefused, Refused
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, InvalidBlock

STRANGER = Hash("0x" + "5e" * 32)


@dataclass(frozen=True, slots=True)
class EngineUnderTest:
    """A fresh engine over a chain whose genesis funds `sign`'s account."""

    engine: Engine
    chain_id: int
    genesis_timestamp: int
    sign: Callable[[int], bytes]     # nonce → raw transaction that succeeds
    answers: str                     # a contract that returns one word to any call
    reverts: str                     # a contract that reverts with data

    def block(self, parent: ExecutedBlock | None, *transactions: bytes) -> BlockInputs:
        """The inputs of the block on `parent`, or of block 1."""
        return BlockInputs(
            chain_id=self.chain_id,
            number=1 if parent is None else parent.number + 1,
            parent=self.engine.genesis_hash if parent is None else parent.hash,
            timestamp=self.genesis_timestamp + 1 if parent is None else parent.inputs.timestamp + 1,
            base_fee=0,
            transactions=transactions,
        )


E = TypeVar("E", bound=Exception)


async def _raised(action: Awaitable[object], *kinds: type[E]) -> E:
    """The exception of one of these kinds that an action ends in; AssertionError if it returns."""
    try:
        answer = await action
    except kinds as error:
        return error
    raise AssertionError(f"{' or '.join(kind.__name__ for kind in kinds)} was due, got {str(answer)[:80]}")


EngineCheck = Callable[[EngineUnderTest], Awaitable[None]]


async def executing_twice_gives_the_same_block(subject: EngineUnderTest) -> None:
    inputs = subject.block(None, subject.sign(0))
    first = await subject.engine.execute(inputs)
    assert first.receipts[0].succeeded
    assert await subject.engine.execute(inputs) == first


async def siblings_can_be_executed_and_read(subject: EngineUnderTest) -> None:
    first = await subject.engine.execute(subject.block(None, subject.sign(0)))
    sibling = await subject.engine.execute(subject.block(None))
    assert first.hash != sibling.hash
    child = await subject.engine.execute(subject.block(first, subject.sign(1)))
    for block in (sibling, first, child):
        assert len(await subject.engine.call(subject.answers, b"", at=block.hash)) == 32


async def an_invalid_block_changes_nothing(subject: EngineUnderTest) -> None:
    first = await subject.engine.execute(subject.block(None))
    gapped = subject.block(first, subject.sign(0), subject.sign(2))
    refusal = await _raised(subject.engine.execute(gapped), InvalidBlock)
    assert refusal.missing == (1,)
    after = await subject.engine.execute(replace(gapped, transactions=gapped.transactions[:1]))
    assert after.receipts[0].succeeded


async def a_revert_is_a_refusal_with_its_data(subject: EngineUnderTest) -> None:
    call = subject.engine.call(subject.reverts, b"", at=subject.engine.genesis_hash)
    refusal = await _raised(call, Refused)
    assert len(str(refusal.args[0])) == 2 + 64, "the revert's one word, as 0x-hex"


async def a_query_is_answered_at_the_block_it_names(subject: EngineUnderTest) -> None:
    first = await subject.engine.execute(subject.block(None, subject.sign(0)))
    second = await subject.engine.execute(subject.block(first, subject.sign(1)))
    sender = first.receipts[0].sender
    for block, nonce in ((second, "0x2"), (first, "0x1")):
        assert await subject.engine.query("eth_getTransactionCount", [sender], at=block.hash) == nonce
        assert (await subject.engine.query("eth_getBlockByNumber", [False], at=block.hash))["hash"] == block.hash
        receipts = await subject.engine.query("eth_getBlockReceipts", [], at=block.hash)
        assert [receipt["transactionHash"] for receipt in receipts] == [block.receipts[0].transaction_hash]


async def a_query_about_a_sibling_is_not_answered_by_the_other(subject: EngineUnderTest) -> None:
    first = await subject.engine.execute(subject.block(None, subject.sign(0)))
    sibling = await subject.engine.execute(subject.block(None))
    sender = first.receipts[0].sender
    for block, nonce in ((first, "0x1"), (sibling, "0x0"), (first, "0x1")):
        assert await subject.engine.query("eth_getTransactionCount", [sender], at=block.hash) == nonce


async def queries_asked_together_are_answered_each_by_itself(subject: EngineUnderTest) -> None:
    """An engine may take many to its node at once; a sibling's, a refusal or a stranger among them harms no other."""
    first = await subject.engine.execute(subject.block(None, subject.sign(0)))
    sibling = await subject.engine.execute(subject.block(None))
    sender = first.receipts[0].sender
    wanted: list[tuple[list[Any], Hash, object]] = [
        ([sender], sibling.hash, "0x0"), ([sender], first.hash, "0x1"), (["0x12"], first.hash, QueryRefused),
        ([sender], STRANGER, EngineFailure), ([sender], sibling.hash, "0x0"),
    ]  # fmt: skip
    wanted *= 8
    answers = await asyncio.gather(
        *[subject.engine.query("eth_getTransactionCount", given, at=at) for given, at, _ in wanted],
        return_exceptions=True,
    )
    for answer, (_, _, due) in zip(answers, wanted, strict=True):
        assert answer == due or (isinstance(due, type) and isinstance(answer, due)), (answer, due)


async def a_refused_query_carries_the_nodes_own_error(subject: EngineUnderTest) -> None:
    at = (await subject.engine.execute(subject.block(None))).hash
    reverted = await _raised(subject.engine.query("eth_call", [{"to": subject.reverts}], at=at), QueryRefused)
    assert reverted.code == 3
    assert len(reverted.data) == 2 + 64, "the revert's one word"
    assert (await _raised(subject.engine.query("eth_getBalance", ["0x12"], at=at), QueryRefused)).code == -32602
    assert "eth_sendRawTransaction" not in QUERIES
    await _raised(subject.engine.query("eth_sendRawTransaction", ["0x"], at=at), ValueError)
    await _raised(subject.engine.query("eth_getBalance", [subject.answers], at=STRANGER), EngineFailure)


async def an_unknown_block_cannot_be_read_or_built_on(subject: EngineUnderTest) -> None:
    await _raised(subject.engine.call(subject.answers, b"", at=STRANGER), EngineFailure)
    await _raised(subject.engine.execute(replace(subject.block(None), parent=STRANGER)), EngineFailure, InvalidBlock)


async def replay_stops_at_what_does_not_execute(subject: EngineUnderTest) -> None:
    first = await subject.engine.execute(subject.block(None, subject.sign(0)))
    second = subject.block(first, subject.sign(1))
    gapped = replace(subject.block(None), number=3, parent=STRANGER, timestamp=second.timestamp)
    bad = replace(second, transactions=(subject.sign(5),))
    replayed = await subject.engine.replay([first.inputs, bad, gapped])
    assert [block.hash for block in replayed] == [first.hash]


ENGINE: tuple[EngineCheck, ...] = (
    executing_twice_gives_the_same_block,
    siblings_can_be_executed_and_read,
    an_invalid_block_changes_nothing,
    a_revert_is_a_refusal_with_its_data,
    a_query_is_answered_at_the_block_it_names,
    a_query_about_a_sibling_is_not_answered_by_the_other,
    queries_asked_together_are_answered_each_by_itself,
    a_refused_query_carries_the_nodes_own_error,
    an_unknown_block_cannot_be_read_or_built_on,
    replay_stops_at_what_does_not_execute,
)
