"""From a scenario's `project` to what it names: the project file found and checked, its Python files read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.checks.registry import Check
from harness.project.judging import checks_of
from harness.project.schema import FILE_NAME, Project
from harness.project_plan import CarriedFile, CodeNotFound, load_code
from harness.roles.actor import actor_class
from harness.scenario.errors import ScenarioError
from harness.scenario.loading import Document, Location, read_document
from harness.scenario.schema import Scenario
from harness.scenario.validation import validated

CODE_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class ActorSeat:
    """One role of the project's, to be given its place in the topology."""

    name: str
    index: int
    account: int


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A checked project file. Nothing has been deployed; its Python files have been read and loaded."""

    project: Project
    document: Document
    prefix: Location            # where in the document the project is
    files: tuple[CarriedFile, ...]
    check_references: tuple[str, ...]
    checks: tuple[Check, ...]
    accounts: dict[str, int]    # name → index of the dev account; those of actors too
    seats: tuple[ActorSeat, ...]

    @property
    def folder(self) -> Path:
        return self.document.folder

    def error(self, location: Iterable[str | int], what: str) -> ScenarioError:
        return self.document.error((*self.prefix, *location), what)


ACCOUNTS_FROM = 2_000
ACTORS_FROM = 3_000
DEPLOYER_INDEX = 3


def read_project(document: Document, scenario: Scenario) -> ProjectFile | None:
    """The scenario's project, or None where it has none. Raises ScenarioError with the path to what is wrong."""
    if scenario.project is None:
        return None
    if isinstance(scenario.project, str):
        place = Path(os.path.normpath(document.folder / scenario.project))   # as a person would write it
        prefix: Location = ()
        held = read_document(place / FILE_NAME if place.is_dir() else place)
        project = validated(Project, held)
    else:
        held, prefix = document, ("project",)
        project = _inline(document)
    return _ProjectReader(project, held, prefix).read()


def project_file(path: Path) -> ProjectFile:
    """A project file of its own, without a scenario. Raises ScenarioError."""
    document = read_document(path / FILE_NAME if path.is_dir() else path)
    return _ProjectReader(validated(Project, document), document, ()).read()


def _inline(document: Document) -> Project:
    """The mapping under `project`, with errors at their lines."""
    lines = {location[1:]: line for location, line in document.lines.items() if location[:1] == ("project",)}
    inner = Document(document.data["project"], document.file, document.folder, lines)
    try:
        return validated(Project, inner)
    except ScenarioError as error:
        problems = [replace(p, where=f"project.{p.where}" if p.where else "project") for p in error.problems]
        raise ScenarioError(problems, file=document.file) from None


class _ProjectReader:
    def __init__(self, project: Project, document: Document, prefix: Location) -> None:
        self.project = project
        self.document = document
        self.prefix = prefix
        self.files: dict[str, CarriedFile] = {}

    def error(self, location: Iterable[str | int], what: str) -> ScenarioError:
        return self.document.error((*self.prefix, *location), what)

    def read(self) -> ProjectFile:
        project = self.project
        accounts = self._accounts()
        seats: list[ActorSeat] = []
        names: dict[str, None] = {}
        for number, actor in enumerate(project.actors):
            if actor.name in names:
                raise self.error(("actors", number, "name"), f"{actor.name} is already an actor")
            names[actor.name] = None
            self._code(("actors", number, "class"), actor.class_)
            for index in range(actor.count):
                if actor.account is not None and actor.account not in accounts:
                    known = ", ".join(accounts)
                    raise self.error(("actors", number, "account"), f"no account {actor.account}; there are {known}")
                own = ACTORS_FROM + len(seats)
                seats.append(ActorSeat(actor.name, index, accounts[actor.account] if actor.account else own))
        references = tuple(project.checks)
        checks: list[Check] = []
        for number, reference in enumerate(references):
            found = self._code(("checks", number), reference)
            try:
                checks += checks_of(reference, found)
            except CodeNotFound as error:
                raise self.error(("checks", number), str(error)) from None
        self._no_check_twice(checks)
        for number, item in enumerate(project.deploy):
            if item.python is not None:
                function = self._code(("deploy", number), item.python)
                if not callable(function):
                    what = f"{item.python} is {type(function).__name__}, not a function"
                    raise self.error(("deploy", number), what)
        return ProjectFile(
            project, self.document, self.prefix, tuple(self.files.values()), references, tuple(checks), accounts,
            tuple(seats),
        )  # fmt: skip

    def _accounts(self) -> dict[str, int]:
        accounts: dict[str, int] = {}
        given = self.project.accounts
        if "deployer" not in given:
            accounts["deployer"] = DEPLOYER_INDEX
        for number, (name, value) in enumerate(given.items()):
            index = ACCOUNTS_FROM + number if value.index is None else value.index
            taken = next((other for other, held in accounts.items() if held == index), None)
            if taken is not None:
                raise self.error(("accounts", name), f"{index} is already {taken}'s; two names for one key")
            accounts[name] = index
        return accounts

    def _code(self, where: Location, reference: str) -> Any:
        """Carry the file of a reference and load what it names; an actor's class is checked to be one."""
        place = reference.partition(":")[0]
        if place.endswith(".py") and place not in self.files:
            path = self.document.folder / place
            try:
                raw = path.read_bytes()
            except OSError as error:
                raise self.error(where, f"{place}: {error.strerror} ({path})") from None
            if len(raw) > CODE_BYTES_MAX:
                raise self.error(where, f"{place}: larger than {CODE_BYTES_MAX} bytes; a plan carries it whole")
            self.files[place] = CarriedFile(place, raw.decode("utf-8", errors="replace"))
        try:
            found = load_code(reference, tuple(self.files.values()))
            return actor_class(reference, found) if where[0] == "actors" else found
        except CodeNotFound as error:
            raise self.error(where, str(error)) from None

    def _no_check_twice(self, checks: list[Check]) -> None:
        seen: dict[str, None] = {}
        for check in checks:
            if check.id in seen:
                raise self.error(("checks",), f"two checks are called {check.id}")
            seen[check.id] = None
