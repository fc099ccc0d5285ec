"""`deploy("Vault", token, 30)`: a contract of the user's, created by a real transaction on the network under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.project.arguments import ArgumentProblem, fitted
from harness.project.deployer import interface_of
from harness.scenario.errors import did_you_mean
from harness.solidity.compile import CompilationFailed
from harness.solidity.foreign import ArtifactProblem, Contracts, read_contracts
from harness.testing.network import NetworkUnderTest
from harness.toolchain.errors import ToolError

GAS = 15_000_000


class DeployFailed(AssertionError):
    """The contract could not be created; the message says why."""


class Deploys:
    """Callable; contracts come from one folder, read when the first is asked for."""

    def __init__(self, network: NetworkUnderTest, web3: Callable[[], Any], contracts: Path | None, shown: str) -> None:
        self._network = network
        self._web3 = web3
        self._path = contracts
        self._shown = shown
        self._contracts: Contracts | None = None
        self._libraries: dict[str, str] = {}

    def __call__(
        self,
        contract: str,
        *args: Any,
        sender: str | None = None,
        value: int = 0,
        libraries: Mapping[str, str] | None = None,
    ) -> Any:
        """Create it and return it as a web3 contract, with its transactions sent by `sender`.

        Args:
            args: of the constructor; `$name` for an address, `5 ether` for an amount, or a contract made before.
            sender: an account's address; default: the first of `accounts`.

        Raises:
            DeployFailed: see there.
        """
        __tracebackhide__ = True
        w3 = self._web3()
        sender = sender or w3.eth.default_account
        try:
            artifact = self._read().find(contract)
            values = [getattr(item, "address", item) for item in args]
            arguments = fitted(artifact.constructor_inputs, values, self._address)
            data = artifact.creation(arguments, {**self._libraries, **(libraries or {})})
        except (ArtifactProblem, ArgumentProblem, CompilationFailed, ToolError) as error:
            raise DeployFailed(f"{contract}: {error}") from None
        request = {"from": sender, "data": "0x" + data.hex(), "gas": GAS, "value": value}
        receipt = w3.eth.wait_for_transaction_receipt(w3.eth.send_transaction(request))
        if receipt["status"] != 1:
            raise DeployFailed(f"{contract}: its constructor reverted: {self._reason(w3, request, artifact)}")
        address = receipt["contractAddress"]
        self._libraries[artifact.name] = str(address)
        made = w3.eth.contract(address=address, abi=list(artifact.abi))
        return made

    def _read(self) -> Contracts:
        if self._contracts is None:
            if self._path is None:
                raise DeployFailed(
                    "no folder of contracts is known; set harness_contracts in pytest's ini file (out, artifacts or a "
                    "folder of sources), or give the network a project"
                )
            self._contracts = read_contracts(self._path, shown=self._shown)
        return self._contracts

    def _address(self, name: str) -> str:
        places = {item.key: item.address for item in self._network.contracts()}
        places |= {item.owner: item.address for item in self._network.accounts()}
        project = self._network.plan.project   # before ours of the same name
        places |= {item.name: item.address for item in (project.contracts if project is not None else ())}
        if name not in places:
            hint = did_you_mean(name, places) or f"; there are {', '.join(places)}"
            raise ArgumentProblem(f"${name} is nothing{hint}")
        return places[name]

    def _reason(self, w3: Any, request: dict[str, Any], artifact: Any) -> str:
        from harness.evm.abi import decode_error

        try:
            w3.eth.call(request)
        except Exception as error:  # whatever web3 makes of it, it carries the data
            data = getattr(error, "data", None)
            if isinstance(data, str) and len(data) > 2:
                return decode_error(bytes.fromhex(data[2:]), interface_of(artifact).errors)
            return str(error)
        return "asked again it succeeds; it may have run out of gas"
