"""The rules that tie an L2 block to the L1: picking an origin and a timestamp, and judging somebody else's.

The same `judge` serves a voter looking at a proposal and derivation looking at a batch, so that a block the set
votes for is a block that derivation accepts. Validity depends on L1 blocks only; clocks decide when to build and
when to wait, never what is valid.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.rollup.blocks import Hash, L1Origin
from harness.rollup.l1_view import L1View

FUTURE_TOLERANCE_S = 5
"""A proposal at most this far ahead of a voter's clock is voted on at once (rollup.md §13, clock skew)."""


@dataclass(frozen=True, slots=True)
class Picked:
    """What the next block should be built with."""

    origin: L1Origin
    timestamp: int  # seconds


@dataclass(frozen=True, slots=True)
class Stalled:
    """No valid block can be built now; the reason says what it waits for."""

    reason: str


@dataclass(frozen=True, slots=True)
class Valid:
    """The block's origin and timestamp are right; `origin` is completed with the timestamp L1 gave it."""

    origin: L1Origin


@dataclass(frozen=True, slots=True)
class Wrong:
    """The block contradicts the L1 chain as this observer holds it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The origin is above this observer's L1 head: wait for it, then abstain."""

    reason: str


def pick(parent_origin: L1Origin, l1: L1View, *, parent_timestamp: int, now_s: int, confirmations: int,
         drift_s: int) -> Picked | Stalled:
    """The origin and timestamp of the next block: the parent's origin, or the next one once it lies deep enough.

    `confirmations` L1 blocks must stand on an origin before it is taken. The L2 genesis counts the L1 block it was
    anchored to as its origin.
    """
    known = l1.at(parent_origin.number)
    if known is not None and known.hash != parent_origin.hash:
        return Stalled(f"the parent's L1 origin {parent_origin.number} ({parent_origin.hash}) is no longer canonical, "
                       f"now {known.hash}; the chain must be rewound first")
    if parent_origin.number > l1.head.number:
        return Stalled(f"the parent's L1 origin {parent_origin.number} is above my L1 head {l1.head.number}")
    if parent_origin.number < l1.oldest.number:
        return Stalled(f"the parent's L1 origin {parent_origin.number} is older than the L1 blocks I keep "
                       f"(from {l1.oldest.number})")
    candidate = l1.at(parent_origin.number + 1)
    is_deep = candidate is not None and candidate.number + confirmations <= l1.head.number
    origin = candidate if candidate is not None and is_deep else parent_origin
    timestamp = max(parent_timestamp, origin.timestamp, now_s)
    latest = origin.timestamp + drift_s
    if timestamp > latest >= parent_timestamp and origin is not parent_origin:
        # After a long outage the chain catches up one origin a block, each as late as its origin allows. It cannot
        # run on for ever: the next block needs the next origin.
        timestamp = latest
    if timestamp > latest:
        # No exception for an empty block, and no clamping to the bound: either would let the chain run on for ever
        # on an L1 it no longer sees.
        return Stalled(f"timestamp {timestamp} would be {timestamp - origin.timestamp} s after L1 origin "
                       f"{origin.number}, the bound is {drift_s} s; no newer origin has {confirmations} confirmations")
    return Picked(origin, timestamp)


def judge(parent_origin: L1Origin, l1: L1View, *, parent_timestamp: int, timestamp: int, origin_number: int,
          origin_hash: Hash, drift_s: int) -> Valid | Wrong | Unknown:
    """Whether a block's origin is canonical, non-decreasing and at most one step on, and its timestamp in bounds."""
    if origin_number not in (parent_origin.number, parent_origin.number + 1):
        return Wrong(f"L1 origin {origin_number} neither repeats nor follows the parent's {parent_origin.number}")
    origin = l1.at(origin_number)
    if origin is None and origin_number > l1.head.number:
        return Unknown(f"L1 origin {origin_number} is above my L1 head {l1.head.number}")
    if origin is None:
        return Wrong(f"L1 origin {origin_number} is older than any still usable, {l1.oldest.number}")
    if origin.hash != origin_hash:
        return Wrong(f"L1 origin {origin_number} is {origin.hash}, not {origin_hash}")
    if timestamp < parent_timestamp:
        return Wrong(f"timestamp {timestamp} is before the parent's {parent_timestamp}")
    if timestamp < origin.timestamp:
        return Wrong(f"timestamp {timestamp} is before L1 origin {origin_number}'s {origin.timestamp}")
    if timestamp > origin.timestamp + drift_s:
        return Wrong(f"timestamp {timestamp} is {timestamp - origin.timestamp} s after L1 origin {origin_number}, "
                     f"the bound is {drift_s} s")
    return Valid(origin)


def seconds_too_early(timestamp: int, *, now_s: int) -> int:
    """How long a voter should hold back a proposal whose timestamp runs ahead of its clock; 0 to vote at once."""
    return max(0, timestamp - now_s - FUTURE_TOLERANCE_S)
