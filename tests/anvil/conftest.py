"""Nodes, accounts and contracts for tests of the engine; a missing Anvil is installed first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from harness.anvil import L1_INFO_ADDRESS, AnvilEngine, ChainSpec
from harness.rollup.blocks import BlockInputs, Hash, L1Origin
from harness.toolchain import ToolError, anvil_binary, install

CHAIN_ID = 901
GENESIS_TIMESTAMP = 1_700_000_000
ETHER = 10**18


@pytest.fixture(scope="session")
def anvil() -> Path:
    """An Anvil of the accepted version."""
    try:
        return anvil_binary()
    except ToolError:
        install()
        return anvil_binary()


@dataclass
class Signer:
    """A funded account that signs with its own nonce, given or counted."""

    account: LocalAccount
    chain_id: int = CHAIN_ID
    nonce: int = 0
    sent: list[bytes] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.account.address).lower()

    def sign(
        self, to: str | None, *, data: bytes = b"", value: int = 0, gas: int = 100_000, nonce: int | None = None,
        fee: int = 0, chain_id: int | None = None,
    ) -> bytes:
        if nonce is None:
            nonce = self.nonce
            self.nonce += 1
        transaction: dict[str, Any] = {
            "type": 2, "chainId": chain_id or self.chain_id, "nonce": nonce, "gas": gas, "value": value, "data": data,
            "to": b"" if to is None else bytes.fromhex(to[2:]), "maxFeePerGas": fee, "maxPriorityFeePerGas": 0,
        }
        return bytes(self.account.sign_transaction(transaction).raw_transaction)


def signer(index: int) -> Signer:
    """The same account for the same index, funded by `genesis_file`."""
    return Signer(Account.from_key((1_000 + index).to_bytes(32, "big")))


def runtime(code: str) -> str:
    return "0x" + code


# Hand-written runtime code, so that no compiler is needed here.
RETURNS_42 = runtime("602a5f5260205ff3")                  # PUSH1 42, return it as a word
REVERTS_AA = runtime("60aa5f5260205ffd")                  # revert with the word 0xaa
BURNS_ALL = runtime("5b5f56")                             # JUMPDEST, jump to it for ever
NOW = runtime("425f5243602052" + "60405ff3")              # returns (timestamp, number)
STORE = runtime("602035" + "5f35" + "55" + "60015f5260205fa0" + "00")  # sstore(arg0, arg1); log0(word 1)
ECHO_SENDER = runtime("335f5260205ff3")                   # returns msg.sender
# Keeps caller, then the three numbers of setL1Block in slots 0 to 3; reverts where the L1 number is 666.
L1_INFO_STAND_IN = runtime(
    "600435" + "61029a" + "14" + "6020" + "57"           # if number == 666 jump to the revert at 0x20
    "335f55" + "600435600155" + "602435600255" + "604435600355"  # slots 0..3
    "00" + "5b" + "5f5ffd"
)

ADDRESSES = {
    "answer": "0x" + "aa" * 19 + "01",
    "reverts": "0x" + "aa" * 19 + "02",
    "burns": "0x" + "aa" * 19 + "03",
    "now": "0x" + "aa" * 19 + "04",
    "store": "0x" + "aa" * 19 + "05",
    "echo": "0x" + "aa" * 19 + "06",
}
_CODES = {"answer": RETURNS_42, "reverts": REVERTS_AA, "burns": BURNS_ALL, "now": NOW, "store": STORE,
          "echo": ECHO_SENDER}


@pytest.fixture(scope="session")
def genesis_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight funded signers, the contracts above, and a stand-in for L1Info."""
    alloc: dict[str, dict[str, object]] = {signer(index).address: {"balance": hex(100 * ETHER)} for index in range(8)}
    for name, address in ADDRESSES.items():
        alloc[address] = {"balance": "0x0", "code": _CODES[name]}
    alloc[L1_INFO_ADDRESS] = {"balance": "0x0", "code": L1_INFO_STAND_IN}
    path = tmp_path_factory.mktemp("genesis") / "genesis.json"
    path.write_text(json.dumps({"alloc": alloc}))
    return path


@pytest.fixture
def spec(genesis_file: Path) -> ChainSpec:
    return ChainSpec(chain_id=CHAIN_ID, genesis_timestamp=GENESIS_TIMESTAMP, gas_limit=30_000_000,
                     genesis_file=genesis_file, history=32)


MakeEngine = Callable[..., AnvilEngine]


@pytest.fixture
def make_engine(anvil: Path, spec: ChainSpec) -> Iterator[MakeEngine]:
    """Engines that are closed after the test, whatever it did."""
    made: list[AnvilEngine] = []

    def make(own: ChainSpec | None = None, **options: object) -> AnvilEngine:
        engine = AnvilEngine(own or spec, name=f"test-{len(made)}", binary=anvil, **options)  # type: ignore[arg-type]  # options are passed on
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make_engine: MakeEngine) -> AnvilEngine:
    return make_engine()


def block_on(
    engine: AnvilEngine, parent: Hash | None = None, *transactions: bytes, number: int | None = None,
    after_s: int = 1, base_fee: int = 0, origin: L1Origin | None = None,
) -> BlockInputs:
    """Inputs of a child of `parent` (default: the engine's head)."""
    parent = parent or engine.head
    known = engine.block(parent)
    height, timestamp = (0, engine.genesis.timestamp) if known is None else (known.number, known.inputs.timestamp)
    return BlockInputs(
        chain_id=engine.spec.chain_id, number=height + 1 if number is None else number, parent=parent,
        timestamp=timestamp + after_s, base_fee=base_fee, transactions=transactions, origin=origin,
    )
