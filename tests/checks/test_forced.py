"""What counts as a top-up, and for whose account; the boundaries of the forced queue's checks beside cases.py."""

from __future__ import annotations

import pytest

from harness.checks.forced import L2_CHAIN_ID, SIGNED_TRANSACTION, Entry, _topped_up
from harness.checks.results import Verdict
from harness.evm.accounts import account
from harness.evm.wallet import decode_transaction, sign_transaction
from harness.plan import L2_CHAIN_ID as PLANNED
from harness.rollup.forced import SIGNED_TRANSACTION as KIND
from harness.venue.exchange import encode_deposit, encode_withdraw
from harness.venue.pools import account_of, encode_deposit_coin, encode_move_collateral
from tests.checks.builder import Run, address
from tests.checks.cases import stopped
from tests.checks.stories import SAVED, in_distress, market, plea

OWNER = account(100)
VAULT = {"vault": address("vault")}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode_deposit(1), OWNER.address),
        (encode_deposit_coin(2, 1), account_of(OWNER.address, 2)),
        (encode_move_collateral(0, 3, 1), account_of(OWNER.address, 3)),
        (encode_withdraw(1), None),
        (b"", None),
    ],
    ids=["deposit", "coin", "move", "withdrawal", "transfer"],
)
def test_a_top_up_is_of_the_account_it_pays_into(data: bytes, expected: str | None) -> None:
    raw = sign_transaction(OWNER.key, chain_id=PLANNED, nonce=0, to=VAULT["vault"], data=data, gas=100_000)
    transaction = decode_transaction(raw)
    assert _topped_up(Entry(0, 1, 0, 100_000, transaction.hash, transaction), VAULT) == expected


def test_what_stands_in_two_places_is_the_same() -> None:
    """The checks know neither the plan nor the rollup's rules; what they repeat must not drift."""
    assert (L2_CHAIN_ID, SIGNED_TRANSACTION) == (PLANNED, KIND)


def test_an_entry_on_its_way_at_the_end_is_not_judged_before_its_window_is_over() -> None:
    run = in_distress().l1_block(2, plea(100)).blocks(33, price=94)
    assert run.judge("Q1").verdict is Verdict.UNKNOWN
    assert run.block().price(94).judge("Q1").verdict is Verdict.VIOLATED


def forced_in_a_grace(before_its_end: int, *, paused: bool, saved: bool) -> Run:
    """A top-up stands in an L1 block of so many seconds before the grace ends, after a restart or after a pause.

    It executes as soon as it may, or a block after its account was liquidated.
    """
    run = stopped() if paused else in_distress().block(origin=1)
    run.blocks(28, price=94).block().price(94).block().price(94)
    run.l1_block(2, plea(100), ago=1 + before_its_end)
    if not saved:
        run.block(origin=1).price(94).liquidate(SAVED.address)
    return run.block(origin=2).price(94).signed(plea(100), deposits=100)


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("before_its_end", [-1, 0, 1, 2])
def test_a_top_up_counts_for_a_grace_to_the_last_second_of_it(before_its_end: int, paused: bool) -> None:
    """No allowance for the way to L2; and whoever comes when the grace is over is a customer like any other."""
    counts = before_its_end > 0
    lost, saved = (forced_in_a_grace(before_its_end, paused=paused, saved=saved) for saved in (False, True))
    assert lost.judge("Q2").verdict is (Verdict.VIOLATED if counts else Verdict.UNKNOWN)
    assert saved.judge("Q2").verdict is (Verdict.HOLDS if counts else Verdict.UNKNOWN)


def test_a_top_up_that_executed_before_the_chain_went_away_has_had_its_chance() -> None:
    run = market(expires_in=500).l1_block(1).l1_block(2, plea(10)).block(origin=1).block(origin=2)
    run.signed(plea(10), deposits=10).block(dt=9, origin=2).blocks(31, price=100)
    assert run.judge("Q2").verdict is Verdict.UNKNOWN


def test_a_top_up_on_its_way_in_two_graces_is_one() -> None:
    run = in_distress().l1_block(2, plea(100)).block(origin=1).price(94).pause(2).block().price(94).unpause(2)
    run.block().liquidate(SAVED.address).block(origin=2).signed(plea(100), deposits=100)
    result = run.judge("Q2")
    assert (result.verdict, result.guarded) == (Verdict.VIOLATED, 1)
    assert result.summary.startswith("1 ×")
