"""However a run ends, it says so in words, with the right exit code, and leaves nothing behind but its folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.anvil.scratch import PREFIX
from harness.toolchain import ACCEPTED_ANVIL, anvil_binary, cache_home
from harness.toolchain.places import toolchain_root

from .child_run import ROOT, Child, Ending, ProcessEnded, harness

pytestmark = [pytest.mark.node, pytest.mark.scenario]

INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL
BOOT, STORM, JUDGING = "s  boot", "15 of 75", "judging"
CODES = {INT: (130, "interrupted"), TERM: (143, "terminated")}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def bare_home(tmp_path: Path) -> Path:
    """A cache folder with the installed tools and nothing else: contracts must be compiled and a genesis be built."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "toolchain").symlink_to(toolchain_root())
    return home


@pytest.fixture
def compiled_home(bare_home: Path) -> Path:
    """As `bare_home`, but with the compiled contracts: only the genesis must be built."""
    artifacts = cache_home() / "artifacts"
    if not artifacts.is_dir():
        pytest.skip("no compiled contracts in the cache yet; any run puts them there")
    shutil.copytree(artifacts, bare_home / "artifacts")
    return bare_home


def calm(out: Path, runtime: str = "sim") -> tuple[str | Path, ...]:
    return ("run", "calm", "--runtime", runtime, "--out", out)


def result_of(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "result.json").read_bytes())
    return read


def assert_ended_in_words(ending: Ending, code: int, *words: str) -> None:
    """This exit code, these words in the last line of stderr, and no traceback or warning of Python's anywhere."""
    assert ending.code == code, ending.err
    last = ending.err.strip().splitlines()[-1]
    for each in words:
        assert each in last, ending.err
    for ugly in ("Traceback", "Warning", "never retrieved", "Exception ignored", "Task was destroyed"):
        assert ugly not in ending.err, ending.err


def assert_interrupted(child: Child, number: signal.Signals, out: Path) -> None:
    """It ends as this signal ends it, and names the folder, which has no result."""
    code, word = CODES[number]
    ending = child.ending()
    folder = (out / "latest").resolve()
    assert_ended_in_words(ending, code, f"{word}; what was recorded is in {folder}")
    assert (folder / "plan.json").exists()
    assert not (folder / "result.json").exists()
    child.assert_nothing_left()


# -- interrupts


@pytest.mark.parametrize("number", [INT, TERM])
def test_an_interrupt_during_the_first_imports_is_quiet(number: signal.Signals, out: Path) -> None:
    """Most of the first second is imports, and that is when one notices the typing error."""
    with harness(*calm(out)) as child:
        child.wait_until(lambda: has_loaded(child.process.pid, "orjson"), "a library is loaded")
        child.signal(number)
        code, word = CODES[number]
        assert_ended_in_words(child.ending(), code, word)
        child.assert_nothing_left()


def has_loaded(pid: int, library: str) -> bool:
    try:
        return library in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False  # not yet there


@pytest.mark.parametrize("number", [INT, TERM])
def test_an_interrupt_while_contracts_compile_takes_the_compiler_along(
    number: signal.Signals, bare_home: Path, out: Path
) -> None:
    with harness(*calm(out), env={"HARNESS_HOME": str(bare_home)}) as child:
        child.wait_until(lambda: any("--standard-json" in line for line in child.others().values()), "a compiler")
        child.signal(number)
        assert_interrupted(child, number, out)
    assert not (bare_home / "artifacts").exists()


def test_an_interrupt_while_the_genesis_is_built_leaves_none(compiled_home: Path, out: Path) -> None:
    """A half-written genesis in the cache would spoil every run after."""
    with harness(*calm(out), env={"HARNESS_HOME": str(compiled_home)}) as child:
        child.wait_until(lambda: bool(child.anvils()), "a scratch node")
        child.signal(INT)
        assert_interrupted(child, INT, out)
    assert list((compiled_home / "genesis").rglob("*.json")) == []


@pytest.mark.parametrize("words", [BOOT, STORM, JUDGING])
@pytest.mark.parametrize("number", [INT, TERM])
def test_an_interrupted_run_says_where_it_lies(words: str, number: signal.Signals, out: Path) -> None:
    with harness(*calm(out)) as child:
        child.wait_for_line(words)
        child.signal(number)
        assert_interrupted(child, number, out)


@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize(("words", "runtime"), [
    (BOOT, "sim"), (STORM, "sim"), (JUDGING, "sim"), pytest.param("8 of 75", "local", marks=pytest.mark.local),
])  # fmt: skip
def test_a_key_held_down_cannot_cut_off_the_cleanup(
    words: str, runtime: str, number: signal.Signals, out: Path
) -> None:
    """A signal every few milliseconds, from the first to the very end, leaves as little as one."""
    with harness(*calm(out, runtime)) as child:
        child.wait_for_line(words)
        child.signal(number)
        with contextlib.suppress(ProcessEnded):
            child.wait_until(lambda: child.signal(number), "its end")
        assert_interrupted(child, number, out)


@pytest.mark.parametrize("runtime", ["sim", "local"])
def test_a_background_job_that_ignores_the_keyboard_is_still_terminated(runtime: str, out: Path) -> None:
    """A script's `harness run … &` starts with SIGINT ignored, and its supervisor sends SIGTERM."""
    deaf = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
    with harness(*calm(out, runtime), before=deaf) as child:
        child.wait_for_line(STORM)
        child.signal(INT)
        child.signal(TERM)
        assert_interrupted(child, TERM, out)
        child.assert_nothing_left()


def test_json_says_interrupted_too(out: Path) -> None:
    with harness(*calm(out), "--json") as child:
        child.wait_for_line(STORM)
        child.signal(INT)
        ending = child.ending()
    assert json.loads(ending.out)["exit_code"] == ending.code == 130


# -- what dies


def test_a_killed_harness_takes_its_anvils_along_and_the_next_run_sweeps_after_it(out: Path) -> None:
    """SIGKILL leaves no chance to clean up: the kernel ends the nodes, and whoever comes next removes their folders."""
    with harness(*calm(out)) as killed:
        killed.wait_for_line(STORM)
        assert len(killed.anvils()) >= 2
        killed.signal(KILL)
        assert killed.ending().code == -KILL
        killed.assert_no_process_left()
        abandoned = set(killed.temp.glob(f"{PREFIX}*"))
        assert len(abandoned) >= 2
        with harness(*calm(out), temp=killed.temp) as following:
            following.wait_for_line(BOOT)
            assert abandoned.isdisjoint(killed.temp.glob(f"{PREFIX}*"))
            following.signal(INT)
            assert_interrupted(following, INT, out)


def test_a_sweep_spares_a_run_that_lives(out: Path) -> None:
    with harness(*calm(out)) as child:
        child.wait_for_line(BOOT)
        child.wait_until(lambda: len(child.anvils()) >= 2, "two nodes")
        folders = set(child.temp.glob(f"{PREFIX}*"))
        with harness("doctor", temp=child.temp) as doctor:
            assert doctor.ending().code == 0
        assert folders <= set(child.temp.glob(f"{PREFIX}*"))
        assert child.ending().code == 0


def test_doctor_sweeps_after_a_killed_run(out: Path) -> None:
    with harness(*calm(out)) as child:
        child.wait_for_line(STORM)
        child.signal(KILL)
        child.ending()
        child.assert_no_process_left()
        with harness("doctor", temp=child.temp) as doctor:
            assert f"removed {len(list(child.temp.glob(PREFIX + '*')))} temporary folders" in doctor.ending().out
        child.assert_nothing_left()


def test_killed_anvils_change_nothing(out: Path) -> None:
    """A node is a cache of the journal: killed four times over, the run records the same history."""
    with harness(*calm(out)) as child:
        for words in ("8 of 75", "30 of 75"):
            child.wait_for_line(words)
            anvils = child.anvils()
            assert len(anvils) >= 2
            for pid in anvils:
                os.kill(pid, KILL)
        ending = child.ending()
        child.assert_nothing_left()
    assert ending.code == 0
    disturbed = result_of(out / "latest")
    with harness(*calm(out)) as child:
        assert child.ending().code == 0
    undisturbed = result_of(out / "latest")
    assert disturbed["history_sha256"] == undisturbed["history_sha256"]
    assert disturbed["checks"] == undisturbed["checks"]


@pytest.mark.parametrize("how", ["removed", "not executable"])
def test_an_anvil_that_cannot_be_started_again_is_a_failure_of_the_harness(how: str, out: Path, tmp_path: Path) -> None:
    """Not a verdict on the contracts; and the message tells the first failure, not those that follow from it."""
    binary = tmp_path / "anvil"
    shutil.copy2(anvil_binary(), binary)
    with harness(*calm(out), env={"ANVIL": str(binary)}) as child:
        child.wait_for_line(STORM)
        if how == "removed":
            binary.unlink()
        else:
            binary.chmod(0o644)
        for pid in child.anvils():
            os.kill(pid, KILL)
        ending = child.ending()
        child.assert_nothing_left()
    assert_ended_in_words(ending, 4)
    problems = [line for line in ending.out.splitlines() if "EngineFailure" in line]
    assert "could not be started" in problems[0]
    assert str(binary) in problems[0]
    assert "harness doctor" in problems[0]
    assert "FAILED" in ending.out
    assert result_of(out / "latest")["exit_code"] == 4


# -- missing tools


def fake_anvil(tmp_path: Path, script: str) -> Path:
    path = tmp_path / "fake-anvil"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("runtime", ["sim", pytest.param("local", marks=pytest.mark.local)])
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (None, "No such file"),
        ("echo 'anvil Version: 1.0.0-stable'", f"Anvil 1.0.0-stable is not the accepted {ACCEPTED_ANVIL}"),
        ("exit 3", "did not say its version"),
    ],
)
def test_a_missing_or_wrong_anvil_is_refused_with_a_remedy(
    script: str | None, words: str, runtime: str, out: Path, tmp_path: Path
) -> None:
    binary = tmp_path / "nowhere" if script is None else fake_anvil(tmp_path, script)
    with harness(*calm(out, runtime), env={"ANVIL": str(binary)}) as child:
        assert_ended_in_words(child.ending(), 4, words, str(binary), "harness.toolchain install")
        child.assert_nothing_left()


def test_a_missing_node_is_named_when_contracts_must_be_compiled(bare_home: Path, out: Path, tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    with harness(*calm(out), env={"HARNESS_HOME": str(bare_home), "PATH": str(empty)}) as child:
        assert_ended_in_words(child.ending(), 4, "no node found", "install Node.js")
        child.assert_nothing_left()


def test_a_toolchain_that_was_never_installed_is_named(out: Path, tmp_path: Path) -> None:
    home = {"HARNESS_HOME": str(tmp_path / "new"), "ANVIL": str(anvil_binary())}
    with harness(*calm(out), env=home) as child:
        assert_ended_in_words(child.ending(), 4, "not installed", "harness.toolchain install")
        child.assert_nothing_left()


# -- where it writes


@pytest.fixture
def tiny_disk(out: Path) -> Iterator[Any]:
    """`tiny_disk(size)` starts a command with a file system of that size at `out`, which only this command sees."""
    if not can_mount():
        pytest.skip("mounting a small file system in a namespace of its own needs root and `unshare`")
    out.mkdir()

    def before(size: str, *, keep: Path) -> tuple[str, ...]:
        script = 'size=$1 out=$2 keep=$3; shift 3; mount -t tmpfs -o size=$size none "$out" && "$@"; code=$?\n'
        script += 'ls -A "$out/latest/" > "$keep"; exit $code'
        return ("unshare", "-m", "sh", "-c", script, "sh", size, str(out), str(keep))

    yield before
    assert list(out.iterdir()) == []


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True, timeout=10).returncode == 0


@pytest.mark.parametrize(
    ("size", "file"), [("64k", "plan.json"), ("400k", "history.jsonl"), ("4m", "report.html")]
)
def test_a_full_disk_is_named_and_leaves_no_result(
    size: str, file: str, tiny_disk: Any, out: Path, tmp_path: Path
) -> None:
    """Whichever file it hits: exit code 4, the file and the remedy, and nothing that could pass for a finished run."""
    listing = tmp_path / "listing"
    with harness(*calm(out), before=tiny_disk(size, keep=listing)) as child:
        ending = child.ending()
        child.assert_nothing_left()
    assert_ended_in_words(ending, 4, f"/{file}: No space left on device", "free some space", "--out")
    left = listing.read_text().split()
    assert "result.json" not in left
    assert not any(name.endswith(".part") for name in left)


@pytest.mark.local
def test_a_full_disk_ends_a_local_run_at_once(tiny_disk: Any, out: Path, tmp_path: Path) -> None:
    """Every role writes its own history there, and its log; neither must keep it from saying what is wrong."""
    listing = tmp_path / "listing"
    with harness(*calm(out, "local"), before=tiny_disk("400k", keep=listing)) as child:
        ending = child.ending()
        child.assert_nothing_left()
    assert_ended_in_words(ending, 4, "No space left on device", "free some space", "--out")
    assert "60 of 75" not in ending.err
    assert "result.json" not in listing.read_text()


def a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("x")
    return tmp_path / "file"


def below_a_file(tmp_path: Path) -> Path:
    return a_file(tmp_path) / "runs"


def a_loop(tmp_path: Path) -> Path:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return tmp_path / "loop"


def too_long(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 300)


def not_text(tmp_path: Path) -> Path:
    return tmp_path / os.fsdecode(b"\xff")


@pytest.mark.parametrize("make", [a_file, below_a_file, a_loop, too_long, not_text])
def test_an_out_folder_that_cannot_be_is_refused_before_the_run(make: Any, tmp_path: Path) -> None:
    bad = make(tmp_path)
    with harness(*calm(bad)) as child:
        shown = str(bad).encode(errors="replace").decode()
        assert_ended_in_words(child.ending(), 2, f"{shown}: run folders cannot be made here", "--out")
        child.assert_nothing_left()


def test_a_read_only_out_folder_is_refused(out: Path) -> None:
    """Root may write to every folder, but not to a read-only file system."""
    if not can_mount():
        pytest.skip("mounting a read-only file system in a namespace of its own needs root and `unshare`")
    out.mkdir()
    script = 'mount -t tmpfs -o ro none "$1" && shift && exec "$@"'
    with harness(*calm(out), before=("unshare", "-m", "sh", "-c", script, "sh", str(out))) as child:
        assert_ended_in_words(child.ending(), 2, f"{out}: run folders cannot be made here: Read-only file system")


def test_an_out_folder_with_spaces_gives_a_replay_line_one_can_paste(out: Path) -> None:
    spaced = out / "my runs"
    with harness(*calm(spaced)) as child:
        ending = child.ending()
    line = next(line for line in ending.out.splitlines() if line.startswith("replay"))
    said = subprocess.run(
        ["sh", "-c", "printf '%s\\n' " + line.removeprefix("replay")], capture_output=True, text=True, check=True
    )
    assert str((spaced / "latest").resolve() / "plan.json") in said.stdout.splitlines()


def test_two_runs_in_one_folder_do_not_disturb_each_other(out: Path) -> None:
    """Same scenario, same seed, same second: two folders, and the same history in both."""
    with harness(*calm(out)) as one, harness(*calm(out)) as two:
        assert one.ending().code == two.ending().code == 0
        one.assert_nothing_left()
        two.assert_nothing_left()
    folders = [path for path in out.iterdir() if not path.is_symlink()]
    assert len(folders) == 2
    assert len({result_of(folder)["history_sha256"] for folder in folders}) == 1
    assert (out / "latest").resolve() in [folder.resolve() for folder in folders]
    assert not any(path.name.startswith(".") for path in out.iterdir())


# -- who reads


@pytest.mark.parametrize("arguments", [("validate", "calm"), ("schema",), ("run", "calm"), ("run", "calm", "--json")])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_changes_nothing(arguments: tuple[str, ...], stream: str, out: Path) -> None:
    """`| head -1`: no traceback, and above all not exit code 1, which says that the contracts are broken."""
    command = [sys.executable, "-m", "harness.cli", *arguments]
    command += ["--out", str(out)] if arguments[0] == "run" else []
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=writing if stream == "stdout" else subprocess.PIPE,
            stderr=writing if stream == "stderr" else subprocess.PIPE,
            text=True,
            timeout=120,
        )
    finally:
        os.close(writing)
    assert done.returncode == 0
    assert "Traceback" not in (done.stderr or "")
    assert "Exception" not in (done.stderr or "")


def test_output_that_cannot_be_written_is_a_failure_that_names_the_run(out: Path) -> None:
    with Path("/dev/full").open("w") as full, harness(*calm(out), stdout=full.fileno()) as child:
        ending = child.ending()
    assert_ended_in_words(ending, 4, "No space left on device", "exit code 0", str((out / "latest").resolve()))


# -- the local runtime: a process per role


@pytest.mark.local
@pytest.mark.parametrize("numbers", [(INT,), (TERM,), (INT, INT, INT)])
@pytest.mark.parametrize("moment", ["nodes boot", "storm"])
def test_an_interrupted_local_run_ends_all_its_processes(
    numbers: tuple[signal.Signals, ...], moment: str, out: Path
) -> None:
    with harness(*calm(out, "local")) as child:
        if moment == "storm":
            child.wait_for_line("8 of 75")
        else:
            child.wait_until(lambda: len(child.anvils()) >= 3, "some nodes")
        for number in numbers:
            child.signal(number)
        assert_interrupted(child, numbers[0], out)
    assert (out / "latest" / "history.jsonl").exists()


@pytest.mark.local
def test_a_killed_local_run_leaves_nothing(out: Path) -> None:
    with harness(*calm(out, "local")) as child:
        child.wait_for_line("8 of 75")
        child.signal(KILL)
        child.ending()
        child.assert_nothing_left()


@pytest.mark.local
def test_a_role_killed_from_outside_fails_a_local_run_and_is_named(out: Path) -> None:
    """Nobody planned it, so what the checks say of the rest proves nothing."""
    with harness(*calm(out, "local")) as child:
        child.wait_for_line("8 of 75")
        os.kill(max(set(child.others()) - set(child.anvils())), KILL)  # the last that was started: a role
        began = time.monotonic()
        ending = child.ending()
        assert time.monotonic() - began < 30
        child.assert_nothing_left()
    assert_ended_in_words(ending, 4)
    assert "although nobody killed it" in ending.out
    assert result_of(out / "latest")["exit_code"] == 4
