"""Who is lied to is decided by seeded draws that do not disturb each other."""

from __future__ import annotations

import pytest

from harness.faults.rpc import HONEST, Lies, RpcPolicy, rpc_rules_from_json, rpc_rules_to_json
from harness.faults.rules import RpcCounters, RpcRule
from harness.runtimes.random import KeyedRandom

HALF = RpcRule(senders=("a",), methods=("tx",), action="error", probability=0.5)


def policy(**rules: RpcRule) -> RpcPolicy:
    made = RpcPolicy("node", KeyedRandom(1))
    made.set_rules(rules)
    return made


@pytest.mark.parametrize(
    ("sender", "method", "met"),
    [("a", "tx", True), ("b", "tx", False), ("a", "call", False), ("a", "eth_sendRawTransaction", True),
     ("a", "eth_call", False)],
)  # fmt: skip
def test_a_rule_meets_its_senders_and_methods_and_no_others(sender: str, method: str, met: bool) -> None:
    rule = RpcRule(senders=("a",), methods=("tx",), action="error")
    judged = policy(f1=rule)
    assert judged.lies(sender, method).error is met
    assert judged.counters() == ({"f1": RpcCounters(1, 1)} if met else {})


def test_globs_choose_methods_and_no_sender_is_everybody() -> None:
    rule = RpcRule(senders=(), methods=("eth_get*", "l1_?onc?"), action="stale", blocks=4)
    judged = policy(f1=rule)
    assert [judged.lies("x", name).stale_blocks for name in ("eth_getLogs", "l1_nonce", "eth_call")] == [4, 4, 0]


def test_draws_are_the_same_every_time_and_about_as_many_as_the_probability_says() -> None:
    drawn = [[judged.lies("a", "tx").error for _ in range(200)] for judged in (policy(f1=HALF), policy(f1=HALF))]
    assert drawn[0] == drawn[1]
    assert 70 < sum(drawn[0]) < 130


def test_another_fault_moves_no_draw() -> None:
    """Healing one fault must not change whom the others deceive, or a storm could not be shrunk."""
    alone = policy(f1=HALF)
    beside = policy(f1=HALF, f0=RpcRule(senders=(), methods=("*",), action="delay", probability=0.5, delay_ms=10))
    drawn = []
    for number in range(60):
        if number == 30:
            beside.set_rules({"f1": HALF})
        drawn.append((alone.lies("a", "tx").error, beside.lies("a", "tx").error))
    assert all(one == two for one, two in drawn)


def test_lies_of_several_faults_add_up() -> None:
    rules = {
        "f1": RpcRule((), ("*",), "delay", delay_ms=100), "f2": RpcRule((), ("*",), "delay", delay_ms=50),
        "f3": RpcRule((), ("*",), "stale", blocks=2), "f4": RpcRule((), ("*",), "stale", blocks=5),
        "f5": RpcRule((), ("*",), "duplicate"), "f6": RpcRule((), ("*",), "drop-reply"),
    }  # fmt: skip
    assert policy(**rules).lies("a", "tx") == Lies(drop_reply=True, delay_ms=150, stale_blocks=5, duplicate=True)


def test_an_honest_node_counts_nothing() -> None:
    judged = policy()
    assert judged.is_honest
    assert judged.lies("a", "tx") is HONEST


def test_rules_survive_their_json() -> None:
    rules = {"f1": HALF, "f2": RpcRule((), ("*", "x"), "stale", blocks=3)}
    assert rpc_rules_from_json(rpc_rules_to_json(rules)) == rules
