"""Creates a project's contracts on a scratch chain and notes every transaction, so that the network can repeat them.

A deploy function of the user's gets a `Deployer`; a list of deployments is carried out through the same one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from harness.evm.abi import AbiEntry, Interface, canonical_type
from harness.project.arguments import ArgumentProblem, fitted, integer
from harness.project_plan import DEPLOYER, GenesisTransaction, ProjectContract
from harness.scenario.errors import did_you_mean
from harness.solidity.foreign import ArtifactProblem, Contracts, ForeignArtifact
from harness.solidity.project_genesis import TRANSACTIONS_MAX
from harness.solidity.scratch_chain import ScratchChain, TransactionFailed

_CALL = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\.([A-Za-z_$][A-Za-z0-9_$]*(?:\([a-z0-9\[\],() ]*\))?)\s*")


class DeployProblem(Exception):
    """A deployment cannot be carried out: the user's to mend. The message names contract, call and reason."""


class Deployer:
    """Names are those of the project file. Arguments may be `$name` for an address, `5 ether` for an amount."""

    def __init__(
        self, chain: ScratchChain, contracts: Contracts, accounts: Mapping[str, str], venue: Mapping[str, str]
    ) -> None:
        """`accounts` are addresses by name, `venue` those of our own contracts, where there are any."""
        self.accounts = dict(accounts)
        self.contracts: dict[str, ProjectContract] = {}
        self.transactions: list[GenesisTransaction] = []
        self._chain = chain
        self._artifacts = contracts
        self._venue = dict(venue)
        self._interfaces: dict[str, Interface] = {}
        for artifact in contracts.artifacts:
            chain.errors.update(interface_of(artifact).errors)

    def deploy(
        self,
        contract: str,
        *args: Any,
        name: str | None = None,
        sender: str = DEPLOYER,
        value: int | str = 0,
        libraries: Mapping[str, str] | None = None,
        abi: str | None = None,
    ) -> str:
        """Create a contract and return its address.

        Args:
            name: what it is called from here on; default: the contract's name with a small first letter.
            libraries: library → `$name` or address; a library deployed before is found by itself.
            abi: another contract whose ABI it is spoken to with, as through a proxy.

        Raises:
            DeployProblem: see there.
        """
        short = contract.rpartition(":")[2]
        name = name or short[:1].lower() + short[1:]
        label = f"creation of {name} ({short})" if name != short else f"creation of {name}"
        if name in self.contracts or name in self.accounts:
            raise DeployProblem(f"{label}: the name {name} is taken; give another one")
        try:
            artifact = self._artifacts.find(contract)
            spoken = artifact if abi is None else self._artifacts.find(abi)
            arguments = fitted(artifact.constructor_inputs, args, self.address)
            data = artifact.creation(arguments, self._libraries(libraries or {}))
        except (ArtifactProblem, ArgumentProblem) as error:
            raise DeployProblem(f"{label}: {error}") from None
        address = self._transact(label, sender, None, data, value)
        assert address is not None, "a creation that succeeded has an address"
        self.contracts[name] = ProjectContract(name, short, address, orjson.dumps(list(spoken.abi)).decode())
        self._interfaces[name] = interface_of(spoken)
        return address

    def send(
        self, contract: str, function: str, *args: Any, sender: str = DEPLOYER, value: int | str = 0
    ) -> None:
        """Send a transaction to a contract deployed before. Raises DeployProblem."""
        label = f"{contract}.{function.partition('(')[0]}"
        data = self._call_data(label, contract, function, args)
        self._transact(label, sender, self.contracts[contract].address, data, value)

    def call(self, contract: str, function: str, *args: Any) -> Any:
        """The result of a view call; one value as it is, several as a tuple. Raises DeployProblem."""
        label = f"{contract}.{function.partition('(')[0]}"
        data = self._call_data(label, contract, function, args)
        try:
            answer = self._chain.view(self.contracts[contract].address, data)
            values = self._interfaces[contract].decode_result(function, answer)
        except (TransactionFailed, ValueError) as error:
            raise DeployProblem(f"{label} cannot be read: {error}") from None
        return values[0] if len(values) == 1 else values

    def address(self, name: str) -> str:
        """Of a contract deployed so far, an account, or one of the venue's. Raises DeployProblem."""
        if name in self.contracts:
            return self.contracts[name].address
        for places in (self.accounts, self._venue):
            if name in places:
                return places[name]
        known = [*self.contracts, *self.accounts, *self._venue]
        raise DeployProblem(f"${name} is nothing{did_you_mean(name, known) or '; there are ' + ', '.join(known)}")

    def view_call(self, text: str) -> tuple[str, bytes, tuple[str, ...]]:
        """`contract.function(arguments)` as address, calldata and output types. Raises DeployProblem."""
        head, opened, rest = text.partition("(")
        found = _CALL.fullmatch(head)
        if found is None or not opened or not rest.rstrip().endswith(")"):
            raise DeployProblem(f"{text!r} is not contract.function(arguments)")
        inside = rest.rstrip()[:-1].strip()
        arguments = [part.strip() for part in inside.split(",")] if inside else []
        contract, function = found[1], found[2]
        data = self._call_data(text, contract, function, arguments)
        outputs = self._interfaces[contract].function(function).outputs
        if not outputs:
            raise DeployProblem(f"{text}: {function} returns nothing")
        return self.contracts[contract].address, data, outputs

    # -- inside

    def _call_data(self, label: str, contract: str, function: str, args: Any) -> bytes:
        if contract not in self.contracts:
            hint = did_you_mean(contract, self.contracts) or f"; there are {', '.join(self.contracts) or 'none yet'}"
            raise DeployProblem(f"{label}: no contract is called {contract}{hint}")
        entries: list[AbiEntry] = orjson.loads(self.contracts[contract].abi)
        try:
            chosen = self._interfaces[contract].function(function)
            entry = next(e for e in entries if e["type"] == "function" and _signature(e) == chosen.signature)
            if len(args) != len(entry["inputs"]):
                raise ArgumentProblem(f"{chosen.signature} takes {len(entry['inputs'])} arguments, given {len(args)}")
            return self._interfaces[contract].encode_call(function, *fitted(entry["inputs"], args, self.address))
        except ValueError as error:  # ArgumentProblem is one
            raise DeployProblem(f"{label}: {error}") from None

    def _libraries(self, given: Mapping[str, str]) -> dict[str, str]:
        """Addresses by library name: those given, and every contract deployed so far."""
        found = {item.contract: item.address for item in self.contracts.values()}
        for library, word in given.items():
            found[library] = self.address(word[1:]) if word.startswith("$") else word
        return found

    def _transact(self, label: str, sender: str, to: str | None, data: bytes, value: int | str) -> str | None:
        word = sender.removeprefix("$")
        if word not in self.accounts:
            hint = did_you_mean(word, self.accounts) or f"; there are {', '.join(self.accounts)}"
            raise DeployProblem(f"{label}: no account is called {word}{hint}")
        if len(self.transactions) >= TRANSACTIONS_MAX:
            raise DeployProblem(f"{label}: more than {TRANSACTIONS_MAX} transactions; let actors do the rest")
        address = self.accounts[word]
        try:
            wei = integer(value)
            created = self._chain.transact(address, to, data, wei)
        except ArgumentProblem as error:
            raise DeployProblem(f"{label}: value: {error}") from None
        except TransactionFailed as error:
            raise DeployProblem(f"{label} as {word} reverted: {error}") from None
        self.transactions.append(GenesisTransaction(label, address, to, "0x" + data.hex(), wei))
        return created


def interface_of(artifact: ForeignArtifact) -> Interface:
    return Interface(artifact.abi)


def _signature(entry: AbiEntry) -> str:
    return f"{entry['name']}({','.join(canonical_type(item) for item in entry['inputs'])})"
