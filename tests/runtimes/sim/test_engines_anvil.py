"""With real Anvils: nodes that share executions see what nodes with an Anvil each see."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from harness.anvil import AnvilEngine, ChainSpec
from harness.plan import RoleSpec
from harness.ports import Engine, EngineFailure, Refused
from harness.rollup.blocks import BlockInputs, Hash
from harness.runtimes.random import KeyedRandom
from harness.runtimes.sim.affinity import on_one_core
from harness.runtimes.sim.engines import SimEngines
from harness.runtimes.sim.loop import run_virtual, virtual_loop
from harness.toolchain import ToolError, anvil_binary, install

pytestmark = pytest.mark.node

CHAIN_ID = 901
GENESIS = 1_700_000_000
KEEPER_OF_NUMBERS = "0x" + "aa" * 19 + "01"
STORE = "0x602035" + "5f35" + "55" + "60015f5260205fa0" + "00"  # sstore(arg0, arg1); log0(word 1)
NOW = "0x" + "bb" * 19 + "02"
RETURNS_TIME_AND_NUMBER = "0x425f52436020526040" + "5ff3"
BURNS = "0x" + "cc" * 19 + "03"
BURNS_ALL = "0x5b5f56"
SIGNER = Account.from_key((4242).to_bytes(32, "big"))


@pytest.fixture(scope="module")
def chain_spec(tmp_path_factory: pytest.TempPathFactory) -> ChainSpec:
    try:
        anvil_binary()
    except ToolError:
        install()
    alloc = {
        SIGNER.address: {"balance": hex(10**20)},
        KEEPER_OF_NUMBERS: {"balance": "0x0", "code": STORE},
        NOW: {"balance": "0x0", "code": RETURNS_TIME_AND_NUMBER},
        BURNS: {"balance": "0x0", "code": BURNS_ALL},
    }
    path: Path = tmp_path_factory.mktemp("genesis") / "genesis.json"
    path.write_text(json.dumps({"alloc": alloc}))
    return ChainSpec(CHAIN_ID, GENESIS, 30_000_000, path, history=32)


def signed(nonce: int, value: int) -> bytes:
    transaction = {
        "type": 2, "chainId": CHAIN_ID, "nonce": nonce, "gas": 100_000, "value": 0,
        "to": bytes.fromhex(KEEPER_OF_NUMBERS[2:]),
        "data": nonce.to_bytes(32, "big") + value.to_bytes(32, "big"), "maxFeePerGas": 0, "maxPriorityFeePerGas": 0,
    }  # fmt: skip
    return bytes(SIGNER.sign_transaction(transaction).raw_transaction)


def scene(spec: ChainSpec, *, shared: bool) -> tuple[list[Any], list[AnvilEngine]]:
    """Four nodes: three agree, one goes another way from block 4; one dies, replays and goes on. What they saw."""
    made: list[AnvilEngine] = []
    seen: list[Any] = []

    def make(chain: str, name: str) -> AnvilEngine:
        made.append(AnvilEngine(spec, name=name))
        return made[-1]

    async def main() -> None:
        engines = SimEngines(make, shared=shared)

        def open_(name: str) -> Engine:
            engine = engines.open(RoleSpec(name, "sequencer", 0, "", None, (), None))
            assert engine is not None
            return engine

        async def live(name: str) -> None:
            engine = open_(name)
            parent: Hash = made[0].genesis_hash
            inputs: list[BlockInputs] = []
            for number in range(1, 13):
                value = 1000 + number if name == "twisted" and number >= 4 else number
                transactions = (signed(number - 1, value),)
                inputs.append(BlockInputs(CHAIN_ID, number, parent, GENESIS + number, 0, transactions))
                block = await engine.execute(inputs[-1])
                parent = block.hash
                now = await engine.call(NOW, b"", at=parent)
                seen.append((virtual_loop().now_ns, name, block, now))
                if name == "mortal" and number == 6:
                    engines.drop(name)
                    engine = open_(name)
                    with pytest.raises(EngineFailure):
                        await engine.call(NOW, b"", at=parent)
                    seen.append((virtual_loop().now_ns, name, await engine.replay(inputs)))
            with pytest.raises(Refused):
                await engine.call(BURNS, b"", at=parent)

        try:
            await asyncio.gather(*[live(name) for name in ("steady", "mortal", "twisted", "other")])
        finally:
            engines.close()

    with on_one_core():
        run_virtual(main(), KeyedRandom(5))
    return seen, made


def test_nodes_see_the_same_with_shared_and_with_own_anvils(chain_spec: ChainSpec) -> None:
    """Every block, receipt, state root and call, at the same virtual time; and no Anvil is left behind."""
    shared, few = scene(chain_spec, shared=True)
    own, many = scene(chain_spec, shared=False)
    assert shared == own
    assert (len(few), len(many)) == (2, 5)
    tips = {name: block.hash for _, name, block, *_ in (entry for entry in shared if len(entry) == 4)}
    assert tips["steady"] == tips["mortal"] == tips["other"] != tips["twisted"]
    assert all(engine.process.pid is None for engine in [*few, *many])
