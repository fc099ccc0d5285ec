"""Reporters take turns, sign one price a round for ever, and are not misled by a liar among them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from world import L1, STRANGER, Run, World

from harness.evm.accounts import REPORTERS, account
from harness.evm.wallet import sign_observation
from harness.plan import L2_CHAIN_ID, GovernanceStep, Knot, Plan
from harness.ports import Json, LinkRule
from harness.roles.market import WAD

pytestmark = pytest.mark.node

REPORTERS_FOUR = tuple(f"reporter-{index}" for index in range(4))
NODES = (*L1, "sequencer-0", *REPORTERS_FOUR)


def pushes(world: World, *, since: float = 0.0) -> list[tuple[str, int]]:
    """(who, round) of each push that landed."""
    done = {op.fields["id"] for op in world.records("op", action="push-price", phase="ok")}
    begun = world.records("op", action="push-price", phase="invoke")
    return [(op.node, int(op.fields["args"]["round"])) for op in begun if op.fields["id"] in done and op.t >= since]


async def pushed(world: World, count: int, *, within: float, since: float = 0.0) -> list[tuple[str, int]]:
    await world.until(lambda: len(pushes(world, since=since)) >= count, within=within, what=f"{count} pushes")
    return pushes(world, since=since)


def test_a_flat_price_is_pushed_at_every_heartbeat_by_one_reporter(run: Run) -> None:
    async def story(world: World) -> None:
        heartbeat = world.plan.profile.oracle_heartbeat_s
        found = await pushed(world, 3, within=3 * heartbeat + 5)
        rounds = [number for _, number in found]
        assert all(heartbeat <= b - a <= heartbeat + 2 for a, b in pairwise(rounds)), rounds
        assert len(world.records("op", action="push-price", phase="invoke")) == 3, "nobody else tried"

    run(story, *NODES)


def test_the_turn_moves_on_when_the_first_sender_is_cut_off(run: Run) -> None:
    async def story(world: World) -> None:
        ((_, first),) = await pushed(world, 1, within=8)
        due = first + world.plan.profile.oracle_heartbeat_s
        for at in (due, due + 1):  # whichever of the two rounds it falls due in
            await world.isolate(f"reporter-{at % 4}", "sequencer-0")
        cut = {f"reporter-{at % 4}" for at in (due, due + 1)}
        found = await pushed(world, 2, within=20)
        who, number = found[1]
        assert who not in cut
        assert due < number <= due + 6

    run(story, *NODES)


def falling(plan: Plan) -> Plan:
    return replace(plan, markets=(("ETH", (Knot(0, 200 * WAD), Knot(30 * 10**9, 100 * WAD))),))


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_reporter_never_signs_a_second_price_for_a_round(run: Run, is_restarted: bool) -> None:
    """Its clock falls back five seconds while the price moves; what it signed outlives it."""

    async def story(world: World) -> None:
        name = "reporter-1"
        await world.settle(8)
        await world.runtime.skew(name, offset_ms=-5_000)
        if is_restarted:
            await world.kill(name)
            await world.start(name)
        await world.settle(10)
        rounds = [int(record.fields["round"]) for record in world.records("observation", name)]
        assert len(rounds) == len(set(rounds))
        assert max(rounds) >= 10, "it goes on with rounds it had not signed"

    run(story, *NODES, change=falling)


def observation(world: World, number: int, price: int, *, signer: int, asset: str = "ETH", shift: int = 0) -> Json:
    timestamp = world.stage.genesis_timestamp + number + shift
    signature = sign_observation(
        account(signer).key, chain_id=L2_CHAIN_ID, feed=world.stage.deployment["price_feed"], asset=asset.encode(),
        round_=number, timestamp=timestamp, price=price,
    )  # fmt: skip
    return {
        "asset": asset, "round": number, "timestamp": timestamp, "price": str(price), "signature": signature.hex(),
    }  # fmt: skip


def test_a_false_observation_is_not_counted(run: Run) -> None:
    """A bad signature, a foreign signer, a timestamp of another round, an unknown asset, no price at all."""

    async def story(world: World) -> None:
        await world.kill("reporter-3")  # or its true observations would stand before the false ones
        await world.settle(4.5)
        number, true = 4, REPORTERS.start + 3
        held = world.roles["reporter-0"].rounds[("ETH", number)].observations
        before = dict(held)
        foreign = observation(world, number, WAD, signer=STRANGER)
        lies = [
            {**observation(world, number, WAD, signer=true), "signature": "11" * 65},
            {**observation(world, number, WAD, signer=true), "price": "5"},
            foreign,
            observation(world, number, WAD, signer=true, shift=1),
            observation(world, number, WAD, signer=true, asset="BTC"),
        ]
        for lie in lies:
            await world.ask("l1-0", "reporter-0", "observation", lie)
        assert dict(held) == before
        assert set(world.roles["reporter-0"].rounds) == {("ETH", each) for each in range(1, number + 1)}

    run(story, *NODES)


def test_the_first_price_of_a_signer_for_a_round_stands(run: Run) -> None:
    async def story(world: World) -> None:
        await world.settle(4.5)
        liar = account(REPORTERS.start + 3).address
        held = world.roles["reporter-0"].rounds[("ETH", 4)].observations
        first = held[liar]
        await world.ask("l1-0", "reporter-0", "observation", observation(world, 4, 7 * WAD, signer=REPORTERS.start + 3))
        assert held[liar] == first

    run(story, *NODES)


@pytest.mark.parametrize("price", [0, -WAD])
def test_a_price_the_feed_refuses_does_not_spoil_a_push(run: Run, price: int) -> None:
    """One such price in a submission makes all of it revert."""

    async def story(world: World) -> None:
        ((_, first),) = await pushed(world, 1, within=8)
        due = first + world.plan.profile.oracle_heartbeat_s
        await world.kill("reporter-3")
        for number in range(due, due + 4):
            await world.until(lambda number=number: world.now >= number - 0.5, within=20)
            for name in REPORTERS_FOUR[:3]:
                lie = observation(world, number, price, signer=REPORTERS.start + 3)
                await world.ask("l1-0", name, "observation", lie)
        await pushed(world, 2, within=8)
        assert not world.records("op", action="push-price", phase="fail")

    run(story, *NODES)


def test_an_observation_of_a_far_round_pushes_nothing_out(run: Run) -> None:
    """A signer may name any round; what honest reporters need now must not make room for it."""

    async def story(world: World) -> None:
        await world.settle(4.5)
        rounds = world.roles["reporter-0"].rounds
        before = set(rounds)
        for number in (10**6, 10**9, 400):
            lie = observation(world, number, WAD, signer=REPORTERS.start + 3)
            await world.ask("l1-0", "reporter-0", "observation", lie)
        assert set(rounds) == before

    run(story, *NODES)


def test_what_a_reporter_keeps_is_bounded(run: Run) -> None:
    async def story(world: World) -> None:
        await world.settle(60)
        assert len(world.roles["reporter-0"].rounds) <= 32

    run(story, *NODES)


def test_a_lost_reply_does_not_stop_the_next_push(run: Run) -> None:
    async def story(world: World) -> None:
        await pushed(world, 1, within=8)
        await world.rule("sequencer-0", "reporter-*", LinkRule(loss=0.3))
        await pushed(world, 4, within=90)

    run(story, *NODES)


def reshuffled(plan: Plan) -> Plan:
    """Reporter 3 is announced to go at 1 s, which is done 21 s later, and to come back 12 s after that."""
    steps = (GovernanceStep(10**9, "remove-reporter", reporter="reporter-3"),
             GovernanceStep(13 * 10**9, "add-reporter", reporter="reporter-3"))
    # The price moves by more than the deviation that must be pushed, every second.
    return replace(plan, governance=steps, markets=(("ETH", (Knot(0, 200 * WAD), Knot(60 * 10**9, 110 * WAD))),))


def test_rounds_go_on_without_a_reporter_that_was_removed_and_with_it_once_it_is_back(run: Run) -> None:
    """Its signature makes a submission revert: each sender meets that once, leaves it out, and asks for it later."""

    def sources(world: World, *, since: float) -> list[int]:
        done = {op.fields["id"] for op in world.records("op", action="push-price", phase="ok")}
        return [int(op.fields["args"]["sources"]) for op in world.records("op", action="push-price", phase="invoke")
                if op.fields["id"] in done and op.t >= since]

    async def story(world: World) -> None:
        def done(action: str) -> bool:
            return bool(world.records("op", action=f"execute-{action}-reporter", phase="ok"))

        await world.until(lambda: done("remove"), within=30, what="the removal")
        removed = world.now
        assert set(sources(world, since=removed - 10)) == {4}
        await world.until(lambda: len(sources(world, since=removed)) >= 6, within=12, what="six pushes without it")
        assert set(sources(world, since=removed + 1)) == {3}
        await world.until(lambda: done("add"), within=20, what="the return")
        back = world.now
        await world.until(lambda: 4 in sources(world, since=back), within=8, what="a push with all four")
        await world.settle(6)
        assert set(sources(world, since=back + 5)) == {4}
        refused = world.records("op", action="push-price", phase="fail")
        assert all("UnknownReporter" in str(op.fields["detail"]["reason"]) for op in refused)
        assert 1 <= len(refused) == len({op.node for op in refused}), "each sender learns it once"

    run(story, *NODES, "admin-0", change=reshuffled)
