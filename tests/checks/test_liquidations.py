"""Liquidations that came too soon, cost too much, broke the grace, or never came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checks.results import JudgeBounds, Verdict
from harness.checks.subject import Subject
from harness.model.params import FAST
from tests.checks.builder import Run, W, address
from tests.checks.stories import market

ALICE = address("alice")


def leveraged() -> Run:
    """Alice long 9 at 100 with 99.55 of cash: MM is 56.25 at 100; she is under it from 94.3 down."""
    return market(expires_in=500).trade("alice", "maker", 9, 100)


def test_a_liquidation_of_a_healthy_account_is_found() -> None:
    result = leveraged().block().price(95).block().liquidate("alice").judge("LS1")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["account"] == ALICE
    assert int(result.evidence[0]["equity"]) > int(result.evidence[0]["mm"])


def test_a_liquidation_of_a_sick_account_holds() -> None:
    assert leveraged().block().price(94).block().liquidate("alice").judge("LS1").verdict is Verdict.HOLDS


def test_equity_equal_to_maintenance_margin_is_not_liquidatable() -> None:
    """The comparison is strict: at E == MM a liquidation is a violation, one wei of price lower it is right."""
    def at(price_wad: int) -> Verdict:
        run = market(expires_in=500).trade("maker", "alice", -8, 100)  # alice long 8, no fee: E = 8P − 700
        return run.block().price(0, wad=price_wad).block().liquidate("alice").judge("LS1").verdict

    # E = MM where 8P − 700 = 8P/16, so P = 700 / 7.5 = 93.333…; no exact wei, so bracket it.
    exact = 700 * 10**18 * 10 // 75
    assert at(exact + 1) is Verdict.VIOLATED
    assert at(exact - 1) is Verdict.HOLDS


def test_a_liquidation_on_a_stale_price_is_found() -> None:
    run = leveraged().block().price(94).blocks(21).block().liquidate("alice")
    result = run.judge("LS1")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["price_age_s"] == 22


def test_the_newest_accepted_price_counts_not_an_older_one() -> None:
    """The price had recovered in the very same block before the liquidation."""
    run = leveraged().block().price(94).block().price(96).liquidate("alice")
    assert run.judge("LS1").verdict is Verdict.VIOLATED


def restarted() -> Run:
    """Down for 9 s at block 3; prices arrive each second after."""
    return leveraged().block().price(94).block(dt=9).price(94)


@pytest.mark.parametrize("lag", [0, 1, 12])
@pytest.mark.parametrize(("wait", "verdict"), [(29, Verdict.VIOLATED), (30, Verdict.HOLDS)])
def test_grace_ends_exactly_at_its_second_by_the_clock_of_l1(wait: int, verdict: Verdict, lag: int) -> None:
    run = restarted().behind(lag).blocks(wait + lag - 1, price=94).block().liquidate("alice")
    assert run.judge("LS2").verdict is verdict


@pytest.mark.parametrize(("wait", "verdict"), [(29, Verdict.VIOLATED), (30, Verdict.HOLDS)])
def test_grace_never_ends_sooner_than_by_the_clock_of_l2(wait: int, verdict: Verdict) -> None:
    """An origin that is ahead of its block is wrong (R2), and shortens nothing."""
    run = restarted().behind(-5).blocks(wait - 1, price=94).block().liquidate("alice")
    assert run.judge("LS2").verdict is verdict


def test_a_history_from_before_blocks_said_their_origins_time_goes_by_their_own() -> None:
    run = restarted().blocks(29, price=94).block().liquidate("alice").close()
    for line in run.lines:
        line.pop("origin_time", None)
    assert run.judge("LS2").verdict is Verdict.HOLDS


def test_a_liquidation_before_the_first_price_after_the_restart_is_found() -> None:
    """Grace is over, but the only price dates from before the outage."""
    run = leveraged().blocks(2, price=94).block(dt=9).blocks(30).block().liquidate("alice")
    result = run.judge("LS2")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["oldest_report"] < result.evidence[0]["started_at"]


def test_a_liquidation_while_the_sequencer_is_down_is_found() -> None:
    run = leveraged().block().price(94)
    run.block()._emit("UptimeChanged", -1, up=False, startedAt=run.timestamp)
    result = run.liquidate("alice").judge("LS2")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["up"] is False


def test_without_a_restart_the_grace_check_is_unknown() -> None:
    assert leveraged().block().price(94).block().liquidate("alice").judge("LS2").verdict is Verdict.UNKNOWN


def test_a_refused_attempt_within_grace_counts_as_guarded() -> None:
    run = restarted()
    run.transaction(ok=False, error="SequencerGrace(1000040)")
    result = run.judge("LS2")
    assert (result.verdict, result.guarded) == (Verdict.HOLDS, 1)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [("PriceBeforeMove(asset=ETH,timestamp=1,movedAt=2)", Verdict.HOLDS), ("PriceBeforeRestart(1)", Verdict.HOLDS),
     ("PauseGrace(1)", Verdict.HOLDS), ("PriceAfterMove(1)", Verdict.VIOLATED)],
)
def test_a_keeper_is_turned_away_only_by_the_names_the_rules_give(error: str, verdict: Verdict) -> None:
    run = leveraged().block()
    run.transaction(ok=False, error=error, to="liquidator")
    assert run.judge("LL2").verdict is verdict


def test_a_penalty_above_its_rate_is_found() -> None:
    """9 · 39.05 / 63.45, in whole lots 5.54, of 94 each: 2.5 % of that is 13.019; a wei more is too much."""
    full = 13_019_000_000_000_000_000
    run = leveraged().block().price(94).block()
    result = run.liquidate("alice", toKeeper=full // 2, toInsurance=full // 2 + 1).judge("LS4")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["penalty"] == str(full)


def test_a_transfer_below_the_index_is_a_loss_to_the_user() -> None:
    """The penalty is right, but the keeper took the position at a better price than the index."""
    run = leveraged().block().price(94).block()
    result = run.liquidate("alice", transfer={"price": 93 * 10**18}).judge("LS4")
    assert result.verdict is Verdict.VIOLATED
    assert result.evidence[0]["loss"] == str(13_019_000_000_000_000_000 + 5_540 * 10**15)


def sick(blocks: int) -> Run:
    return leveraged().block().price(94).blocks(blocks - 1)


def test_an_account_left_liquidatable_for_longer_than_promised_is_found() -> None:
    """Bound 3: counted in blocks 2, 3, 4 and 5."""
    result = sick(4).judge("LL1")
    assert result.verdict is Verdict.VIOLATED
    assert (result.evidence[0]["blocks_counted"], result.evidence[0]["block"]) == (4, 2)


@pytest.mark.parametrize("end", ["liquidated", "healed by price", "healed by deposit"])
def test_an_account_liquidated_or_healed_in_time_holds(end: str) -> None:
    run = sick(3).block()
    if end == "liquidated":
        run.liquidate("alice")
    elif end == "healed by price":
        run.price(100)
    else:
        run.deposit("alice", 100)
    result = run.blocks(5).judge("LL1")
    assert (result.verdict, result.guarded) == (Verdict.HOLDS, 1)


def test_healing_starts_the_count_again() -> None:
    run = sick(3).block().price(100).block().price(94).blocks(2).block().price(100)
    result = run.judge("LL1")
    assert (result.verdict, result.guarded) == (Verdict.HOLDS, 2)


def test_blocks_in_which_liquidation_was_forbidden_do_not_count() -> None:
    """Twenty seconds of one price, of which three blocks count before it goes stale and the clock stops."""
    run = leveraged().blocks(18).block().price(94, age=18).blocks(30)
    assert run.venue.margin(ALICE).is_liquidatable
    result = run.block().price(100).judge("LL1")
    assert (result.verdict, result.guarded) == (Verdict.HOLDS, 1)


def test_forbidden_time_stops_the_count_without_resetting_it() -> None:
    run = leveraged().blocks(18).block().price(94, age=18).blocks(10)
    assert run.judge("LL1").verdict is Verdict.UNKNOWN
    assert run.block().price(94).judge("LL1").verdict is Verdict.VIOLATED


def test_blocks_within_the_grace_do_not_count() -> None:
    assert restarted().blocks(29, price=94).block().price(100).judge("LL1").verdict is Verdict.HOLDS
    assert restarted().blocks(34, price=94).judge("LL1").verdict is Verdict.VIOLATED


@pytest.mark.parametrize(("blocks", "verdict"), [(44, Verdict.UNKNOWN), (45, Verdict.VIOLATED)])
def test_the_promise_to_liquidate_begins_where_the_clock_of_l1_ends_the_grace(blocks: int, verdict: Verdict) -> None:
    """One block before the outage counts, and then those from 42 s after it on: bound 3."""
    assert restarted().behind(12).blocks(blocks - 1, price=94).judge("LL1").verdict is verdict


def test_faults_and_the_recovery_after_them_excuse_the_keepers() -> None:
    """The keeper is paused for 5 blocks and has 10 s to recover; from then on it owes again."""
    run = leveraged().fault("inject").blocks(5, price=94).fault("heal").blocks(10, price=94)
    assert run.judge("LL1").verdict is Verdict.UNKNOWN
    assert run.blocks(4, price=94).judge("LL1").verdict is Verdict.VIOLATED


def test_after_the_heal_phase_no_fault_excuses() -> None:
    """A fault that nobody ended does not buy silence for ever."""
    run = leveraged().fault("inject").blocks(3, price=94).phase("heal").blocks(10, price=94)
    assert run.judge("LL1").verdict is Verdict.UNKNOWN
    assert run.blocks(4, price=94).judge("LL1").verdict is Verdict.VIOLATED


def test_the_bound_is_the_scenarios() -> None:
    run = sick(4).block().liquidate("alice")
    assert run.judge("LL1", JudgeBounds(liquidate_blocks=4)).verdict is Verdict.HOLDS
    assert run.judge("LL1", JudgeBounds(liquidate_blocks=3)).verdict is Verdict.VIOLATED


@pytest.mark.parametrize(("bound", "counted"), [(0, 5), (1, 4), (5, 0)])
def test_the_recovery_bound_after_a_fault_is_inclusive(bound: int, counted: int) -> None:
    """Fault healed at the run's second 1; blocks up to second 1 + bound are excused, 2 to 6 is all there are."""
    run = leveraged().fault("inject").fault("heal").blocks(5, price=94)
    exposure = Subject(run.history(), JudgeBounds(recover_s=bound)).replay.exposures[0]
    assert (exposure.permitted, exposure.demanded) == (5, counted)


def test_a_fault_injected_after_the_heal_phase_still_excuses_while_it_lasts() -> None:
    """A liveness phase with faults of its own is the scenario's choice."""
    run = leveraged().phase("heal").wait(60).fault("inject").blocks(6, price=94)
    assert run.judge("LL1").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("end", ["liquidated", "healed by price", "still open"])
def test_an_exposure_wholly_under_faults_is_unknown(end: str) -> None:
    """Nobody owed anything in any of its blocks, however it ended: that is not a promise kept."""
    run = leveraged().fault("inject").blocks(6, price=94).block()
    if end == "liquidated":
        run.liquidate("alice")
    elif end == "healed by price":
        run.price(100)
    result = run.fault("heal").judge("LL1")
    assert (result.verdict, result.guarded) == (Verdict.UNKNOWN, 0)
    assert "1 times an account fell under MM, but no block of it counts" in result.summary


def test_an_exposure_wholly_within_the_grace_is_unknown() -> None:
    run = leveraged().block(dt=9).price(94).blocks(10, price=94).block().price(100)
    assert run.judge("LL1").verdict is Verdict.UNKNOWN


def test_one_block_that_counts_makes_a_kept_promise() -> None:
    """One block past the recovery after the fault, then the liquidation."""
    run = leveraged().fault("inject").blocks(5, price=94).fault("heal").blocks(11, price=94).block().liquidate("alice")
    result = run.judge("LL1")
    assert (result.verdict, result.guarded) == (Verdict.HOLDS, 1)
    assert "1 of 1 times" in result.summary


def test_only_exposures_that_were_judged_are_counted() -> None:
    """Alice falls under faults and is liquidated under them; bob falls afterwards."""
    run = leveraged().fault("inject").block().price(94).block().liquidate("alice").fault("heal").blocks(11, price=100)
    run.block().price(100).trade("bob", "maker", 9, 100).block().price(94).block().liquidate("bob")
    result = run.judge("LL1")
    assert (result.verdict, result.guarded) == (Verdict.HOLDS, 1)
    assert "1 of 2 times" in result.summary


def test_a_history_that_ends_before_the_bound_is_unknown() -> None:
    """Three blocks of three allowed have passed and alice is still there: kept or broken, nobody knows."""
    assert sick(3).judge("LL1").verdict is Verdict.UNKNOWN
    assert sick(3).block().liquidate("alice").judge("LL1").verdict is Verdict.HOLDS
    assert sick(4).judge("LL1").verdict is Verdict.VIOLATED


def test_a_heal_after_a_failed_one_ends_the_excuse() -> None:
    """The probe found the fault still there; the second heal, at second 3, starts the recovery of ten."""
    run = leveraged().fault("inject").blocks(1, price=94).fault("heal").fault("not-healed").blocks(1, price=94)
    run.fault("heal").blocks(10, price=94)
    assert run.judge("LL1").verdict is Verdict.UNKNOWN
    assert run.blocks(4, price=94).judge("LL1").verdict is Verdict.VIOLATED


def two_assets() -> Run:
    """Alice under MM on ETH at a fresh price; keeper and bob hold a future on BTC, reported only at the start."""
    run = leveraged().price(50, asset="BTC").list_series(0, expires_in=500, asset="BTC")
    return run.trade("keeper", "bob", 1, 50, series=4)


def with_keepers(run: Run, *names: str) -> Run:
    run.lines[0]["accounts"] = {f"keeper-{index}": address(name) for index, name in enumerate(names)}
    return run


@pytest.mark.parametrize(("wait", "verdict"), [(19, Verdict.HOLDS), (20, Verdict.VIOLATED)])
def test_a_keeper_who_holds_a_stale_asset_after_a_liquidation_is_found(wait: int, verdict: Verdict) -> None:
    """His margin is judged at prices too: BTC, which alice never held, may be 20 s old and no more."""
    run = two_assets().blocks(wait).block().price(94).liquidate("alice")
    assert run.judge("O1").verdict is verdict
    assert run.judge("LS1").verdict is Verdict.HOLDS


def test_a_keeper_who_closes_his_stale_asset_by_the_liquidation_holds_nothing_stale() -> None:
    """Freshness is asked of what he holds then; here taking 5.54 of alice's long closes his short."""
    run = leveraged().trade("maker", "keeper", 0, 100, size_wad=5_540 * 10**15)
    run.block().price(94).block().liquidate("alice")
    assert run.venue.book.account(address("keeper")).positions == {}
    assert run.judge("O1").verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("keepers", "verdict"),
    [(("keeper",), Verdict.UNKNOWN), (("keeper", "other"), Verdict.VIOLATED), ((), Verdict.VIOLATED),
     (("alice",), Verdict.UNKNOWN)],
    ids=["all hold a stale asset", "one is able", "unnamed", "only the account itself"],
)
def test_blocks_in_which_no_keeper_could_end_fresh_do_not_count(keepers: tuple[str, ...], verdict: Verdict) -> None:
    run = two_assets().deposit("other", 10_000).blocks(20).blocks(4, price=94)
    result = with_keepers(run, *keepers).judge("LL1")
    assert (result.verdict, result.crashed) == (verdict, False), result


def test_a_fault_healed_before_the_heal_phase_excuses_only_until_its_own_end() -> None:
    run = leveraged().fault("inject").fault("heal").blocks(10).blocks(5, price=94).phase("heal")
    assert run.judge("LL1").verdict is Verdict.VIOLATED


def test_an_exposure_tells_how_deep_and_how_long_it_was() -> None:
    run = leveraged().block().price(94).block().price(92).block().price(93).block().price(100)
    exposure = Subject(run.history(), JudgeBounds()).replay.exposures[0]
    assert (exposure.first_block, exposure.last_block, exposure.permitted, exposure.ended) == (2, 4, 3, True)
    mm, equity = 9 * 92 * 625 * 10**14, (100 - 72) * 10**18 - 45 * 10**16
    assert exposure.deficit == mm - equity


def test_a_price_of_exactly_the_oldest_age_still_liquidates() -> None:
    run = leveraged().block().price(94).blocks(20).liquidate("alice")
    assert run.judge("LS1").verdict is Verdict.HOLDS


def test_a_price_of_the_very_second_of_the_restart_is_new_enough() -> None:
    """With an age limit longer than the grace, the first price after the restart may still be the newest."""
    patient = replace(FAST, max_price_age_s=300)
    run = market(expires_in=500, params=patient).trade("alice", "maker", 9, 100).block(dt=9).price(94)
    result = run.blocks(30).liquidate("alice").judge("LS2", JudgeBounds(venue=patient))
    assert (result.verdict, result.guarded) == (Verdict.HOLDS, 1)


def test_a_keepers_asset_of_exactly_the_oldest_age_still_lets_him_liquidate() -> None:
    """BTC is 20 s old in block 21 and too old from block 22 on; a trader's ability is no keeper's."""
    run = with_keepers(two_assets().blocks(18).blocks(6, price=94), "keeper")
    run.lines[0]["accounts"]["trader-0"] = address("writer")
    exposure = Subject(run.history(), JudgeBounds()).replay.exposures[0]
    assert (exposure.first_block, exposure.last_block, exposure.permitted) == (20, 25, 2)


def falling(*, acts: bool) -> Run:
    """Alice, short naked calls (IM = MM), is under her margin at the end of 8 blocks; a keeper who acts heals her in
    every second one, before the same block's round puts her under again."""
    run = market(expires_in=500).list_series(1, expires_in=500, strike=100).terms(option_margin=2)
    run.deposit("alice", 4_000).trade("alice", "writer", -40, 1, series=4)
    for number, price in enumerate(range(104, 112)):
        run.block()
        if acts and number % 2:
            run.liquidate("alice")
            assert not run.venue.margin(ALICE).is_liquidatable
        run.price(price)
        assert run.venue.margin(ALICE).is_liquidatable
    return run


def test_an_account_liquidated_again_and_again_in_a_fall_was_never_left_alone() -> None:
    """What a liquidation heals and the same block's price undoes is a new case, not the old one going on."""
    result = falling(acts=True).block().price(80).judge("LL1")
    assert (result.verdict, result.guarded) == (Verdict.HOLDS, 5), result
    assert falling(acts=False).block().price(80).judge("LL1").verdict is Verdict.VIOLATED


def test_the_start_of_an_auction_ends_nothing() -> None:
    """After its time without a bid the keepers owe the rest."""
    run = leveraged().block().price(90).start_auction("alice").blocks(19, price=90)
    assert run.judge("LL1").verdict is Verdict.UNKNOWN
    assert run.blocks(4, price=90).judge("LL1").verdict is Verdict.VIOLATED


def owed(keeper_has: int, *, long: int = 9, price: int = 94, keeper_size: int = 0) -> Verdict:
    """Alice under MM for five blocks; the only keeper has that much (and a position of that size)."""
    run = leveraged() if long == 9 else market(expires_in=500).trade("alice", "maker", long, 100)
    run.deposit("small", keeper_has)
    if keeper_size:
        run.trade("maker", "small", -keeper_size, 100)
    return with_keepers(run.blocks(5, price=price), "small").judge("LL1").verdict


def test_a_keeper_who_could_not_end_margined_owes_nothing() -> None:
    """Taking 5.54 of alice's long at 94 needs 52.076 of initial margin; he gets half of a penalty of 13.019 for it."""
    assert owed(45) is Verdict.UNKNOWN
    assert owed(46) is Verdict.VIOLATED


def test_a_keeper_whose_position_the_takeover_closes_owes_it_with_little() -> None:
    """Short 5 at 100 he gains 30 by 94, and is left with 0.54."""
    assert owed(25, keeper_size=-5) is Verdict.VIOLATED


def test_a_poor_keeper_owes_the_start_of_an_auction_but_not_the_bid() -> None:
    """At 90 alice's penalty is not covered: anybody may start the auction; after its time the bid needs margin."""
    assert owed(1, price=90) is Verdict.VIOLATED
    run = leveraged().deposit("small", 1).block().price(90).start_auction("alice").blocks(39, price=90)
    # At the index 90 the maker, short at 100, is in profit: after 20 s he can be made to take it back, for nothing.
    assert with_keepers(run, "small").judge("LL1").verdict is Verdict.VIOLATED


def test_who_can_neither_bid_nor_find_anybody_to_deleverage_owes_nothing() -> None:
    """The other side is long again: nobody's profit closes alice's position, and all of it would go to the keeper."""
    def left(*keepers: str) -> Verdict:
        run = leveraged().deposit("small", 1).block().price(90).trade("maker", "writer", 9, 90)
        run.start_auction("alice").blocks(39, price=90)
        return with_keepers(run, *keepers).judge("LL1").verdict

    assert left("small") is Verdict.UNKNOWN
    assert left("small", "keeper") is Verdict.VIOLATED


def test_a_keeper_nobody_ever_paid_in_for_can_take_nothing_over() -> None:
    run = leveraged().blocks(5, price=94)
    assert with_keepers(run, "stranger").judge("LL1").verdict is Verdict.UNKNOWN
    assert address("stranger") not in run.venue.book.accounts


def test_the_true_price_path_is_judged_at_the_margins_of_that_time() -> None:
    """A naked call asks less the nearer its expiry; what alice lacked then she would not lack at the end of the run."""
    run = market(expires_in=60).list_series(1, expires_in=60, strike=100).terms(option_margin=2)
    run.deposit("alice", 40).trade("alice", "writer", -2, 1, series=4).block().price(117).block().liquidate("alice")
    held = run.venue.facts.liquidations[-1].held
    run.blocks(50, price=117)
    assert not run.venue.book.margin_at(held, {}).is_liquidatable
    assert run.judge("LS7").verdict is Verdict.HOLDS


def mixed(odd_wad: int) -> Run:
    """Alice, short naked puts (IM = MM) of some odd size beside a long call, is cut back in a fall by a quarter."""
    run = market(expires_in=500).list_series(2, expires_in=500, strike=100).terms(option_margin=2)
    run.deposit("alice", 600).trade("alice", "maker", 0, 1, series=2, size_wad=6 * W + 7 * 10**14)
    run.trade("alice", "maker", 0, 10, series=4, size_wad=-9 * W - odd_wad)
    return run.block().price(76).block().liquidate("alice")


def test_whole_lots_may_leave_an_account_a_little_short_of_what_a_liquidation_aims_at() -> None:
    """The part of a lot of the call that nobody needed closed pays its penalty; a cent more than that is too little."""
    tried = (mixed(odd * 10**14) for odd in range(150))
    run = next(run for run in tried if run.venue.margin(ALICE).is_liquidatable)
    fact = run.venue.facts.liquidations[-1]
    assert 0 < fact.after.mm - fact.after.equity < 76 * 10**15 * 25 // 1_000
    assert run.judge("LS5").verdict is Verdict.HOLDS


def test_the_health_view_of_a_second_ago_says_nothing_of_a_naked_options_margin() -> None:
    """At 40 s before its expiry it asks less than at 41 s, when it was read; alice is due at either."""
    run = market(expires_in=60).list_series(1, expires_in=60, strike=100).terms(option_margin=2)
    run.deposit("alice", 40).trade("alice", "writer", -2, 1, series=4)
    run.blocks(18).block().price(128).state()
    shown = run.venue.margin(ALICE)
    run.block().liquidate("alice")
    assert run.venue.facts.liquidations[-1].before.mm < shown.mm
    assert run.judge("LS8").verdict is Verdict.UNKNOWN
