"""Keepers, the maker, traders and the admin: each thing is done once, by whoever is there to do it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world import L1, Run, World, Written

from harness.plan import Knot, Plan, PlannedOperation
from harness.ports import LinkRule, PortError
from harness.roles.keeper import PATIENCE_BLOCKS, Keeper
from harness.roles.maker import NONCE_RESERVE
from harness.roles.market import WAD

pytestmark = pytest.mark.node

CUT = LinkRule(cut=True)
REPORTERS = tuple(f"reporter-{index}" for index in range(4))
NODES = (*L1, "sequencer-0", *REPORTERS, "keeper-0", "keeper-1", "maker-0", "trader-0", "admin-0")
OPEN_S = 8


def crash_of_the_market(plan: Plan) -> Plan:
    """trader-0 is long eight times its money when the price falls by a fifth."""
    deposit = next(op for op in dict(plan.operations)["trader-0"] if op.action == "deposit")
    script = (
        replace(deposit, at_ns=3 * 10**9),
        PlannedOperation("trader-0/open", OPEN_S * 10**9, "open", "ETH-F1", 1, 8_000, 0, 0),
    )
    path = tuple(Knot(at * 10**9, price * WAD) for at, price in ((0, 200), (14, 200), (18, 160)))
    return replace(plan, markets=(("ETH", path),), operations=(("trader-0", script),))


def ops(world: World, action: str, phase: str, node: str = "*") -> list[Written]:
    return world.records("op", node, action=action, phase=phase)


def in_charge(world: World) -> tuple[str, str]:
    """Whose share trader-0's account is, and the other keeper."""
    keeper = world.roles["keeper-0"]
    assert isinstance(keeper, Keeper)
    share = keeper.accounts.index(world.stage.accounts["trader-0"]) % 2
    return f"keeper-{share}", f"keeper-{1 - share}"


async def opened(world: World) -> None:
    await world.until(lambda: ops(world, "open", "ok"), within=12, what="the position is open")


def test_two_keepers_do_not_race_for_an_account(run: Run) -> None:
    async def story(world: World) -> None:
        await opened(world)
        mine, _ = in_charge(world)
        await world.until(lambda: ops(world, "liquidate", "ok"), within=20)
        # The price goes on falling, so the account falls due again; the first time belongs to one of them alone.
        first = ops(world, "liquidate", "ok")[0].t
        assert [op.node for op in ops(world, "liquidate", "invoke") if op.t <= first] == [mine]

    run(story, *NODES, change=crash_of_the_market)


def test_the_other_keeper_takes_over_when_one_is_cut_off(run: Run) -> None:
    """After its patience, and not before."""

    async def story(world: World) -> None:
        await opened(world)
        mine, other = in_charge(world)
        await world.isolate(mine)
        await world.until(lambda: ops(world, "liquidate", "ok"), within=25)
        assert {op.node for op in ops(world, "liquidate", "invoke")} == {other}
        assert len(ops(world, "liquidate", "invoke")) == 1
        (due,) = world.records("notice", event="first-liquidatable")
        waited = ops(world, "liquidate", "invoke")[0].t - due.t
        block_s = world.plan.profile.l2_block_ms / 1000
        assert (PATIENCE_BLOCKS - 1) * block_s <= waited <= (PATIENCE_BLOCKS + 3) * block_s

    run(story, *NODES, change=crash_of_the_market)


def test_a_keeper_killed_in_its_deposit_pays_in_once(run: Run) -> None:
    """The replies of its first life are lost; the second offers the same transaction."""
    interrupted(run, "keeper-0")


def test_a_maker_killed_in_its_deposit_pays_in_once(run: Run) -> None:
    interrupted(run, "maker-0")


def interrupted(run: Run, name: str) -> None:
    async def story(world: World) -> None:
        await world.rule("sequencer-0", name, CUT)
        await world.settle(4)
        await world.kill(name)
        await world.heal()
        await world.start(name)
        await world.until(lambda: ops(world, "deposit", "ok", name), within=12)
        await world.settle(2)
        deposits = [r for r in world.sent_by(name) if r.to == world.stage.deployment["vault"]]
        assert [r.succeeded for r in deposits] == [True]
        assert world.disk(name).tables["account"].rows

    run(story, *NODES)


def test_clients_that_find_no_gateway_at_first_pay_in_when_there_is_one(run: Run) -> None:
    """Without collateral a keeper can take nothing over and a maker sells nothing: they do not go on without."""

    async def story(world: World) -> None:
        await world.kill("sequencer-0")
        await world.settle(25)
        assert not world.records("op", phase="fail")
        await world.start("sequencer-0")
        for name in ("keeper-0", "maker-0"):
            await world.until(lambda name=name: ops(world, "deposit", "ok", name), within=20)

    run(story, *L1, "sequencer-0", "keeper-0", "maker-0", "admin-0")


async def quotes(world: World, count: int) -> list[int]:
    nonces = []
    for _ in range(count):
        reply = await world.ask("l1-0", "maker-0", "quote", {"product": "ETH-F1", "size": str(WAD)})
        nonces.append(int(reply["nonce"]))
    return nonces


def test_a_maker_never_uses_a_nonce_twice_across_crashes(run: Run) -> None:
    async def story(world: World) -> None:
        nonces: list[int] = []
        for count in (NONCE_RESERVE, 3, NONCE_RESERVE + 1):
            await world.until(lambda: world.roles["maker-0"]._index, within=12)
            nonces += await quotes(world, count)
            await world.kill("maker-0")
            await world.start("maker-0")
        await world.until(lambda: world.roles["maker-0"]._index, within=12)
        nonces += await quotes(world, 2)
        assert len(nonces) == len(set(nonces)) == 2 * NONCE_RESERVE + 6

    run(story, *NODES)


def test_a_maker_does_not_quote_on_a_stale_price(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.roles["maker-0"]._index, within=12)
        await world.isolate("maker-0", "sequencer-0")
        await world.settle(world.plan.venue.max_price_age_s + 2)
        with pytest.raises(PortError, match="stale"):
            await quotes(world, 1)

    run(story, *NODES)


@pytest.mark.parametrize("after_s", [0.0001, 0.2, 1.0])
def test_a_trader_that_crashed_in_a_trade_does_not_trade_again(run: Run, after_s: float) -> None:
    async def story(world: World) -> None:
        await world.rule("sequencer-0", "trader-0", LinkRule(delay_ms=150))
        await world.until(lambda: ops(world, "open", "invoke"), within=12, step=0.0005)
        await world.settle(after_s)
        await world.kill("trader-0")
        await world.heal()
        await world.start("trader-0")
        await world.settle(6)
        assert len(ops(world, "open", "invoke")) == 1
        trades = [r for r in world.sent_by("trader-0") if r.to == world.stage.deployment["clearing_house"]]
        assert len(trades) <= 1

    run(story, *NODES, change=crash_of_the_market)


LISTED = "ETH-F1", "ETH-C1"


def listings(world: World) -> list[bool]:
    return [r.succeeded for r in world.sent_by("admin-0") if r.to == world.stage.deployment["clearing_house"]]


@pytest.mark.parametrize("crash_s", [0.0005, 0.003, 0.2, 0.6, 1.2, 2.5])
@pytest.mark.parametrize("are_replies_lost", [False, True])
def test_every_series_is_listed_once_whenever_the_admin_crashes(
    run: Run, crash_s: float, are_replies_lost: bool
) -> None:
    """A listing that is skipped or doubled gives every later series another id than everybody reckons with."""

    async def story(world: World) -> None:
        if are_replies_lost:
            await world.rule("sequencer-0", "admin-0", CUT)
        await world.settle(crash_s)
        await world.kill("admin-0")
        await world.settle(0.3)
        await world.heal()
        await world.start("admin-0")
        await world.until(lambda: len(listings(world)) == len(LISTED), within=15)
        await world.settle(3)
        assert listings(world) == [True] * len(LISTED)
        (series,) = [len(r.fields["series"]) for r in world.records("state")[-1:]]
        assert series == len(LISTED)
        assert not world.problems()

    run(story, *L1, "sequencer-0", "admin-0")


def test_a_listing_that_reverts_is_fatal(run: Run) -> None:
    """Its id goes to the next series; nothing that comes after can be believed."""

    def past(plan: Plan) -> Plan:
        return replace(plan, products=(replace(plan.products[0], expires_s=0), *plan.products[1:]))

    async def story(world: World) -> None:
        await world.until(lambda: world.records("problem", "admin-0", fatal=True), within=15)

    run(story, *L1, "sequencer-0", "admin-0", change=past)
