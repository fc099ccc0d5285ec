"""What a role is ordered to do wrong it does, counts, and does no longer when the order is taken back."""

from __future__ import annotations

import asyncio

import pytest
from world import L1, SET, Run, World

from harness.evm.accounts import account
from harness.ports import OPERATOR, Refused, Unreachable
from harness.roles.orders import MISBEHAVE, Orders, scaled
from harness.roles.wire import WireError

pytestmark = pytest.mark.node

ORDER = {"id": "f1", "what": "oracle", "how": "spike", "amount": 300, "names": []}


async def tell(world: World, role: str, on: bool | None, **order: object) -> dict[str, object]:
    payload = {**ORDER, **order, **({} if on is None else {"on": on})}
    return dict(await world.runtime.order(role, MISBEHAVE, payload, timeout=2.0))


def prices(world: World, reporter: str, since: float) -> list[tuple[int, int, bool]]:
    """(said, true, lied) of a reporter's observations."""
    return [
        (int(r.fields["price"]), int(r.fields["source"]), bool(r.fields.get("lied")))
        for r in world.records("observation", reporter) if r.t > since
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("how", "amount", "off"), [("spike", 300, 1.3), ("spike", -500, 0.5), ("scale", 100_000, 100), ("drift", 20, None)]
)
def test_a_reporter_says_what_it_was_ordered_and_the_truth_again_after(
    run: Run, how: str, amount: int, off: float | None
) -> None:
    async def story(world: World) -> None:
        await world.settle(2)
        assert all(not lied for _, _, lied in prices(world, "reporter-0", 0))
        began = world.now
        await tell(world, "reporter-0", True, how=how, amount=amount)
        await world.settle(4.5)
        told = await tell(world, "reporter-0", False)
        said = prices(world, "reporter-0", began)
        ended = world.now
        assert told["on"] is False
        assert told["acts"] == sum(lied for _, _, lied in said) >= 3
        ratios = [price / true for price, true, lied in said if lied]
        if off is None:
            assert ratios == sorted(ratios), "it goes away further every second"
            assert ratios[-1] > 1.05
        else:
            assert all(abs(ratio - off) < 0.01 * off for ratio in ratios)
        await world.settle(3)
        assert all(not lied for _, _, lied in prices(world, "reporter-0", ended))
        assert prices(world, "reporter-0", ended)

    run(story, *L1, "sequencer-0", "reporter-0")


def test_a_frozen_reporter_stops_at_the_price_it_had(run: Run) -> None:
    async def story(world: World) -> None:
        await tell(world, "reporter-0", True, how="freeze")
        await world.settle(6)
        assert len({price for price, _, _ in prices(world, "reporter-0", 0)}) == 1

    run(story, *L1, "sequencer-0", "reporter-0")


def test_a_fee_spike_multiplies_what_blocks_cost_while_it_lasts(run: Run) -> None:
    async def story(world: World) -> None:
        chain = world.roles["l1-0"].chain
        await world.until(lambda: chain.height >= 2, within=10)
        usual = chain.blocks[-1].inputs.base_fee
        await tell(world, "l1-0", True, what="fee-spike", how="multiply", amount=20_000)
        await world.until(lambda: chain.height >= 4, within=10)
        assert chain.blocks[-1].inputs.base_fee == 20 * usual
        assert (await tell(world, "l1-0", False, what="fee-spike"))["acts"] == 2
        await world.until(lambda: chain.height >= 5, within=5)
        assert chain.blocks[-1].inputs.base_fee == usual

    run(story, *L1, "sequencer-0")


def test_censored_transactions_wait_until_a_leader_without_orders_leads(run: Run) -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.height("sequencer-0") >= 2, within=10)
        for name in SET:
            await tell(world, name, True, what="censor", how="leave-out", names=["keeper-0"])
        client = world.client("keeper-0", "sequencer-0")
        client.account = account(world.plan.role("keeper-0").account or 0)
        sending = asyncio.ensure_future(client.send("0x" + "11" * 20, b"", nonce=0))
        level = world.height("sequencer-0")
        await world.until(lambda: world.height("sequencer-0") >= level + 6, within=10)
        assert not sending.done()
        acts = [(await tell(world, name, False, what="censor"))["acts"] for name in SET]
        assert sum(int(str(each)) for each in acts) >= 6
        outcome = await sending
        assert outcome.phase == "ok"

    run(story, *L1, *SET, "keeper-0", idle=["keeper-0"])


def test_an_order_for_another_kind_of_role_is_refused(run: Run) -> None:
    async def story(world: World) -> None:
        with pytest.raises(Refused, match="cannot be ordered to oracle; it follows fee-spike"):
            await tell(world, "l1-0", True)
        with pytest.raises(Unreachable, match="serves nobody"):
            await tell(world, "batcher-0", True)

    run(story, *L1, "sequencer-0", "batcher-0")


def test_nobody_but_the_operator_gives_orders() -> None:
    orders = Orders("oracle")
    with pytest.raises(Refused, match="takes no"):
        orders.obey("sequencer-0", MISBEHAVE, {**ORDER, "on": True}, 0)
    with pytest.raises(WireError):
        orders.obey(OPERATOR, MISBEHAVE, {"id": "f1"}, 0)
    assert orders.obey(OPERATOR, MISBEHAVE, {**ORDER, "on": True}, 0) == {"acts": 0, "on": True}


def test_scaling_floors_and_never_reaches_zero() -> None:
    assert [scaled(1999, 500), scaled(1, 1), scaled(7, 20_000)] == [999, 1, 140]
