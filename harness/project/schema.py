"""The project file as pydantic models: contracts, accounts, deployments, actors, watches and checks of one's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.scenario.schema import Words

FILE_NAME = "harness.yaml"
DEPLOYMENTS_MAX = 500
ACTORS_MAX = 32

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
Argument = Any
"""An integer, text, list or mapping; what it must be is known from the ABI."""


class Account(Words):
    index: int | None = Field(default=None, ge=0, lt=2**31, description="of the 'test … junk' accounts")
    balance: str | int = Field(default="10000 ether", description="before anything is deployed")


class Call(Words):
    """A transaction to what was just deployed; or, with `contract.function`, to anything deployed before."""

    call: str = Field(pattern=r"^([A-Za-z][A-Za-z0-9_]*\.)?[A-Za-z_$][A-Za-z0-9_$]*(\(.*\))?$")
    args: list[Argument] = Field(default=[])
    as_: str = Field(default="deployer", alias="as", description="account that sends it")
    value: str | int = 0


class Deployment(Words):
    """One contract to create, or one call, in order."""

    name: Name | None = Field(default=None, description="what `$name` means from here on; default: the contract's")
    contract: str | None = Field(default=None, description="its Solidity name, or source.sol:Name")
    args: list[Argument] = Field(default=[], description="of the constructor, or of the call")
    libraries: dict[str, str] = Field(default={}, description="library → $name or address; deployed ones are found")
    abi: str | None = Field(default=None, description="talk to it with this contract's ABI, as through a proxy")
    as_: str = Field(default="deployer", alias="as", description="account that creates it")
    value: str | int = 0
    then: list[Call] = Field(default=[], description="initialisers, in order")
    call: str | None = Field(default=None, description="contract.function, instead of a contract to create")

    @model_validator(mode="after")
    def _one_thing(self) -> Deployment:
        if (self.contract is None) == (self.call is None):
            raise ValueError("give either contract (to create one) or call (contract.function)")
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


class Project(Words):
    """A user's own contracts and what goes with them."""

    version: Literal[1] = 1
    contracts: str | None = Field(
        default=None, description="Foundry's out/, Hardhat's artifacts/, or a folder of Solidity sources"
    )
    accounts: dict[Name, int | Account] = Field(default={}, max_length=200)
    deploy: str | Annotated[list[Deployment], Field(max_length=DEPLOYMENTS_MAX)] = Field(
        default=[], description="deployments in order, or file.py:function"
    )
    actors: Annotated[list[ActorSpec], Field(max_length=ACTORS_MAX)] = Field(default=[])
    watch: dict[Name, str] = Field(
        default={}, max_length=64, description="name → contract.function(arguments), read after every block"
    )
    checks: str | list[str] = Field(default=[], description="file.py (its CHECKS) or file.py:NAME")

    @model_validator(mode="after")
    def _contracts_for_deployments(self) -> Project:
        if self.deploy and self.contracts is None:
            raise ValueError("deploy needs contracts: the folder they are in")
        return self
