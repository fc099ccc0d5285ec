"""What the guardian and the timelock do, typed; what `venue.exchange` is to the other contracts."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any, Final

from harness.venue.deployment import interfaces

PAUSES: Final = {"trading": 1, "liquidation": 2, "withdrawals": 4}
"""What can be paused → its bit in the mask; all of them are the full stop."""

_NO_PREDECESSOR: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Factors:
    """The margin factors in force, in 1/10 000."""

    im_bps: int
    mm_bps: int
    option_im_bps: int
    option_min_im_bps: int
    option_mm_bps: int


@dataclass(frozen=True, slots=True)
class GovernanceState:
    """What was decided, and the clocks that depend on it; the fields of a history's `governance`."""

    paused: int         # a mask of PAUSES
    resumed_at: int     # when liquidation was last allowed again; 0: never paused
    funding_clock: int  # seconds, as auction_clock
    auction_clock: int
    im_bps: int
    mm_bps: int
    option_im_bps: int
    option_min_im_bps: int
    option_mm_bps: int
    keeper_share_bps: int
    version: int        # of the liquidator behind its proxy


@dataclass(frozen=True, slots=True)
class Call:
    """What the timelock is to do. `salt` tells apart what is done twice."""

    target: str
    data: bytes
    salt: bytes = bytes(32)


def pause_names(mask: int) -> str:
    """What a mask stops: `trading, liquidation`, or `nothing`."""
    return ", ".join(name for name, bit in PAUSES.items() if mask & bit) or "nothing"


# To the pauses; guardian only.


def encode_pause(what: int) -> bytes:
    """`what` is a sum of values of `PAUSES`."""
    return _encode("pauses", "pause", what)


def encode_unpause(what: int) -> bytes:
    return _encode("pauses", "unpause", what)


# To the timelock; its operator only.


def encode_schedule(call: Call, delay_s: int) -> bytes:
    """Announces a call; it can be executed `delay_s` later, which is at least the venue's timelock delay."""
    return _encode("timelock", "schedule", call.target, 0, call.data, _NO_PREDECESSOR, call.salt, delay_s)


def encode_execute(call: Call) -> bytes:
    return _encode("timelock", "execute", call.target, 0, call.data, _NO_PREDECESSOR, call.salt)


# What the timelock alone may call.


def encode_set_factors(factors: Factors) -> bytes:
    """To the clearing house."""
    return _encode("clearing_house", "setFactors", astuple(factors))


def encode_set_reporter(reporter: str, *, is_reporter: bool) -> bytes:
    """To the price feed: whether that address' signature counts from now on."""
    return _encode("price_feed", "setReporter", reporter, is_reporter)


def encode_upgrade(implementation: str, initialisation: bytes) -> bytes:
    """To the liquidator: switch to another version and initialise it, in one transaction."""
    return _encode("liquidator", "upgradeToAndCall", implementation, initialisation)


def encode_initialize(keeper_share_bps: int) -> bytes:
    """To the liquidator, by whoever; once per version, so only ever as part of a switch."""
    return _encode("liquidator", "initialize", keeper_share_bps)


# The lens.


def encode_governance() -> bytes:
    return _encode("lens", "governance")


def decode_governance(data: bytes) -> GovernanceState:
    (state,) = interfaces()["lens"].decode_result("governance", data)
    return GovernanceState(*state)


def _encode(contract: str, function: str, *arguments: Any) -> bytes:
    return interfaces()[contract].encode_call(function, *arguments)
