"""How a runtime says that it could not be brought up or kept up."""

from __future__ import annotations

from dataclasses import dataclass


class RuntimeFailure(Exception):
    """The network as a whole failed, by no fault that was planned; the message says which part of it and why."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A role, handler or process failed in a way its ports do not provide for: the run cannot be believed."""

    role: str
    what: str
    detail: str
