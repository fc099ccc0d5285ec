"""A verb for each fault word of scenario files; its flags are made from the model that files are checked by."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from harness.cli import network_tables, options
from harness.cli.exits import print_json, verb
from harness.report.console import make_console
from harness.scenario.fault_words import FAULT_WORDS, Fault
from harness.scenario.loading import plain_scalar
from harness.scenario.vocabulary import Words

_METAVAR = {"from": "ROLE", "to": "ROLE", "between": "ROLE ROLE"}
_SHORT = {
    "latency": "Delay messages of some links.",
    "loss": "Lose messages.",
    "duplicate": "Deliver messages twice.",
    "reorder": "Let messages overtake others.",
    "rate": "Narrow links to a rate.",
    "partition": "Cut groups of roles from each other.",
    "kill": "SIGKILL roles; they start again when it heals.",
    "pause": "SIGSTOP roles.",
    "skew": "Make roles' clocks wrong.",
    "view-lag": "Let roles see L1 late.",
    "stop": "Ask roles to end; they start again when it heals.",
    "disconnect": "Take roles off their network.",
    "cpu": "Leave roles a share of a processor (compose).",
    "disk-full": "Leave no room for roles' rows (sim, compose).",
    "corrupt": "Damage messages, which are then dropped.",
    "rpc": "Let nodes lie: drop replies, fail, lag, do things twice.",
    "reorg": "Replace the last blocks of L1.",
    "oracle": "Let price reporters sign wrong prices.",
    "fee-spike": "Multiply the base fee of L1.",
    "censor": "Let leaders leave out some senders' transactions.",
    "sandwich": "Let leaders trade around others' swaps in the spot pool.",
}
_EXAMPLE = {
    "latency": "--from reporter-* --to sequencer-* --delay 400ms --jitter 150ms --for 10s",
    "loss": "--between leader rest --probability 20%",
    "duplicate": "--from keeper-0 --to all --probability 50%",
    "reorder": "--from batcher-0 --to l1-0 --probability 30%",
    "rate": "--to replica-0 --rate 64kbit",
    "partition": "leader rest --for 10s",
    "kill": "batcher-0 --for 5s",
    "pause": "leader",
    "skew": "sequencer-1 --offset 500ms",
    "view-lag": "sequencer-0 --delay 6s",
    "stop": "batcher-0 --grace 2s --for 5s",
    "disconnect": "leader --for 5s",
    "cpu": "sequencer-1 --cores 0.1 --for 10s",
    "disk-full": "replica-0 --for 5s",
    "corrupt": "--from reporter-0 --to sequencer-* --probability 10%",
    "rpc": "--from user --to sequencer-0 --method eth_sendRawTransaction --do drop-reply",
    "reorg": "--depth 2 --dropped lost",
    "oracle": "reporter-0 --do drift --by 2 --for 10s",
    "fee-spike": "--factor 20 --for 30s",
    "censor": "leader --from keeper-* --for 10s",
    "sandwich": "sequencer --from all --for 10s",
}


def add_words(group: typer.Typer) -> None:
    for word in FAULT_WORDS:
        group.command(word, short_help=_SHORT.get(word, "A fault of scenario files."))(_verb_of(word))


def _verb_of(word: str) -> Callable[..., None]:
    """A function whose parameters are the word's options, for typer to make flags of."""
    model = _model_of(word)
    parameters = [*_positional(word, model), *_flags(model), *_COMMON]
    roles_key = {"partition": "groups", "kill": "", "pause": "", "disconnect": "", "disk-full": ""}.get(word, "of")

    def put_on(**given: Any) -> int:
        from harness.network.client import connect

        name, json, for_ = given.pop("name"), given.pop("json"), given.pop("for_")
        fault: dict[str, Any] = {word: _words(given, roles_key)}
        if for_ is not None:
            fault["for"] = for_
        shown = connect(name).fault(fault)
        if json:
            print_json(shown.to_json())
        else:
            network_tables.fault(make_console(sys.stdout), shown)
        return 0

    put_on.__doc__ = f"Example: harness fault {word} {_EXAMPLE.get(word, '--for 10s')}\n\n{_about(word, model)}"
    put_on.__name__ = f"fault_{word.replace('-', '_')}"
    made = verb(put_on)
    made.__signature__ = inspect.Signature(parameters)   # type: ignore[attr-defined]  # what typer reads
    made.__annotations__ = {each.name: each.annotation for each in parameters}
    return made


def _model_of(word: str) -> type[Words] | None:
    """The mapping a word takes; None where it takes roles alone."""
    annotation = Fault.model_fields[word.replace("-", "_")].annotation
    for part in (annotation, *typing.get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Words):
            return part
    return None


def _about(word: str, model: type[Words] | None) -> str:
    selectors = "ROLE is a name, a glob, a kind, or one of leader, majority, minority, one, all, rest."
    if word == "partition":
        groups = "Each argument is a group, of several ROLEs with commas; or --ring, --bridge; or one way, --from --to."
        return f"{groups} {selectors}"
    return selectors if model is None or "of" in model.model_fields else f"Links are chosen by ROLEs. {selectors}"


def _positional(word: str, model: type[Words] | None) -> list[inspect.Parameter]:
    kind: Any
    if word == "partition":
        kind = Annotated[list[str] | None, typer.Argument(metavar="[GROUP GROUP...]", help="Roles to cut apart.")]
    elif model is None or "of" in model.model_fields:
        kind = Annotated[list[str] | None, typer.Argument(metavar="ROLE...", help="Who it is done to.")]
    else:
        return []
    return [_parameter("roles", kind, None)]


def _flags(model: type[Words] | None) -> list[inspect.Parameter]:
    flags = []
    for field, info in (model.model_fields if model is not None else {}).items():
        key = info.alias or field
        if key in ("groups", "of"):
            continue   # they are the arguments
        option = typer.Option(
            f"--{key.replace('_', '-')}", help=_help(info), show_default=False, metavar=_METAVAR.get(key, key.upper())
        )
        if key == "between":
            flags.append(_parameter(key, Annotated[tuple[str, str] | None, option], None))
        else:
            flags.append(_parameter(f"{key}_", Annotated[list[str] | None, option], None))
    return flags


def _help(info: FieldInfo) -> str | None:
    default = "" if info.is_required() or info.default in (None, 0, 0.0) else f"default {info.default}"
    return "; ".join(part for part in (info.description, default) if part) or None


def _words(given: dict[str, Any], roles_key: str) -> Any:
    """What the flags say, as it would stand in a scenario file."""
    roles = given.pop("roles", None)
    mapping = {key.rstrip("_"): _value(value) for key, value in given.items() if value}
    if not roles:
        return mapping or None
    if roles_key == "groups":
        groups = [_names(group) for group in roles]
        return {**mapping, "groups": groups} if mapping else groups
    names = [name for group in roles for name in _names(group)]
    return {**mapping, roles_key: names} if roles_key else names


def _value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_names(each) for each in value]
    parts = [plain_scalar(part) for text in value for part in _names(text)]
    return parts[0] if len(parts) == 1 else parts


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


_COMMON = [
    _parameter(
        "for_",
        Annotated[str | None, typer.Option("--for", metavar="DURATION", help="Heal it after so long, as in 10s.")],
        None,
    ),
    _parameter("name", options.Name, None),
    _parameter("json", options.Json, False),
]
