"""Projects made on the spot: a folder with contracts, a project file and a scenario, changed as a test needs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "scenarios" / "examples"

CONTRACTS = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

library Halves {
    function half(uint256 value) external pure returns (uint256) { return value / 2; }
}

interface ICounter { function count() external view returns (uint256); }

contract Counter is ICounter {
    error TooLow(uint256 given, uint256 least);
    event Counted(address indexed by, uint256 count, int256[] deltas);

    uint256 public count;
    address public immutable owner = msg.sender;
    uint256 public immutable born = block.timestamp;

    constructor(uint256 start, address friend) payable {
        if (start < 10) revert TooLow(start, 10);
        require(friend != address(0), "no friend");
        count = start;
    }

    function add(uint256 by) external {
        if (by == 0) revert TooLow(by, 1);
        count += by;
        int256[] memory deltas = new int256[](2);
        deltas[0] = int256(by);
        deltas[1] = -int256(by);
        emit Counted(msg.sender, count, deltas);
    }

    function set(uint256 to) external { require(msg.sender == owner, "not the owner"); count = to; }
    function set(uint256 to, bool) external { count = to; }
}

contract Linked {
    uint256 public value;
    constructor(uint256 twice) { value = Halves.half(twice); }
}

contract Factory {
    Counter public made;
    function make(uint256 start) external { made = new Counter(start, msg.sender); }
}
"""

PROJECT = """version: 1
contracts: src
deploy:
  - {contract: Counter, args: [10, $deployer]}
"""

SCENARIO = """version: 1
name: counting
project: .
network: {l1: {followers: 0}, l2: {sequencers: 1, replicas: 0}}
storm: 6s
liveness: 15s
checks: [H1, H4]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that plans as it is."""
    place = tmp_path / "mine"
    (place / "src").mkdir(parents=True)
    (place / "src" / "Counter.sol").write_text(CONTRACTS)
    (place / "harness.yaml").write_text(PROJECT)
    (place / "counting.yaml").write_text(SCENARIO)
    return place


@pytest.fixture
def copy_of(tmp_path: Path):  # type: ignore[no-untyped-def]  # a function that copies
    """A copy of a shipped example, to be changed."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(EXAMPLES / name, tmp_path / name))

    return copy
