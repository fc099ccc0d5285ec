"""`harness init`: a project file, a storm and a test for somebody's repository, fitted to what is found in it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness.project.schema import FILE_NAME
from harness.scenario.errors import Problem, ScenarioError
from harness.solidity.compile import CompilationFailed
from harness.solidity.foreign import ArtifactProblem, Contracts, ForeignArtifact, read_contracts

STORM = "storms/first-storm.yaml"
DEPLOYED_MAX = 20
_HARDHAT = ("hardhat.config.ts", "hardhat.config.js", "hardhat.config.cjs", "hardhat.config.mts")


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """What would be written, and what it is based on."""

    toolchain: str               # Foundry, Hardhat, Solidity sources, or none
    files: tuple[tuple[str, str], ...]   # path in the repository → content
    deployed: tuple[str, ...]    # contracts that need no arguments
    left_out: tuple[str, ...]    # contracts that need some, with their constructors
    note: str = ""


def starting_point(folder: Path) -> StartingPoint:
    """Fitted to the repository; nothing is written. Compiles sources where nothing else is there.

    Raises:
        ScenarioError: one of the files is there already, or the folder is none.
    """
    if not folder.is_dir():
        raise ScenarioError.at("", "is no folder", file=str(folder))
    toolchain, place = _toolchain(folder)
    contracts, note = _contracts(folder, place)
    deployed, left_out = _sorted_out(contracts, place)
    tests = next((name for name in ("tests", "test") if (folder / name).is_dir()), "tests")
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:40] or "project"
    test = f"{tests}/test_{name.replace('-', '_')}_network.py"
    files = (
        (FILE_NAME, _project(toolchain, place if contracts is not None else None, deployed, left_out)),
        (STORM, _storm(name)),
        (test, _test(deployed)),
    )
    there = [path for path, _ in files if (folder / path).exists()]
    if there:
        what = "is there already; init overwrites nothing: move it away, or write what you need by hand"
        raise ScenarioError([Problem("", f"{path} {what}") for path in there], file=str(folder))
    return StartingPoint(toolchain, files, tuple(a.name for a in deployed), tuple(map(_constructor, left_out)), note)


def write(point: StartingPoint, folder: Path) -> None:
    """Write its files, all or none. Raises OSError."""
    written: list[Path] = []
    try:
        for path, content in point.files:
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as out:   # whoever made it meanwhile keeps it
                written.append(file)
                out.write(content)
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        raise


def _toolchain(folder: Path) -> tuple[str, str | None]:
    """Which tool builds the contracts here, and where they are."""
    if (folder / "foundry.toml").is_file():
        try:
            profile = tomllib.loads((folder / "foundry.toml").read_text()).get("profile", {}).get("default", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError):
            profile = {}
        out, source = str(profile.get("out", "out")), str(profile.get("src", "src"))
        return "Foundry", out if (folder / out).is_dir() else source if (folder / source).is_dir() else out
    if any((folder / name).is_file() for name in _HARDHAT):
        return "Hardhat", "artifacts" if (folder / "artifacts").is_dir() else "contracts"
    for place in ("contracts", "src"):
        if any((folder / place).rglob("*.sol")):
            return "Solidity sources", place
    return "none", None


def _contracts(folder: Path, place: str | None) -> tuple[Contracts | None, str]:
    """What can be deployed; None, and why, where that cannot be found out."""
    if place is None:
        return None, "no contracts were found; name their folder in harness.yaml"
    try:
        return read_contracts(folder / place, shown=place), ""
    except (ArtifactProblem, CompilationFailed) as error:
        return None, f"{error}"


def _sorted_out(
    contracts: Contracts | None, place: str | None
) -> tuple[list[ForeignArtifact], list[ForeignArtifact]]:
    """The repository's own contracts: those that need nothing, and those that need arguments or libraries."""
    own = [a for a in (contracts.artifacts if contracts is not None else ()) if a.bytecode and _is_own(a)]
    names = [a.name for a in own]
    own = [a for a in own if names.count(a.name) == 1]
    ready = [a for a in own if not a.constructor_inputs and not a.links and _has_functions(a)]
    needy = [a for a in own if a.constructor_inputs or a.links]
    return ready[:DEPLOYED_MAX], needy


def _is_own(artifact: ForeignArtifact) -> bool:
    source = artifact.source
    library = source.startswith(("lib/", "@", "node_modules/", "forge-std/", "solady/", "test/", "script/"))
    return not library and not source.endswith((".t.sol", ".s.sol"))


def _has_functions(artifact: ForeignArtifact) -> bool:
    return any(entry["type"] == "function" for entry in artifact.abi)


def _constructor(artifact: ForeignArtifact) -> str:
    inputs = ", ".join(f"{item['type']} {item.get('name', '')}".strip() for item in artifact.constructor_inputs)
    libraries = ", ".join(link.library.rpartition(":")[2] for link in artifact.links)
    return f"{artifact.name}({inputs})" + (f" with the library {libraries}" if libraries else "")


def _project(
    toolchain: str, place: str | None, deployed: list[ForeignArtifact], left_out: list[ForeignArtifact]
) -> str:
    lines = [
        "# What a network of yours starts with: contracts, who uses them, what must hold.",
        f"# Found: {toolchain}. `harness validate {STORM}` deploys it on a scratch chain and says what is wrong.",
        "version: 1",
    ]
    lines += [f"contracts: {place}"] if place is not None else ["# contracts: out   # or artifacts, or sources"]
    lines += ["accounts: {alice: 7, bob: 8}   # of the 'test … junk' accounts; 10000 ether each"]
    if deployed:
        lines += ["deploy:", *(f"  - {{contract: {artifact.name}}}" for artifact in deployed)]
    for artifact in left_out:
        arguments = ", ".join(f"<{item.get('name') or item['type']}>" for item in artifact.constructor_inputs)
        lines += [f"#  - {{contract: {artifact.name}, args: [{arguments}]}}   # {_constructor(artifact)}"]
    lines += [
        "# actors:",
        "#   - {name: user, class: 'actors.py:User', count: 3}   # class User(harness.project.Actor)",
        "# watch: {held: token.balanceOf($vault)}   # read after every block, for checks",
        "# checks: checks.py   # its CHECKS, a list of harness.project.Check",
        "",
    ]
    return "\n".join(lines)


def _storm(name: str) -> str:
    return f"""# harness run {STORM}
version: 1
name: {name}-first-storm
about: The leader is cut off, messages are slow, and a sequencer dies
seed: 1
project: ../{FILE_NAME}
network: {{l2: {{sequencers: 4, replicas: 1}}}}
faults:
  - {{at: 6s, for: 5s, partition: [[leader], [rest]]}}
  - {{at: 13s, for: 4s, latency: {{from: sequencer-*, to: replica-*, delay: 200ms, jitter: 80ms}}}}
  - {{at: 19s, kill: sequencer-1, restart: 22s}}
storm: 25s
checks: [all, -OPS, -R1]   # those two judge transactions: take them in again once there are actors
"""


def _test(deployed: list[ForeignArtifact]) -> str:
    text = f'''"""Integration tests on a network of real nodes, in virtual time. Run: pytest"""

import pytest

pytestmark = pytest.mark.network(project="../{FILE_NAME}", sequencers=4)


def test_blocks_go_on_without_the_leader(network, faults, wait_for, check):
    height = network.height
    with faults.partition(["leader"], ["rest"]):
        wait_for(lambda: network.height > height + 5, within=30)
    check("H1", "H4")
'''
    if deployed:
        name = deployed[0].name
        text += f'''

def test_{re.sub("(?<!^)(?=[A-Z])", "_", name).lower()}_is_deployed(web3, contracts):
    contract = contracts["{name[:1].lower() + name[1:]}"]
    assert len(web3.eth.get_code(contract.address)) > 0
'''
    return text
