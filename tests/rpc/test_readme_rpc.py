"""What the README says of the nodes' JSON-RPC is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.evm.accounts import account
from harness.roles.jsonrpc.block_methods import LOG_BLOCKS_MAX, LOGS_MAX
from harness.roles.jsonrpc.desk import CALL_GAS_MAX
from harness.roles.jsonrpc.service import BATCH_MAX
from harness.rollup.heads import Label
from harness.runtimes.rpc_server.limits import BODY_BYTES_MAX
from tests.rpc.network import Rpc

README = (Path(__file__).parents[2] / "README.md").read_text()

pytestmark = [pytest.mark.local, pytest.mark.node, pytest.mark.xdist_group("rpc")]


def section() -> str:
    (found,) = re.findall(r"^## Ask its nodes$(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_requests_shown_are_answered(sequencer: Rpc, replica: Rpc) -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", section(), re.DOTALL)
    requests = [json.loads(line) for line in shown.splitlines()]
    assert len(requests) == 4
    for node in (sequencer, replica):
        heads, status, block, trace = [node.post(json.dumps(request))["result"] for request in requests]
        assert list(heads) == [label.word for label in Label]
        assert "current_l1" in status
        assert block["number"].startswith("0x")
        assert trace["type"] == "CALL"


def test_the_bounds_shown_are_those_that_hold() -> None:
    assert f"{BODY_BYTES_MAX >> 20} MB a body, {BATCH_MAX} calls a batch, {CALL_GAS_MAX // 10**6} M gas" in section()
    assert LOG_BLOCKS_MAX == LOGS_MAX == 10_000


def test_the_accounts_shown_are_signed_for(sequencer: Rpc) -> None:
    assert sequencer.call("eth_accounts") == [account(index).address for index in range(3, 10)]


def test_helpers_do_what_the_table_says(replica: Rpc) -> None:
    poor = "0x" + "5a" * 20
    before = int(replica.call("eth_blockNumber"), 16)
    assert replica.call("evm_mine") == "0x0"
    assert int(replica.call("eth_blockNumber"), 16) > before
    replica.call("anvil_setBalance", poor, "0x7")
    assert replica.call("eth_getBalance", poor, "latest") == "0x7"
    replica.call("hardhat_setBalance", poor, "0x7")
    assert "can only be raised" in replica.error("hardhat_setBalance", poor, "0x1")["message"]
    for method in ("evm_increaseTime", "evm_snapshot", "anvil_setCode", "hardhat_reset"):
        assert replica.error(method)["code"] == -32004
