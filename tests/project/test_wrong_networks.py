"""`harness up` with what cannot be: the reason and exit code 2 within moments, and nothing half-created."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.network.places import STATE

pytestmark = pytest.mark.node

NETWORK = "version: 1\nnetwork: {l1: {followers: 0}, l2: {sequencers: 1, replicas: 0}}\n"

# what the network file says beyond that, and the exact reason
WRONG = {
    "a bad key": ("netwrk: {}", "network.yaml:3: netwrk: unknown key (did you mean network?); known here: "),
    "an account twice": (
        "project: {contracts: src, accounts: {alice: 3}}",
        "project.accounts.alice: 3 is already deployer's; two names for one key",
    ),
    "an unknown name": (
        "project: {contracts: src, deploy: [{contract: Countre}]}",
        "no contract Countre in src (did you mean Counter or ICounter?)",
    ),
    "an artifact without bytecode": (
        "project: {contracts: src, deploy: [{contract: ICounter}]}",
        "ICounter (Counter.sol) has no bytecode: it is an interface or an abstract contract; deploy a contract that",
    ),
    "an unlinked library": (
        "project: {contracts: src, deploy: [{contract: Linked, args: [4]}]}",
        "Linked (Counter.sol) is not linked: it needs the library Halves (Counter.sol:Halves); deploy Halves before it",
    ),
    "a constructor mismatch": (
        "project: {contracts: src, deploy: [{contract: Counter, args: [10]}]}",
        "the constructor is Counter(uint256 start, address friend) and takes 2 arguments, given are 1: (10)",
    ),
    "a number out of range": (
        "project: {contracts: src, deploy: [{contract: Counter, args: [-1, $deployer]}]}",
        "uint256 start: -1 is out of range; uint256 takes 0 to 2^256 - 1",
    ),
}


@pytest.mark.parametrize(("more", "reason"), WRONG.values(), ids=WRONG)
def test_a_network_that_cannot_be_is_refused_whole(
    folder: Path, more: str, reason: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    state = tmp_path / "state"
    monkeypatch.setenv(STATE, str(state))
    scratch = Path(tempfile.mkdtemp(prefix="w"))  # short: a socket's path is
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    file = folder / "network.yaml"
    file.write_text(f"{NETWORK}{more}\n", encoding="utf-8")
    assert main(["up", str(file), "--detach", "--any-port"]) == 2
    out, err = capsys.readouterr()
    assert reason in err
    assert out == ""
    assert "Traceback" not in err
    assert not list(state.glob("networks/*"))
    assert list(scratch.iterdir()) == []
    scratch.rmdir()
