"""One line of history.jsonl into its typed record, or a `HistoryError` that says what is wrong with it.

Fields a record needs must be there and be of their type; fields it does not know are left alone, so that a newer
writer can say more without an older reader refusing the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from harness.history.errors import HistoryError
from harness.history.events import read_arguments
from harness.history.fields import address, flag, hash_, integer, mapping, sequence, text
from harness.history.records import (
    LABELS,
    AccountState,
    AssetState,
    AssetTerms,
    BlockRecord,
    Event,
    FaultRecord,
    FundingState,
    GovernanceState,
    HeadRecord,
    ObservationRecord,
    OperationRecord,
    OrderState,
    PhaseRecord,
    PoolState,
    PositionState,
    ProblemRecord,
    ReadingRecord,
    Record,
    RunRecord,
    SeriesState,
    SpotState,
    StateRecord,
    StatRecord,
    Transaction,
)

_OPERATION_PHASES = frozenset(("invoke", "ok", "fail", "info"))
_FAULT_PHASES = frozenset(("inject", "evidence", "heal", "verify", "not-healed"))
_CHAINS = frozenset(("l1", "l2"))
_LABELS = frozenset(LABELS)
_NOTHING: Mapping[str, Any] = {}


def parse_line(line: bytes | str, number: int) -> Record:
    """The record of one line.

    Raises:
        HistoryError: not JSON, an unknown kind, a missing field or one of the wrong type; carries the line's number.
    """
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise HistoryError(f"not JSON ({error}); was the file cut off?", line=number) from None
    return parse_record(raw, number)


def parse_record(raw: Any, number: int = 0) -> Record:
    """The record of one line's JSON, as it is written or after it was read.

    Raises:
        HistoryError: an unknown kind, a missing field or one of the wrong type; carries the line's number.
    """
    try:
        kind = raw["kind"]
        parser = _PARSERS.get(kind)
        if parser is None:
            raise HistoryError(f"unknown kind {kind!r}; known: {', '.join(sorted(_PARSERS))}")
        t = raw["t"]
        if type(t) is not int:
            raise HistoryError(f"t must be an integer number of nanoseconds, got {t!r}")
        return parser(raw, t, text(raw["node"], "node"))
    except KeyError as missing:
        shown = raw.get("kind", "record") if isinstance(raw, dict) else "record"
        raise HistoryError(f"{shown} lacks the field {missing.args[0]!r}", line=number) from None
    except HistoryError as error:
        raise HistoryError(str(error), line=number) from None
    except (TypeError, AttributeError):
        raise HistoryError("a record must be a JSON object shaped as FORMAT.md says", line=number) from None


def _run(raw: dict[str, Any], t: int, node: str) -> Record:
    return RunRecord(
        t, node, text(raw["scenario"], "scenario"), integer(raw["seed"], "seed"), text(raw["runtime"], "runtime"),
        mapping(raw["versions"], "versions"), integer(raw["genesis_timestamp"], "genesis_timestamp"),
        mapping(raw["deployment"], "deployment"),
        {role: address(value, f"accounts.{role}") for role, value in mapping(raw["accounts"], "accounts").items()},
        {
            name: AssetTerms(
                flag(item["signed"], f"assets.{name}.signed"), integer(item["min_answer"], f"assets.{name}.min_answer"),
                integer(item["max_answer"], f"assets.{name}.max_answer"),
            )
            for name, item in mapping(raw.get("assets", {}), "assets").items()
        },
    )


def _transaction(raw: Any, where: str) -> Transaction:
    to, error = raw["to"], raw["error"]
    return Transaction(
        hash_(raw["hash"], f"{where}.hash"),
        address(raw["sender"], f"{where}.sender"),
        None if to is None else address(to, f"{where}.to"),
        flag(raw["ok"], f"{where}.ok"),
        integer(raw["gas"], f"{where}.gas"),
        error if error is None or type(error) is str else orjson.dumps(error).decode(),
    )


def _event(raw: Any, where: str, transactions: int) -> Event:
    name = text(raw["name"], f"{where}.name")
    tx = raw["tx"]
    if type(tx) is not int or not -1 <= tx < transactions:
        raise HistoryError(f"{where}.tx must index one of {transactions} transactions or be -1, got {tx!r}")
    args = read_arguments(name, mapping(raw["args"], f"{where}.args"), where)
    return Event(name, text(raw["contract"], f"{where}.contract"), tx, args)


def _block(raw: dict[str, Any], t: int, node: str) -> Record:
    chain, origin, origin_time = raw["chain"], raw["origin"], raw.get("origin_time")
    if chain not in _CHAINS:
        raise HistoryError(f"chain must be l1 or l2, got {chain!r}")
    transactions = tuple(
        _transaction(item, f"transactions[{index}]")
        for index, item in enumerate(sequence(raw["transactions"], "transactions"))
    )
    return BlockRecord(
        t, node, chain, integer(raw["number"], "number"), hash_(raw["hash"], "hash"), hash_(raw["parent"], "parent"),
        integer(raw["timestamp"], "timestamp"), None if origin is None else integer(origin, "origin"),
        integer(raw["base_fee"], "base_fee"), transactions,
        tuple(
            _event(item, f"events[{index}]", len(transactions))
            for index, item in enumerate(sequence(raw["events"], "events"))
        ),
        tuple(
            _project_event(item, f"project_events[{index}]", len(transactions))
            for index, item in enumerate(sequence(raw.get("project_events", []), "project_events"))
        ),
        None if origin_time is None else integer(origin_time, "origin_time"),
    )


def _project_event(raw: Any, where: str, transactions: int) -> Event:
    """An event of a user's contract: of no type we know, so it says itself which arguments are integers."""
    tx, args = raw["tx"], mapping(raw["args"], f"{where}.args")
    if type(tx) is not int or not -1 <= tx < transactions:
        raise HistoryError(f"{where}.tx must index one of {transactions} transactions or be -1, got {tx!r}")
    return Event(
        text(raw["name"], f"{where}.name"), text(raw["contract"], f"{where}.contract"), tx,
        _with_integers(args, raw["integers"], f"{where}.args"),
    )


def _with_integers(values: Mapping[str, Any], integers: Any, where: str) -> Mapping[str, Any]:
    """The same values with those of the named keys exact integers, or lists of them."""
    named = sequence(integers, "integers")
    return {key: _integers(value, f"{where}.{key}") if key in named else value for key, value in values.items()}


def _integers(value: Any, where: str) -> Any:
    return [_integers(item, where) for item in value] if isinstance(value, list) else integer(value, where)


def _reading(raw: dict[str, Any], t: int, node: str) -> Record:
    return ReadingRecord(
        t, node, integer(raw["number"], "number"), hash_(raw["hash"], "hash"),
        _with_integers(mapping(raw["values"], "values"), raw["integers"], "values"),
    )


def _head(raw: dict[str, Any], t: int, node: str) -> Record:
    label = raw["label"]
    if label not in _LABELS:
        raise HistoryError(f"label must be one of {', '.join(LABELS)}, got {label!r}")
    return HeadRecord(
        t, node, label, integer(raw["number"], "number"), hash_(raw["hash"], "hash"),
        flag(raw.get("reset", False), "reset"),
    )


def _account_state(raw: Any, where: str) -> AccountState:
    return AccountState(
        integer(raw["cash"], f"{where}.cash"), integer(raw["equity"], f"{where}.equity"),
        integer(raw["im"], f"{where}.im"), integer(raw["mm"], f"{where}.mm"),
        tuple(
            PositionState(
                integer(item["series"], f"{where}.series"), integer(item["size"], f"{where}.size"),
                integer(item["notional"], f"{where}.notional"),
                integer(item.get("funding_index", 0), f"{where}.funding_index"),
            )
            for item in sequence(raw["positions"], f"{where}.positions")
        ),
        integer(raw.get("auction", 0), f"{where}.auction"), integer(raw.get("pool", 0), f"{where}.pool"),
        _optional(raw, "moved_at", where),
    )


def _optional(raw: Mapping[str, Any], name: str, where: str) -> int | None:
    return integer(raw[name], f"{where}.{name}") if name in raw else None


def _funding_state(raw: Any, where: str) -> FundingState | None:
    if raw is None:
        return None
    market = mapping(raw, where)
    return FundingState(*(integer(market[name], f"{where}.{name}") for name in FundingState.__dataclass_fields__))


def _state(raw: dict[str, Any], t: int, node: str) -> Record:
    totals = mapping(raw["totals"], "totals")
    return StateRecord(
        t, node, integer(raw["number"], "number"), hash_(raw["hash"], "hash"),
        integer(totals["custody"], "totals.custody"), integer(totals["insurance"], "totals.insurance"),
        integer(totals["fees"], "totals.fees"), integer(totals["dust"], "totals.dust"),
        {
            address(key, "accounts key"): _account_state(item, f"accounts.{key}")
            for key, item in mapping(raw["accounts"], "accounts").items()
        },
        {
            integer(key, "series key"): SeriesState(
                integer(item["clearing"], f"series.{key}.clearing"),
                integer(item["open_interest"], f"series.{key}.open_interest"),
                integer(item["open_positions"], f"series.{key}.open_positions"),
                flag(item["final"], f"series.{key}.final"), integer(item["price"], f"series.{key}.price"),
                _funding_state(item.get("funding"), f"series.{key}.funding"),
                _optional(item, "disputed_at", f"series.{key}"),
            )
            for key, item in mapping(raw["series"], "series").items()
        },
        {
            key: AssetState(
                integer(item["round"], f"assets.{key}.round"), integer(item["timestamp"], f"assets.{key}.timestamp"),
                integer(item["price"], f"assets.{key}.price"), integer(item["cumulative"], f"assets.{key}.cumulative"),
                *(_optional(item, name, f"assets.{key}")
                  for name in ("funded", "active_at", "covered", "beyond", "halted_until")),
            )
            for key, item in mapping(raw["assets"], "assets").items()
        },
        integer(totals.get("deficit", 0), "totals.deficit"),
        _book(raw["book"]) if "book" in raw else None,
        _governance(raw["governance"]) if "governance" in raw else None,
        _spot(raw["spot"]) if "spot" in raw else None,
        tuple(_pool(item) for item in sequence(raw.get("pools", []), "pools")),
    )


def _pool(item: Any) -> PoolState:
    pool = mapping(item, "pools")

    def amount(name: str) -> int:
        return integer(pool[name], f"pools.{name}")

    return PoolState(
        amount("pool"), amount("balance"), amount("insurance"), amount("fees"), amount("dust"), amount("deficit"),
        text(pool["coin"], "pools.coin") if "coin" in pool else "", amount("custody") if "custody" in pool else 0,
    )


def _governance(raw: Any) -> GovernanceState:
    fields = mapping(raw, "governance")
    return GovernanceState(
        *(integer(fields[name], f"governance.{name}") for name in GovernanceState.__dataclass_fields__)
    )


def _spot(raw: Any) -> SpotState:
    pool = mapping(raw, "spot")
    return SpotState(*(integer(pool[name], f"spot.{name}") for name in SpotState.__dataclass_fields__))


def _book(raw: Any) -> dict[int, tuple[OrderState, ...]]:
    found: dict[int, tuple[OrderState, ...]] = {}
    for key, orders in mapping(raw, "book").items():
        where = f"book.{key}"
        rows = [sequence(item, f"{where}[]") for item in sequence(orders, where)]
        if any(len(row) != 5 for row in rows):
            raise HistoryError(f"{where} must list [orderId, account, rest, price, deadline] of each order")
        found[integer(key, "book key")] = tuple(
            OrderState(
                integer(id_, f"{where}.orderId"), address(account, f"{where}.account"), integer(rest, f"{where}.rest"),
                integer(price, f"{where}.price"), integer(deadline, f"{where}.deadline"),
            )
            for id_, account, rest, price, deadline in rows
        )
    return found


def _operation(raw: dict[str, Any], t: int, node: str) -> Record:
    phase = raw["phase"]
    if phase not in _OPERATION_PHASES:
        raise HistoryError(f"op phase must be one of {', '.join(sorted(_OPERATION_PHASES))}, got {phase!r}")
    return OperationRecord(
        t, node, text(raw["id"], "id"), text(raw["client"], "client"), text(raw["action"], "action"), phase,
        mapping(raw.get("args") or _NOTHING, "args"), mapping(raw.get("detail") or _NOTHING, "detail"),
    )


def _fault(raw: dict[str, Any], t: int, node: str) -> Record:
    phase = raw["phase"]
    if phase not in _FAULT_PHASES:
        raise HistoryError(f"fault phase must be one of {', '.join(sorted(_FAULT_PHASES))}, got {phase!r}")
    return FaultRecord(t, node, text(raw["id"], "id"), text(raw["fault"], "fault"), phase, raw["target"], raw["detail"])


def _observation(raw: dict[str, Any], t: int, node: str) -> Record:
    source = raw.get("source")
    return ObservationRecord(
        t, node, text(raw["asset"], "asset"), integer(raw["round"], "round"), integer(raw["timestamp"], "timestamp"),
        integer(raw["price"], "price"), None if source is None else integer(source, "source"),
        flag(raw.get("lied", False), "lied"),
    )


def _phase(raw: dict[str, Any], t: int, node: str) -> Record:
    return PhaseRecord(t, node, text(raw["name"], "name"))


def _problem(raw: dict[str, Any], t: int, node: str) -> Record:
    return ProblemRecord(t, node, text(raw["what"], "what"), raw.get("detail"), flag(raw.get("fatal", False), "fatal"))


def _stat(raw: dict[str, Any], t: int, node: str) -> Record:
    return StatRecord(t, node, {key: value for key, value in raw.items() if key not in ("t", "node", "kind")})


_PARSERS: dict[str, Callable[[dict[str, Any], int, str], Record]] = {
    "run": _run, "block": _block, "head": _head, "state": _state, "op": _operation, "fault": _fault,
    "observation": _observation, "phase": _phase, "problem": _problem, "stat": _stat, "notice": _stat,
    "reading": _reading,
}
