"""Base class of a user's own roles: an account on the L2 that reads, sends and waits, in every runtime.

Subclass it in a project's Python file and name the class there; `run` is the role's life:

    class Depositor(Actor):
        async def run(self) -> None:
            while True:
                await self.sleep(0.5)
                await self.send("vault", "deposit", 10**18)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from harness.ports import PortError
from harness.project_plan import CodeNotFound, ProjectCodec, load_code
from harness.roles.client import L2_GAS_LIMIT, ChainClient, Outcome
from harness.roles.context import Role, RoleContext
from harness.roles.market import PricePath
from harness.roles.recording import jsonable
from harness.venue.deployment import interfaces

NS_PER_SECOND = 1_000_000_000


class Actor:
    """What a user's role inherits. Nothing here blocks but what is awaited; time and chance come from the run.

    A role that returns from `run` is done; one that raises fails the run. A gateway that does not answer raises
    `PortError` from `read`, and is an outcome from `send`, never an exception.
    """

    def __init__(self, context: RoleContext) -> None:
        assert context.plan.project is not None, "an actor belongs to a project"
        planned = next(item for item in context.plan.project.actors if item.role == context.name)
        self.context = context
        self.name = context.name
        self.index = context.spec.index
        self.options: Mapping[str, Any] = orjson.loads(planned.options)
        """What the project file gives this actor under `options`."""
        self.client = ChainClient.of(context)
        self.address = self.client.account.address
        self._codec = ProjectCodec(context.plan.project)
        self._accounts = {item.name: item.index for item in context.plan.project.accounts}
        self._paths = {asset: PricePath(knots) for asset, knots in context.plan.markets}
        self._operations = 0

    async def run(self) -> None:
        """The role's life, until it is cancelled."""
        raise NotImplementedError(f"{type(self).__name__} needs an async method run")

    # -- time and chance

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return self.context.clock.monotonic() / NS_PER_SECOND

    async def sleep(self, seconds: float) -> None:
        await self.context.clock.sleep(seconds)

    async def sleep_until(self, seconds: float) -> None:
        """Sleep until so many seconds after the run began; no time where that is past."""
        await self.context.clock.sleep(seconds - self.now)

    def draw(self, bound: int, *keys: int | str) -> int:
        """An integer in [0, bound), the same for the same seed, role and keys."""
        return self.context.random.below(bound, "actor", self.name, *keys)

    def price(self, asset: str) -> int:
        """The true price now, in 1e18 quote, of an asset of the scenario's market."""
        if asset not in self._paths:
            raise KeyError(f"no market {asset!r}; the scenario has {', '.join(self._paths) or 'none'}")
        return self._paths[asset].at(self.context.clock.monotonic())

    # -- the chain

    def at(self, name: str) -> str:
        """Address of a contract, an account or a role by name; the project's contracts before the venue's."""
        if name in self._codec.contracts:
            return self._codec.contracts[name].address
        places = {**self.context.accounts, **self.context.deployment}
        if name not in places:
            known = ", ".join([*self._codec.contracts, *places])
            raise KeyError(f"nothing is called {name!r}; there are {known}")
        return places[name]

    async def read(self, contract: str, function: str, *arguments: Any, label: str = "unsafe") -> Any:
        """The result of a view call; one value as it is, several as a tuple.

        Raises:
            PortError: no gateway answered, or the call reverted (`Refused`).
        """
        interface = self._interface(contract)
        view = await self.client.read(self.at(contract), interface.encode_call(function, *arguments), label=label)
        values = interface.decode_result(function, view.data)
        return values[0] if len(values) == 1 else values

    async def send(
        self, contract: str, function: str, *arguments: Any, value: int = 0, gas: int = L2_GAS_LIMIT
    ) -> Outcome:
        """Sign, send and wait until committed; recorded in the history as an operation with its outcome."""
        data = self._interface(contract).encode_call(function, *arguments)
        self._operations += 1
        id = f"{self.name}/{self.context.clock.monotonic()}-{self._operations}"
        action = f"{contract}.{function}"
        self.client.invoke(id, action, {"arguments": jsonable(list(arguments)), "value": str(value)})
        outcome = (await self.client.send_all([(self.at(contract), data)], gas=gas, value=value))[0]
        self.client.conclude(id, action, outcome)
        return outcome

    def _interface(self, contract: str) -> Any:
        if contract in self._codec.interfaces:
            return self._codec.interfaces[contract]
        if contract in self.context.deployment and contract in interfaces():
            return interfaces()[contract]
        known = ", ".join([*self._codec.interfaces, *self.context.deployment])
        raise KeyError(f"no contract is called {contract!r}; there are {known}")


def make_actor(context: RoleContext) -> Role:
    """The user's class that plays this role.

    Raises:
        CodeNotFound: the plan's reference leads to no class with an async `run`.
    """
    project = context.plan.project
    assert project is not None, "an actor belongs to a project"
    planned = next(item for item in project.actors if item.role == context.name)
    made = actor_class(planned.code, load_code(planned.code, project.files))(context)
    return made


def actor_class(reference: str, found: Any) -> type[Actor]:
    """`found`, if it is a class an actor can be made of.

    Raises:
        CodeNotFound: it is something else.
    """
    if not (isinstance(found, type) and issubclass(found, Actor)):
        raise CodeNotFound(f"{reference} is {found!r}, not a subclass of harness.project.Actor")
    return found


__all__ = ["Actor", "Outcome", "PortError", "actor_class", "make_actor"]
