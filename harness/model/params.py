"""The venue's parameters: `Params` of contracts/RULES.md, with the fast and the mainnet-like profile."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class VenueParams:
    """Ratios in basis points, durations in whole seconds. Field names equal those of a plan's venue section."""

    im_bps: int = 1000
    mm_bps: int = 625
    penalty_bps: int = 250
    keeper_share_bps: int = 5000
    taker_fee_bps: int = 5
    band_bps: int = 1000
    option_im_bps: int = 1500
    option_min_im_bps: int = 1000
    option_mm_bps: int = 750
    min_sources: int = 3
    max_price_age_s: int = 20
    grace_s: int = 30
    uptime_gap_s: int = 3
    settlement_window_s: int = 15
    funding_period_s: int = 240
    premium_window_s: int = 15
    funding_gap_s: int = 20
    funding_cap_bps: int = 75
    funding_interest_bps: int = 1
    lot_wad: int = 10**15        # 1e18 underlying
    small_notional: int = 100    # whole quote
    auction_duration_s: int = 20
    auction_max_bps: int = 500
    insurance_cap_bps: int = 5_000
    naked_step_s: int = 10       # a row of the table that bounds naked options
    clamp_bps: int = 50          # how far from the median a reporter's price may count
    breaker_bps: int = 1_000
    halt_duration_s: int = 5
    settlement_max_gap_s: int = 25
    coverage_bps: int = 6_000    # of a settlement window that must have had a fresh price
    dispute_patience_s: int = 20
    override_delay_s: int = 20
    dispute_window_s: int = 60
    timelock_delay_s: int = 20   # between the announcement of a privileged change and the change


FAST = VenueParams()
MAINNET_LIKE = replace(
    FAST, max_price_age_s=300, grace_s=3600, uptime_gap_s=30, settlement_window_s=1800, funding_period_s=28_800,
    premium_window_s=1800, funding_gap_s=300, auction_duration_s=2_400, naked_step_s=604_800,
    halt_duration_s=300, settlement_max_gap_s=375, dispute_patience_s=3_600, override_delay_s=21_600,
    dispute_window_s=86_400, timelock_delay_s=172_800,
)
