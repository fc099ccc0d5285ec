"""Anvil as a rollup's execution engine: exact blocks, equal hashes on every node, and a journal that outlives the node.

The node's own head is only a cache of the journal: it is moved (rolled back, re-executed, or rebooted and replayed)
to wherever the next block or read needs it, and every re-executed block must have the hash it had before.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.anvil.journal import Genesis, Journal
from harness.anvil.node import Node, NodeContradiction, named
from harness.anvil.process import AnvilProcess
from harness.anvil.rpc import BATCH_MAX, Call, ConnectionLost, RpcError
from harness.anvil.spec import ChainSpec
from harness.ports import QUERIES, EngineFailure, QueryRefused, Refused
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, InvalidBlock
from harness.toolchain import anvil_binary

CALL_TIMEOUT_S = 15.0

_T = TypeVar("_T")

Question = tuple[str, Sequence[Any], Hash]
"""A query's method, its parameters and its block."""

_REVERTED = 3  # error code of a revert; its data is what the contract returned
_STATE_GONE = "BlockOutOfRange"  # pruned; blocks of abandoned forks count among the states kept
_QUERY_MOVES_MAX = 8  # blocks a query may have the node undo and execute; clients ask, and blocks come first
_READS = frozenset({"eth_getBalance", "eth_getTransactionCount", "eth_getCode", "eth_getStorageAt", "eth_getProof"})


class OutOfReach(QueryRefused):
    """A question about a block whose state this node has not at hand; another node may be brought there."""

    def __init__(self, message: str) -> None:
        super().__init__(-32000, message)


class AnvilEngine:
    """The semantics of `ports.Engine`, synchronously. One writer at a time: not thread-safe.

    Creating it starts the node and returns at once, so several boot side by side; the first use waits for it.
    """

    def __init__(
        self,
        spec: ChainSpec,
        *,
        name: str = "anvil",
        home: Path | None = None,
        binary: Path | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """`home` is where socket and log go (None: a private temporary folder, removed by `close`).

        Raises:
            ToolError: no Anvil of the accepted version (only where `binary` is None).
            EngineFailure: the process could not be started.
        """
        self.spec = spec
        self.name = name
        self.process = AnvilProcess(spec, name=name, binary=binary or anvil_binary(), home=home)
        self._node = Node(spec, name=name, process=self.process, timeout_s=timeout_s)
        self._journal_or_none: Journal | None = None
        self._head: Hash | None = None
        self._restarts = 0
        self._closed = False
        try:
            self._node.start()
        except BaseException:
            self.process.close()
            raise

    @property
    def genesis(self) -> Genesis:
        """Block 0; blocks until the node has booted."""
        self._journal()
        return self._node.genesis

    @property
    def genesis_hash(self) -> Hash:
        """Hash of block 0, the parent of the first block."""
        return self.genesis.hash

    @property
    def head(self) -> Hash:
        """The block that was executed, adopted or asked for last; at first the genesis."""
        return self._head or self.genesis_hash

    def block(self, block: Hash) -> ExecutedBlock | None:
        """A block of the journal; None for the genesis and for what this engine never saw."""
        return self._journal().block(block)

    @property
    def restarts(self) -> int:
        """How often a dead node was replaced."""
        return self._restarts

    @property
    def overtakes(self) -> int:
        """How many blocks needed their transactions sent one by one to come out in order; a measure of overload."""
        return self._node.overtakes

    def execute(self, inputs: BlockInputs) -> ExecutedBlock:
        """As `ports.Engine.execute`."""
        journal = self._journal()
        block = journal.executed(inputs)
        if block is None:
            self._check(inputs)
            block = self._surviving(lambda: self._build(inputs))
            journal.add(block)
        self._head = block.hash
        return block

    def adopt(self, block: ExecutedBlock) -> None:
        """Take over a block another node of this chain executed; this node executes it when it next must.

        For the simulator, which runs each distinct block once. Should this node then get another hash, the call that
        needed the block raises `EngineFailure`.

        Raises:
            EngineFailure: its parent is unknown here.
        """
        self._known(block.inputs.parent)
        self._journal().add(block)
        self._head = block.hash

    def move_to(self, block: Hash) -> None:
        """Bring the node's head to a block that is known here, as the next block on it would.

        Raises:
            EngineFailure: it is not known, or the node is gone and could not be brought back.
        """
        self._known(block)
        self._surviving(lambda: self._move_to(block))
        self._head = block

    def call(self, to: str, data: bytes, *, at: Hash, sender: str | None = None) -> bytes:
        """As `ports.Engine.call`. Moves the node if `at` is off its present chain or beyond its kept states.

        That costs re-execution, and the next block executed on another fork costs it again.
        """
        message = {"to": to, "data": f"0x{data.hex()}"}
        if sender is not None:
            message["from"] = sender
        try:
            answer = self._read("eth_call", [message], at)
        except RpcError as error:
            if error.code == _REVERTED:
                raise Refused(error.data or "0x") from error
            if error.message.startswith("EVM error"):  # out of gas, invalid opcode: reverted without data
                raise Refused("0x") from error
            raise EngineFailure(f"node {self.name} could not evaluate a call to {to} at block {at}: {error}") from error
        return bytes.fromhex(answer[2:])

    def read(self, method: str, *params: Any, at: Hash) -> Any:
        """State after block `at`: `eth_getBalance`, `…TransactionCount`, `…Code`, `…StorageAt` or `…Proof`, as JSON.

        `params` are the method's without its block. Moves the node as `call` does.

        Raises:
            EngineFailure: `at` is unknown, or the node refused the parameters.
        """
        if method not in _READS:
            raise ValueError(f"{method} is not a read of state; use one of {', '.join(sorted(_READS))}")
        try:
            return self._read(method, list(params), at)
        except RpcError as error:
            raise EngineFailure(f"node {self.name} refused {method} at block {at}: {error}") from error

    def query(self, method: str, params: Sequence[Any], *, at: Hash) -> Any:
        """As `ports.Engine.query`."""
        if method not in QUERIES:
            raise ValueError(f"{method} is no query; use one of {', '.join(QUERIES)}")
        self._known(at)
        return self._surviving(lambda: self._query(method, params, at))

    def queries(self, questions: Sequence[Question]) -> Sequence[Any]:
        """The answers of several queries in one exchange with the node, or in place of one what `query` would raise.

        Together they cost the node little more than one. Raises EngineFailure where that is what became of them all.
        """
        answers: list[Any] = [None] * len(questions)
        asked: list[int] = []
        for index, (method, _, at) in enumerate(questions):
            if method not in QUERIES:
                answers[index] = ValueError(f"{method} is no query; use one of {', '.join(QUERIES)}")
            elif at not in self._journal():
                answers[index] = EngineFailure(f"node {self.name} does not know block {at}")
            else:
                asked.append(index)
        given = self._surviving(lambda: self._query_all([questions[index] for index in asked]))
        for index, answer in zip(asked, given, strict=True):
            answers[index] = answer
        return answers

    def lineage(self, block: Hash, *, known: Container[Hash]) -> tuple[ExecutedBlock, ...]:
        """The block and its ancestors back to one that is known or the genesis, parents first."""
        self._known(block)
        found: list[ExecutedBlock] = []
        at = self.block(block)
        while at is not None and at.hash not in known:
            found.append(at)
            at = self.block(at.inputs.parent)
        return tuple(reversed(found))

    def distance_back(self, block: Hash) -> int:
        """How many blocks the node would have to undo to stand at a known block."""
        return self._journal().route(self._node.at, block).back

    def replay(self, chain: Sequence[BlockInputs]) -> Sequence[ExecutedBlock]:
        """As `ports.Engine.replay`: the blocks up to the first that does not execute."""
        blocks: list[ExecutedBlock] = []
        for inputs in chain:
            try:
                blocks.append(self.execute(inputs))
            except InvalidBlock:
                break
        return blocks

    def restart(self) -> None:
        """Kill the node and boot a fresh one; the journal stays and is replayed when a block is next needed."""
        self._journal()
        self._reboot()

    def close(self) -> None:
        """End the process and remove its socket and folder. Idempotent; the engine is of no use afterwards."""
        self._closed = True
        self._node.disconnect()
        self.process.close()

    def __enter__(self) -> AnvilEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _journal(self) -> Journal:
        if self._closed:
            raise EngineFailure(f"node {self.name} was closed; make another engine")
        if self._journal_or_none is None:
            self._journal_or_none = Journal(self._node.wait_until_ready())
        return self._journal_or_none

    def _known(self, block: Hash) -> None:
        if block not in self._journal():
            raise EngineFailure(f"node {self.name} does not know block {block}; execute its ancestors first")

    def _check(self, inputs: BlockInputs) -> None:
        """Refuse what no node may be asked for; Anvil would accept some of it and mine something else."""
        self._known(inputs.parent)
        journal, parent = self._journal(), inputs.parent
        block = named(inputs)
        if inputs.chain_id != self.spec.chain_id:
            raise InvalidBlock(f"{block}: this is chain {self.spec.chain_id}; send it to a node of its own chain")
        if inputs.number != journal.number(parent) + 1:
            raise InvalidBlock(f"{block}: its parent is block {journal.number(parent)}; number it one higher")
        if inputs.timestamp < journal.timestamp(parent):
            raise InvalidBlock(f"{block}: timestamp {inputs.timestamp} is before its parent's "
                               f"{journal.timestamp(parent)}; time never goes back")
        self._node.check_numbers(inputs)

    def _build(self, inputs: BlockInputs) -> ExecutedBlock:
        self._move_to(inputs.parent)
        return self._node.mine(inputs, system_nonce=self._journal().origins_up_to(inputs.parent))

    def _read(self, method: str, params: list[Any], at: Hash) -> Any:
        self._known(at)
        return self._surviving(lambda: self._read_once(method, params, at))

    def _read_once(self, method: str, params: list[Any], at: Hash) -> Any:
        number = self._journal().number(at)
        if self._node.is_on_chain(at, number):
            try:
                return self._node.request(method, *params, hex(number))
            except RpcError as error:
                if not error.message.startswith(_STATE_GONE):
                    raise
        self._move_to(at)
        return self._node.request(method, *params, hex(number))

    def _query(self, method: str, params: Sequence[Any], at: Hash) -> Any:
        number = self._journal().number(at)
        if not self._node.is_on_chain(at, number):
            route = self._journal().route(self._node.at, at)
            if route.back + len(route.forward) > _QUERY_MOVES_MAX:
                raise OutOfReach(f"block {number} is {route.back} blocks back and {len(route.forward)} forward from "
                                 "where the node executes; ask for one nearer its head")
            self._move_to(at)
        (answer,) = self._ask([(method, params, at)])
        if isinstance(answer, QueryRefused):
            raise answer
        return answer

    def _query_all(self, questions: Sequence[Question]) -> list[Any]:
        """Those about the node's chain together, and first: the others may have it go elsewhere."""
        answers: dict[int, Any] = {}
        here = [index for index, (_, _, at) in enumerate(questions)
                if self._node.is_on_chain(at, self._journal().number(at))]
        for start in range(0, len(here), BATCH_MAX):
            chosen = here[start : start + BATCH_MAX]
            answers.update(zip(chosen, self._ask([questions[index] for index in chosen]), strict=True))
        for index, question in enumerate(questions):
            if index not in answers:
                try:
                    answers[index] = self._query(*question)
                except QueryRefused as refusal:
                    answers[index] = refusal
        return [answers[index] for index in range(len(questions))]

    def _ask(self, questions: Sequence[Question]) -> list[Any]:
        """Answers and refusals from the node, on whose chain each of the blocks is."""
        calls: list[Call] = []
        for method, params, at in questions:
            position, given = QUERIES[method], list(params)
            if position is not None:
                given.insert(position, hex(self._journal().number(at)))
            calls.append((method, given))
        return [
            self._refusal(answer, at) if isinstance(answer, RpcError) else answer
            for answer, (_, _, at) in zip(self._node.requests(calls), questions, strict=True)
        ]

    def _refusal(self, error: RpcError, at: Hash) -> QueryRefused:
        refusal: QueryRefused
        if error.message.startswith(_STATE_GONE):
            refusal = OutOfReach(f"the state after block {self._journal().number(at)} is not kept any more; the newest "
                                 f"{self.spec.history} are")
        else:
            refusal = QueryRefused(error.code, error.message, error.data)
        refusal.__cause__ = error
        return refusal

    def _move_to(self, target: Hash) -> None:
        """Bring the node's head to a journaled block, the cheapest way it still can."""
        journal = self._journal()
        if self._node.at == target:
            return
        route = journal.route(self._node.at, target)
        if route.back and not self._node.roll_back(route.back, route.ancestor):
            self._reboot()
            route = journal.route(self._node.at, target)
        for block in route.forward:
            try:
                again: Hash | str = self._node.re_mine(
                    block, system_nonce=journal.origins_up_to(block.inputs.parent))
            except InvalidBlock as error:
                again = f"refused ({error})"
            if again != block.hash:
                self._node.forget()
                raise EngineFailure(
                    f"node {self.name} contradicts its journal: block {block.number} was {block.hash} and is now "
                    f"{again}; another Anvil version or genesis file is in play, or a wrong block was adopted"
                )

    def _reboot(self) -> None:
        before = self._node.genesis
        self._node.disconnect()
        self.process.stop()
        self._node.start()
        after = self._node.wait_until_ready()
        if after != before:
            raise EngineFailure(f"node {self.name} contradicts its journal: its genesis was {before.hash} and is now "
                                f"{after.hash}; its genesis file changed while it ran")

    def _surviving(self, operation: Callable[[], _T]) -> _T:
        """Carry out an operation; if the node dies or hangs in it, replace the node and try once more."""
        try:
            return self._attempt(operation)
        except (ConnectionLost, NodeContradiction) as first:
            story = f"{first}; {self.process.how_it_died()}"
        self._restarts += 1
        try:
            return self._attempt(operation)
        except (ConnectionLost, NodeContradiction) as second:
            raise EngineFailure(f"node {self.name} failed twice in the same operation: {story}; after a restart: "
                                f"{second}; its log says why") from second

    def _attempt(self, operation: Callable[[], _T]) -> _T:
        self._journal()
        if not self._node.is_ready:
            self._reboot()
        try:
            return operation()
        except (InvalidBlock, RpcError, QueryRefused):
            raise  # an answer: where the node's head is, is known
        except BaseException:  # a dead node, or Ctrl-C in mid-answer
            self._node.forget()
            raise
