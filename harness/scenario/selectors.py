"""Words that choose roles, resolved against a topology: names, globs, kinds, indices, leader, majority and the like."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence

from harness.plan import RoleSpec
from harness.ports import Random
from harness.scenario.errors import did_you_mean

LEADER = "leader"          # stays a word: who leads is known only when the fault fires
REST = "rest"
GROUP_WORDS = ("all", LEADER, "majority", "minority", "one", REST)
_INDEXED = re.compile(r"([a-z](?:[a-z0-9-]*[a-z0-9])?)\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")


class UnknownRole(ValueError):
    """A selector names nothing in this topology; the message says which word and what was near."""


class Selectors:
    """Resolves the selectors of one fault. `key` names its draws, so that other faults do not move them.

    `majority` and `minority` are complements within one fault; both and `one` speak of sequencers, the voters.
    """

    def __init__(self, roles: Sequence[RoleSpec], random: Random, *, key: str) -> None:
        self._roles = roles
        self._random = random
        self._key = key
        self._names = [role.name for role in roles]
        sequencers = [role.name for role in roles if role.kind == "sequencer"]
        self._drawn = sorted(sequencers, key=lambda name: random.bits("selector", key, name))
        self._majority = len(sequencers) // 2 + 1

    def resolve(self, words: Iterable[str], *, taken: Iterable[str] = ()) -> tuple[str, ...]:
        """Role names, sorted, without duplicates; may contain `leader`. `rest` is every role not in `taken`.

        Raises:
            UnknownRole: a word names no role here.
            ValueError: together they choose nobody.
        """
        words = list(words)
        chosen: set[str] = set()
        for word in words:
            chosen.update(self._one(word, set(taken)))
        if not chosen:
            raise ValueError(f"chooses nobody: {', '.join(words)}")
        return tuple(sorted(chosen))

    def in_drawn_order(self, words: Iterable[str]) -> tuple[str, ...]:
        """Role names in an order that is drawn; raises as `resolve` does, and for `leader`, whose place nobody knows.
        """
        names = self.resolve(words)
        if LEADER in names:
            raise ValueError("who leads is known only when the fault fires, so leader has no place in a shape")
        return tuple(sorted(names, key=lambda name: self._random.bits("selector", self._key, name)))

    def groups(self, groups: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """Disjoint groups; `rest` in one of them is every role in none of the others.

        Raises ValueError when a role is in two groups, which would cut it from itself.
        """
        resolved: list[tuple[str, ...] | None] = [None if REST in group else self.resolve(group) for group in groups]
        if resolved.count(None) > 1:
            raise ValueError("rest can stand in one group only")
        taken = [name for group in resolved if group is not None for name in group]
        whole = [self.resolve(words, taken=taken) if group is None else group
                 for words, group in zip(groups, resolved, strict=True)]
        seen: dict[str, int] = {}
        for number, group in enumerate(whole):
            for name in group:
                if name in seen:
                    raise ValueError(f"{name} is in group {seen[name] + 1} and in group {number + 1}")
                seen[name] = number
        return whole

    def _one(self, word: str, taken: set[str]) -> Iterable[str]:
        match word:
            case "all":
                return self._names
            case "leader":
                return [LEADER]
            case "majority":
                return self._drawn[: self._majority]
            case "minority":
                return self._drawn[self._majority :]
            case "one":
                return self._drawn[:1]
            case "rest":
                return [name for name in self._names if name not in taken]
        indexed = _INDEXED.fullmatch(word)
        if indexed:
            names = [f"{indexed[1]}-{int(index)}" for index in indexed[2].split(",")]
            for name in names:
                if name not in self._names:
                    raise self._unknown(name)
            return names
        if any(letter in word for letter in "*?["):
            found = [name for name in self._names if fnmatch.fnmatchcase(name, word)]
            if not found:
                raise UnknownRole(f'no role matches "{word}"; there are {", ".join(self._patterns())}')
            return found
        if word in self._names:
            return [word]
        of_kind = [role.name for role in self._roles if role.kind == word]
        if of_kind:
            return of_kind
        raise self._unknown(word)

    def _unknown(self, word: str) -> UnknownRole:
        known = [*self._names, *dict.fromkeys(role.kind for role in self._roles), *GROUP_WORDS]
        hint = did_you_mean(word, known) or f"; there are {', '.join(self._patterns())} and {', '.join(GROUP_WORDS)}"
        return UnknownRole(f'unknown role "{word}"{hint}')

    def _patterns(self) -> list[str]:
        stems: dict[str, int] = {}
        for name in self._names:
            stem = name.rpartition("-")[0]
            stems[stem] = stems.get(stem, 0) + 1
        return [f"{stem}-0" if count == 1 else f"{stem}-0…{count - 1}" for stem, count in stems.items()]
