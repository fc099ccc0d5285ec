"""Cost of the pure consensus machine: µs per input with and without signatures, and of the wire form.

Run: python tests/bench/bench_consensus.py
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "consensus"))

from simplex_world import CHAIN_ID, GENESIS, MS, TIMING, Storm, World, block_hash_of, fake_sign, fake_verify, names

from harness.consensus import signing
from harness.consensus.effects import Broadcast, BuildBlock, Effect, ExecuteBlock
from harness.consensus.messages import Message, certified_vote, from_json, to_json
from harness.consensus.simplex import Simplex

VIEWS = 400


def is_signed_elsewhere_by(digest: bytes, signature: bytes, voter: str) -> bool:
    """As a validator asks in a process of its own, which signed nothing but its own votes."""
    return signing.recover_elsewhere(digest, signature) == voter


def drive(*, real_signatures: bool, wire: bool, skips_held: bool = False) -> dict[str, Any]:
    """Four validators pass each other's messages in order; nothing else runs, so the time is the machine's.

    `skips_held`: as the sequencer does, leave certificates unparsed of which a valid one is held.
    """
    keys = [bytes([index + 1]) * 32 for index in range(4)]
    voters = tuple(signing.address_of(key) for key in keys) if real_signatures else names(4)
    signing.recover_elsewhere.cache_clear()
    machines = []
    for name, key in zip(voters, keys, strict=True):
        sign = partial(signing.sign, key=key) if real_signatures else partial(fake_sign, name)
        machines.append(Simplex(
            chain_id=CHAIN_ID, validators=voters, me=name, sign=sign, timing=TIMING, finalized=GENESIS,
            verify=is_signed_elsewhere_by if real_signatures else fake_verify,
        ))
    queue: list[tuple[int, Effect]] = []
    calls = 0
    now = 0
    began = time.perf_counter()
    for index, machine in enumerate(machines):
        queue += [(index, effect) for effect in machine.start(0)]
    at = 0
    while machines[0].finalized.height < VIEWS:
        index, effect = queue[at]
        at += 1
        machine = machines[index]
        if isinstance(effect, Broadcast):
            message: Message = effect.message
            row = to_json(message) if wire else None
            for peer, other in enumerate(machines):
                if peer != index:
                    calls += 1
                    if skips_held and (vote := certified_vote(row)) is not None and other.holds(vote):
                        continue
                    answer = other.on_message(message if row is None else from_json(row), now)
                    queue += [(peer, made) for made in answer]
        elif isinstance(effect, ExecuteBlock):
            calls += 1
            made = machine.on_executed(
                effect.proposal.view, effect.proposal.block_hash, executed=True, refusal=None, now=now)
            queue += [(index, effect) for effect in made]
        elif isinstance(effect, BuildBlock):
            calls += 1
            now += 500 * MS
            payload = b"p" * 2_000
            made = machine.on_block_built(
                effect.view, parent_hash=effect.parent_hash, payload=payload,
                block_hash=block_hash_of(effect.parent_hash, effect.height, payload), now=now)
            queue += [(index, effect) for effect in made]
    seconds = time.perf_counter() - began
    return {
        "inputs": calls, "us_per_input": round(seconds * 1e6 / calls, 1),
        "inputs_per_second": round(calls / seconds), "ms_per_block_4_nodes": round(seconds * 1e3 / VIEWS, 3),
    }


def world_speed() -> float:
    world = World(Storm(seed=1))
    began = time.perf_counter()
    world.run(60_000)
    return round(60 / (time.perf_counter() - began))


def main() -> None:
    print(json.dumps({
        "machine": drive(real_signatures=False, wire=False),
        "machine_and_wire": drive(real_signatures=False, wire=True),
        "machine_and_wire_skipping_held": drive(real_signatures=False, wire=True, skips_held=True),
        "machine_wire_and_signatures": drive(real_signatures=True, wire=True),
        "machine_wire_and_signatures_skipping_held": drive(real_signatures=True, wire=True, skips_held=True),
        "virtual_seconds_per_second_test_world": world_speed(),
    }, indent=2))


if __name__ == "__main__":
    main()
