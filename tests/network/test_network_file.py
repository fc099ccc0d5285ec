"""A network file is a scenario file without a storm, and an empty one is a network too."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evm.accounts import USERS
from harness.network.network_file import network_plan
from harness.network.ports import ANY, Ports, rpc_ports, settled
from harness.network.values import NetworkMisuse
from harness.roles.market import PricePath
from harness.scenario.errors import ScenarioError


def written(folder: Path, text: str) -> Path:
    file = folder / "network.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_file_there_is_a_whole_network_with_an_idle_market() -> None:
    """Reporters, keepers and the maker are on; nobody trades until somebody does."""
    plan = network_plan(None)
    kinds = {role.kind for role in plan.roles}
    assert {"l1-builder", "sequencer", "replica", "batcher", "reporter", "keeper", "maker", "admin"} == kinds - {
        "l1-follower"
    }
    assert plan.operations == ()
    assert plan.faults == ()
    assert set(USERS) <= set(plan.users)
    assert plan.storm_ns > 365 * 86_400 * 10**9


def test_a_file_says_only_what_it_wants_different(tmp_path: Path) -> None:
    text = "version: 1\nnetwork: {l2: {sequencers: 1, replicas: 0}}\nmarket: {BTC: {knots: {0s: 9}}}\n"
    file = written(tmp_path, text)
    plan = network_plan(file, seed=5, overrides=["network.keepers=1"])
    assert plan.seed == 5
    assert [len(plan.of_kind(kind)) for kind in ("sequencer", "replica", "keeper")] == [1, 0, 1]
    assert [product.underlying for product in plan.products] == ["BTC"]


def test_a_market_that_repeats_starts_over(tmp_path: Path) -> None:
    file = written(tmp_path, "version: 1\nmarket: {ETH: {knots: {0s: 100, 10s: 200}}}\nrepeat: 20s\n")
    plan = network_plan(file)
    path = PricePath(plan.markets[0][1], period_ns=plan.market_period_ns)
    prices = [path.at(at_s * 10**9) // 10**18 for at_s in (0, 5, 15, 20, 25, 20 * 1_000_003 + 5)]
    assert prices == [100, 150, 200, 100, 150, 150]


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("version: 1\nfaults: []\n", "faults", "belongs to a scenario"),
        ("version: 1\nstorm: 10s\n", "storm", "belongs to a scenario"),
        ("version: 1\nmarkets: {}\n", "markets", "did you mean market"),
        ("version: 1\nrepeat: soon\n", "repeat", "not a duration"),
        ("version: 1\nnetwork: {l2: {sequencers: 99}}\n", "network.l2.sequencers", "less than or equal to 16"),
        ("version: 1\nmarket: []\n", "market", "valid dictionary"),
        ("version: 1\nworkload: 3\n", "workload", "valid dictionary"),
        ("version: 1\nproducts: 3\n", "products", "valid list"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, text: str, where: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words) as caught:
        network_plan(written(tmp_path, text))
    assert caught.value.problems[0].where == where
    assert caught.value.file.endswith("network.yaml")


def test_every_node_gets_the_port_people_expect() -> None:
    chosen = rpc_ports(network_plan(None), Ports())
    assert chosen["l1-0"] == 8545
    assert chosen["sequencer-0"] == 9545
    assert chosen["replica-0"] == 9549
    assert len(set(chosen.values())) == len(chosen) == 8
    assert set(rpc_ports(network_plan(None), ANY).values()) == {0}
    with pytest.raises(NetworkMisuse, match="--l2-port 65534"):
        rpc_ports(network_plan(None), Ports(l2=65_534))


def test_ports_of_our_choice_are_none_that_the_system_hands_out() -> None:
    """A connection made meanwhile may be given any ephemeral port, and a network must find its own again."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    rpc, fault_api = settled({"l1-0": 0, "sequencer-0": 9545, "replica-0": 0}, 0)
    assert rpc["sequencer-0"] == 9545
    assert len({*rpc.values(), fault_api}) == 4
    if low > 21_000:
        assert all(20_000 <= port < low for port in (rpc["l1-0"], rpc["replica-0"], fault_api))
