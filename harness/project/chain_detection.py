"""Finds guards in Solidity sources that switch off on a test chain: what was tested there was without them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.plan import L1_CHAIN_ID, L2_CHAIN_ID

FILES_MAX = 5_000
BYTES_MAX = 4_000_000
_SKIPPED = {"node_modules", "out", "artifacts", "cache", "broadcast", ".git"}
_TESTS = re.compile(r"(\.t|\.s)\.sol$|(^|/)(test|tests|script|scripts|mocks?)/", re.IGNORECASE)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)

_HERE = f"networks of the harness have {L1_CHAIN_ID} and {L2_CHAIN_ID}, where it is on"
# What gives a test chain away → what it means.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"\b(?:block\.chainid|chainid\s*\(\s*\)|chainId)\s*[!=]=\s*(?:31337|1337)\b"
                   r"|\b(?:31337|1337)\s*[!=]=\s*(?:block\.chainid|chainid\s*\(\s*\)|chainId)\b"),
        f"decides by the chain id of Anvil and Hardhat; {_HERE}",
    ),
    (
        re.compile(r"""["']FORK["']|hex["']464f524b["']|0x1234123412341234123412341234123412341234""", re.IGNORECASE),
        "looks for the FORK marker of Synthetix v3, which a fork of Cannon's carries and a network of the harness does "
        "not; never set it in a run that is to judge this guard",
    ),
    (
        re.compile(r"0x7109709ECfa91a80626fF3989D68f67F5b1DD12D", re.IGNORECASE),
        "speaks to Foundry's cheat codes outside of its tests; no network of the harness answers there",
    ),
    (
        re.compile(r"tx\.origin\s*==\s*address\(\s*(?:0|0xdead|0x1)\s*\)", re.IGNORECASE),
        "decides by an origin that only a simulated call can have; an `eth_call` here may come from any address",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DetectingGuard:
    """One place where a contract asks whether it is being tested."""

    file: str
    line: int
    text: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.meaning}: {self.text}"


def guards_off_on_test_chains(folder: Path) -> list[DetectingGuard]:
    """Every such place in a folder's sources, tests, scripts and libraries left out. Bounded; unreadable files too."""
    found: list[DetectingGuard] = []
    for number, file in enumerate(sorted(folder.rglob("*.sol"))):
        name = file.relative_to(folder).as_posix()
        if number >= FILES_MAX:
            break
        if _SKIPPED & set(name.split("/")[:-1]) or _TESTS.search(name):
            continue
        try:
            if not file.is_file() or file.stat().st_size > BYTES_MAX:
                continue
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        # Comments become blanks, so that lines keep their numbers.
        code = _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
        for pattern, meaning in _PATTERNS:
            for match in pattern.finditer(code):
                line = code[: match.start()].count("\n") + 1
                found.append(DetectingGuard(name, line, text.splitlines()[line - 1].strip()[:120], meaning))
    return sorted(found, key=lambda guard: (guard.file, guard.line))
