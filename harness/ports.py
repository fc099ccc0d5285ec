"""The small ports a role sees; each runtime implements them, and roles know nothing else of the world.

A role is written once against `Clock`, `Network`, `Engine`, `Store`, `Random` and `Recorder` and runs unchanged in
the simulator, as a local process and in a container. `FaultControl` is the other side of the same coin: what a
runtime lets the fault supervisor do to the roles it runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from harness.faults.rules import RpcCounters, RpcRule
from harness.rollup.blocks import BlockInputs, ExecutedBlock, Hash

Json = Any
"""A value orjson can encode: None, bool, int (64-bit), float, str, list, dict. Bytes travel as 0x-hex strings."""

Handler = Callable[[str, str, Json], Awaitable[Json]]
"""`await handler(sender, kind, payload)` answers one message; what it returns is the reply of a `request` and is
dropped for a `send`. Raising `Refused` sends the caller a refusal it can read."""


class PortError(Exception):
    """The world did not do what a role asked of it; the base of everything a port raises."""


class Unreachable(PortError):
    """The peer could not be reached, or its answer did not arrive before the deadline.

    The request may or may not have been carried out: for a write this is *indeterminate*.
    """


class Refused(PortError):
    """The peer answered, and its answer is no. `args[0]` is the reason it gave."""


class EngineFailure(PortError):
    """The execution node died, hung or contradicted its own journal, and could not be brought back."""


class QueryRefused(PortError):
    """The execution node would not answer a question; a JSON-RPC error as it gave it.

    `data` is the error's own data: of a revert (code 3) the 0x-hex of what the contract returned, else mostly None.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


class StoreFailure(PortError):
    """A row could not be made durable (disk full, damaged file). What was flushed before is intact."""


QUERIES: Mapping[str, int | None] = {
    "eth_getBalance": 1,
    "eth_getTransactionCount": 1,
    "eth_getCode": 1,
    "eth_getStorageAt": 2,
    "eth_getProof": 2,
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_createAccessList": 1,
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "debug_traceTransaction": None,
    "debug_traceCall": 1,
}
"""What `Engine.query` may be asked, and the position of the block among the method's parameters; None where the
question names a transaction instead, which is one of block `at`."""


class Clock(Protocol):
    """A role's own idea of time; the fault supervisor may skew it per role."""

    def now(self) -> int:
        """Wall time in nanoseconds since the Unix epoch, including this role's skew."""
        ...

    def monotonic(self) -> int:
        """Nanoseconds since the run began; never skewed, never backward. For durations and pacing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Suspend for a duration of monotonic time; a sleep of 0 or less yields once."""
        ...


class Network(Protocol):
    """Messages to named peers. Every directed link src→dst is separately faultable."""

    @property
    def name(self) -> str:
        """The role's own name, as its peers see it."""
        ...

    def serve(self, handler: Handler) -> None:
        """Answer incoming messages with `handler`, once; until then messages to this role are lost.

        Messages of kind `ping` are answered by the runtime itself, for probes.
        """
        ...

    def send(self, to: str, kind: str, payload: Json) -> None:
        """Hand a message to the link and return at once; it may be lost, duplicated, delayed or reordered."""
        ...

    async def request(self, to: str, kind: str, payload: Json, *, timeout: float) -> Json:
        """Send and wait for the reply.

        Raises:
            Unreachable: no reply within `timeout` seconds, or the connection was refused or cut.
            Refused: the peer's handler raised `Refused`.
        """
        ...


class Engine(Protocol):
    """One execution node. Blocks are named by hash; the engine keeps every block it executed."""

    @property
    def genesis_hash(self) -> Hash:
        """Hash of block 0, the parent of the first block."""
        ...

    async def execute(self, inputs: BlockInputs) -> ExecutedBlock:
        """Execute one block on its parent, moving the node's head there first if it is elsewhere.

        Idempotent: a block already executed is answered from the journal. After return the head is this block.

        Raises:
            rollup.blocks.InvalidBlock: the node would not include exactly these transactions; head is unchanged.
            EngineFailure: the node is gone and could not be restarted and replayed.
        """
        ...

    async def call(self, to: str, data: bytes, *, at: Hash, sender: str | None = None) -> bytes:
        """Evaluate a read-only call in the state after block `at`.

        Raises:
            Refused: the call reverted; `args[0]` is the revert data as 0x-hex.
            EngineFailure: as above, or `at` is unknown to this engine.
        """
        ...

    async def query(self, method: str, params: Sequence[Json], *, at: Hash) -> Json:
        """Ask the node one of `QUERIES` about block `at`, which is not among `params`: it goes where the method has it.

        Never costs the node more than a few blocks of going elsewhere, so what it no longer holds is refused. Strings
        in `params` must be hex or words: the node's framing does not survive braces in them.

        Raises:
            QueryRefused: the node's own error, a revert among them; or `at` is too far from where the node is.
            EngineFailure: as above, or `at` is unknown to this engine.
        """
        ...

    async def replay(self, chain: Sequence[BlockInputs]) -> Sequence[ExecutedBlock]:
        """Re-execute a chain from genesis after a restart, in order; stops at the first block that does not execute."""
        ...


class Store(Protocol):
    """Durable rows in named tables, keyed by string; JSON values. A crash loses what was not flushed."""

    def put(self, table: str, key: str, value: Json) -> None: ...

    def get(self, table: str, key: str) -> Json | None:
        """The newest value put (flushed or not), or None."""
        ...

    def delete(self, table: str, key: str) -> None: ...

    def scan(self, table: str, *, start: str = "", end: str | None = None) -> Iterator[tuple[str, Json]]:
        """Rows with start ≤ key < end, in key order. Writers zero-pad numbers so that order is numeric."""
        ...

    def flush(self) -> None:
        """Make everything put so far survive SIGKILL and power loss, or raise `StoreFailure`."""
        ...


class Random(Protocol):
    """Seeded randomness, every draw keyed by name: same (seed, stream, keys) → same value, whatever else was drawn."""

    def bits(self, stream: str, *keys: int | str, width: int = 64) -> int:
        """An integer in [0, 2**width)."""
        ...

    def below(self, bound: int, stream: str, *keys: int | str) -> int:
        """An integer in [0, bound)."""
        ...

    def unit(self, stream: str, *keys: int | str) -> float:
        """A float in [0, 1). For delays and choices, never for money."""
        ...


class Recorder(Protocol):
    """Appends to the run's history. The runtime adds the time and the role's name to each record."""

    def record(self, kind: str, **fields: Json) -> None: ...


class RpcSession(Protocol):
    """One public client: a WebSocket connection, or one that cannot be told anything by itself (HTTP)."""

    @property
    def can_notify(self) -> bool: ...

    def notify(self, message: bytes) -> None:
        """Hand a JSON-RPC notification to the client; one that does not read is dropped, with all its subscriptions."""
        ...

    def drop(self, reason: str) -> None:
        """End the connection: what the client would be told next would mislead it."""
        ...


class RpcService(Protocol):
    """A role's public JSON-RPC interface; whoever has a connection to a client hands its requests here."""

    async def answer(self, body: bytes, session: RpcSession) -> bytes | None:
        """The reply to one JSON-RPC request or batch, or None where none is due. Raises nothing but cancellation."""
        ...

    def answer_now(self, body: bytes) -> bytes | None:
        """The reply where it is at hand and costs nothing to give; None: ask `answer`."""
        ...

    def closed(self, session: RpcSession) -> None:
        """The client is gone: forget its subscriptions."""
        ...


class PublicRpc(Protocol):
    """Where a runtime lets clients reach a node's JSON-RPC interface."""

    def serve(self, service: RpcService) -> None:
        """Answer clients with this, once; until then they are told that the node is starting."""
        ...


@dataclass(frozen=True, slots=True)
class LinkRule:
    """What one directed link does to its messages. The neutral rule changes nothing.

    Several rules on one link add up: delays add, probabilities combine, the smallest rate wins, any `cut` cuts.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    distribution: str = "uniform"  # uniform | normal | pareto | exponential; how jitter is drawn
    correlation: float = 0.0       # 0..1, netem's sense: how much a draw resembles the one before
    loss: float = 0.0              # probability a message vanishes
    duplicate: float = 0.0
    reorder: float = 0.0           # probability a message skips the delay and overtakes
    corrupt: float = 0.0           # probability a message arrives damaged (and is dropped by the receiver's check)
    rate_bps: int | None = None    # bits per second, serialising the link
    cut: bool = False              # nothing passes, in this direction
    via: Literal["proxy", "kernel"] = "proxy"  # who does it where roles have a kernel's namespace; else the proxy does


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """What a directed link has done since the run began; evidence that a fault bit."""

    messages: int = 0
    bytes: int = 0
    delayed: int = 0            # messages that a rule (not the base latency) held back
    delay_ms_total: float = 0.0  # added by rules, summed over `delayed`
    lost: int = 0               # dropped by loss, corruption or a cut
    refused: int = 0            # connection attempts turned away by a cut
    duplicated: int = 0
    reordered: int = 0
    corrupted: int = 0
    kernel_packets: int = 0     # packets that rules of the kernel saw; they are below messages
    kernel_dropped: int = 0     # of them, dropped; among `lost` too


OPERATOR = "operator"
"""The sender of an order: nobody in the network."""


class FaultControl(Protocol):
    """What a runtime can do to its roles and links. Every call is idempotent and has a bounded duration."""

    def roles(self) -> Sequence[str]: ...

    async def set_link(self, src: str, dst: str, rules: Mapping[str, LinkRule]) -> None:
        """Replace the fault rules of one directed link (fault id → rule); existing connections feel it at once."""
        ...

    async def link_counters(self, src: str, dst: str) -> LinkCounters: ...

    async def probe(self, src: str, dst: str, *, timeout: float) -> float | None:
        """Round-trip time in ms of a `ping` from src to dst over the real links, or None if none came back."""
        ...

    async def kill(self, role: str) -> None:
        """SIGKILL the role and its node; unflushed rows are lost."""
        ...

    async def start(self, role: str) -> None:
        """Start a killed role again from its store."""
        ...

    async def pause(self, role: str) -> None: ...

    async def resume(self, role: str) -> None: ...

    async def skew(self, role: str, *, offset_ms: float, drift_ppm: float = 0.0) -> None:
        """Shift what the role's `Clock.now` says, from this moment on; 0 and 0 heal it."""
        ...

    async def set_rpc(self, role: str, rules: Mapping[str, RpcRule]) -> None:
        """Replace what a node lies about (fault id → rule); it lies so in its next lives too."""
        ...

    async def rpc_counters(self, role: str) -> Mapping[str, RpcCounters]:
        """By fault; of a node that does not run, nothing."""
        ...

    async def order(self, role: str, kind: str, payload: Json, *, timeout: float) -> Json:
        """Tell a role to misbehave, past the network: its handler gets the message from `OPERATOR`.

        Raises:
            Refused: the role will not. Unreachable: it does not run, or did not answer in time.
        """
        ...

    async def is_alive(self, role: str) -> bool: ...

    async def clock_offset(self, role: str) -> float:
        """The role's measured wall-clock error in ms, asked of the role itself."""
        ...


# What only some runtimes can do to a role's machine. A plan that needs it of another is refused before it starts.


@runtime_checkable
class StopControl(Protocol):
    async def stop(self, role: str, *, grace_s: float) -> None:
        """Ask the role to end, and kill it if it has not within `grace_s`. `FaultControl.start` brings it back."""
        ...


@runtime_checkable
class DisconnectControl(Protocol):
    async def disconnect(self, role: str) -> None:
        """Take the role off its network; its process goes on. Idempotent."""
        ...

    async def connect(self, role: str) -> None:
        """Put it back, under the address it had. Idempotent."""
        ...


@runtime_checkable
class CpuControl(Protocol):
    async def limit_cpu(self, role: str, cores: float | None) -> None:
        """Let the role have so much of a processor from now on; None for what it had when it was born."""
        ...

    async def cpu_limit(self, role: str) -> float | None:
        """As the kernel or engine says; None for no limit."""
        ...

    async def cpu_throttled(self, role: str) -> int:
        """How many periods the kernel has held the role back in, since it started."""
        ...


@runtime_checkable
class DiskControl(Protocol):
    async def fill_disk(self, role: str) -> None:
        """Leave no room where the role's store is. That the role ends of it is no problem until `free_disk`."""
        ...

    async def free_disk(self, role: str) -> None: ...

    async def disk_room(self, role: str) -> int:
        """Bytes that can still be written there."""
        ...
