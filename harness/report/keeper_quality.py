"""What each keeper earned by liquidating and what it paid for gas, where the plan has it pay."""

from __future__ import annotations

from typing import Any

from harness.history.reader import History
from harness.plan import Plan


def keeper_quality(plan: Plan, history: History) -> dict[str, Any] | None:
    """The `keepers` object of result.json's `market`: exact; None where gas costs nothing."""
    gas = plan.keeper_gas
    if gas is None or history.run is None:
        return None
    found: dict[str, Any] = {}
    for place, role in enumerate(plan.of_kind("keeper")):
        address, tip = history.run.accounts[role.name], gas.tips_wei[place % len(gas.tips_wei)]
        bankroll = gas.bankrolls_wei[place % len(gas.bankrolls_wei)]
        spent, calls, failed, earned, steps = 0, 0, 0, 0, 0
        for block in history.chain:
            for sent in block.transactions:
                # Its deposit is the one call that bids nothing.
                if sent.sender == address and sent.to != history.run.deployment.get("vault"):
                    calls, failed = calls + 1, failed + (not sent.succeeded)
                    spent += sent.gas_used * tip
            for event in block.events:
                if event.name == "Liquidated" and event.args["keeper"] == address:
                    steps, earned = steps + 1, earned + event.args["toKeeper"]
        found[role.name] = {
            "calls": calls, "failed": failed, "liquidations": steps, "earned_wad": str(earned),
            "gas_wei": str(spent), "bankroll_wei": str(bankroll), "tip_wei": str(tip),
        }  # fmt: skip
    return found
