"""A tiny discrete-event world that runs Simplex validators under storms and watches the safety properties."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

from harness.consensus.effects import (
    Broadcast,
    BuildBlock,
    Effect,
    Equivocation,
    ExecuteBlock,
    Finalized,
    Notarized,
    PersistCertificate,
    PersistVote,
    RequestBlocks,
    RequestCertificates,
    SetTimer,
)
from harness.consensus.messages import Certificate, Message, Proposal, SignedVote, Vote, VoteKind
from harness.consensus.pacing import BACKOFF_CAP, RESEND_CAP
from harness.consensus.signing import vote_digest
from harness.consensus.simplex import Head, Simplex, Timing
from harness.rollup.blocks import Hash

MS = 1_000_000
CHAIN_ID = 901
TIMING = Timing(block_interval_ns=500 * MS, network_bound_ns=250 * MS)
CALM_DELAY_MS = (5, 60)
EXECUTION_MS = (1, 30)
MAX_EVENTS = 200_000
GENESIS = Head(0, 0, Hash("0x" + "11" * 32))


class PropertyViolated(Exception):
    """What a correct protocol never does was seen."""


def fake_sign(voter: str, digest: bytes) -> bytes:
    """A signature only this world understands, a hundred times cheaper than a real one."""
    return sha256(voter.encode() + digest).digest() * 2 + b"\x1b"


def fake_verify(digest: bytes, signature: bytes, voter: str) -> bool:
    return signature == fake_sign(voter, digest)


def block_hash_of(parent: Hash, height: int, payload: bytes) -> Hash:
    return Hash("0x" + sha256(f"{parent}/{height}/".encode() + payload).hexdigest())


def names(count: int) -> tuple[str, ...]:
    return tuple(f"0x{index + 1:040x}" for index in range(count))


class Digest(Protocol):
    """What `hashlib.sha256()` gives."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def recovery_bound_ms(count: int, stretch: int) -> int:
    """After synchrony: let the stretched timers run out, pass f faulty leaders, and finalize one honest view.

    The view under way and f faulty ones each last at most T2 + 3Δ·stretch, and a resend closes each within the resend
    cap; the honest leader then needs T2 and three message delays (≤ 3Δ), and so does the view that carries the news
    on. `stretch` is the largest back-off any honest node was at, which f more nullifications may double.
    """
    interval, bound = TIMING.block_interval_ns // MS, TIMING.network_bound_ns // MS
    faulty = (count - 1) // 3
    slow = interval + 3 * bound * min(BACKOFF_CAP, stretch << faulty) + RESEND_CAP * bound
    return (faulty + 1) * slow + 2 * (interval + 3 * bound)


@dataclass(frozen=True)
class Outage:
    node: int
    at_ms: int
    for_ms: int
    effects: int  # how many effects of its next answer the node still carries out before it dies


@dataclass(frozen=True)
class Split:
    at_ms: int
    for_ms: int
    side: int      # bit i set: node i is on the one side
    one_way: bool  # only messages from that side are cut


@dataclass(frozen=True)
class Storm:
    seed: int
    count: int = 4
    loss: int = 0        # per cent
    duplicate: int = 0   # per cent
    delay_ms: int = 60
    refuse: int = 0      # per cent of proposals an honest node abstains from
    byzantine: bool = False
    until_ms: int = 6_000
    outages: tuple[Outage, ...] = ()
    splits: tuple[Split, ...] = ()


def random_storm(seed: int, count: int = 4) -> Storm:
    """A storm with a random subset of the faults, for campaigns over plain seeds."""
    draw = random.Random(seed)
    def some(most: int) -> int:
        return draw.choice((0, draw.randrange(most + 1)))
    byzantine = draw.random() < 0.5 and count >= 4  # fewer tolerate none
    return Storm(
        seed, count, loss=some(30), duplicate=some(20), delay_ms=draw.choice((60, 300, 900)), refuse=some(20),
        byzantine=byzantine,
        outages=tuple(
            Outage(draw.randrange(count), draw.randrange(5_000), draw.randrange(100, 1_500), draw.randrange(8))
            for _ in range(some(8))
        ),
        splits=tuple(
            Split(draw.randrange(5_000), draw.randrange(200, 2_000), draw.randrange(2**count),
                  draw.random() < 0.5)
            for _ in range(some(3))
        ),
    )


@dataclass
class Disk:
    """The store of one node: what was put since the last flush dies with it."""

    votes: dict[tuple[int, VoteKind], SignedVote] = field(default_factory=dict)
    certificates: dict[tuple[VoteKind, int], Certificate] = field(default_factory=dict)
    pending: dict[tuple[VoteKind, int], Certificate] = field(default_factory=dict)
    blocks: dict[Hash, tuple[int, Hash]] = field(default_factory=dict)  # executed: (height, parent), parents first
    finalized: Head = GENESIS
    finalizations: dict[int, Certificate] = field(default_factory=dict)  # by the height they were signed for
    flushed_finalized: Head = GENESIS
    flushed_blocks: int = 0

    def flush(self) -> None:
        self.certificates.update(self.pending)
        self.pending.clear()
        self.flushed_finalized = self.finalized
        self.flushed_blocks = len(self.blocks)

    def lose_unflushed(self) -> None:
        self.pending.clear()
        self.finalized = self.flushed_finalized
        self.blocks = dict(list(self.blocks.items())[:self.flushed_blocks])


class Node:
    """A driver: carries out effects in order, and may die between any two of them."""

    def __init__(self, world: World, index: int, machine: type[Simplex], *, targets: Sequence[int] | None = None,
                 flavour: str = "") -> None:
        self.world, self.index, self.kind, self.flavour = world, index, machine, flavour
        self.name = world.names[index]
        self.targets = [peer for peer in range(world.storm.count) if peer != index] if targets is None else targets
        self.honest = not flavour
        self.disk = Disk()
        self.life = 0        # of this process; events of an earlier life are dropped
        self.alive = False
        self.dies_after: int | None = None
        self.notarized_view = 0

    def boot(self, *, floor_view: int = 0) -> None:
        self.alive = True
        self.life += 1
        self.disk.lose_unflushed()
        self.notarized_view = 0
        self.simplex = self.kind(
            chain_id=CHAIN_ID, validators=self.world.names, me=self.name, sign=partial(fake_sign, self.name),
            timing=TIMING, finalized=self.disk.finalized, votes=self.disk.votes.values(),
            certificates=self.disk.certificates.values(), floor_view=floor_view, verify=fake_verify,
        )
        self.do(self.simplex.start(self.world.now))
        for block_hash, (height, parent) in list(self.disk.blocks.items()):
            if self.alive and height > self.disk.finalized.height:
                self.do(self.simplex.on_block_executed(
                    height=height, block_hash=block_hash, parent_hash=parent, now=self.world.now))

    def crash(self) -> None:
        self.alive = False
        self.dies_after = None
        self.world.crashes += 1

    def later(self, after_ns: int, action: Callable[[], list[Effect] | None]) -> None:
        life = self.life
        def run() -> None:
            if self.alive and self.life == life:
                effects = action()
                if effects:
                    self.do(effects)
        self.world.at(self.world.now + after_ns, run)

    def receive(self, message: Message) -> None:
        if self.alive:
            self.world.steps += 1
            self.do(self.simplex.on_message(message, self.world.now))

    def do(self, effects: list[Effect]) -> None:
        if self.world.transcript is not None:
            self.world.transcript.update(f"{self.world.now} {self.index}{self.flavour} {effects!r}\n".encode())
        for effect in effects:
            if self.dies_after is not None:
                if self.dies_after == 0:
                    self.crash()
                    return
                self.dies_after -= 1
            self.act(effect)

    def act(self, effect: Effect) -> None:
        world, disk = self.world, self.disk
        match effect:
            case PersistVote(vote=signed):
                disk.flush()
                disk.votes[signed.vote.view, signed.vote.kind] = signed
                if self.honest:
                    world.saw_signature(self, signed.vote)
            case PersistCertificate(certificate=certificate):
                disk.pending[certificate.kind, certificate.view] = certificate
                if self.honest:
                    world.saw_certificate(certificate)
            case Broadcast(message=message):
                if self.honest and isinstance(message, SignedVote):
                    vote = message.vote
                    if disk.votes.get((vote.view, vote.kind)) != message:
                        raise PropertyViolated(f"{self.index} sent {vote} before it was durable")
                for peer in self.targets:
                    world.send(self.index, peer, message)
            case SetTimer(view=view, kind=kind, after_ns=after):
                self.later(after, lambda: self.simplex.on_timeout(view, kind, world.now))
            case BuildBlock():
                self.later(max(0, effect.not_before_ns - world.now) + world.execution_ns(), partial(self.build, effect))
            case ExecuteBlock(proposal=proposal, certified=certified):
                self.later(world.execution_ns(), partial(self.execute, proposal, certified))
            case RequestBlocks():
                world.request_blocks(self, effect)
            case RequestCertificates(views=views):
                for peer in self.targets:
                    world.request_certificates(self, peer, views)
            case Notarized():
                if self.honest and effect.block_hash not in disk.blocks:
                    raise PropertyViolated(f"{self.index} labels {effect.block_hash} unsafe before executing it")
                if self.honest and effect.view <= self.notarized_view:
                    raise PropertyViolated(f"{self.index} moves its unsafe head back to view {effect.view}")
                self.notarized_view = effect.view
            case Finalized():
                if self.honest:
                    world.saw_finalized(self, effect)
                disk.finalized = Head(effect.view, effect.height, effect.block_hash)
                disk.finalizations[effect.certificate.height] = effect.certificate
            case Equivocation():
                if world.names.index(effect.voter) != world.byzantine:
                    raise PropertyViolated(f"evidence against honest node {effect.voter}: {effect}")
                world.evidence += 1
            case _:
                pass

    def build(self, order: BuildBlock) -> list[Effect]:
        payload = f"{order.view}{self.flavour}".encode()
        block_hash = block_hash_of(order.parent_hash, order.height, payload)
        self.disk.blocks[block_hash] = (order.height, order.parent_hash)
        return self.simplex.on_block_built(
            order.view, parent_hash=order.parent_hash, block_hash=block_hash, payload=payload, now=self.world.now)

    def execute(self, proposal: Proposal, certified: bool) -> list[Effect]:
        parent = proposal.parent_hash
        if self.honest and parent not in self.disk.blocks and parent != GENESIS.block_hash:
            raise PropertyViolated(f"{self.index} is asked to execute on {parent}, which it never executed")
        executed = block_hash_of(parent, proposal.height, proposal.payload) == proposal.block_hash
        refusal = None if certified or not self.world.refuses() else "origin not known"
        if executed:
            self.disk.blocks.setdefault(proposal.block_hash, (proposal.height, parent))
        return self.simplex.on_executed(
            proposal.view, proposal.block_hash, executed=executed, refusal=refusal, now=self.world.now)

    def chain(self, tip: Hash, down_to: int) -> list[tuple[Hash, int, Hash]] | None:
        found: list[tuple[Hash, int, Hash]] = []
        while tip in self.disk.blocks and self.disk.blocks[tip][0] >= down_to:
            height, parent = self.disk.blocks[tip]
            found.append((tip, height, parent))
            tip = parent
        return found[::-1] if found and found[-1][1] == down_to else None

    def take_blocks(self, blocks: list[tuple[Hash, int, Hash]]) -> None:
        for block_hash, height, parent in blocks:
            if self.alive:
                self.disk.blocks.setdefault(block_hash, (height, parent))
                self.do(self.simplex.on_block_executed(
                    height=height, block_hash=block_hash, parent_hash=parent, now=self.world.now))


class TwoFaced(Simplex):
    """A Byzantine half: signs whatever it is asked to, however it contradicts itself."""

    def _may(self, kind: VoteKind, view: int) -> bool:
        return kind not in self._own.of(view)


class World:
    """Validators, the links between them, and what an outside observer would call a violation."""

    def __init__(
        self, storm: Storm, machine: type[Simplex] = Simplex, *, forgets_votes: bool = False,
        page_max: int | None = None, pages_are_finalized: bool = True, transcript: Digest | None = None,
    ) -> None:
        self.storm, self.forgets_votes, self.transcript = storm, forgets_votes, transcript
        self.page_max, self.pages_are_finalized = page_max, pages_are_finalized
        self.pages = 0
        self.names = names(storm.count)
        self.random = random.Random(storm.seed)
        self.now = 0
        self.healed = False
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.sequence = self.steps = self.crashes = self.evidence = 0
        self.chain: dict[int, Hash] = {}
        self.signed: dict[tuple[int, int], dict[VoteKind, Vote]] = {}
        self.last_view: dict[int, int] = {}
        self.nullified: dict[int, None] = {}
        self.finalized_views: dict[int, None] = {}
        self.byzantine = storm.count - 1 if storm.byzantine and storm.count > 1 else None
        honest = [index for index in range(storm.count) if index != self.byzantine]
        self.honest = [Node(self, index, machine) for index in honest]
        self.twins: list[Node] = []
        if self.byzantine is not None:
            cut = 1 + storm.seed % (len(honest) - 1)
            self.twins = [
                Node(self, self.byzantine, TwoFaced, targets=honest[:cut], flavour="left"),
                Node(self, self.byzantine, TwoFaced, targets=honest[cut:], flavour="right"),
            ]
        self.nodes: dict[int, list[Node]] = {node.index: [node] for node in self.honest}
        if self.byzantine is not None:
            self.nodes[self.byzantine] = self.twins
        for node in (*self.honest, *self.twins):
            self.at(0, node.boot)
        for outage in storm.outages:
            if outage.node != self.byzantine:
                self.at(outage.at_ms * MS, partial(self.start_outage, outage))

    # ---- time

    def at(self, when: int, action: Callable[[], None]) -> None:
        self.sequence += 1
        heapq.heappush(self.queue, (when, self.sequence, action))

    def run(self, until_ms: int, done: Callable[[], bool] = lambda: False) -> None:
        for _ in range(MAX_EVENTS):
            if not self.queue or self.queue[0][0] > until_ms * MS or done():
                break
            self.now, _, action = heapq.heappop(self.queue)
            action()
        else:
            raise PropertyViolated(f"{MAX_EVENTS} events without reaching {until_ms} ms: a livelock")
        if not done():
            self.now = until_ms * MS

    def execution_ns(self) -> int:
        return self.random.randint(*EXECUTION_MS) * MS

    def refuses(self) -> bool:
        return not self.healed and self.random.randrange(100) < self.storm.refuse

    # ---- faults

    def start_outage(self, outage: Outage) -> None:
        node = self.nodes[outage.node][0]
        if node.alive and not self.healed:
            node.dies_after = outage.effects
            self.at(self.now + outage.for_ms * MS, partial(self.end_outage, node))

    def end_outage(self, node: Node) -> None:
        node.dies_after = None
        if not node.alive:
            if self.forgets_votes:
                node.disk.votes.clear()
                node.disk.certificates.clear()
            node.boot()

    def heal(self) -> None:
        """Synchrony from here on: every honest node up, every message on time."""
        self.healed = True
        for node in self.honest:
            self.end_outage(node)

    def delay_ns(self, source: int, target: int) -> list[int]:
        """When a message arrives: not at all, once or twice."""
        low, high = CALM_DELAY_MS
        storm = self.storm
        if self.healed:
            return [self.random.randint(low, high) * MS]
        at = self.now // MS
        for split in storm.splits:
            if split.at_ms <= at < split.at_ms + split.for_ms:
                here, there = split.side >> source & 1, split.side >> target & 1
                if here != there and (here or not split.one_way):
                    return []
        if self.random.randrange(100) < storm.loss:
            return []
        copies = 2 if self.random.randrange(100) < storm.duplicate else 1
        return [self.random.randint(low, max(high, storm.delay_ms)) * MS for _ in range(copies)]

    # ---- links

    def send(self, source: int, target: int, message: Message) -> None:
        for delay in self.delay_ns(source, target):
            for node in self.nodes[target]:
                self.at(self.now + delay, partial(node.receive, message))
        if target == self.byzantine:
            self.lie(message)

    def lie(self, message: Message) -> None:
        """The Byzantine node signs everything it hears of, and its opposite, to everyone."""
        if self.byzantine is None or not isinstance(message, SignedVote | Proposal):
            return
        if isinstance(message, Proposal):
            view, height, block_hash = message.view, message.height, message.block_hash
        else:
            view, height, block_hash = message.vote.view, message.vote.height, message.vote.block_hash
        name = self.names[self.byzantine]
        for kind in VoteKind:
            if self.random.random() < 0.3:
                vote = Vote.nullify(view) if kind is VoteKind.NULLIFY else Vote(kind, view, height, block_hash)
                signed = SignedVote(vote, name, fake_sign(name, vote_digest(CHAIN_ID, vote)))
                target = self.random.choice(self.honest)
                for delay in self.delay_ns(self.byzantine, target.index):
                    self.at(self.now + delay, partial(target.receive, signed))

    def ask(self, node: Node, peer: int, answer: Callable[[Node], Callable[[], Any] | None]) -> None:
        """A request and its reply, each over a faulty link; the reply acts on the asking life only."""
        life = node.life
        def arrive() -> None:
            reply = answer(self.nodes[peer][0]) if self.nodes[peer][0].alive else None
            if reply is not None:
                for back in self.delay_ns(peer, node.index)[:1]:
                    self.at(self.now + back, partial(land, reply))
        def land(reply: Callable[[], Any]) -> None:
            if node.alive and node.life == life:
                reply()
        for there in self.delay_ns(node.index, peer)[:1]:
            self.at(self.now + there, arrive)

    def request_blocks(self, node: Node, wanted: RequestBlocks) -> None:
        for name in wanted.peers[:2]:
            self.request_page(node, self.names.index(name), wanted)

    def request_page(self, node: Node, peer: int, wanted: RequestBlocks) -> None:
        """The first `page_max` blocks (all, if that is None) and the newest finalization of one of them; then on."""
        def answer(other: Node) -> Callable[[], Any] | None:
            chain = other.chain(wanted.tip_hash, wanted.from_height)
            if chain is None:
                return None
            page = chain[:self.page_max]
            held = [other.disk.finalizations[row[1]] for row in page if row[1] in other.disk.finalizations]
            is_paged = self.page_max is not None and self.pages_are_finalized
            return partial(take, page, held[-1] if held and is_paged else None)
        def take(page: list[tuple[Hash, int, Hash]], finalization: Certificate | None) -> None:
            node.take_blocks(page)
            if finalization is not None:
                node.receive(finalization)
            if node.alive and page[-1][1] < wanted.tip_height:
                self.pages += 1
                self.request_page(node, peer, replace(wanted, from_height=page[-1][1] + 1))
        self.ask(node, peer, answer)

    def request_certificates(self, node: Node, peer: int, views: tuple[int, ...]) -> None:
        def answer(other: Node) -> Callable[[], Any] | None:
            found = other.simplex.certificates_for(views)
            def take() -> None:
                for certificate in found:
                    node.receive(certificate)
            return take
        self.ask(node, peer, answer)

    # ---- properties

    def saw_signature(self, node: Node, vote: Vote) -> None:
        """Once per vote signed, across crashes, whether or not it ever left the node."""
        said = self.signed.setdefault((node.index, vote.view), {})
        if vote.view < self.last_view.get(node.index, 0):
            raise PropertyViolated(f"{node.index} voted in view {vote.view} after {self.last_view[node.index]}")
        self.last_view[node.index] = vote.view
        if said.setdefault(vote.kind, vote) != vote:
            raise PropertyViolated(f"{node.index} signed {said[vote.kind]} and {vote}")
        if VoteKind.NULLIFY in said and VoteKind.FINALIZE in said:
            raise PropertyViolated(f"{node.index} signed nullify and finalize in view {vote.view}")

    def saw_certificate(self, certificate: Certificate) -> None:
        if certificate.kind is VoteKind.NULLIFY:
            self.nullified[certificate.view] = None
        elif certificate.kind is VoteKind.FINALIZE:
            self.finalized_views[certificate.view] = None
        if certificate.view in self.nullified and certificate.view in self.finalized_views:
            raise PropertyViolated(f"view {certificate.view} is nullified and finalized")

    def saw_finalized(self, node: Node, effect: Finalized) -> None:
        before = node.disk.finalized
        if effect.height != before.height + 1:
            raise PropertyViolated(f"{node.index} finalized height {effect.height} after {before.height}")
        if node.disk.blocks.get(effect.block_hash, (0, ""))[1] != before.block_hash:
            raise PropertyViolated(f"{node.index} finalized {effect.block_hash}, no child of {before.block_hash}")
        if self.chain.setdefault(effect.height, effect.block_hash) != effect.block_hash:
            raise PropertyViolated(f"two blocks are finalized at height {effect.height}")

    @property
    def top(self) -> int:
        return max(self.chain, default=0)

    def weather(self) -> None:
        """The storm, then synchrony: every honest node must finalize something new within the bound."""
        self.run(self.storm.until_ms)
        self.heal()
        top, bound = self.top, recovery_bound_ms(
            self.storm.count, max(node.simplex.backoff for node in self.honest)
        )
        def recovered() -> bool:
            return all(node.disk.finalized.height > top for node in self.honest)
        self.run(self.storm.until_ms + bound, recovered)
        if not recovered():
            heights = {node.index: (node.simplex.view, node.disk.finalized.height) for node in self.honest}
            raise PropertyViolated(f"no finalization above {top} within {bound} ms of synchrony: {heights}")


def digest_of_effects(storm: Storm, machine: type[Simplex] = Simplex) -> str:
    """One line of hex for everything that every validator answered in a storm and after it."""
    transcript = sha256()
    World(storm, machine, transcript=transcript).weather()
    return transcript.hexdigest()
