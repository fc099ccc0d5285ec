"""What governance may change, how long everybody sees it coming, and what the change does to whom."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest

from harness.evm.accounts import KEEPERS, OWNER, REPORTERS, account
from harness.venue import governance as gov
from tests.contracts.conftest import PARAMS, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE = 100
KEEPER = KEEPERS[0]
NOW = gov.Factors(PARAMS.im_bps, PARAMS.mm_bps, PARAMS.option_im_bps, PARAMS.option_min_im_bps, PARAMS.option_mm_bps)
TIGHTER = replace(NOW, im_bps=1500, mm_bps=1200)
DELAY = PARAMS.timelock_delay_s


@pytest.fixture
def long(market: Venue) -> Venue:
    """Alice long 1 at 2000 with 219 of cash: above 10 % and well above 6.25 %, below 12 %."""
    market.deposit(ALICE, 220)
    market.deposit(KEEPER, 100_000)
    assert market.trade(ALICE, 1, W, 2000 * W).error == ""
    return market


def change(venue: Venue, factors: gov.Factors) -> gov.Call:
    return gov.Call(venue.at["clearing_house"], gov.encode_set_factors(factors))


def schedule(venue: Venue, call: gov.Call, delay_s: int = DELAY, *, who: int = OWNER) -> Outcome:
    return venue.send(who, "timelock", gov.encode_schedule(call, delay_s))


def execute(venue: Venue, call: gov.Call, *, who: int = OWNER) -> Outcome:
    return venue.send(who, "timelock", gov.encode_execute(call))


def in_force(venue: Venue) -> gov.Factors:
    return gov.Factors(*astuple(gov.decode_governance(venue.call("lens", gov.encode_governance())))[4:9])


def test_tightening_makes_nobody_liquidatable_before_its_delay_is_over(long: Venue) -> None:
    """G3: announced in an event, refused up to the last second before, effective in the very block of its execution."""
    call = change(long, TIGHTER)
    announced = schedule(long, call).one("CallScheduled")
    assert (announced["delay"], announced["target"]) == (DELAY, long.at["clearing_house"])
    since = long.now
    for long.now in (since, since + DELAY - 1):
        assert execute(long, call).error.startswith("TimelockUnexpectedOperationState(")
        assert (in_force(long), long.liquidatable(ALICE)) == (NOW, False)
    long.now = since + DELAY
    long.observe(2000 * W)
    done = execute(long, call)
    assert [event.name for event in done.events] == ["FactorsChanged", "CallExecuted"]
    assert done.one("FactorsChanged")["mmBps"] == TIGHTER.mm_bps
    assert (in_force(long), long.liquidatable(ALICE)) == (TIGHTER, True)
    assert (long.of(ALICE).im, long.of(ALICE).mm) == (300 * W, 240 * W)
    assert long.liquidate(KEEPER, ALICE).error == ""


def test_loosening_waits_as_long(long: Venue) -> None:
    """It is somebody else's loss that it makes possible; what was asked of a new position changes with it."""
    looser = replace(NOW, im_bps=800, option_im_bps=1200)
    call = change(long, looser)
    schedule(long, call)
    assert execute(long, call).error.startswith("TimelockUnexpectedOperationState(")
    long.now += DELAY
    assert execute(long, call).error == ""
    assert in_force(long) == looser
    assert long.of(ALICE).im == 160 * W


def test_nobody_else_and_no_shorter_way(long: Venue) -> None:
    """The owner itself cannot set factors, a stranger schedules nothing, and no delay is below the minimum."""
    direct = gov.encode_set_factors(TIGHTER)
    assert long.send(OWNER, "clearing_house", direct).error == f"NotTimelock(caller={account(OWNER).address})"
    call = change(long, TIGHTER)
    assert schedule(long, call, DELAY - 1).error == f"TimelockInsufficientDelay(delay={DELAY - 1},minDelay={DELAY})"
    assert schedule(long, call, who=ALICE).error.startswith("AccessControlUnauthorizedAccount(")
    schedule(long, call)
    long.now += DELAY
    assert execute(long, call, who=ALICE).error.startswith("AccessControlUnauthorizedAccount(")
    shorter = long.raw("timelock", "updateDelay", 0)
    assert long.send(OWNER, "timelock", shorter).error == (
        f"TimelockUnauthorizedCaller(caller={account(OWNER).address})"
    )
    assert in_force(long) == NOW
    assert execute(long, call).error == ""
    assert execute(long, call).error.startswith("TimelockUnexpectedOperationState(")      # once


def test_reporters_are_appointed_by_the_timelock_alone(long: Venue) -> None:
    """G5: three reporters make a price, so an owner who names three at once could set one."""
    data = long.raw("price_feed", "setReporter", account(ALICE).address, True)
    assert long.send(OWNER, "price_feed", data).error == f"NotTimelock(caller={account(OWNER).address})"
    call = gov.Call(long.at["price_feed"], data)
    schedule(long, call)
    long.now += DELAY
    assert execute(long, call).one("ReporterChanged") == {"reporter": account(ALICE).address, "isReporter": True}
    signers = sorted((ALICE, *REPORTERS[:2]), key=lambda index: account(index).address)
    assert long.send(OWNER, "price_feed", long.round([2000 * W] * 3, signers=signers)).error == ""


@pytest.mark.parametrize(
    "bad",
    [
        replace(NOW, mm_bps=0),
        replace(NOW, mm_bps=PARAMS.penalty_bps - 1),    # X7: who is liquidated could not pay for it
        replace(NOW, mm_bps=1001),
        replace(NOW, im_bps=10_001),
        replace(NOW, option_mm_bps=0),
        replace(NOW, option_mm_bps=1001),
        replace(NOW, option_min_im_bps=1501),
        replace(NOW, option_im_bps=10_001),
    ],
    ids=lambda bad: "-".join(map(str, astuple(bad))),
)
def test_factors_that_make_no_sense_are_refused(market: Venue, bad: gov.Factors) -> None:
    """Whatever the timelock was told; the values at the very bounds are accepted."""
    call = change(market, bad)
    schedule(market, call)
    market.now += DELAY
    assert execute(market, call).error == f"FactorsOutOfRange(factors={astuple(bad)})"
    assert in_force(market) == NOW


def test_factors_at_their_bounds_are_accepted(market: Venue) -> None:
    bounds = gov.Factors(10_000, PARAMS.penalty_bps, 10_000, 10_000, 10_000)
    call = change(market, bounds)
    schedule(market, call)
    market.now += DELAY
    assert execute(market, call).error == ""
    assert in_force(market) == bounds
