"""A user's own contracts, actors and checks as part of a plan: everything a run needs of them, carried as plain data.

A plan carries bytecode, ABIs and the text of the Python files it names, so that a run can be replayed after its
sources changed, and a role in another process or container needs none of the user's files. A reference is
`file.py:Name` for a carried file, or `package.module:Name` for what is installed wherever roles run.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import orjson

from harness.rollup.blocks import Log

if TYPE_CHECKING:
    from harness.evm.abi import ErrorType, Interface

DEPLOYER = "deployer"
"""The account that creates a project's contracts where nothing else is said."""


@dataclass(frozen=True, slots=True)
class CarriedFile:
    """A Python file of the user's; it stands alone: it may import the harness and what is installed."""

    name: str    # as references name it
    text: str


@dataclass(frozen=True, slots=True)
class ProjectContract:
    name: str        # as `$name` in the project file, and in histories
    contract: str    # Solidity name
    address: str     # lower-case 0x-hex
    abi: str         # JSON


@dataclass(frozen=True, slots=True)
class GenesisTransaction:
    """One transaction that made the state of block 0, in order; executed on a scratch node, never on the network."""

    label: str
    sender: str
    to: str | None   # None creates a contract
    data: str        # 0x-hex
    value: int       # wei


@dataclass(frozen=True, slots=True)
class ProjectAccount:
    name: str
    index: int       # of the dev account
    balance_wei: int
    nonce: int       # after the genesis transactions


@dataclass(frozen=True, slots=True)
class PlannedActor:
    role: str        # the role's name, `<actor>-<index>`
    code: str        # reference to its class
    options: str     # JSON


@dataclass(frozen=True, slots=True)
class Watch:
    """A view call that is evaluated after every committed block and recorded under its name."""

    name: str
    to: str
    data: str                   # 0x-hex calldata
    outputs: tuple[str, ...]    # canonical ABI types
    text: str                   # as written, for messages


@dataclass(frozen=True, slots=True)
class ProjectPlan:
    contracts: tuple[ProjectContract, ...]
    genesis: tuple[GenesisTransaction, ...]
    accounts: tuple[ProjectAccount, ...]
    actors: tuple[PlannedActor, ...]
    watches: tuple[Watch, ...]
    checks: tuple[str, ...]     # references: a check, a list of checks, or a file's CHECKS
    files: tuple[CarriedFile, ...]


class CodeNotFound(Exception):
    """A reference to Python code leads nowhere; the message says which, where and what there is."""


def load_code(reference: str, files: tuple[CarriedFile, ...]) -> Any:
    """The object of a reference; a bare `file.py` is its `CHECKS`. Runs the user's module once per process.

    Raises:
        CodeNotFound: no such file, module or name, or the module itself failed.
    """
    place, colon, name = reference.partition(":")
    name = name if colon else "CHECKS"
    module = _module(place, files)
    try:
        return getattr(module, name)
    except AttributeError:
        public = [word for word in vars(module) if not word.startswith("_")]
        raise CodeNotFound(f"{place} has no {name!r}; it has {', '.join(public) or 'nothing'}") from None


def _module(place: str, files: tuple[CarriedFile, ...]) -> ModuleType:
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except Exception as error:  # whatever the user's module raises while it is imported
            raise CodeNotFound(f"module {place} cannot be imported: {type(error).__name__}: {error}") from error
    carried = next((file for file in files if file.name == place), None)
    if carried is None:
        raise CodeNotFound(f"the plan carries no file {place}; it carries {', '.join(f.name for f in files) or 'none'}")
    name = "harness_carried_" + hashlib.sha256(f"{place}\0{carried.text}".encode()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = place
    sys.modules[name] = module  # before it runs: dataclasses look their module up by name
    try:
        exec(compile(carried.text, place, "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise CodeNotFound(f"{place} cannot be loaded{line}: {type(error).__name__}: {error}") from error
    return module


@dataclass(frozen=True, slots=True)
class ProjectEvent:
    """An event of a user's contract. `integers` names the arguments that are integers, or arrays of them."""

    name: str
    contract: str
    args: dict[str, Any]
    integers: tuple[str, ...]


class ProjectCodec:
    """Encodes and decodes what goes to and comes from the project's contracts; made once per role."""

    def __init__(self, project: ProjectPlan | None) -> None:
        # Here, not above: whoever speaks of a plan would read the ABI library, and few have a project to decode.
        from harness.evm.abi import Interface

        self.contracts = {item.name: item for item in (project.contracts if project is not None else ())}
        self.interfaces: dict[str, Interface] = {
            name: Interface(orjson.loads(item.abi)) for name, item in self.contracts.items()
        }
        self._by_address = {item.address: name for name, item in self.contracts.items()}
        self._errors: dict[bytes, ErrorType] = {
            selector: error for item in self.interfaces.values() for selector, error in item.errors.items()
        }

    def event(self, log: Log) -> ProjectEvent | None:
        """The event of a log; None when no contract of the project emitted it, or its ABI does not know it."""
        name = self._by_address.get(log.address)
        interface = self.interfaces.get(name or "")
        decoded = interface.decode_event(log.topics, log.data) if interface is not None else None
        if interface is None or decoded is None or name is None:
            return None
        types = {item.name: item.type for item in interface.events[bytes.fromhex(log.topics[0][2:])].parameters}
        integers = tuple(item for item in decoded[1] if is_integer_type(types[item]))
        return ProjectEvent(decoded[0], name, decoded[1], integers)

    def explain(self, revert_data: bytes) -> str | None:
        """Revert data as one of the project's custom errors; None when it is none of them."""
        from harness.evm.abi import decode_error

        return decode_error(revert_data, self._errors) if revert_data[:4] in self._errors else None


def is_integer_type(type_: str) -> bool:
    """Whether values of a canonical ABI type are integers, or arrays of integers."""
    base = type_.partition("[")[0]
    return base.startswith(("uint", "int"))
