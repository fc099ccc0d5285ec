"""Relayers: what L1's bridge sent arrives on L2 once, whoever of them lives, and nothing that L1 has dropped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from world import L1, SET, LastingEngines, Run, StageSet, World, run_world

from harness.scenario.planning import plan_from_file
from harness.scenario.stage import SIM_GENESIS_TIMESTAMP, set_stage

pytestmark = pytest.mark.node

SCENARIO = """\
version: 1
name: relaying
seed: 5
network: {l1: {followers: 0}, l2: {sequencers: 4, replicas: 0}, relayers: 2}
market: {ETH: {knots: {0s: 200, 20s: 200}}}
products: [{id: ETH-F1, kind: future, underlying: ETH, expires: 200s}]
bridge: {deposits: 1/s, careless: 0.5}
workload: {traders: 3, rate: 1/s, leverage: [2, 8], start: 150s, stop: 16s}
storm: 250s
"""
TRADERS = ("trader-0", "trader-1", "trader-2")
EVERYBODY = (*L1, *SET, "maker-0", *TRADERS)
ARRIVES_S = 60.0
"""A message is final some 30 s after it was sent; the last is sent after some 16 s."""


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> StageSet:
    file = tmp_path_factory.mktemp("relaying") / "plan.yaml"
    file.write_text(SCENARIO)
    plan = plan_from_file(file)
    return StageSet(plan, set_stage(plan, genesis_timestamp=SIM_GENESIS_TIMESTAMP))


@pytest.fixture(scope="module")
def bridged(staged: StageSet) -> Iterator[Run]:
    lasting = LastingEngines(staged)
    try:
        yield lambda story, *roles, **options: run_world(staged, lasting, story, roles, **options)
    finally:
        lasting.end()


def sent(world: World) -> list[str]:
    """Ids of the messages of every L1 block ever built."""
    return [e["args"]["id"] for record in world.records("block", "l1-0") for e in record.fields["events"]
            if e["name"] == "MessageSent"]


def done(world: World, name: str = "MessageExecuted") -> list[str]:
    """Ids in events of that name on the longest committed chain."""
    node = world.node(max(SET, key=world.height))
    chain = {block.hash for block in node.chain.committed_range(1, node.chain.heads.committed.number)}
    blocks = {record.fields["hash"]: record.fields for record in world.records("block", "sequencer-*")}
    return [e["args"]["id"] for hash_ in chain if hash_ in blocks for e in blocks[hash_]["events"] if e["name"] == name]


def planned(world: World) -> int:
    return sum(op.action == "bridge" for trader, ops in world.plan.operations for op in ops if trader in TRADERS)


def test_every_message_arrives_once_though_a_relayer_never_lives_and_the_other_dies(bridged: Run) -> None:
    """V7 and B1, B6: one honest relayer is enough, and its next life knows what its last one did from the chains."""

    async def story(world: World) -> None:
        await world.until(lambda: done(world), within=ARRIVES_S)
        await world.kill("relayer-1")
        await world.settle(3)
        before = len(done(world))
        await world.start("relayer-1")
        await world.until(lambda: len(done(world)) == planned(world), within=ARRIVES_S)
        assert before < planned(world)
        assert sorted(done(world)) == sorted(sent(world))
        assert len(set(done(world))) == planned(world) > len(TRADERS)
        failed = done(world, "MessageFailed")
        assert failed
        assert set(failed) <= set(done(world))
        await world.settle(5)
        assert len(done(world)) == planned(world)

    bridged(story, *EVERYBODY, "relayer-0", "relayer-1", idle=["maker-0", "relayer-0"])


def test_what_l1_drops_is_not_delivered_and_what_it_takes_back_is_delivered_once(bridged: Run) -> None:
    """B5: both relayers have read the message, and neither delivers what is on no L1 chain any more."""

    async def reorg(world: World, *, drops: bool) -> set[str]:
        """Ids that L1's two newest blocks had."""
        height = world.roles["l1-0"].chain.height
        recent = {e["args"]["id"] for record in world.records("block", "l1-0") if record.fields["number"] > height - 2
                  for e in record.fields["events"] if e["name"] == "MessageSent"}
        await world.runtime.order("l1-0", "reorg", {"depth": 2, "drops": drops}, timeout=1)
        return recent

    async def story(world: World) -> None:
        await world.until(lambda: len(sent(world)) >= len(TRADERS), within=20)
        lost = await reorg(world, drops=True)
        await world.until(lambda: len(set(sent(world)) - lost) >= 3, within=20)
        await reorg(world, drops=False)
        await world.settle(ARRIVES_S)
        stands = {e["args"]["id"] for record in world.records("block", "l1-0")
                  if record.fields["hash"] in {b.hash for b in world.roles["l1-0"].chain.blocks}
                  for e in record.fields["events"] if e["name"] == "MessageSent"}
        assert lost - stands
        assert stands
        arrived = done(world)
        assert sorted(arrived) == sorted(stands)

    bridged(story, *EVERYBODY, "relayer-0", "relayer-1", idle=["maker-0"])
