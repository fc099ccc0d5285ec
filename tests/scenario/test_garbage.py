"""Garbage in a scenario file is refused with a message that says where and what, never with a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.scenario.errors import ScenarioError
from harness.scenario.planning import plan_from_file

Write = Callable[[str], Path]

FAULTS = "faults:\n"
# (what is appended or replaced, where the message points, words it must contain)
APPENDED = [
    ("sede: 4\n", "sede", "did you mean seed?"),
    ("network: {l2: {sequncers: 4}}\n", "network.l2.sequncers", "did you mean sequencers?"),
    ("network: {l2: {sequencers: four}}\n", "network.l2.sequencers", "got four"),
    ("network: {l2: {sequencers: true}}\n", "network.l2.sequencers", "integer"),
    ("network: {proposers: 2}\n", "network.proposers", "not supported yet"),
    ("network: {region: atlantis}\n", "network.region", 'unknown region "atlantis"'),
    ("network: {regions: {kepeer-0: tokyo}}\n", "network.regions.kepeer-0", "did you mean keeper-0"),
    ("network: {oracles: 2}\n", "venue.min_sources", "needs 3 reporters"),
    ("checks: [C1, -LS2]\n", "checks[1]", "takes out LS2"),
    ("checks: [C1, -C1]\n", "checks", "no check is left"),
    ("checks: [all, Z9]\n", "checks[1]", "no check is called 'Z9'"),
    ("storm: -5s\n", "storm", "negative duration"),
    ("storm: 5\n", "storm", "needs a unit"),
    ("storm: soon\n", "storm", "not a duration"),
    ("liveness: 1s\n", "liveness", "before within.recover"),
    ("storm: 2s\nliveness: 15s\n", "products[0].expires", "the run ends at 17s"),
    (FAULTS + "  - {at: 5s, for: 2s, kill: sequncer-0}\n", "faults[0].kill", 'unknown role "sequncer-0" (did you mean'),
    (
        FAULTS + "  - {at: 5s, for: 2s, latency: {from: sequncer-0, to: all, delay: 5ms}}\n",
        "faults[0].latency.from",
        "did you mean sequencer-0",
    ),
    (FAULTS + "  - {at: 5s, for: 2s, kill: sequencer-9}\n", "faults[0].kill", "unknown role"),
    (FAULTS + "  - {at: 5s, for: 2s, pause: relay-*}\n", "faults[0].pause", 'no role matches "relay-*"'),
    (FAULTS + "  - {at: 5s, for: 2s, pause: []}\n", "faults[0].pause", "at least 1"),
    (FAULTS + "  - {at: 5s, for: -2s, pause: keeper-0}\n", "faults[0].for", "negative duration"),
    (FAULTS + "  - {at: 5s, for: 0s, pause: keeper-0}\n", "faults[0].for", "zero"),
    (FAULTS + "  - {at: 5s, for: 2s}\n", "faults[0]", "exactly one of"),
    (FAULTS + "  - {at: 5s, for: 2s, kill: keeper-0, pause: keeper-1}\n", "faults[0]", "found kill and pause"),
    (FAULTS + "  - {for: 2s, pause: keeper-0}\n", "faults[0]", "give one of at, when"),
    (FAULTS + "  - {at: 5s, for: 2s, reorg: {depth: 3}}\n", "faults[0]", "is not undone; leave out for"),
    (FAULTS + "  - {at: 5s, reorg: {depth: 0}}\n", "faults[0].reorg.depth", "0"),
    (FAULTS + "  - {at: 5s, reorg: {depth: 3}}\n", "faults[0].reorg.depth", "at most 2 (origins stay)"),
    (FAULTS + "  - {at: 5s, rpc: {do: stale}}\n", "faults[0].rpc", "blocks goes with do: stale"),
    (FAULTS + "  - {at: 5s, rpc: {do: lie}}\n", "faults[0].rpc.do", "drop-reply"),
    (FAULTS + "  - {at: 5s, rpc: {do: error, to: trader-0}}\n", "faults[0].rpc.to", "trader-0 is no node"),
    (FAULTS + "  - {at: 5s, rpc: {do: error, method: 'a b'}}\n", "faults[0].rpc.method[0]", "pattern"),
    (FAULTS + "  - {at: 5s, for: 2s, upgrade: venue}\n", "faults[0].upgrade", "not supported yet"),
    (FAULTS + "  - {at: 5s, for: 2s, censor: {from: trader-0, of: keeper-0}}\n", "faults[0].censor.of", "no sequencer"),
    (FAULTS + "  - {at: 5s, for: 2s, oracle: {of: trader-0, do: freeze}}\n", "faults[0].oracle.of", "no reporter"),
    (FAULTS + "  - {at: 5s, for: 2s, oracle: {of: reporter-0, do: spike}}\n", "faults[0].oracle", "by goes with"),
    (FAULTS + "  - {at: 5s, for: 2s, fee-spike: {factor: 0.5}}\n", "faults[0].fee-spike.factor", "greater than"),
    (FAULTS + "  - {at: 9s, kill: batcher-0, restart: 5s}\n", "faults[0]", "restart 5s is not after at 9s"),
    (
        FAULTS + "  - {at: 2s, for: 9s, kill: keeper-0}\n  - {at: 4s, for: 1s, kill: keeper-*}\n",
        "faults[1].kill",
        "keeper-0 is already killed from 2s to 11s (faults[0])",
    ),
    (
        FAULTS + "  - {at: 4s, for: 1s, pause: keeper-0}\n  - {at: 2s, for: 9s, kill: keeper-0}\n",
        "faults[0].pause",
        "keeper-0 is already killed",
    ),
    (
        FAULTS + "  - {at: 2s, for: 9s, kill: l1-1}\n  - {at: 4s, for: 1s, loss: {from: l1-1, probability: 1%}}\n",
        "faults[1].loss",
        "can have no effect",
    ),
    (
        FAULTS + "  - {at: 2s, for: 9s, skew: {of: l1-1, offset: 1s}}\n  - {at: 4s, skew: {of: l1-1, offset: -1s}}\n",
        "faults[1].skew",
        "already skewed",
    ),
    ("storm: 10s\n" + FAULTS + "  - {at: 11s, for: 1s, kill: keeper-0}\n", "faults[0].at", "the storm is over"),
    ("storm: 10s\n" + FAULTS + "  - {at: 9s, for: 5s, kill: keeper-0}\n", "faults[0].for", "after the storm"),
    (
        FAULTS + "  - {at: 5s, for: 1s, partition: [[one, keeper-0], [keeper-*]]}\n",
        "faults[0].partition",
        "keeper-0 is in group 1 and in group 2",
    ),
    (FAULTS + "  - {at: 5s, for: 1s, partition: [[rest], [rest]]}\n", "faults[0].partition", "one group only"),
    (FAULTS + "  - {at: 5s, for: 1s, loss: {from: l1-0, probability: 3}}\n", "faults[0].loss.probability", "0 to 1"),
    (
        FAULTS + "  - {when: {event: expiry, product: ETH-F7}, for: 1s, pause: keeper-0}\n",
        "faults[0].when.product",
        'unknown product "ETH-F7"',
    ),
    (
        FAULTS + "  - {when: {event: full-moon}, for: 1s, pause: keeper-0}\n",
        "faults[0].when.event",
        "first-liquidatable",
    ),
]
CHANGED = [
    ("20s: 150", "20s: .nan", "market.ETH.knots.20s", "not a finite number"),
    ("20s: 150", "20s: NaN", "market.ETH.knots.20s", "not a finite number"),
    ("20s: 150", "20s: .inf", "market.ETH.knots.20s", "not a finite number"),
    ("20s: 150", "20s: -3", "market.ETH.knots.20s", "negative"),
    ("20s: 150", "20s: 0", "market.ETH.knots.20s", "above 0"),
    ("20s: 150", "20s: 1.0000000000000000001", "market.ETH.knots.20s", "too many digits"),
    ("20s: 150", "20s: [1, 2]", "market.ETH.knots.20s", "not a number"),
    ("20s: 150", "20s: 150, 10s: 160", "market.ETH.knots.10s", "not after the knot before it"),
    ("20s: 150", "20s: 150, 20s: 160", "market.ETH.knots.20s", "given twice"),
    ("0s: 200", "5s: 200", "market.ETH.knots.5s", "starts at 0s"),
    ("kind: future", "kind: spot", "products[0].kind", "spot is not supported yet"),
    ("kind: future", "kind: perpetual", "products[0]", "a perpetual never expires"),
    ("kind: future", "kind: call", "products[0]", "an option needs a strike"),
    ("kind: future", "kind: futrue", "products[0].kind", "got futrue"),
    ("underlying: ETH", "underlying: ETF", "products[0].underlying", "did you mean ETH?"),
    ("expires: 20s", "expires: 1500ms", "products[0]", "whole seconds"),
    ("leverage: [2, 8]", "leverage: [8, 2]", "workload", "low ≤ high"),
    ("rate: 2/s", "rate: fast", "workload.rate", "not a rate"),
    ("rate: 2/s", "rate: 2000/s", "workload.rate", "at most 1000/s"),
    ("version: 1", "version: 2", "version", "should be 1"),
    ("version: 1\n", "", "version", "is required"),
    ("name: tiny", "name: Tiny Storm", "name", "got Tiny Storm"),
    ("name: tiny", "name: !!python/object/apply:os.system [true]", "name", "tag"),
    (
        "{knots: {0s: 200, 20s: 150}}",
        "{csv: nowhere.csv, column: close}",
        "market.ETH.csv",
        "nowhere.csv: no such file",
    ),
    ("{knots: {0s: 200, 20s: 150}}", "{csv: nowhere.csv}", "market.ETH", "needs its column"),
    ("{knots: {0s: 200, 20s: 150}}", "{}", "market.ETH", "either knots or csv"),
]


def refused(path: Path) -> ScenarioError:
    with pytest.raises(ScenarioError) as caught:
        plan_from_file(path)
    return caught.value


@pytest.mark.parametrize(
    ("text", "where", "words"), APPENDED, ids=[str(case[0]).replace("\n", " ") for case in APPENDED]
)
def test_an_unusable_entry_is_refused_with_its_path(
    write: Write, minimal: str, text: str, where: str, words: str
) -> None:
    """The first thing a user needs is where in the file the mistake is."""
    error = refused(write(minimal + text))
    assert error.problems[0].where == where
    assert words in error.problems[0].what
    assert str(error).startswith(f"{error.file}:")


@pytest.mark.parametrize(("old", "new", "where", "words"), CHANGED, ids=[f"{case[0]} -> {case[1]}" for case in CHANGED])
def test_a_damaged_value_is_refused_with_its_path(
    write: Write, minimal: str, old: str, new: str, where: str, words: str
) -> None:
    """A value that is no value never reaches the plan as something else."""
    assert old in minimal
    error = refused(write(minimal.replace(old, new)))
    assert error.problems[0].where == where
    assert words in error.problems[0].what


def test_the_message_names_file_and_line(write: Write, minimal: str) -> None:
    path = write(minimal + "faults:\n  - {at: 5s, for: 2s, kill: sequncer-0}\n")
    assert str(refused(path)) == (
        f'{path}:10: faults[0].kill: unknown role "sequncer-0" (did you mean sequencer-0 or sequencer-3?)'
    )


def test_every_problem_of_a_file_is_listed_at_once(write: Write, minimal: str) -> None:
    """Mending one mistake only to meet the next costs a person a run each."""
    error = refused(write(minimal.replace("2/s", "fast").replace("seed: 3", "seed: x")))
    assert [problem.where for problem in error.problems] == ["seed", "workload.rate"]


def test_a_10_mb_file_is_refused_without_being_parsed(write: Write, minimal: str) -> None:
    assert "larger than" in str(refused(write(minimal + "# padding\n" * 1_000_000)))


def test_a_yaml_bomb_is_refused(write: Write) -> None:
    """Nine levels of nine aliases would be 387 million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    assert "aliases inside" in str(refused(write("\n".join(lines))))


def test_a_flat_alias_bomb_is_refused(write: Write) -> None:
    text = f"a: &a [{', '.join('x' * 1_000)}]\nb: [{', '.join(['*a'] * 1_000)}]\n"
    assert "once aliases are expanded" in str(refused(write(text)))


def test_deep_nesting_is_refused(write: Write) -> None:
    assert "deep" in str(refused(write("a: " + "[" * 200 + "]" * 200)))


def test_very_deep_nesting_is_refused_without_exhausting_the_stack(write: Write) -> None:
    assert refused(write("a: " + "[" * 400_000))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found nothing"),
        ("- 1\n- 2\n", "found list"),
        ("just words\n", "found str"),
        ("a: [1\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "several YAML documents"),
        ("? [a, b]\n: 1\n", "a key must be plain text"),
        ("a: *nothing\n", "alias"),
        ("a: \x07\n", "not valid YAML"),
    ],
)
def test_what_is_not_one_yaml_mapping_is_refused(write: Write, text: str, words: str) -> None:
    assert words in str(refused(write(text)))


def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "storm.yaml"
    path.write_bytes(b"version: 1\nname: \xff\xfe\n")
    assert str(refused(path)) == f"{path}:2: not UTF-8: byte 0xff"


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert "no such file" in str(refused(tmp_path / "none.yaml"))
    assert "is a directory" in str(refused(tmp_path))


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("nonsense", "is not key=value"),
        ("=4", "is not key=value"),
        ("network.l2.sequncers=4", "did you mean sequencers?"),
        ("products[4].weight=1", "nothing at products[4]"),
        ("name.first=x", "nothing"),
        ("workload.rate=-1/s", "negative"),
    ],
)
def test_an_unusable_override_is_refused(write: Write, minimal: str, assignment: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan_from_file(write(minimal), overrides=[assignment])
    assert words in str(caught.value)
