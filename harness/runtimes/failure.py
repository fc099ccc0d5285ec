"""How a runtime says that it could not be brought up or kept up."""

from __future__ import annotations


class RuntimeFailure(Exception):
    """The network as a whole failed, by no fault that was planned; the message says which part of it and why."""
