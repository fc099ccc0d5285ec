"""Switching the liquidator's version under open positions: nothing moves, nothing is priced anew, nothing stays open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.evm.accounts import KEEPERS, OWNER, account
from harness.venue import exchange as ex
from harness.venue import governance as gov
from tests.contracts.conftest import PARAMS, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB = 100, 101
KEEPER = KEEPERS[0]
DELAY = PARAMS.timelock_delay_s
SHARE = PARAMS.keeper_share_bps
FIRST, SECOND = "liquidator_v1", "liquidator_v2"


@pytest.fixture
def loaded(market: Venue) -> Venue:
    """Alice in a running auction, Bob below maintenance margin but solvent, a keeper with plenty."""
    market.system()
    market.deposit(ALICE, 300)
    market.deposit(BOB, 400)
    market.deposit(KEEPER, 100_000)
    for who in (ALICE, BOB):
        assert market.trade(who, 1, W, 2000 * W).error == ""
    market.live(1)
    market.observe(1700 * W)
    assert market.liquidate(KEEPER, ALICE).one("AuctionStarted")
    return market


def switch(venue: Venue, to: str = SECOND, share: int = SHARE) -> Outcome:
    """Announce the switch, wait, and do it."""
    call = gov.Call(venue.at["liquidator"], gov.encode_upgrade(venue.at[to], gov.encode_initialize(share)))
    venue.ok(OWNER, "timelock", gov.encode_schedule(call, DELAY))
    venue.live(DELAY)
    return venue.send(OWNER, "timelock", gov.encode_execute(call))


def version(venue: Venue) -> int:
    return gov.decode_governance(venue.call("lens", gov.encode_governance())).version


def test_positions_cash_and_auctions_are_the_same_before_and_after(loaded: Venue) -> None:
    """U1: in the transaction of the switch not a field of the venue moves; the version does."""
    loaded.live(1)
    call = gov.Call(
        loaded.at["liquidator"], gov.encode_upgrade(loaded.at[SECOND], gov.encode_initialize(SHARE))
    )
    loaded.ok(OWNER, "timelock", gov.encode_schedule(call, DELAY))
    loaded.live(DELAY)
    before = loaded.state("ETH", "BTC")
    assert version(loaded) == 1
    done = loaded.send(OWNER, "timelock", gov.encode_execute(call))
    assert [event.name for event in done.events] == ["Upgraded", "KeeperShareSet", "Initialized", "CallExecuted"]
    assert done.one("Upgraded") == {"implementation": loaded.at[SECOND]}
    assert done.one("Initialized") == {"version": 2}
    assert loaded.state("ETH", "BTC") == before
    assert before.accounts[4].auction != 0
    assert version(loaded) == 2


@pytest.mark.parametrize("venue", [replace(PARAMS, grace_s=0)], indirect=True)
def test_both_versions_answer_the_same_to_the_same_prices(loaded: Venue) -> None:
    """U3: stage and step of every account, at the wei, with the auction that began under the old version."""
    asked = ex.encode_stages([account(who).address for who in (ALICE, BOB)])
    loaded.live(DELAY)
    loaded.observe(1695 * W)
    outcomes = []
    for upgraded in (False, True):
        snapshot = loaded.client.call("evm_snapshot")
        nonces, now = dict(loaded.nonces), loaded.now
        if upgraded:
            assert switch(loaded).error == ""
        else:
            loaded.live(DELAY)
        loaded.observe(1695 * W)
        stages = ex.decode_stages(loaded.call("lens", asked))
        bob = loaded.liquidate(KEEPER, BOB)
        alice = loaded.liquidate(KEEPER, ALICE)
        assert (bob.error, alice.error) == ("", "")
        outcomes.append((stages, bob.events, alice.events, loaded.state()))
        assert loaded.client.call("evm_revert", snapshot) is True
        loaded.nonces, loaded.now = nonces, now
        loaded.rounds -= 1
    assert outcomes[0] == outcomes[1]


def test_initialisers_run_once_per_version_and_never_on_an_implementation(loaded: Venue) -> None:
    """U2: nobody sets the keeper's share of a version again, through the proxy or beside it."""
    data = gov.encode_initialize(10_000)
    for upgraded in (False, True):
        if upgraded:
            assert switch(loaded).error == ""
        for who in (OWNER, ALICE):
            for place in ("liquidator", FIRST, SECOND):
                assert loaded.send(who, place, data).error == "InvalidInitialization()"
        assert loaded.ask("liquidator", "keeperShareBps") == (SHARE,)
    assert switch(loaded, FIRST).error == "InvalidInitialization()"     # nor by going back to the first
    assert version(loaded) == 2


def test_a_share_above_the_whole_penalty_stops_the_switch(loaded: Venue) -> None:
    """A migration that fails takes the switch with it: the old version stays, whole."""
    assert switch(loaded, share=10_001).error == "ShareOutOfRange(shareBps=10001)"
    assert (version(loaded), loaded.ask("liquidator", "keeperShareBps")) == (1, (SHARE,))


def test_an_implementation_called_directly_moves_nothing(loaded: Venue) -> None:
    """U4: only the version behind the proxy is anybody to the vault and the clearing house."""
    loaded.live(1)
    for upgraded in (False, True):
        if upgraded:
            assert switch(loaded).error == ""
            loaded.observe(1700 * W)
        before = loaded.state()
        for place in (FIRST, SECOND):
            outcome = loaded.send(KEEPER, place, ex.encode_liquidate(account(BOB).address))
            assert outcome.error == f"NotLiquidator(caller={loaded.at[place]})"
            bid = loaded.send(KEEPER, place, ex.encode_bid(account(ALICE).address))
            assert bid.error == f"NoAuction(account={account(ALICE).address})"
        assert loaded.state() == before


def test_only_the_timelock_switches(loaded: Venue) -> None:
    """Neither the owner nor a stranger, and never sooner than announced."""
    data = gov.encode_upgrade(loaded.at[SECOND], gov.encode_initialize(SHARE))
    for who in (OWNER, ALICE):
        assert loaded.send(who, "liquidator", data).error == f"NotTimelock(caller={account(who).address})"
    assert loaded.send(OWNER, FIRST, data).error == "UUPSUnauthorizedCallContext()"
    call = gov.Call(loaded.at["liquidator"], data)
    loaded.ok(OWNER, "timelock", gov.encode_schedule(call, DELAY))
    early = loaded.send(OWNER, "timelock", gov.encode_execute(call))
    assert early.error.startswith("TimelockUnexpectedOperationState(")
    assert version(loaded) == 1
