"""The timing parameters of a run and the inequalities between them that keep the rollup live and safe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DAY_S = 86_400


class ProfileError(ValueError):
    """The parameters contradict each other; the message lists every broken rule with its values."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One clock for the whole network. Durations that can be sub-second are in ms, the others in s.

    `_l1_blocks` counts L1 blocks. The source of every value is rollup.md §1; `check` holds its inequalities.
    """

    name: str
    l1_block_ms: int
    l2_block_ms: int
    finality_depth_l1_blocks: int          # F: a reorg deeper than this halts the chain
    origin_confirmations_l1_blocks: int    # c: how deep an L1 block lies before a leader takes it as origin
    sequencing_window_l1_blocks: int       # SWS: a block is batched within this of its origin, or never
    channel_timeout_l1_blocks: int         # CT: first to last frame of a channel
    batch_submit_interval_l1_blocks: int   # longest pause between two submissions
    timestamp_drift_s: int                 # how far a block's timestamp may run ahead of its origin's
    proposal_interval_l1_blocks: int
    challenge_window_l1_blocks: int        # W
    unbonding_l1_blocks: int               # U
    evidence_age_l1_blocks: int            # E
    term_length_l1_blocks: int
    network_bound_ms: int                  # Δ: view timers are 2Δ and 3Δ
    oracle_heartbeat_s: int
    oracle_deviation_bps: int
    oracle_stale_s: int
    uptime_gap_s: int
    uptime_grace_s: int
    brake_l1_blocks: int | None            # safe-lag brake; None is off
    forced_gas_cap_per_l1_block: int
    l2_gas_limit: int

    def broken_rules(self) -> tuple[str, ...]:
        """Every required inequality that does not hold, with its values; empty for a sound profile."""
        return tuple(self._broken())

    def check(self) -> Profile:
        """This profile, if every required inequality holds.

        Raises:
            ProfileError: naming each broken inequality and the values that break it.
        """
        broken = self.broken_rules()
        if broken:
            raise ProfileError(f"profile {self.name!r} cannot run: " + "; ".join(broken)
                               + "; change the named parameters so that each inequality holds")
        return self

    def why_no_reorg(self, depth: int) -> str:
        """Why nobody should order an L1 reorg of that depth, or the empty string.

        Up to the confirmations of an origin it takes back no origin of an L2 block, and beyond finality every node
        halts. In between, committed blocks stand on L1 blocks that are gone, and the sequencers would have to agree on
        others in their place.
        """
        confirmations, finality = self.origin_confirmations_l1_blocks, self.finality_depth_l1_blocks
        if not confirmations < depth <= finality:
            return ""
        return (
            f"a reorg of {depth} L1 blocks takes back the origins of committed L2 blocks, which the sequencers cannot "
            f"replace yet; order at most {confirmations} (origins stay), or more than {finality} (every node halts)"
        )

    def _broken(self) -> Iterator[str]:
        for field in _POSITIVE:
            if getattr(self, field) <= 0:
                yield f"{field} must be positive, is {getattr(self, field)}"
        submit, timeout, window = (self.batch_submit_interval_l1_blocks, self.channel_timeout_l1_blocks,
                                   self.sequencing_window_l1_blocks)
        if self.brake_l1_blocks is None:
            if not submit + timeout < window:
                yield f"submit + CT < SWS must hold, {submit} + {timeout} ≥ {window}"
        else:
            if not submit + timeout < self.brake_l1_blocks:
                yield f"submit + CT < brake must hold, {submit} + {timeout} ≥ {self.brake_l1_blocks}"
            if not self.brake_l1_blocks < window:
                yield f"brake < SWS must hold, {self.brake_l1_blocks} ≥ {window}"
        finality, challenge = self.finality_depth_l1_blocks, self.challenge_window_l1_blocks
        if not self.origin_confirmations_l1_blocks < finality:
            yield f"c < F must hold, {self.origin_confirmations_l1_blocks} ≥ {finality}"
        if not finality <= challenge:
            yield f"F ≤ W must hold, {finality} > {challenge}"
        if not self.evidence_age_l1_blocks >= self.unbonding_l1_blocks:
            yield f"E ≥ U must hold, {self.evidence_age_l1_blocks} < {self.unbonding_l1_blocks}"
        if not self.unbonding_l1_blocks >= challenge + finality:
            yield f"U ≥ W + F must hold, {self.unbonding_l1_blocks} < {challenge} + {finality}"
        if not 2 * self.forced_gas_cap_per_l1_block <= self.l2_gas_limit:
            yield (f"forced gas cap ≤ half the L2 gas limit must hold, "
                   f"{self.forced_gas_cap_per_l1_block} > {self.l2_gas_limit} / 2")
        if not self.oracle_stale_s >= 2 * self.oracle_heartbeat_s:
            yield f"stale ≥ 2·heartbeat must hold, {self.oracle_stale_s} < 2·{self.oracle_heartbeat_s}"
        # Not in the spec's list: an origin is c+1 L1 blocks old when it is replaced, and the drift bound must allow it.
        age_ms = (self.origin_confirmations_l1_blocks + 1) * self.l1_block_ms
        if not age_ms < self.timestamp_drift_s * 1000:
            yield f"(c + 1)·T1 < drift must hold, {age_ms} ms ≥ {self.timestamp_drift_s * 1000} ms"


_POSITIVE = (
    "l1_block_ms", "l2_block_ms", "finality_depth_l1_blocks", "sequencing_window_l1_blocks",
    "channel_timeout_l1_blocks", "batch_submit_interval_l1_blocks", "timestamp_drift_s", "proposal_interval_l1_blocks",
    "challenge_window_l1_blocks", "term_length_l1_blocks", "network_bound_ms", "oracle_heartbeat_s",
    "oracle_deviation_bps", "uptime_gap_s", "forced_gas_cap_per_l1_block", "l2_gas_limit",
)  # fmt: skip

FAST = Profile(
    name="fast",
    l1_block_ms=3_000,
    l2_block_ms=500,
    finality_depth_l1_blocks=8,
    origin_confirmations_l1_blocks=2,
    sequencing_window_l1_blocks=20,
    channel_timeout_l1_blocks=6,
    batch_submit_interval_l1_blocks=1,
    timestamp_drift_s=30,
    proposal_interval_l1_blocks=10,
    challenge_window_l1_blocks=24,
    unbonding_l1_blocks=120,
    evidence_age_l1_blocks=120,
    term_length_l1_blocks=10,
    network_bound_ms=250,
    oracle_heartbeat_s=10,
    oracle_deviation_bps=50,
    oracle_stale_s=20,
    uptime_gap_s=3,
    uptime_grace_s=30,
    brake_l1_blocks=12,
    forced_gas_cap_per_l1_block=5_000_000,
    l2_gas_limit=60_000_000,
)

MAINNET_LIKE = Profile(
    name="mainnet-like",
    l1_block_ms=12_000,
    l2_block_ms=2_000,
    finality_depth_l1_blocks=64,
    origin_confirmations_l1_blocks=4,
    sequencing_window_l1_blocks=3_600,
    channel_timeout_l1_blocks=50,
    batch_submit_interval_l1_blocks=1_800,
    timestamp_drift_s=1_800,
    proposal_interval_l1_blocks=DAY_S // 12,
    challenge_window_l1_blocks=7 * DAY_S // 12,
    unbonding_l1_blocks=14 * DAY_S // 12,
    evidence_age_l1_blocks=14 * DAY_S // 12,
    term_length_l1_blocks=32,
    network_bound_ms=2_000,
    oracle_heartbeat_s=3_600,
    oracle_deviation_bps=50,
    oracle_stale_s=7_200,                  # the spec says "per feed"; twice the heartbeat is the least it allows
    uptime_gap_s=30,
    uptime_grace_s=3_600,
    brake_l1_blocks=None,
    forced_gas_cap_per_l1_block=20_000_000,
    l2_gas_limit=60_000_000,
)

PROFILES = {profile.name: profile for profile in (FAST, MAINNET_LIKE)}


def from_name(name: str) -> Profile:
    """The profile of that name, checked; `_` and `-` are the same.

    Raises:
        ProfileError: no profile has that name.
    """
    profile = PROFILES.get(name.replace("_", "-"))
    if profile is None:
        raise ProfileError(f"no profile is called {name!r}; choose one of {', '.join(sorted(PROFILES))}")
    return profile.check()
