"""Whatever is called wrongly, by whomever and whenever, is refused by the documented error and changes nothing.

Complete by construction: every function that can change something has a case, every argument of it the outcome of each
extreme, every state of the venue is tried, and every error the contracts declare is reached or its absence explained.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.evm.accounts import OWNER, account
from harness.solidity.compile import compile_contracts
from harness.solidity.deploy import NOBODY, creation_code
from harness.venue import governance as gov
from harness.venue.deployment import CONTRACTS, ON_L1
from tests.contracts.bad_input import cases_authority, cases_bridge, cases_money, cases_trading
from tests.contracts.bad_input.situations import ELSEWHERE, SITUATIONS, UNREACHABLE, Situation
from tests.contracts.bad_input.stage import STRANGER, Attempt, Sender, Stage, build
from tests.contracts.bad_input.table import (
    OK,
    STATES,
    Case,
    at,
    changing_functions,
    declared_errors,
    extremes,
    is_expected,
    paths,
    replaced,
)
from tests.contracts.conftest import CHAIN, STRICT, venue_or_skip

CASES = {case.function: case for case in (
    *cases_money.CASES, *cases_trading.CASES, *cases_authority.CASES, *cases_bridge.CASES)}  # fmt: skip
FUNCTIONS = changing_functions()
FORCED_GAS = 10_000_000


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One venue for all cases: each leaves it as it was."""
    with venue_or_skip(STRICT) as venue:
        stage = Stage(venue.client, venue.at)
        build(stage)
        deploy_l1(stage)
        yield stage


def deploy_l1(stage: Stage) -> None:
    """What lives on L1 is tried here: nothing of it asks on which chain it is."""
    arguments_of: dict[str, tuple[object, ...]] = {
        "batch_inbox": (), "forced_queue": (FORCED_GAS,), "l1_token": (account(OWNER).address, NOBODY),
        "l1_bridge": (stage.at["l1_token"], CHAIN),
    }  # fmt: skip
    for name, arguments in arguments_of.items():
        creation = creation_code(compile_contracts()[CONTRACTS[name]], *arguments)
        code = stage.client.call("eth_call", {"data": "0x" + creation.hex()}, "latest")
        stage.client.call("anvil_setCode", stage.at[name], code)
    cases_bridge.deploy_l1_tokens(stage)


def attempt(stage: Stage, case: Case, sender: Sender | None = None, place: tuple[int, ...] = (), value: object = None,
            label: str = "") -> Attempt:
    arguments = case.args(stage)
    if place:
        arguments = replaced(arguments, place, value)
    data = stage.call_of(case.contract, case.signature, *case.finish(stage, arguments))
    return Attempt(label, case.who if sender is None else sender, case.contract, data, case.value)


def judge(stage: Stage, rows: list[tuple[Attempt, str]]) -> list[str]:
    """What is wrong with any of these: the refused ones together, each accepted one in a branch of its own."""
    wrong = []
    refused = [row for row in rows if row[1] != OK]
    before = stage.dump() if refused else {}
    for (item, outcome), error in zip(refused, stage.attempt_all([item for item, _ in refused]), strict=True):
        if not is_expected(error, outcome):
            wrong.append(f"{item.label}: {error or 'accepted'}, not {outcome}")
    if refused and not wrong and stage.dump() != before:
        wrong.append("something was refused and changed the state all the same")
    for item, outcome in rows:
        if outcome != OK:
            continue
        with stage.branch():
            error = stage.attempt(item).error
            if error:
                wrong.append(f"{item.label}: {error}, not accepted")
            elif isinstance(item.sender, int) and any(stage.gaps()):
                wrong.append(f"{item.label}: accepted, and money was made or lost: {stage.gaps()}")
    return wrong


def test_every_function_that_changes_something_has_a_case() -> None:
    """A new function comes with its rows, or this fails and says which."""
    assert sorted(FUNCTIONS.keys() - CASES.keys()) == []
    assert sorted(CASES.keys() - FUNCTIONS.keys()) == []


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_every_argument_has_an_outcome_for_each_extreme(function: str) -> None:
    """So that nobody adds an argument and leaves its zero, dust and greatest value untried."""
    wanted = {}
    for path, (place, type_) in paths(FUNCTIONS[function]).items():
        del place
        wanted[path] = len(list(extremes(type_, False)))
    assert {path: len(outcomes) for path, outcomes in CASES[function].edges.items()} == wanted


@pytest.mark.node
@pytest.mark.parametrize("function", sorted(CASES))
def test_extreme_arguments(stage: Stage, function: str) -> None:
    """The call as it should be succeeds; with one argument at an extreme it does what the table says."""
    case = CASES[function]
    with stage.branch():
        case.scene(stage)
        rows = [(attempt(stage, case, label="as it should be"), case.base)]
        for path, (place, type_) in paths(FUNCTIONS[function]).items():
            values = extremes(type_, at(case.args(stage), place))
            for outcome, (extreme, value) in zip(case.edges[path], values, strict=True):
                rows.append((attempt(stage, case, place=place, value=value, label=f"{path} {extreme}"), outcome))
        assert judge(stage, rows) == []


@pytest.mark.node
@pytest.mark.parametrize("function", sorted(CASES))
def test_foreign_callers(stage: Stage, function: str) -> None:
    """Who may not is refused by name: a stranger, the owner, every contract of the venue but the one meant."""
    case = CASES[function]
    everybody: list[Sender] = [STRANGER]
    if case.only:
        everybody += [OWNER, *(name for name in CONTRACTS if name not in ON_L1)]
    with stage.branch():
        case.scene(stage)
        rows = [(attempt(stage, case, sender, label=f"from {sender}"), case.foreign)
                for sender in everybody if sender not in case.only]
        assert judge(stage, rows) == []


@pytest.mark.node
@pytest.mark.parametrize("function", sorted(CASES))
def test_every_state_of_the_venue(stage: Stage, function: str) -> None:
    """G1, and the guards of sequencer and oracle: forbidden is what the matrix forbids, and nothing else."""
    case = CASES[function]
    wrong = []
    with stage.branch():
        case.scene(stage)
        for state in (*range(8), *STATES):
            expected = case.base
            with stage.branch():
                if isinstance(state, int):
                    stage.pause(state)
                    expected = next((error for bit, error in case.blocked.items()
                                     if isinstance(bit, int) and state & bit), expected)
                else:
                    enter(stage, state)
                    expected = case.blocked.get(state, expected)
                wrong += judge(stage, [(attempt(stage, case, label=f"in state {state}"), expected)])
    assert wrong == []


@pytest.mark.node
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.label)
def test_situations(stage: Stage, situation: Situation) -> None:
    """Replayed, reordered and foreign reports, and every other thing that is refused only after something else."""
    with stage.branch():
        situation.scene(stage)
        item = situation.attempt(stage)
        assert judge(stage, [(item, situation.error)]) == []


def test_every_error_the_contracts_declare_is_reached() -> None:
    """One that is not is dead, and says so; one that is said to be and is reached has come alive."""
    reached = {situation.error for situation in SITUATIONS}
    for case in CASES.values():
        reached |= {case.base, case.foreign, *case.blocked.values(), *itertools.chain(*case.edges.values())}
    assert sorted(declared_errors() - reached - UNREACHABLE.keys() - ELSEWHERE.keys()) == []
    assert sorted(reached & UNREACHABLE.keys()) == []
    assert sorted((UNREACHABLE.keys() | ELSEWHERE.keys()) - declared_errors()) == []
    for place in ELSEWHERE.values():
        path, _, test = place.partition("::")
        assert f"def {test}(" in Path(path).read_text(encoding="utf-8")


def test_every_error_the_contracts_declare_is_documented() -> None:
    """In RULES.md, by its name: what a user gets to see is explained where the rule is."""
    rules = Path("contracts/RULES.md").read_text(encoding="utf-8")
    assert sorted(error for error in declared_errors() if not re.search(rf"\b{error}\b", rules)) == []


@pytest.mark.node
@pytest.mark.parametrize("function", sorted(CASES))
def test_what_moves_tokens_is_known_to(stage: Stage, function: str) -> None:
    """Whatever moves them is tried with a token that calls back (test_reentrancy)."""
    case = CASES[function]
    with stage.branch():
        case.scene(stage)
        moved = any(event.name == "Transfer" for event in stage.attempt(attempt(stage, case)).events)
        assert moved is case.moves_tokens


def enter(stage: Stage, state: str) -> None:
    """Bring the venue into one of `STATES`."""
    if state == "down":
        stage.now += 1
        stage.system(auto=True)
    elif state == "grace":
        stage.now += STRICT.uptime_gap_s + 1
        stage.system()
    elif state == "resumed":
        stage.pause(gov.PAUSES["liquidation"])
        stage.ok(OWNER, "pauses", gov.encode_unpause(gov.PAUSES["liquidation"]))
    elif state == "halted":
        price = stage.state().assets[0].price
        stage.live(1)
        stage.observe(price * 6 // 5)
        stage.live(1)
        stage.observe(price)
        stage.live(1)
    else:
        assert state == "stale"
        stage.live(STRICT.max_price_age_s + 1)

