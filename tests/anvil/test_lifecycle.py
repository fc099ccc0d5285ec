"""A node starts only where it may, survives being killed, and leaves no process, socket or folder behind."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.anvil import AnvilEngine, ChainSpec, InlineEngine, ThreadedEngine
from harness.anvil.process import STOP_TIMEOUT_S
from harness.anvil.rpc import ConnectionLost, IpcClient
from harness.ports import EngineFailure, Refused
from harness.toolchain import ToolError
from tests.anvil.conftest import ADDRESSES, MakeEngine, block_on, signer

pytestmark = pytest.mark.node

NOBODY = "0x" + "99" * 20


def test_close_leaves_no_process_socket_or_folder(make_engine: MakeEngine) -> None:
    engine = make_engine()
    inputs = block_on(engine, None, signer(0).sign(NOBODY))
    engine.execute(inputs)
    pid, path = engine.process.pid, engine.process.socket_path
    assert pid is not None
    assert path.exists()
    engine.close()
    assert not path.parent.exists()
    assert not _is_running(pid)
    engine.close()
    with pytest.raises(EngineFailure, match="was closed"):
        engine.execute(inputs)


def test_close_ends_a_node_that_is_still_booting(make_engine: MakeEngine) -> None:
    engine = make_engine()
    pid, folder = engine.process.pid, engine.process.socket_path.parent
    engine.close()
    assert pid is not None
    assert not _is_running(pid)
    assert not folder.exists()


def test_close_ends_a_paused_node(make_engine: MakeEngine) -> None:
    engine = make_engine()
    pid = engine.process.pid
    assert pid is not None
    assert engine.genesis.number == 0
    _pause(pid)
    started = time.monotonic()
    engine.close()
    assert not _is_running(pid)
    assert time.monotonic() - started < STOP_TIMEOUT_S, "it was woken and asked, not left to be killed"


def test_a_given_folder_is_kept_with_its_log_only(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine(home=tmp_path)
    engine.execute(block_on(engine))
    engine.close()
    assert [path.name for path in tmp_path.iterdir()] == ["anvil.log"]


def test_a_stale_socket_is_replaced_and_a_live_one_is_not_stolen(make_engine: MakeEngine, tmp_path: Path) -> None:
    first = make_engine(home=tmp_path)
    assert first.genesis.number == 0
    with pytest.raises(EngineFailure, match=r"another process listens at .*; is another run still up"):
        make_engine(home=tmp_path)
    assert first.execute(block_on(first)).number == 1

    assert first.process.pid is not None
    os.kill(first.process.pid, signal.SIGKILL)
    assert wait_for(lambda: not first.process.is_alive())
    assert first.process.socket_path.exists(), "a killed node leaves its socket"
    assert make_engine(home=tmp_path).genesis == first.genesis


def test_a_path_too_long_for_a_socket_is_refused(make_engine: MakeEngine, tmp_path: Path) -> None:
    with pytest.raises(EngineFailure, match="characters of 100; use a shorter folder"):
        make_engine(home=tmp_path / ("x" * 100))


def test_a_node_that_cannot_boot_says_why(make_engine: MakeEngine, spec: ChainSpec, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{not json")
    engine = make_engine(dataclasses.replace(spec, genesis_file=broken))
    with pytest.raises(EngineFailure, match=r"test-0 exited with code \d+ before answering .* last log line"):
        engine.genesis  # noqa: B018  # asking is what waits


@pytest.mark.parametrize("at_once", [True, False], ids=["between-calls", "in-a-call"])
def test_a_killed_node_is_rebuilt_with_equal_hashes(make_engine: MakeEngine, at_once: bool) -> None:
    engine = make_engine()
    alice = signer(0)
    blocks = [engine.execute(block_on(engine, None, alice.sign(NOBODY, value=1))) for _ in range(5)]
    pid = engine.process.pid
    assert pid is not None
    if at_once:
        os.kill(pid, signal.SIGKILL)
    else:  # paused, it cannot answer; killed a moment later, the call under way ends in EOF
        _pause(pid)
        killer = subprocess.Popen([sys.executable, "-c", f"import os,time; time.sleep(0.2); os.kill({pid}, 9)"])
        assert killer.pid
    after = engine.execute(block_on(engine, None, alice.sign(NOBODY, value=1)))
    if not at_once:
        assert killer.wait(10) == 0
    assert engine.restarts == 1
    assert engine.process.pid != pid
    for block in (*blocks, after):
        assert int(engine.read("eth_getBalance", NOBODY, at=block.hash), 16) == block.number


def test_a_hung_node_is_replaced_after_the_timeout(make_engine: MakeEngine) -> None:
    engine = make_engine(timeout_s=2)
    first = engine.execute(block_on(engine, None, signer(0).sign(NOBODY, value=1)))
    assert engine.process.pid is not None
    _pause(engine.process.pid)
    assert int(engine.read("eth_getBalance", NOBODY, at=first.hash), 16) == 1
    assert engine.restarts == 1


def test_a_panicked_node_is_replaced(make_engine: MakeEngine) -> None:
    """Anvil aborts on numbers above u64; we never send one, so here a second connection does."""
    engine = make_engine()
    first = engine.execute(block_on(engine, None, signer(0).sign(NOBODY, value=1)))
    intruder = IpcClient(engine.process.socket_path, timeout_s=5)
    with pytest.raises(ConnectionLost):
        intruder.call("anvil_setNextBlockBaseFeePerGas", hex(2**64))
    assert wait_for(lambda: not engine.process.is_alive())
    assert "ended with code -6" in engine.process.how_it_died()
    assert engine.execute(block_on(engine, first.hash)).number == 2
    assert engine.restarts == 1


def test_a_node_that_cannot_come_back_is_an_engine_failure_and_may_return_later(
    make_engine: MakeEngine, spec: ChainSpec, tmp_path: Path
) -> None:
    assert spec.genesis_file is not None
    own = tmp_path / "genesis.json"
    own.write_bytes(spec.genesis_file.read_bytes())
    engine = make_engine(dataclasses.replace(spec, genesis_file=own))
    first = engine.execute(block_on(engine, None, signer(0).sign(NOBODY, value=1)))
    own.rename(tmp_path / "away")
    assert engine.process.pid is not None
    os.kill(engine.process.pid, signal.SIGKILL)
    with pytest.raises(EngineFailure, match="exited with code"):
        engine.execute(block_on(engine))
    (tmp_path / "away").rename(own)
    assert engine.execute(block_on(engine, first.hash)).number == 2


def test_another_genesis_after_a_restart_is_a_contradiction(
    make_engine: MakeEngine, spec: ChainSpec, tmp_path: Path
) -> None:
    assert spec.genesis_file is not None
    own = tmp_path / "genesis.json"
    own.write_bytes(spec.genesis_file.read_bytes())
    engine = make_engine(dataclasses.replace(spec, genesis_file=own))
    engine.execute(block_on(engine, None, signer(0).sign(NOBODY, value=1)))
    own.write_text('{"alloc": {}}')
    engine.restart()
    with pytest.raises(EngineFailure, match="contradicts its journal: block 1 was 0x"):
        engine.execute(block_on(engine))


def test_nodes_die_with_the_process_that_started_them(anvil: Path, spec: ChainSpec, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import os, sys
        from pathlib import Path
        from harness.anvil import AnvilEngine, ChainSpec
        spec = ChainSpec(chain_id=901, genesis_timestamp=1, gas_limit=30_000_000, genesis_file=None)
        engine = AnvilEngine(spec, binary=Path({str(anvil)!r}), home=Path({str(tmp_path)!r}))
        assert engine.genesis.number == 0
        print(engine.process.pid, flush=True)
        os.kill(os.getpid(), 9)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert wait_for(lambda: not _is_running(int(done.stdout)))


def test_the_http_port_is_read_back_and_is_loopback_only(make_engine: MakeEngine) -> None:
    engine = make_engine()
    assert engine.genesis.number == 0
    with socket.create_connection(("127.0.0.1", engine.process.http_port()), timeout=5) as connection:
        body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'
        head = f"POST / HTTP/1.1\r\nHost: l\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert b'"0x385"' in connection.recv(4096)


def test_a_wrong_anvil_version_is_refused(
    spec: ChainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imposter = tmp_path / "anvil"
    imposter.write_text("#!/bin/sh\necho anvil Version: 1.6.0-nightly\n")
    imposter.chmod(0o755)
    monkeypatch.setenv("ANVIL", str(imposter))
    with pytest.raises(ToolError, match=r"Anvil 1\.6\.0-nightly is not the accepted 1\.7\.1"):
        AnvilEngine(spec)


def test_an_inline_engine_never_suspends(engine: AnvilEngine) -> None:
    port = InlineEngine(engine)
    coroutine = port.execute(block_on(engine, None, signer(0).sign(NOBODY)))
    with pytest.raises(StopIteration) as finished:
        coroutine.send(None)
    assert finished.value.value.hash == engine.head


def test_a_threaded_engine_serves_the_port_in_turn(anvil: Path, spec: ChainSpec) -> None:
    async def drive(port: ThreadedEngine) -> None:
        assert await port.ready() == port.genesis_hash
        inputs = await port.use(lambda engine: block_on(engine, None, signer(0).sign(NOBODY, value=1)))
        block, again = await asyncio.gather(port.execute(inputs), port.execute(inputs))
        assert block is again
        assert await port.call(ADDRESSES["answer"], b"", at=block.hash) == (42).to_bytes(32, "big")
        with pytest.raises(Refused):
            await port.call(ADDRESSES["reverts"], b"", at=block.hash)
        assert port.pid is not None
        os.kill(port.pid, signal.SIGKILL)
        child = await port.use(lambda engine: block_on(engine))
        assert (await port.execute(child)).number == 2
        assert list(await port.replay([inputs, child])) == [block, await port.execute(child)]

    port = ThreadedEngine(lambda: AnvilEngine(spec, binary=anvil))
    pid = port.pid
    try:
        asyncio.run(asyncio.wait_for(drive(port), 30))
    finally:
        port.close()
    port.close()
    assert pid is not None
    assert not _is_running(pid)


def wait_for(condition: Callable[[], bool], *, within_s: float = 5.0) -> bool:
    """Whether a condition that only another process can bring about came true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _pause(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    assert wait_for(lambda: _state(pid) in ("T", "t")), "a stop signal takes effect a little later"


def _is_running(pid: int) -> bool:
    return _state(pid) not in (None, "Z")


def _state(pid: int) -> str | None:
    """The kernel's letter for a process; None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def test_a_closed_engine_refuses_with_a_port_error(anvil: Path, tmp_path: Path) -> None:
    """A role that is being stopped may still be answering a client; that must not look like a bug of the role."""
    spec = ChainSpec(chain_id=901, genesis_timestamp=1, gas_limit=30_000_000, genesis_file=None)
    engine = ThreadedEngine(lambda: AnvilEngine(spec, home=tmp_path, binary=anvil))
    genesis = engine.genesis_hash
    engine.close()
    with pytest.raises(EngineFailure, match="was closed"):
        asyncio.run(engine.call("0x" + "00" * 20, b"", at=genesis))
