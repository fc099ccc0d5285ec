"""Partitions that are no groups: Jepsen's bridge and its ring of majorities. Each is the pairs of roles that are cut.

Both leave every role in touch with a majority or with somebody who is, which is where protocols go wrong that take
being reachable for being agreed with.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

RING_MIN = 4
BRIDGE_MIN = 3

Pair = tuple[str, str]


def ring(names: Sequence[str]) -> tuple[Pair, ...]:
    """Each keeps its nearest on both sides, as few as make a majority with itself; no two see the same ones.

    Raises ValueError: so few that nobody is cut from anybody.
    """
    count = len(names)
    if count < RING_MIN:
        raise ValueError(f"a ring needs at least {RING_MIN} roles, and these are {', '.join(names)}")
    reach = (count // 2 + 1) // 2   # on each side; with itself these are a majority
    return tuple(
        (names[left], names[right])
        for left, right in combinations(range(count), 2)
        if min(right - left, count - right + left) > reach
    )


def bridge(names: Sequence[str]) -> tuple[Pair, ...]:
    """The first keeps everybody; the others are two halves that do not reach each other but through it.

    Raises ValueError: there are no two halves.
    """
    if len(names) < BRIDGE_MIN:
        raise ValueError(f"a bridge needs at least {BRIDGE_MIN} roles, and these are {', '.join(names)}")
    others = names[1:]
    middle = len(others) // 2
    return tuple((left, right) for left in others[:middle] for right in others[middle:])
