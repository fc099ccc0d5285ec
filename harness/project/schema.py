"""The project file as pydantic models: contracts, accounts, deployments, actors, watches and checks of one's own."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.scenario.vocabulary import Words

FILE_NAME = "harness.yaml"
DEPLOYMENTS_MAX = 500
ACTORS_MAX = 32

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
Argument = Any
"""An integer, text, list or mapping; what it must be is known from the ABI."""


def _amount(value: object) -> object:
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


Amount = Annotated[str, BeforeValidator(_amount, json_schema_input_type=str | int)]
"""Wei as `7`, `2.5 ether` or `30 gwei`; read exactly by `arguments.integer`."""


class Account(Words):
    index: int | None = Field(default=None, ge=0, lt=2**31, description="of the 'test … junk' accounts")
    balance: Amount = Field(default="10000 ether", description="before anything is deployed")


class Call(Words):
    """A transaction to what was just deployed; or, with `contract.function`, to anything deployed before."""

    call: str = Field(pattern=r"^([A-Za-z][A-Za-z0-9_]*\.)?[A-Za-z_$][A-Za-z0-9_$]*(\(.*\))?$")
    args: list[Argument] = Field(default=[])
    as_: str = Field(default="deployer", alias="as", description="account that sends it")
    value: Amount = "0"


class Deployment(Words):
    """One contract to create, or one call, in order."""

    name: Name | None = Field(default=None, description="what `$name` means from here on; default: the contract's")
    contract: str | None = Field(default=None, description="its Solidity name, or source.sol:Name")
    args: list[Argument] = Field(default=[], description="of the constructor, or of the call")
    libraries: dict[str, str] = Field(default={}, description="library → $name or address; deployed ones are found")
    abi: str | None = Field(default=None, description="talk to it with this contract's ABI, as through a proxy")
    as_: str = Field(default="deployer", alias="as", description="account that creates it")
    value: Amount = "0"
    then: list[Call] = Field(default=[], description="initialisers, in order")
    call: str | None = Field(default=None, description="contract.function, instead of a contract to create")
    python: str | None = Field(default=None, description="file.py:function that deploys, instead of either")

    @model_validator(mode="after")
    def _one_thing(self) -> Deployment:
        if [self.contract, self.call, self.python].count(None) != 2:
            raise ValueError(
                "give one of contract (to create one), call (contract.function) or python (file.py:function)"
            )
        if self.python is not None and self.model_fields_set != {"python"}:
            raise ValueError("python stands alone: what it deploys and how is in its function")
        if self.call is not None and ({"name", "libraries", "abi", "then"} & self.model_fields_set):
            raise ValueError("name, libraries, abi and then go with contract, not with call")
        if self.call is not None and "." not in self.call:
            raise ValueError("a call needs its contract: contract.function")
        return self


class ActorSpec(Words):
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="its roles are <name>-0, <name>-1, …")
    class_: str = Field(alias="class", min_length=3, description="file.py:Class or package.module:Class")
    count: int = Field(default=1, ge=1, le=100)
    account: str | None = Field(default=None, description="one of `accounts`; default: one of its own")
    options: dict[str, Any] = Field(default={})

    @model_validator(mode="after")
    def _whole(self) -> ActorSpec:
        if self.account is not None and self.count > 1:
            raise ValueError("an account can be used by one actor only; leave it out or set count: 1")
        if ":" not in self.class_:
            raise ValueError("class is file.py:Class or package.module:Class")
        return self


def _account(value: object) -> object:
    return {"index": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _deployments(value: object) -> object:
    return [{"python": value}] if isinstance(value, str) else value


def _references(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Project(Words):
    """A user's own contracts and what goes with them."""

    version: Literal[1] = 1
    contracts: str | None = Field(
        default=None, description="Foundry's out/, Hardhat's artifacts/, or a folder of Solidity sources"
    )
    accounts: dict[
        Name, Annotated[Account, BeforeValidator(_account, json_schema_input_type=int | Account)]
    ] = Field(default={}, max_length=200, description="name → index of a dev account")
    deploy: Annotated[
        list[Deployment],
        BeforeValidator(_deployments, json_schema_input_type=str | list[Deployment]),
        Field(max_length=DEPLOYMENTS_MAX),
    ] = Field(default=[], description="deployments in order, or file.py:function")
    actors: Annotated[list[ActorSpec], Field(max_length=ACTORS_MAX)] = Field(default=[])
    watch: dict[Name, str] = Field(
        default={}, max_length=64, description="name → contract.function(arguments), read after every block"
    )
    checks: Annotated[
        list[str], BeforeValidator(_references, json_schema_input_type=str | list[str])
    ] = Field(default=[], description="file.py (its CHECKS) or file.py:NAME")

    @model_validator(mode="after")
    def _contracts_for_deployments(self) -> Project:
        if self.deploy and self.contracts is None:
            raise ValueError("deploy needs contracts: the folder they are in")
        return self
