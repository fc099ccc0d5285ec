"""Profiles keep the inequalities of the rollup, and say which one a change breaks."""

from dataclasses import replace
from typing import Any

import pytest

from harness.rollup.profile import FAST, MAINNET_LIKE, PROFILES, Profile, ProfileError, from_name


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_shipped_profiles_hold_every_inequality(profile: Profile) -> None:
    """A network that starts on a shipped profile can live."""
    assert profile.check() is profile


def test_the_ratio_of_window_to_block_time_is_the_spec_s() -> None:
    """The scaled and the real clock agree with the table: 60 s against 12 h of sequencing window."""
    assert FAST.sequencing_window_l1_blocks * FAST.l1_block_ms == 60_000
    assert MAINNET_LIKE.sequencing_window_l1_blocks * MAINNET_LIKE.l1_block_ms == 12 * 3_600_000
    assert MAINNET_LIKE.challenge_window_l1_blocks * MAINNET_LIKE.l1_block_ms == 7 * 86_400_000


BROKEN = [
    ({"batch_submit_interval_l1_blocks": 6}, "submit + CT < brake must hold, 6 + 6 ≥ 12"),
    ({"brake_l1_blocks": 20}, "brake < SWS must hold, 20 ≥ 20"),
    ({"brake_l1_blocks": None, "sequencing_window_l1_blocks": 7}, "submit + CT < SWS must hold, 1 + 6 ≥ 7"),
    ({"origin_confirmations_l1_blocks": 8}, "c < F must hold, 8 ≥ 8"),
    ({"finality_depth_l1_blocks": 25}, "F ≤ W must hold, 25 > 24"),
    ({"evidence_age_l1_blocks": 119}, "E ≥ U must hold, 119 < 120"),
    ({"unbonding_l1_blocks": 31}, "U ≥ W + F must hold, 31 < 24 + 8"),
    ({"forced_gas_cap_per_l1_block": 30_000_001}, "forced gas cap ≤ half the L2 gas limit must hold"),
    ({"oracle_stale_s": 19}, "stale ≥ 2·heartbeat must hold, 19 < 2·10"),
    ({"timestamp_drift_s": 9}, "(c + 1)·T1 < drift must hold, 9000 ms ≥ 9000 ms"),
    ({"network_bound_ms": 0}, "network_bound_ms must be positive, is 0"),
]


@pytest.mark.parametrize(("change", "complaint"), BROKEN, ids=[complaint.split(" must")[0] for _, complaint in BROKEN])
def test_a_broken_inequality_is_named_with_its_values(change: dict[str, Any], complaint: str) -> None:
    """Whoever turns a knob reads which rule they broke."""
    with pytest.raises(ProfileError) as caught:
        replace(FAST, **change).check()
    assert complaint in str(caught.value)


def test_every_broken_inequality_is_listed_at_once() -> None:
    """Two mistakes are told in one go."""
    assert len(replace(FAST, evidence_age_l1_blocks=100, oracle_stale_s=1).broken_rules()) == 2


def test_a_profile_is_found_by_name_and_an_unknown_name_lists_the_choices() -> None:
    """Scenario files name profiles."""
    assert from_name("fast") is FAST
    assert from_name("mainnet_like") is MAINNET_LIKE
    with pytest.raises(ProfileError, match="'quick'; choose one of fast, mainnet-like"):
        from_name("quick")
