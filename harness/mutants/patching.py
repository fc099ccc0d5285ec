"""A mutant's sources: our contracts with its changes, in a folder named by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from harness.mutants.catalogue import Mutant, find_mutant
from harness.runtimes.failure import RuntimeFailure
from harness.scenario.conduct import Variant
from harness.solidity.artifacts import write_atomically
from harness.solidity.compile import contracts_root
from harness.toolchain import cache_home


class DoesNotApply(RuntimeFailure):
    """A change's text does not occur exactly once: the contracts moved on, and the catalogue has to follow."""


def patched(mutant: Mutant, root: Path | None = None) -> dict[str, str]:
    """File in the contracts' folder → text, of all sources with the mutant's changes. Raises DoesNotApply."""
    root = root or contracts_root()
    sources = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.sol"))
    }
    for change in mutant.changes:
        text = sources.get(change.file, "")
        if text.count(change.old) != 1:
            raise DoesNotApply(
                f"{mutant.id}: {change.old.strip()[:120]!r} occurs {text.count(change.old)} times in {change.file}, "
                "not once; mend contracts/mutants/catalogue.yaml"
            )
        sources[change.file] = text.replace(change.old, change.new)
    return sources


def mutant_contracts(mutant: Mutant, root: Path | None = None) -> Path:
    """A folder with the mutant's sources, to compile instead of ours. Made once per content. Raises DoesNotApply."""
    sources = patched(mutant, root)
    key = hashlib.sha256(orjson.dumps(sources, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    folder = cache_home() / "mutants" / key
    for name, text in sources.items():
        path = folder / name
        if not path.exists():
            write_atomically(path, text.encode())
    return folder


def variant_of(id: str) -> Variant:
    """What `--mutant ID` runs. Raises ScenarioError, DoesNotApply."""
    mutant = find_mutant(id)
    return Variant(contracts=mutant_contracts(mutant), mutant=mutant.id)
