"""A node of the simulation as the loop knows it: a name its callbacks carry, which can be frozen or lose power."""

from __future__ import annotations

import contextvars
import enum
from collections import deque
from typing import Any

from harness.runtimes.sim.tasks import SimTask

TASKS_BEFORE_SWEEP = 64


class NodeState(enum.Enum):
    RUNNING = "running"
    PAUSED = "paused"
    DEAD = "dead"


class SimNode:
    """One incarnation of a role. Callbacks belong to the node whose context scheduled them."""

    __slots__ = ("_sweep_at", "_tasks", "context", "held", "name", "running", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = NodeState.RUNNING
        self.running = True
        """`state is RUNNING`, as one attribute the loop reads for every callback."""
        self.held: deque[Any] = deque()
        """Handles that fell due while paused, in order. Bounded by what the node itself had scheduled."""
        self._tasks: dict[SimTask[Any], None] = {}
        self._sweep_at = TASKS_BEFORE_SWEEP
        self.context = contextvars.copy_context()
        self.context.run(CURRENT_NODE.set, self)

    def set_state(self, state: NodeState) -> None:
        self.state = state
        self.running = state is NodeState.RUNNING

    def adopt(self, task: SimTask[Any]) -> None:
        """Keep a task until it is done, so that a crash can find it. Done ones are swept now and then."""
        if len(self._tasks) >= self._sweep_at:
            self._tasks = {known: None for known in self._tasks if not known.done()}
            self._sweep_at = max(TASKS_BEFORE_SWEEP, 2 * len(self._tasks))
        self._tasks[task] = None

    def pending_tasks(self) -> list[SimTask[Any]]:
        """In the order of their creation."""
        return [task for task in self._tasks if not task.done()]

    def forget_tasks(self) -> None:
        self._tasks.clear()


CURRENT_NODE: contextvars.ContextVar[SimNode | None] = contextvars.ContextVar("harness_sim_node", default=None)
"""The node whose code is running; None for the runtime, the network and the supervisor."""
