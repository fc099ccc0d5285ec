"""A document against a pydantic model: every problem with its path into the file, its line, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.scenario.errors import Problem, ScenarioError, dotted
from harness.scenario.loading import Document, Location

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], document: Document) -> M:
    """The document as a model. Raises ScenarioError with every problem found, each with its path and line."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        problems = [_problem(document, detail) for detail in error.errors(include_url=False)]
        raise ScenarioError(problems, file=document.file) from None


def _problem(document: Document, detail: Mapping[str, Any]) -> Problem:
    # `groups` is our own name for a partition's bare list, `[key]` pydantic's for a mapping's key.
    location: Location = tuple(
        step for index, step in enumerate(detail["loc"])
        if step != "[key]" and not (step == "groups" and detail["loc"][index - 1] == "partition")
    )
    if detail["type"] == "key":
        location = (*location, detail["ctx"]["key"])
    return Problem(dotted(location), _words(detail), document.line_of(location))


def _words(detail: Mapping[str, Any]) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] in ("value_error", "key", "missing"):
        return {"missing": "is required"}.get(detail["type"], message)
    given = detail.get("input")
    if isinstance(given, str | int | Decimal):
        shown = str(given)
        message += f", got {shown if len(shown) <= 60 else shown[:60] + '…'}"
    return message[0].lower() + message[1:]
