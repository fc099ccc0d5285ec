"""The scenarios that come with the harness, by name."""

from __future__ import annotations

from pathlib import Path

from harness.scenario.errors import ScenarioError, did_you_mean

_PACKAGE = Path(__file__).parents[1]
# A checkout has them beside the package, a wheel inside it (pyproject.toml, force-include).
_FOLDERS = (_PACKAGE.parent / "scenarios", _PACKAGE / "_scenarios")


def shipped_scenarios() -> dict[str, Path]:
    """Name → file, sorted by name."""
    for folder in _FOLDERS:
        files = sorted(folder.glob("*.yaml"))
        if files:
            return {file.stem: file for file in files}
    return {}


def find_scenario(word: str) -> Path:
    """The file a user means: a path if it looks like one or exists, else a shipped name. Raises ScenarioError."""
    path = Path(word)
    if path.suffix in (".yaml", ".yml") or "/" in word or path.is_file():
        return path
    shipped = shipped_scenarios()
    if word in shipped:
        return shipped[word]
    hint = did_you_mean(word, shipped) or f"; shipped are {', '.join(shipped) or 'none'}"
    raise ScenarioError.at("", f'no scenario is called "{word}"{hint}')
