"""What one running Anvil is asked for: mine exactly this, go back, read; it holds no truth of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.anvil.attributes import DEPOSITOR_ADDRESS, attributes_call
from harness.anvil.journal import Genesis
from harness.anvil.process import AnvilProcess
from harness.anvil.receipts import logs_from_json, receipt_from_json, revert_data_from_trace
from harness.anvil.rpc import BATCH_MAX, Call, ConnectionLost, IpcClient, RpcError
from harness.anvil.spec import U64_MAX, ChainSpec
from harness.ports import EngineFailure
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, InvalidBlock, Log, Receipt

_TYPED = (1, 2)            # EIP-2930 and EIP-1559 envelopes
_LEGACY_FIRST_BYTE = 0xC0  # an RLP list
_REASONS_TOLD = 3          # of a rejected block, in its message


class NodeContradiction(Exception):
    """The node did something else than it was asked for and answered as if it had not; replace it."""


class Node:
    """The process, its connection and where its head is. Must be the only one to write to the process.

    Its pool is empty between calls: a block is only accepted if all that was sent was mined, and whatever else ends
    a call either drops the pool or has the node replaced.
    """

    def __init__(self, spec: ChainSpec, *, name: str, process: AnvilProcess, timeout_s: float) -> None:
        self._spec = spec
        self._name = name
        self._process = process
        self._client = IpcClient(process.socket_path, timeout_s=timeout_s)
        self._genesis: Genesis | None = None
        self._chain: list[Hash] = []     # the node's own canonical chain, by number
        self.overtakes = 0               # blocks that an array got wrong and single calls got right
        self._is_fee_zero = True         # base fee 0 stays 0 until another is set

    @property
    def genesis(self) -> Genesis:
        assert self._genesis is not None, "known once the node has been ready"
        return self._genesis

    @property
    def is_ready(self) -> bool:
        """Whether the node runs, as far as known, and its head is known."""
        return bool(self._chain)

    def forget(self) -> None:
        """The head is no longer known: the node is to be replaced before its next use."""
        self._chain = []

    @property
    def at(self) -> Hash:
        """The node's head."""
        return self._chain[-1]

    def start(self) -> None:
        """Spawn the process; its state is empty until `wait_until_ready`."""
        self.forget()
        self._is_fee_zero = True
        self._process.start()

    def wait_until_ready(self) -> Genesis:
        """Wait for the node's first answer and prepare it; its head is the genesis then.

        Raises:
            EngineFailure: it did not get there.
        """
        self._process.wait_until_ready(self._client)
        try:
            block = self._client.call("eth_getBlockByNumber", "0x0", False)
            if self._spec.l1_info:
                self._client.call("anvil_impersonateAccount", DEPOSITOR_ADDRESS)  # forgotten with every restart
        except (ConnectionLost, RpcError) as error:
            raise EngineFailure(f"node {self._name} failed while booting: {error}; {self._process.how_it_died()}; "
                                "its log says why") from error
        genesis = Genesis(hash=Hash(block["hash"]), timestamp=int(block["timestamp"], 16),
                          state_root=Hash(block["stateRoot"]))
        self._genesis = genesis
        self._chain = [genesis.hash]
        return genesis

    def disconnect(self) -> None:
        """Drop the connection; the next request opens another."""
        self._client.close()

    def request(self, method: str, *params: Any) -> Any:
        """Any other call, as `IpcClient.call`."""
        return self._client.call(method, *params)

    def requests(self, calls: Sequence[Call]) -> list[Any]:
        """Several at once, as `IpcClient.batch`."""
        return self._client.batch(calls)

    def is_on_chain(self, block: Hash, number: int) -> bool:
        """Whether a block is the head or an ancestor of it; its state may be pruned all the same."""
        return number < len(self._chain) and self._chain[number] == block

    @staticmethod
    def check_numbers(inputs: BlockInputs) -> None:
        """Refuse numbers and transaction types that would abort or stall the process.

        Raises:
            InvalidBlock: one is out of range, or a transaction is neither legacy nor of type 1 or 2.
        """
        for field, value in (("timestamp", inputs.timestamp), ("base_fee", inputs.base_fee)):
            if not 0 <= value <= U64_MAX:
                raise InvalidBlock(f"{named(inputs)}: {field} {value} does not fit 64 bits; Anvil would abort on it")
        strange = tuple(
            index for index, raw in enumerate(inputs.transactions)
            if not raw or (raw[0] < _LEGACY_FIRST_BYTE and raw[0] not in _TYPED)
        )
        if strange:
            raise InvalidBlock(f"{named(inputs)}: transactions {list(strange)} are of no type this chain takes; "
                               "sign legacy, EIP-2930 or EIP-1559 ones", missing=strange)

    def roll_back(self, depth: int, ancestor: Hash) -> bool:
        """Drop the newest `depth` blocks; False if the node no longer holds the state (its head is then undefined)."""
        if depth >= self._spec.history:
            return False
        try:
            self._client.call("anvil_rollback", depth)
        except RpcError:
            return False
        self._client.call("anvil_dropAllTransactions")  # a rollback leaves the pool as it is
        head = self._client.call("eth_getBlockByNumber", "latest", False)
        if head["hash"] != ancestor:
            raise NodeContradiction(f"a rollback by {depth} led to block {head['hash']}, not to {ancestor}")
        del self._chain[-depth:]
        return True

    def mine(self, inputs: BlockInputs, *, system_nonce: int) -> ExecutedBlock:
        """Mine exactly these transactions on the head.

        Raises:
            InvalidBlock: the node would not include them all, in this order; its head is the parent again.
            ConnectionLost, NodeContradiction: its state is unknown; replace the node.
        """
        block, receipts = self._exactly(inputs, system_nonce)
        system_logs: tuple[Log, ...] = ()
        if self._has_system_transaction(inputs):
            system, *receipts = receipts
            if system["status"] != "0x1":
                reason = self._revert_data([system])[0]
                self._back_to_parent(inputs)
                raise InvalidBlock(f"{named(inputs)}: the L1-attributes transaction reverted with 0x{reason.hex()}; "
                                   "give it an origin that follows the chain's earlier ones")
            system_logs = logs_from_json(system["logs"])
        mined = ExecutedBlock(
            inputs=inputs, hash=Hash(block["hash"]), state_root=Hash(block["stateRoot"]),
            gas_used=int(block["gasUsed"], 16), receipts=self._receipts(receipts), system_logs=system_logs,
        )
        self._chain.append(mined.hash)
        return mined

    def re_mine(self, block: ExecutedBlock, *, system_nonce: int) -> Hash:
        """Mine a block again and return its hash now; cheaper than `mine`, for the rest is in the journal.

        Raises:
            As `mine`.
        """
        again, _ = self._exactly(block.inputs, system_nonce, with_receipts=False)
        self._chain.append(Hash(again["hash"]))
        return self.at

    def _has_system_transaction(self, inputs: BlockInputs) -> bool:
        return self._spec.l1_info and inputs.origin is not None

    def _exactly(
        self, inputs: BlockInputs, system_nonce: int, *, with_receipts: bool = True
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The block and its receipts, as JSON, mined on the head from exactly these transactions.

        Arrays are the fast way and keep their order on a quiet machine; that a loaded one lets calls overtake cannot be
        excluded. So their "no" is only believed once the same transactions, each awaited before the next, give it too.
        """
        try:
            return self._attempt(inputs, system_nonce, with_receipts, array_max=BATCH_MAX)
        except InvalidBlock:
            answer = self._attempt(inputs, system_nonce, with_receipts, array_max=1)
            self.overtakes += 1
            return answer

    def _attempt(
        self, inputs: BlockInputs, system_nonce: int, with_receipts: bool, *, array_max: int
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        intended = self._send_and_mine(inputs, system_nonce, array_max)
        number = hex(inputs.number)
        reads: list[Call] = [("eth_getBlockByNumber", [number, False])]
        if with_receipts:
            reads.append(("eth_getBlockReceipts", [number]))
        block, *rest = self._client.batch(reads)
        self._verify(inputs, intended, block)
        receipts = rest[0] if with_receipts else []
        if with_receipts and (not isinstance(receipts, list) or len(receipts) != len(intended)):
            raise NodeContradiction(f"block {inputs.number} was mined, but its receipts are {str(receipts)[:200]}")
        return block, receipts

    def _send_and_mine(
        self, inputs: BlockInputs, system_nonce: int, array_max: int
    ) -> list[str | RpcError]:
        """Send everything, then mine; the transactions' hashes, or why one was refused, in their order.

        Mines also without the refused ones: only then is it known which others depended on them.
        """
        calls: list[Call] = []
        if not (self._is_fee_zero and inputs.base_fee == 0):
            # Never restored by a rollback, so once fees are in play every block sets its own (anvil.md, rule 9).
            calls.append(("anvil_setNextBlockBaseFeePerGas", [hex(inputs.base_fee)]))
            self._is_fee_zero = False
        if self._has_system_transaction(inputs):
            assert inputs.origin is not None
            calls.append(("eth_sendTransaction", [attributes_call(inputs.origin, nonce=system_nonce)]))
        users_from = len(calls)
        calls.extend(("eth_sendRawTransaction", [f"0x{raw.hex()}"]) for raw in inputs.transactions)

        answers: list[Any] = []
        for start in range(0, len(calls), array_max):
            answers.extend(self._client.batch(calls[start : start + array_max]))
        for (method, _), answer in zip(calls, answers, strict=True):
            if isinstance(answer, RpcError) and method != "eth_sendRawTransaction":
                raise NodeContradiction(f"block {inputs.number}: {answer}")
        # By itself: as the last element of an array of 20 it was seen to overtake the sends before it.
        mined = self._client.batch([("evm_mine", [{"timestamp": inputs.timestamp, "blocks": 1}])])[0]
        if isinstance(mined, RpcError):
            raise NodeContradiction(f"block {inputs.number}: {mined}")
        return answers[users_from - self._has_system_transaction(inputs) :]

    def _verify(self, inputs: BlockInputs, intended: Sequence[str | RpcError], block: Any) -> None:
        """Hold that the mined block is the one asked for."""
        if isinstance(block, RpcError) or block is None:
            raise NodeContradiction(f"block {inputs.number} was mined, but asking for it gives {block}")
        if block["transactions"] != intended:
            self._back_to_parent(inputs)
            raise _rejection(inputs, intended[self._has_system_transaction(inputs) :], block["transactions"])
        wanted = {"parentHash": inputs.parent, "timestamp": hex(inputs.timestamp),
                  "baseFeePerGas": hex(inputs.base_fee)}
        got = {field: block[field] for field in wanted}
        if got != wanted:
            raise NodeContradiction(f"block {inputs.number} was to have {wanted} and has {got}")

    def _back_to_parent(self, inputs: BlockInputs) -> None:
        """Undo a wrongly mined block and empty the pool."""
        self._chain.append(Hash(""))  # it never gets a place in the journal
        if not self.roll_back(1, inputs.parent):
            raise NodeContradiction(f"a wrongly mined block {inputs.number} could not be rolled back")

    def _receipts(self, receipts: list[dict[str, Any]]) -> tuple[Receipt, ...]:
        failed = [receipt for receipt in receipts if receipt["status"] != "0x1"]
        if not failed:
            return tuple(map(receipt_from_json, receipts))
        reasons = dict(zip((r["transactionHash"] for r in failed), self._revert_data(failed), strict=True))
        return tuple(
            receipt_from_json(receipt, revert_data=reasons.get(receipt["transactionHash"], b"")) for receipt in receipts
        )

    def _revert_data(self, failed: list[dict[str, Any]]) -> list[bytes]:
        traces: list[Any] = []
        for start in range(0, len(failed), BATCH_MAX):
            chunk = failed[start : start + BATCH_MAX]
            traces += self._client.batch([("trace_transaction", [receipt["transactionHash"]]) for receipt in chunk])
        return [revert_data_from_trace(trace) for trace in traces]


def named(inputs: BlockInputs) -> str:
    """How messages call a block that has no hash yet."""
    return f"block {inputs.number} of chain {inputs.chain_id} on {inputs.parent[:10]}"


def _rejection(inputs: BlockInputs, users: Sequence[str | RpcError], mined: list[str]) -> InvalidBlock:
    """Say which of the users' transactions would not go in, and why, as far as the node tells."""
    included = set(mined)
    reasons: dict[int, str] = {}
    for index, answer in enumerate(users):
        if isinstance(answer, RpcError):
            reasons[index] = answer.message
        elif answer not in included:
            reasons[index] = "dropped while mining: unaffordable, out of turn or too large for the block"
    if not reasons:  # all are in, in another order: name the first that is out of place
        in_place = mined[len(mined) - len(users) :]
        misplaced = next(i for i, (sent, got) in enumerate(zip(users, in_place, strict=True)) if sent != got)
        reasons[misplaced] = "out of its sender's nonce order"
    told = "; ".join(f"index {index}: {reasons[index]}" for index in sorted(reasons)[:_REASONS_TOLD])
    return InvalidBlock(
        f"{named(inputs)}: the node would not include {len(reasons)} of {len(inputs.transactions)} transactions "
        f"in this order ({told}); leave them out",
        missing=tuple(sorted(reasons)),
    )
