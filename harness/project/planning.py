"""Deploys a project on a scratch chain when a plan is made: what fails there fails before anything was created."""

from __future__ import annotations

from pathlib import Path

import orjson

from harness.evm.accounts import account
from harness.plan import Plan
from harness.project.arguments import ArgumentProblem, integer
from harness.project.deployer import Deployer, DeployProblem
from harness.project.reading import ProjectFile
from harness.project.schema import Deployment
from harness.project_plan import PlannedActor, ProjectAccount, ProjectPlan, Watch, load_code
from harness.scenario.loading import Location
from harness.scenario.stage import SIM_GENESIS_TIMESTAMP, base_of
from harness.solidity.compile import CompilationFailed
from harness.solidity.foreign import ArtifactProblem, Contracts, read_contracts
from harness.solidity.project_genesis import project_chain

DEFAULT_BALANCE = "10000 ether"


def plan_project(file: ProjectFile, plan: Plan) -> ProjectPlan:
    """The project as the plan carries it: every transaction of its deployment executed once and noted.

    Raises:
        ScenarioError: a contract cannot be found, linked, constructed or initialised; with the path of the deployment.
        ToolError, EngineFailure: a tool failed.
    """
    balances = _balances(file)
    _no_shared_accounts(file, plan)
    base, venue = base_of(plan)
    contracts = _contracts(file)
    addresses = {name: account(index).address for name, index in file.accounts.items()}
    addresses |= {f"{seat.name}-{seat.index}": account(seat.account).address for seat in file.seats}
    steps = sum(1 + len(item.then) for item in file.project.deploy)
    given = {addresses[name]: wei for name, wei in balances.items()}
    with project_chain(base, given, timestamp=SIM_GENESIS_TIMESTAMP, transactions=steps) as chain:
        deployer = Deployer(chain, contracts, addresses, venue)
        _deploy(file, deployer)
        watches = tuple(_watch(file, deployer, name, text) for name, text in file.project.watch.items())
        nonces = chain.state(addresses.values()).nonces
    accounts = [ProjectAccount(name, index, balances[name], nonces.get(addresses[name], 0))
                for name, index in file.accounts.items()]
    known = {item.index for item in accounts}
    accounts += [
        ProjectAccount(name, seat.account, balances[name], nonces.get(addresses[name], 0))
        for seat in file.seats if seat.account not in known and (name := f"{seat.name}-{seat.index}")
    ]  # fmt: skip
    return ProjectPlan(
        contracts=tuple(deployer.contracts.values()),
        genesis=tuple(deployer.transactions),
        accounts=tuple(accounts),
        actors=tuple(
            PlannedActor(f"{spec.name}-{index}", spec.class_, orjson.dumps(spec.options, default=str).decode())
            for spec in file.project.actors for index in range(spec.count)
        ),
        watches=watches,
        checks=file.check_references,
        files=file.files,
    )  # fmt: skip


def _balances(file: ProjectFile) -> dict[str, int]:
    """Wei by account name and by role name of actors."""
    balances = {f"{seat.name}-{seat.index}": integer(DEFAULT_BALANCE) for seat in file.seats}
    for name in file.accounts:
        given = file.project.accounts.get(name)
        text = DEFAULT_BALANCE if given is None else given.balance
        try:
            balances[name] = integer(text)
        except ArgumentProblem as error:
            raise file.error(("accounts", name, "balance"), str(error)) from None
        if not 0 <= balances[name] < 2**128:
            raise file.error(("accounts", name, "balance"), f"{text} is not from 0 to 2**128 wei")
    return balances


def _no_shared_accounts(file: ProjectFile, plan: Plan) -> None:
    """An account that a role of ours signs with would have its nonces moved under it."""
    ours = {role.account: role.name for role in plan.roles if role.account is not None and role.kind != "actor"}
    for name, index in file.accounts.items():
        if index in ours:
            location: Location = ("accounts", name) if name in file.project.accounts else ("accounts",)
            raise file.error(location, f"{name} would have account {index}, which is {ours[index]}'s; choose another")


def _contracts(file: ProjectFile) -> Contracts:
    where = file.project.contracts
    if where is None:
        return Contracts((), place="a project without contracts")
    try:
        return read_contracts(Path(file.folder) / where, shown=where)
    except (ArtifactProblem, CompilationFailed) as error:
        raise file.error(("contracts",), str(error)) from None


def _deploy(file: ProjectFile, deployer: Deployer) -> None:
    for number, item in enumerate(file.project.deploy):
        where: Location = ("deploy", number)
        try:
            if item.python is not None:
                _call_users_function(file, where, item.python, deployer)
            elif item.call is not None:
                contract, _, function_name = item.call.partition(".")
                deployer.send(contract, function_name, *item.args, sender=item.as_, value=item.value)
            else:
                name = _create(deployer, item)
                for position, call in enumerate(item.then):
                    where = ("deploy", number, "then", position)
                    contract, _, function_name = call.call.rpartition(".")
                    deployer.send(contract or name, function_name, *call.args, sender=call.as_, value=call.value)
        except DeployProblem as error:
            raise file.error(where, str(error)) from None


def _call_users_function(file: ProjectFile, where: Location, reference: str, deployer: Deployer) -> None:
    function = load_code(reference, file.files)
    try:
        function(deployer)
    except DeployProblem as error:
        raise DeployProblem(f"{reference}: {error}") from None
    except Exception as error:  # whatever the user's function raises is the user's to mend
        raise file.error(where, f"{reference} raised {type(error).__name__}: {error}") from error


def _create(deployer: Deployer, item: Deployment) -> str:
    assert item.contract is not None, "a deployment creates a contract or is a call"
    deployer.deploy(
        item.contract, *item.args, name=item.name, sender=item.as_, value=item.value, libraries=item.libraries,
        abi=item.abi,
    )  # fmt: skip
    return next(reversed(deployer.contracts))


def _watch(file: ProjectFile, deployer: Deployer, name: str, text: str) -> Watch:
    try:
        to, data, outputs = deployer.view_call(text)
    except DeployProblem as error:
        raise file.error(("watch", name), str(error)) from None
    return Watch(name, to, "0x" + data.hex(), outputs, text)
