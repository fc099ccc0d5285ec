"""What a keeper can spend on gas, and whether a call is worth it: ether is paid, the reward comes in quote."""

from __future__ import annotations

from harness.plan import KeeperGas, VenueParameters

GAS_COUNTED = 1_000_000
"""What a call is counted at when it was sent, above what one costs: it stops a little early and never sends in vain."""
GAS_EXPECTED = 500_000
"""What a step down the ladder is expected to cost."""
BPS = 10_000
WAD = 10**18
PARTIAL_DIVISOR = 2
"""A liquidation is partial as a rule: it expects half of the most that the penalty could be."""


class GasPurse:
    """One keeper's ether. It begins with its bankroll in each of its lives; the chain has the last word."""

    def __init__(self, gas: KeeperGas, index: int, venue: VenueParameters) -> None:
        self.tip_wei = gas.tips_wei[index % len(gas.tips_wei)]
        self.left_wei = gas.bankrolls_wei[index % len(gas.bankrolls_wei)]
        self._venue = venue

    def affordable(self, calls: int, *, gas_limit: int) -> int:
        """How many of so many calls at once it can pay for: each needs its whole limit up front."""
        each = gas_limit * self.tip_wei
        return calls if each == 0 else min(calls, self.left_wei // each)

    def spend(self, calls: int) -> None:
        self.left_wei = max(0, self.left_wei - calls * GAS_COUNTED * self.tip_wei)

    def is_worth(self, *, maintenance_wad: int, ether_price_wad: int) -> bool:
        """Whether liquidating an account with that maintenance margin brings more than its gas, both in 1e18 quote."""
        venue = self._venue
        notional = maintenance_wad * BPS // venue.mm_bps
        reward = notional * venue.penalty_bps * venue.keeper_share_bps // (BPS * BPS * PARTIAL_DIVISOR)
        return reward > GAS_EXPECTED * self.tip_wei * ether_price_wad // WAD
