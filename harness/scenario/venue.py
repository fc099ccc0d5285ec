"""The venue's parameters for a plan: the profile's, with the scenario's overrides."""

from __future__ import annotations

from dataclasses import replace

from harness.plan import VenueParameters
from harness.rollup.profile import Profile
from harness.scenario import schema
from harness.scenario.units import NS_PER_SECOND

# contracts/RULES.md, "Parameters"; these are the times that no profile of the rollup holds.
_SETTLEMENT_WINDOW_S = {"fast": 15, "mainnet-like": 1_800}
_PRICE_AGE_S = {"fast": 20, "mainnet-like": 300}
_FUNDING_PERIOD_S = {"fast": 240, "mainnet-like": 28_800}
_AUCTION_S = {"fast": 20, "mainnet-like": 2_400}
_HALT_S = {"fast": 5, "mainnet-like": 300}
_MAX_GAP_S = {"fast": 25, "mainnet-like": 375}
_PATIENCE_S = {"fast": 20, "mainnet-like": 3_600}
_OVERRIDE_S = {"fast": 20, "mainnet-like": 21_600}
_DISPUTE_S = {"fast": 60, "mainnet-like": 86_400}
_TIMELOCK_S = {"fast": 20, "mainnet-like": 172_800}
_BPS = (
    "im_bps", "mm_bps", "penalty_bps", "keeper_share_bps", "taker_fee_bps", "band_bps", "min_sources",
    "funding_cap_bps", "funding_interest_bps", "auction_max_bps", "insurance_cap_bps", "small_notional",
    "clamp_bps", "breaker_bps", "coverage_bps",
)  # fmt: skip
_TIMES = (
    ("max_price_age", "max_price_age_s"), ("grace", "grace_s"), ("uptime_gap", "uptime_gap_s"),
    ("settlement_window", "settlement_window_s"), ("funding_period", "funding_period_s"),
    ("premium_window", "premium_window_s"), ("funding_gap", "funding_gap_s"),
    ("auction_duration", "auction_duration_s"), ("halt_duration", "halt_duration_s"),
    ("settlement_max_gap", "settlement_max_gap_s"), ("dispute_patience", "dispute_patience_s"),
    ("override_delay", "override_delay_s"), ("dispute_window", "dispute_window_s"),
    ("timelock_delay", "timelock_delay_s"),
)  # fmt: skip


class VenueProblem(ValueError):
    """A parameter contradicts another; `key` is the one to change."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def venue_parameters(profile: Profile, overrides: schema.Venue, *, reporters: int) -> VenueParameters:
    """Raises VenueProblem."""
    venue = VenueParameters(
        im_bps=1_000, mm_bps=625, penalty_bps=250, keeper_share_bps=5_000, taker_fee_bps=5, band_bps=1_000,
        option_im_bps=1_500, option_min_im_bps=1_000, option_mm_bps=750, min_sources=3,
        max_price_age_s=_PRICE_AGE_S[profile.name], grace_s=profile.uptime_grace_s, uptime_gap_s=profile.uptime_gap_s,
        settlement_window_s=_SETTLEMENT_WINDOW_S[profile.name], funding_period_s=_FUNDING_PERIOD_S[profile.name],
        premium_window_s=_SETTLEMENT_WINDOW_S[profile.name], funding_gap_s=_PRICE_AGE_S[profile.name],
        auction_duration_s=_AUCTION_S[profile.name], halt_duration_s=_HALT_S[profile.name],
        settlement_max_gap_s=_MAX_GAP_S[profile.name], dispute_patience_s=_PATIENCE_S[profile.name],
        override_delay_s=_OVERRIDE_S[profile.name], dispute_window_s=_DISPUTE_S[profile.name],
        timelock_delay_s=_TIMELOCK_S[profile.name],
    )  # fmt: skip
    changes = {key: getattr(overrides, key) for key in _BPS if getattr(overrides, key) is not None}
    for key, field in _TIMES:
        nanoseconds = getattr(overrides, key)
        if nanoseconds is None:
            continue
        if nanoseconds % NS_PER_SECOND:
            raise VenueProblem(key, "must be whole seconds; contracts count in seconds")
        changes[field] = nanoseconds // NS_PER_SECOND
    venue = replace(venue, **changes)
    if venue.mm_bps > venue.im_bps:
        raise VenueProblem("mm_bps", f"maintenance {venue.mm_bps} is above initial margin {venue.im_bps}")
    if venue.override_delay_s > venue.dispute_window_s:
        what = f"{venue.override_delay_s} s end after the dispute, {venue.dispute_window_s} s: nobody could ever decide"
        raise VenueProblem("override_delay", what)
    if venue.min_sources > reporters:
        raise VenueProblem("min_sources", f"needs {venue.min_sources} reporters, network.oracles is {reporters}")
    return venue
