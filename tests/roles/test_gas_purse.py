"""What a keeper can pay for and what pays for itself, at the wei."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan import KeeperGas
from harness.roles.gas_purse import GAS_COUNTED, GAS_EXPECTED, GasPurse
from harness.scenario.planning import plan_from_file

GWEI, ETHER, WAD = 10**9, 10**18, 10**18
VENUE = plan_from_file(Path(__file__).parents[2] / "scenarios" / "calm.yaml").venue


def test_a_call_needs_its_whole_limit_up_front_and_the_money_runs_out() -> None:
    """0.01 ether at 1 gwei pays for three limits of 3 million; each call sent is counted at a million."""
    purse = GasPurse(KeeperGas((GWEI,), (ETHER // 100,)), 0, VENUE)
    assert purse.affordable(10, gas_limit=3_000_000) == 3
    purse.spend(3)
    assert purse.left_wei == ETHER // 100 - 3 * GAS_COUNTED * GWEI
    assert purse.affordable(10, gas_limit=3_000_000) == 2
    purse.spend(100)
    assert purse.affordable(1, gas_limit=3_000_000) == 0


def test_keepers_take_their_values_in_turn_and_one_that_bids_nothing_is_never_short() -> None:
    gas = KeeperGas((5, 0), (7, 11, 13))
    assert [(p.tip_wei, p.left_wei) for p in (GasPurse(gas, i, VENUE) for i in range(4))] == [
        (5, 7), (0, 11), (5, 13), (0, 7)
    ]  # fmt: skip
    assert GasPurse(gas, 1, VENUE).affordable(16, gas_limit=3_000_000) == 16


@pytest.mark.parametrize("short", [0, 1])
def test_a_liquidation_is_worth_it_when_its_reward_is_more_than_its_gas(short: int) -> None:
    """Half of half of 2.5 % of the notional against 500 000 gas at 10 gwei and 200 a unit: one quote exactly."""
    purse = GasPurse(KeeperGas((10 * GWEI,), (ETHER,)), 0, VENUE)
    assert GAS_EXPECTED * 10 * GWEI * 200 == WAD
    notional = 160 * WAD + 10_000 * (1 - short)      # of which 1/160 is expected
    maintenance = -(-notional * VENUE.mm_bps // 10_000)
    assert purse.is_worth(maintenance_wad=maintenance, ether_price_wad=200 * WAD) is (short == 0)
