"""How a plan is judged: what it promised, as the checks want it, and the checks that can watch it while it runs."""

from __future__ import annotations

from harness.checks.online import OnlineJudge
from harness.checks.registry import select
from harness.checks.results import JudgeBounds
from harness.model.params import VenueParams
from harness.plan import Plan
from harness.project.judging import available_checks


def bounds_of(plan: Plan) -> JudgeBounds:
    venue = VenueParams(**{name: getattr(plan.venue, name) for name in VenueParams.__dataclass_fields__})
    profile = plan.profile
    return JudgeBounds(
        plan.bounds.recover_s, plan.bounds.liquidate_blocks, venue, profile.l2_gas_limit,
        forced_window_s=profile.timestamp_drift_s + -(-profile.l1_block_ms // 1000),
        finality_l1_blocks=profile.finality_depth_l1_blocks,
    )  # fmt: skip


def online_judge(plan: Plan, *, wanted: bool = True) -> OnlineJudge:
    """Of the checks the plan asks for, those that can be judged block by block; none where it has no venue of ours.

    One that is not wanted judges nothing.
    """
    chosen = select(plan.checks, available_checks(plan)) if plan.products and wanted else ()
    return OnlineJudge(bounds_of(plan), (one.check.id for one in chosen))
