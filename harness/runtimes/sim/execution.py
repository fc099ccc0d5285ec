"""Executes each distinct block of a chain once, on a small pool of real engines, however many nodes ask for it.

Equal inputs give equal blocks on every node (rollup.md §3, measured), so the second node that asks is given the first
one's answer. A node that asks for anything else gets that executed, and so really diverges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.ports import EngineFailure, Json, Refused
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash, InvalidBlock

LANES_MAX = 2
MOVES_BEFORE_LANE = 8
"""A fork is first worth a rollback; after so many, another lane, which has to boot and catch up."""

CALLS_KEPT_MAX = 4096


class SyncEngine(Protocol):
    """The part of `anvil.engine.AnvilEngine` that is used here."""

    @property
    def genesis_hash(self) -> Hash: ...

    def execute(self, inputs: BlockInputs) -> ExecutedBlock: ...

    def adopt(self, block: ExecutedBlock) -> None: ...

    def call(self, to: str, data: bytes, *, at: Hash, sender: str | None = None) -> bytes: ...

    def query(self, method: str, params: Sequence[Json], *, at: Hash) -> Json: ...

    def move_to(self, block: Hash) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ExecutionCounts:
    """What sharing saved and what forks cost."""

    executed: int    # blocks a lane really executed
    answered: int    # blocks answered from the results
    calls: int       # read-only calls a lane evaluated
    calls_answered: int
    moves: int       # times a lane had to leave its chain for another
    lanes: int


@dataclass(slots=True)
class _Lane:
    engine: SyncEngine
    head: Hash
    known: dict[Hash, None] = field(default_factory=dict)
    used: int = 0  # when last, in operations


class SharedExecution:
    """One chain's lanes and results. Synchronous; nothing of it waits for virtual time."""

    def __init__(self, make_engine: Callable[[str], SyncEngine], *, chain: str, lanes_max: int = LANES_MAX) -> None:
        """`make_engine(name)` starts an engine of this chain; the first is started now."""
        self._make_engine = make_engine
        self._chain = chain
        self._lanes_max = lanes_max
        self._lanes: list[_Lane] = []
        self._blocks: dict[Hash, ExecutedBlock] = {}
        self._results: dict[BlockInputs, ExecutedBlock | tuple[str, tuple[int, ...]]] = {}
        self._calls: dict[tuple[str, bytes, Hash, str | None], bytes | Refused] = {}
        self._executed = self._answered = self._moves = self._evaluated = self._calls_answered = 0
        self._operations = 0
        self._moves_since_lane = 0
        self._genesis_hash: Hash | None = None
        self._engines = [make_engine(f"{chain}-lane-0")]

    @property
    def genesis_hash(self) -> Hash:
        """Blocks until the first engine has booted."""
        if self._genesis_hash is None:
            self._genesis_hash = self._engines[0].genesis_hash
            self._lanes.append(_Lane(self._engines[0], self._genesis_hash, {self._genesis_hash: None}))
        return self._genesis_hash

    @property
    def counts(self) -> ExecutionCounts:
        return ExecutionCounts(
            self._executed, self._answered, self._evaluated, self._calls_answered, self._moves, len(self._engines)
        )

    def execute(self, inputs: BlockInputs) -> ExecutedBlock:
        """As `Engine.execute`; the parent must have been executed here or be the genesis."""
        result = self._results.get(inputs)
        if result is None:
            try:
                result = self._execute_now(inputs)
            except InvalidBlock as refusal:
                result = (str(refusal), refusal.missing)
            self._results[inputs] = result
        else:
            self._answered += 1
        if isinstance(result, ExecutedBlock):
            return result
        raise InvalidBlock(result[0], missing=result[1])

    def call(self, to: str, data: bytes, *, at: Hash, sender: str | None) -> bytes:
        """As `Engine.call`."""
        key = (to, data, at, sender)
        answer = self._calls.get(key)
        if answer is None:
            self._evaluated += 1
            lane = self._lane_that_holds(at)
            try:
                answer = lane.engine.call(to, data, at=at, sender=sender)
            except Refused as refusal:
                answer = refusal
            if len(self._calls) >= CALLS_KEPT_MAX:
                del self._calls[next(iter(self._calls))]
            self._calls[key] = answer
        else:
            self._calls_answered += 1
        if isinstance(answer, Refused):
            raise Refused(*answer.args)
        return answer

    def query(self, method: str, params: Sequence[Json], *, at: Hash) -> Json:
        """As `Engine.query`; never kept, for the answers are large and seldom wanted twice."""
        self._evaluated += 1
        lane = self._lane_that_holds(at)
        if at not in (lane.head, self.genesis_hash) and not self._is_ancestor(at, lane.head):
            # Blocks whose results were kept, as after a network was brought back: no engine went along with them.
            lane.engine.move_to(at)
            lane.head = at
        return lane.engine.query(method, params, at=at)

    @property
    def head(self) -> Hash:
        """The block that was executed or read on last."""
        return max(self._lanes, key=lambda lane: lane.used).head if self._lanes else self.genesis_hash

    def return_to(self, block: Hash) -> None:
        """Make an engine stand on a block executed before: what is asked next is about it, and what comes after it."""
        lane = self._lane_for(block)
        self._teach(lane, block)
        if lane.head != block:
            lane.engine.move_to(block)
            lane.head = block

    def close(self) -> None:
        """End every engine, also if one of them fails to."""
        errors: list[Exception] = []
        for engine in self._engines:
            try:
                engine.close()
            except Exception as error:
                errors.append(error)
        self._engines.clear()
        self._lanes.clear()
        if errors:
            raise ExceptionGroup(f"engines of chain {self._chain} did not close", errors)

    def _execute_now(self, inputs: BlockInputs) -> ExecutedBlock:
        lane = self._lane_for(inputs.parent)
        self._teach(lane, inputs.parent)
        if lane.head != inputs.parent:
            self._moves += 1
            self._moves_since_lane += 1
        block = lane.engine.execute(inputs)
        self._executed += 1
        lane.head = block.hash
        lane.known[block.hash] = None
        self._blocks[block.hash] = block
        return block

    def _lane_for(self, parent: Hash) -> _Lane:
        """A lane whose head is the parent; else another one for the fork; else the one that was idle longest."""
        self._operations += 1
        genesis_hash = self.genesis_hash
        chosen = next((lane for lane in self._lanes if lane.head == parent), None)
        if chosen is None:
            if self._moves_since_lane >= MOVES_BEFORE_LANE and len(self._engines) < self._lanes_max:
                self._moves_since_lane = 0
                engine = self._make_engine(f"{self._chain}-lane-{len(self._engines)}")
                self._engines.append(engine)
                if engine.genesis_hash != genesis_hash:
                    raise EngineFailure(
                        f"two engines of chain {self._chain} disagree on block 0: {genesis_hash} and "
                        f"{engine.genesis_hash}; they were not started from the same genesis"
                    )
                self._lanes.append(_Lane(engine, genesis_hash, {genesis_hash: None}))
                chosen = self._lanes[-1]
            else:
                chosen = min(self._lanes, key=lambda lane: lane.used)
        chosen.used = self._operations
        return chosen

    def _lane_that_holds(self, at: Hash) -> _Lane:
        """A lane on whose present chain `at` lies, so that it need not move to answer; else any that can."""
        self._operations += 1
        if at == self.genesis_hash:
            return self._lanes[0]
        for lane in self._lanes:
            if lane.head == at or self._is_ancestor(at, lane.head):
                return lane
        lane = min(self._lanes, key=lambda lane: lane.used)
        lane.used = self._operations
        self._teach(lane, at)
        return lane

    def _is_ancestor(self, at: Hash, head: Hash) -> bool:
        number = self._blocks[at].number
        block = self._blocks.get(head)
        while block is not None and block.number > number:
            block = self._blocks.get(block.inputs.parent)
        return block is not None and block.hash == at

    def _teach(self, lane: _Lane, target: Hash) -> None:
        """Let the lane know blocks that another lane executed; it executes them when it needs them."""
        missing: list[ExecutedBlock] = []
        at = target
        while at not in lane.known:
            block = self._blocks.get(at)
            if block is None:
                raise EngineFailure(f"chain {self._chain}: no node ever executed block {at}")
            missing.append(block)
            at = block.inputs.parent
        for block in reversed(missing):
            lane.engine.adopt(block)
            lane.known[block.hash] = None
