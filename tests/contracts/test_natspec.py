"""Whoever calls a contract reads what each function does, and in which unit its amounts are, where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

SOURCES = sorted(Path("contracts").rglob("*.sol"))
AMOUNTS = re.compile(r"u?int\d*\s+(amount|price|size|value|fee|delta|loss|residue|tick|lot|amountIn|minOut|shares)_?\b")
UNITS = ("1e18", "native", "1/10 000", "wei", "@inheritdoc")


def functions() -> Iterator[tuple[str, str, str]]:
    """`File.function`, its head and the comment above it, of everything that can be called from outside."""
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            found = re.match(r"    function (\w+)\(", line)
            if not found:
                continue
            head = re.split(r"[{;]", " ".join(lines[number:number + 12]))[0]
            first = number
            while lines[first - 1].lstrip().startswith("///"):
                first -= 1
            if re.search(r"\b(external|public)\b", head):
                yield f"{path.stem}.{found[1]}", head, "\n".join(lines[first:number])


def test_every_function_says_what_it_does() -> None:
    silent = [name for name, _, comment in functions() if not re.search("@notice|@inheritdoc", comment)]
    assert silent == []


def test_every_amount_has_a_unit() -> None:
    """Five scales meet here (native units of two tokens, 1e18 of quote and of underlying, 1/10 000): none is obvious."""
    vague = [name for name, head, comment in functions()
             if AMOUNTS.search(head) and not any(unit in comment for unit in UNITS)]
    assert vague == []


def test_there_is_something_to_read() -> None:
    """A pattern that fits nothing would find nothing wrong."""
    heads = [head for _, head, _ in functions()]
    assert len(heads) > 100
    assert sum(bool(AMOUNTS.search(head)) for head in heads) > 25
