"""A plan is a pure function of scenario and seed, and says what the scenario asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.faults.rules import RpcRule
from harness.plan import LinkSelector, Plan, Trigger
from harness.scenario.abilities import refuse_undoable
from harness.scenario.errors import ScenarioError
from harness.scenario.plan_file import parse_plan, plan_bytes, read_plan
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]
ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "scenarios").glob("*.yaml"))
DATA = ROOT.parent / "shared" / "data"
SECOND = 10**9


def shipped(path: Path, *, seed: int | None = None) -> Plan:
    if "real-day" in path.stem and not DATA.is_dir():
        pytest.skip("needs ../shared/data, the recorded prices of the day, beside the repository")
    return plan_from_file(path, seed=seed)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_plans_under_its_own_name(path: Path) -> None:
    plan = shipped(path)
    assert plan.scenario == path.stem
    assert plan.about


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_settles_a_future_and_an_option_before_it_ends(path: Path) -> None:
    """A verdict on settlements needs settlements."""
    plan = shipped(path)
    end_s = (plan.storm_ns + plan.liveness_ns) // SECOND
    kinds = {product.kind for product in plan.products if product.expires_s < end_s}
    assert "future" in kinds
    assert kinds & {"call", "put"}


SETTLES_WITHIN = ("calm", "disputed-settlement", "oil-below-zero")
"""Those whose point is a settlement in the storm itself, and whose checks demand it."""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_keeps_positions_past_the_storm(path: Path) -> None:
    """Liveness can be judged only if something is left to liquidate and settle when the storm is over."""
    plan = shipped(path)
    if plan.scenario in SETTLES_WITHIN:
        return
    assert any(product.expires_s * SECOND > plan.storm_ns for product in plan.products)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_plan_survives_its_file_exactly(path: Path) -> None:
    for seed in range(3):
        plan = shipped(path, seed=seed)
        raw = plan_bytes(plan)
        assert parse_plan(raw) == plan
        assert plan_bytes(parse_plan(raw)) == raw


def _bytes_elsewhere(path: Path, hash_seed: str) -> bytes:
    """The plan as another process with another string hash makes it."""
    program = (
        "import sys, pathlib\n"
        "from harness.scenario.planning import plan_from_file\n"
        "from harness.scenario.plan_file import plan_bytes\n"
        "sys.stdout.buffer.write(plan_bytes(plan_from_file(pathlib.Path(sys.argv[1]))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed}, cwd=ROOT, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout


def test_the_same_seed_gives_the_same_plan_whatever_the_hash_seed() -> None:
    path = ROOT / "scenarios" / "black-thursday.yaml"
    here = plan_bytes(plan_from_file(path))
    assert _bytes_elsewhere(path, "1") == here
    assert _bytes_elsewhere(path, "4711") == here


def test_another_seed_gives_another_plan() -> None:
    path = ROOT / "scenarios" / "black-thursday.yaml"
    plans = {plan_bytes(plan_from_file(path, seed=seed)) for seed in range(4)}
    assert len(plans) == 4


def test_an_override_changes_just_what_it_names(write: Write, minimal: str) -> None:
    path = write(minimal)
    plain, changed = plan_from_file(path), plan_from_file(path, overrides=["network.l2.sequencers=7", "about=changed"])
    assert len(plain.of_kind("sequencer")) == 4
    assert len(changed.of_kind("sequencer")) == 7
    assert changed.about == "changed"
    assert changed.markets == plain.markets


def test_removing_a_fault_leaves_every_other_draw_alone(write: Write, minimal: str) -> None:
    """Shrinking a storm works only if what is left stays as it was."""
    one = "faults:\n  - {at: 3s, for: 2s, pause: one}\n"
    both = plan_from_file(write(minimal + one + "  - {at: 8s, for: 2s, kill: minority}\n"))
    first = plan_from_file(write(minimal + one))
    assert first.faults == both.faults[:1]
    assert first.operations == both.operations


def operations(plan: Plan) -> list[tuple[str, int, str]]:
    return [(name, op.at_ns, op.action) for name, ops in plan.operations for op in ops]


def test_each_trader_deposits_first_and_acts_in_order_of_time(write: Write, minimal: str) -> None:
    plan = plan_from_file(write(minimal))
    assert len(plan.operations) == 3
    for _, script in plan.operations:
        assert script[0].action == "deposit"
        assert [op.at_ns for op in script] == sorted(op.at_ns for op in script)
        assert len({op.id for op in script}) == len(script)


def test_the_traders_together_act_at_the_rate(write: Write, minimal: str) -> None:
    """Two a second from 3 s to the expiry at 20 s, less the opens of the last three seconds."""
    plan = plan_from_file(write(minimal))
    acts = [at for _, at, action in operations(plan)]
    assert 27 <= len(acts) - 3 <= 34
    assert max(acts) < plan.storm_ns


def test_opens_stay_inside_the_leverage_asked_for_and_what_margin_allows(write: Write, minimal: str) -> None:
    plan = plan_from_file(write(minimal.replace("[2, 8]", "[2, 50]")))
    opens = [op for _, script in plan.operations for op in script if op.action == "open"]
    assert opens
    assert all(0 < op.leverage_milli <= 9_500 and op.side in (-1, 1) for op in opens)


def test_traders_mostly_trade_by_the_view_their_share_gives_them(write: Write, minimal: str) -> None:
    """Where everybody expects a rise nine in ten opens buy the future; where nobody does, nine in ten sell it."""
    text = minimal.replace("rate: 2/s", "rate: 40/s")
    for share, view in (("1.0", 1), ("0", -1)):
        plan = plan_from_file(write(text.replace("leverage:", f"buyers: {share}, leverage:")))
        sides = [op.side for _, script in plan.operations for op in script if op.action == "open"]
        assert 0.75 < sides.count(view) / len(sides) < 1.0


def test_the_storm_ends_after_everything_that_is_timed(write: Write, minimal: str) -> None:
    assert plan_from_file(write(minimal)).storm_ns == 23 * SECOND
    late = plan_from_file(write(minimal + "faults:\n  - {at: 30s, for: 5s, pause: keeper-0}\n"))
    assert late.storm_ns == 38 * SECOND


def test_faults_keep_their_words_directions_and_times(write: Write, minimal: str) -> None:
    text = minimal + (
        "faults:\n"
        "  - {at: 2s, for: 3s, latency: {from: reporter-0, to: sequencer-1, delay: 400ms, jitter: 150ms}}\n"
        "  - {at: 5s, kill: batcher-0, restart: 8s}\n"
        "  - {when: {event: expiry, product: ETH-F1, after: 1s}, for: 2s, partition: {from: leader, to: sequencer-*}}\n"
        "  - {at: 6s, for: 1s, skew: {of: keeper-0, offset: -3s, drift: 200}}\n"
        "  - {at: 6s, for: 1s, view-lag: {of: replica-0, delay: 6s}}\n"
    )
    latency, kill, partition, skew, lag = plan_from_file(write(text)).faults
    assert latency.links == (LinkSelector(("reporter-0",), ("sequencer-1",), both=False),)
    assert latency.rule is not None
    assert (latency.rule.delay_ms, latency.rule.jitter_ms) == (400.0, 150.0)
    assert (kill.kind, kill.targets, kill.trigger, kill.duration_ns) == (
        "kill", ("batcher-0",), Trigger(5 * SECOND, None), 3 * SECOND,
    )  # fmt: skip
    assert partition.rule is not None
    assert partition.rule.cut
    assert partition.links[0].src == ("leader",)
    assert partition.trigger == Trigger(None, "expiry:ETH-F1", SECOND)
    assert (skew.offset_ms, skew.drift_ppm) == (-3_000.0, 200.0)
    assert lag.links == (LinkSelector(("l1-0", "l1-1"), ("replica-0",), both=False),)
    assert [fault.id for fault in (latency, kill, partition, skew, lag)] == ["f1", "f2", "f3", "f4", "f5"]


def test_who_carries_a_link_fault_is_the_proxy_unless_the_kernel_is_asked_for(write: Write, minimal: str) -> None:
    text = minimal + (
        "faults:\n"
        "  - {at: 2s, for: 3s, loss: {from: reporter-0, to: sequencer-1, probability: 30 %, via: kernel}}\n"
        "  - {at: 2s, for: 3s, rate: {from: reporter-0, to: sequencer-1, rate: 64kbit}}\n"
    )
    loss, rate = plan_from_file(write(text)).faults
    assert loss.rule is not None
    assert rate.rule is not None
    assert (loss.rule.via, rate.rule.via) == ("kernel", "proxy")
    assert "by the kernel" in loss.text
    with pytest.raises(ScenarioError, match=r"faults\[0\]\.loss\.via.*'proxy' or 'kernel'"):
        plan_from_file(write(text.replace("via: kernel", "via: tc")))


def test_faults_of_a_machine_keep_their_words(write: Write, minimal: str) -> None:
    text = minimal + (
        "faults:\n"
        "  - {at: 5s, stop: batcher-0, restart: 8s}\n"
        "  - {at: 9s, for: 1s, stop: {of: keeper-*, grace: 500ms}}\n"
        "  - {at: 5s, for: 1s, disconnect: [leader, replica-0]}\n"
        "  - {at: 5s, for: 1s, cpu: {of: sequencer-1, cores: 0.25}}\n"
        "  - {at: 5s, for: 1s, disk-full: sequencer-2}\n"
    )
    stop, quick, disconnect, cpu, disk = plan_from_file(write(text)).faults
    assert (stop.kind, stop.targets) == ("stop", ("batcher-0",))
    assert (stop.duration_ns, stop.grace_ns) == (3 * SECOND, 5 * SECOND)
    assert (quick.targets[0], quick.grace_ns) == ("keeper-0", SECOND // 2)
    assert (disconnect.kind, disconnect.targets) == ("disconnect", ("leader", "replica-0"))
    assert (cpu.kind, cpu.cores_milli, cpu.targets) == ("cpu", 250, ("sequencer-1",))
    assert (disk.kind, disk.targets) == ("disk-full", ("sequencer-2",))


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ("{at: 5s, for: 1s, cpu: {of: sequencer-1, cores: 0}}", r"faults\[0\]\.cpu\.cores.*0\.01"),
        ("{at: 5s, for: 1s, cpu: sequencer-1}", r"faults\[0\]\.cpu"),
        ("{at: 5s, for: 1s, disk-full: nobody}", r"faults\[0\]\.disk-full.*nobody"),
        ("{at: 5s, disk-full: sequencer-2, restart: 6s}", r"restart goes with kill or stop"),
        ("{at: 5s, for: 3s, stop: keeper-0}\n  - {at: 6s, for: 1s, kill: keeper-0}", r"keeper-0 is already killed"),
        ("{at: 5s, for: 3s, kill: keeper-0}\n  - {at: 6s, for: 1s, cpu: {of: keeper-0, cores: 1}}", r"already killed"),
    ],
)
def test_nonsense_about_a_machine_is_refused(write: Write, minimal: str, faults: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        plan_from_file(write(f"{minimal}faults:\n  - {faults}\n"))


@pytest.mark.parametrize(("word", "able"), [("cpu: {of: keeper-0, cores: 1}", "compose"),
                                            ("disk-full: keeper-0", "sim or compose")])  # fmt: skip
def test_what_a_runtime_can_not_do_is_refused_before_it_starts(
    write: Write, minimal: str, word: str, able: str
) -> None:
    """With the runtimes that can, and where in the file it is."""
    plan = plan_from_file(write(f"{minimal}faults:\n  - {{at: 5s, for: 1s, {word}}}\n"))
    refuse_undoable(plan, "compose")
    with pytest.raises(ScenarioError, match=rf"faults\[0\].*can not be done in local.*{able}"):
        refuse_undoable(plan, "local")


def test_a_check_can_be_taken_out_of_all(write: Write, minimal: str) -> None:
    assert plan_from_file(write(minimal)).checks == ("all",)
    some = plan_from_file(write(minimal + "checks: [all, -LS2]\n")).checks
    assert "C1" in some
    assert "C4?" in some
    assert "LS2" not in some


def test_a_check_that_waits_for_an_occasion_is_demanded_by_name(write: Write, minimal: str) -> None:
    """`all` judges it where it is met; naming it says that the storm is built to meet it."""
    assert "S8" in plan_from_file(write(minimal + "checks: [all, S8]\n")).checks
    assert "S8?" not in plan_from_file(write(minimal + "checks: [all, -S8]\n")).checks


def test_regions_set_the_latency_between_roles(write: Write, minimal: str) -> None:
    text = minimal + "network: {regions: {keeper-*: tokyo, keeper-1: london}}\n"
    plan = plan_from_file(write(text))
    delay = {(link.src, link.dst): link.delay_ms for link in plan.latencies}
    assert delay["keeper-0", "sequencer-0"] == delay["sequencer-0", "keeper-0"] == 111.0
    assert delay["keeper-1", "sequencer-0"] == 8.0
    assert delay["sequencer-0", "sequencer-1"] == 1.0
    assert len(plan.latencies) == len(plan.roles) * (len(plan.roles) - 1)


def test_profiles_bring_their_venue_parameters(write: Write, minimal: str) -> None:
    text = minimal + "network: {profile: mainnet_like}\n"
    slow, fast = plan_from_file(write(text)).venue, plan_from_file(write(minimal)).venue
    assert (fast.max_price_age_s, fast.grace_s, fast.uptime_gap_s, fast.settlement_window_s) == (20, 30, 3, 15)
    assert (slow.max_price_age_s, slow.grace_s, slow.uptime_gap_s, slow.settlement_window_s) == (300, 3600, 30, 1800)


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (lambda raw: raw.replace(b'"seed": 3', b'"seed": "x"'), "plan.seed"),
        (lambda raw: raw.replace(b'"version": 1', b'"version": 9'), "version"),
        (lambda raw: raw.replace(b'"storm_ns"', b'"strom_ns"'), "plan.strom_ns"),
        (lambda raw: raw.replace(b'"deposit"', b'"steal"'), "plan.operations[0][1][0].action"),
        (lambda raw: raw[: len(raw) // 2], ""),
    ],
)
def test_a_damaged_plan_file_is_refused_with_its_path(
    write: Write, minimal: str, damage: Callable[[bytes], bytes], where: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_plan(damage(plan_bytes(plan_from_file(write(minimal)))))
    assert caught.value.problems[0].where == where


def test_a_run_folder_stands_for_its_plan(write: Write, minimal: str, tmp_path: Path) -> None:
    plan = plan_from_file(write(minimal))
    (tmp_path / "plan.json").write_bytes(plan_bytes(plan))
    assert read_plan(tmp_path) == read_plan(tmp_path / "plan.json") == plan


def test_a_lying_node_is_planned_with_whom_it_deceives_and_how(write: Write, minimal: str) -> None:
    """`user` is nobody of the topology and stays a word; nodes are every L2 node unless the file says which."""
    plan = plan_from_file(write(minimal + """\
faults:
  - {at: 5s, for: 2s, rpc: {from: [user, trader-0], to: sequencer-1, method: [tx, eth_send*], do: delay, delay: 2s}}
  - {at: 5s, for: 2s, rpc: {do: stale, blocks: 3, probability: 25%}}
"""))
    first, second = plan.faults
    assert first.rpc == RpcRule(("trader-0", "user"), ("tx", "eth_send*"), "delay", delay_ms=2000.0)
    assert first.targets == ("sequencer-1",)
    assert second.rpc == RpcRule((), ("*",), "stale", probability=0.25, blocks=3)
    nodes = [role.name for role in plan.of_kind("sequencer", "replica")]
    assert sorted(second.targets) == sorted(nodes)
