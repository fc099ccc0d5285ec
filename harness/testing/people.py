"""`accounts[0]`, `accounts["alice"]`, `contracts["vault"]`: keys and contracts of a network under test, for web3."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import orjson
from eth_account import Account
from eth_account.signers.local import LocalAccount

from harness.evm.accounts import account
from harness.network.values import YOU
from harness.scenario.errors import did_you_mean
from harness.testing.network import NetworkUnderTest
from harness.venue.deployment import ABI_FILE, CONTRACTS


class Accounts(Sequence[LocalAccount]):
    """The funded accounts that no role uses, by number; those of the project and of roles by name."""

    def __init__(self, network: NetworkUnderTest) -> None:
        named = network.accounts()
        self._own = [_key(item.index) for item in named if item.owner == YOU]
        self._named = {item.owner: item.index for item in named if item.owner != YOU}
        project = network.plan.project
        self._named |= {item.name: item.index for item in (project.accounts if project is not None else ())}

    def __len__(self) -> int:
        return len(self._own)

    @overload
    def __getitem__(self, which: int | str) -> LocalAccount: ...

    @overload
    def __getitem__(self, which: slice) -> Sequence[LocalAccount]: ...

    def __getitem__(self, which: int | str | slice) -> LocalAccount | Sequence[LocalAccount]:
        if not isinstance(which, str):
            return self._own[which]
        if which not in self._named:
            hint = did_you_mean(which, self._named) or f"; there are {', '.join(self._named)}"
            raise KeyError(f"no account is called {which!r}{hint}")
        return _key(self._named[which])

    def __iter__(self) -> Iterator[LocalAccount]:
        return iter(self._own)


def _key(index: int) -> LocalAccount:
    made: LocalAccount = Account.from_key(account(index).key)
    return made


class ContractsOf:
    """Deployed contracts as web3 contracts, by name: the project's before the venue's."""

    def __init__(self, network: NetworkUnderTest, web3: Callable[[], Any]) -> None:
        self._web3 = web3
        project = network.plan.project
        abis: dict[str, Any] = orjson.loads(ABI_FILE.read_bytes())
        self._places = {
            item.key: (item.address, abis[CONTRACTS[item.key]])
            for item in network.contracts()
            if item.chain == "l2" and CONTRACTS.get(item.key) == item.name
        }
        self._places |= {
            item.name: (item.address, orjson.loads(item.abi))
            for item in (project.contracts if project is not None else ())
        }

    def __getitem__(self, name: str) -> Any:
        if name not in self._places:
            hint = did_you_mean(name, self._places) or f"; there are {', '.join(self._places)}"
            raise KeyError(f"no contract is called {name!r}{hint}")
        w3 = self._web3()
        address, abi = self._places[name]
        return w3.eth.contract(address=w3.to_checksum_address(address), abi=abi)
