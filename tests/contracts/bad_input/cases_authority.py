"""Bad input to what is told or decides from outside: price feed, L1's news, the guardian, the timelock, the inbox."""

from __future__ import annotations

from typing import Any

from harness.evm import wallet
from harness.evm.abi import asset_word
from harness.evm.accounts import OWNER, REPORTERS, account
from harness.evm.keccak import keccak
from harness.venue.deployment import DEPOSITOR
from tests.contracts.bad_input.cases_money import ANY_ADDRESS, name, owned, plain
from tests.contracts.bad_input.cases_trading import ETH
from tests.contracts.bad_input.stage import (
    CAROL,
    GUARDIAN_ROLE,
    Stage,
    announced,
    paused,
    ripe,
    tightening,
)
from tests.contracts.bad_input.table import OK, OVERFLOW, Arguments, Case
from tests.contracts.conftest import CHAIN, STRICT, T0, W

_PROPOSER = keccak(b"PROPOSER_ROLE")
_NOT_THAT_ONE = "TimelockUnexpectedOperationState"
_NO_MATTER_WHICH = (OK, OK, OK)
_ANY_WORD = (OK, OK)
_TIMELOCK: dict[str, Any] = {"only": ("timelock",), "foreign": "AccessControlUnauthorizedAccount"}
_OPERATOR: dict[str, Any] = {"only": (OWNER,), "foreign": "AccessControlUnauthorizedAccount"}
_SALT = bytes(32)


def observed(stage: Stage) -> Arguments:
    return ETH, stage.rounds + 1, stage.now, [2000 * W] * 3, None


def attested(stage: Stage, arguments: Arguments) -> Arguments:
    """As many reporters as there are prices sign what the round says now, unless there are other signatures."""
    asset, number, timestamp, prices, signatures = arguments
    if signatures is None:
        signers = sorted(REPORTERS[:len(prices)], key=lambda index: account(index).address)
        signatures = [
            wallet.sign_observation(account(signer).key, chain_id=CHAIN, feed=stage.at["price_feed"], asset=asset,
                                    round_=number, timestamp=timestamp, price=price)
            for signer, price in zip(signers, prices, strict=True)
        ]
    return asset, number, timestamp, prices, signatures


def a_second_later(stage: Stage) -> None:
    stage.live(1)


PRICE_FEED = [
    *owned("price_feed"),
    Case("price_feed.submit(bytes32,uint64,uint64,int256[],bytes[])", CAROL, observed, finish=attested,
         scene=a_second_later, edges={
             "asset": ("UnknownAsset", "UnknownAsset"), "round": ("RoundNotNewer", "RoundNotNewer", OK),
             "timestamp": ("TimestampNotNewer", "TimestampNotNewer", "TimestampInFuture"),
             "prices": ("TooFewSources",), "signatures": ("LengthMismatch",)}),
    Case("price_feed.listAsset(bytes32,bool,int256,int256)", OWNER, plain(asset_word("SOL"), False, 0, 10**26),
         only=(OWNER,), foreign="OwnableUnauthorizedAccount", edges={
             "asset": ("UnknownAsset", OK), "isSigned": (OK,),
             "minAnswer": ("BadBounds", "BadBounds", OK, OK, "BadBounds"),
             "maxAnswer": ("BadBounds", "BadBounds", "BadBounds", OK, "BadBounds")}),
    Case("price_feed.setReporter(address,bool)", "timelock", plain(name(CAROL), True), only=("timelock",),
         foreign="NotTimelock", edges={"reporter": ANY_ADDRESS, "isReporter_": (OK,)}),
    Case("price_feed.keepInstant(bytes32,uint64)", "clearing_house", plain(ETH, T0 + 600), only=("clearing_house",),
         foreign="NotClearingHouse",
         edges={"asset": ("UnknownAsset", "UnknownAsset"), "timestamp": _NO_MATTER_WHICH}),
    Case("price_feed.keepWindowAfter(bytes32,uint64)", "settlement", plain(ETH, T0 + 600), only=("settlement",),
         foreign="NotSettlement", edges={"asset": _ANY_WORD, "timestamp": _NO_MATTER_WHICH}),
]  # fmt: skip

L1 = [
    Case("l1_info.setL1Block(uint64,bytes32,uint64,bool)", DEPOSITOR, plain(7, b"\x77" * 32, T0, False),
         only=(DEPOSITOR,), foreign="NotDepositor", edges={
             "number_": _NO_MATTER_WHICH, "hash_": _ANY_WORD, "timestamp_": _NO_MATTER_WHICH, "auto_": (OK,)}),
    Case("forced_queue.enqueue(uint8,uint64,bytes)", CAROL, plain(0, 50_000, b"transaction"), value=W, edges={
        "kind": (OK, "UnknownKind", "UnknownKind"), "gas": ("GasOutOfRange",) * 3, "payload": ("PayloadLength", OK)}),
    Case("batch_inbox.submit(bytes)", CAROL, plain(b"frame"), edges={"frame": (OK, OK)}),
]  # fmt: skip


def roles(contract: str, role: bytes) -> list[Case]:
    """What OpenZeppelin's AccessControl adds; the timelock administers every role."""
    edges = {"role": _ANY_WORD, "account": ANY_ADDRESS}
    return [
        Case(f"{contract}.grantRole(bytes32,address)", "timelock", plain(role, name(CAROL)), edges=edges, **_TIMELOCK),
        Case(f"{contract}.revokeRole(bytes32,address)", "timelock", plain(role, name(OWNER)), edges=edges, **_TIMELOCK),
        Case(f"{contract}.renounceRole(bytes32,address)", OWNER, plain(role, name(OWNER)), only=(OWNER,),
             foreign="AccessControlBadConfirmation", edges={
                 "role": _ANY_WORD, "callerConfirmation": ("AccessControlBadConfirmation",) * 2}),
    ]  # fmt: skip


_PAUSE = ("UnknownPause", OK, "UnknownPause")

PAUSES = [
    *roles("pauses", GUARDIAN_ROLE),
    Case("pauses.pause(uint8)", OWNER, plain(1), blocked={1: "PauseUnchanged"}, edges={"what": _PAUSE}, **_OPERATOR),
    Case("pauses.unpause(uint8)", OWNER, plain(1), scene=paused, edges={"what": _PAUSE}, **_OPERATOR),
]


def scheduled(stage: Stage) -> Arguments:
    call = tightening(stage)
    return call.target, 0, call.data, bytes(32), _SALT


def scheduled_with_others(stage: Stage) -> Arguments:
    call = tightening(stage)
    return [call.target], [0], [call.data], bytes(32), _SALT


def operation(stage: Stage) -> Arguments:
    return (bytes(stage.ask("timelock", "hashOperation", *scheduled(stage))[0]),)


def ripe_batch(stage: Stage) -> None:
    arguments = (*scheduled_with_others(stage), STRICT.timelock_delay_s)
    stage.ok(OWNER, "timelock", stage.raw("timelock", "scheduleBatch", *arguments))
    stage.live(STRICT.timelock_delay_s, 2000)


_DELAY = ("TimelockInsufficientDelay", "TimelockInsufficientDelay", OVERFLOW)
_NOT_AS_LONG = ("TimelockInvalidOperationLength",)

TIMELOCK = [
    *roles("timelock", _PROPOSER),
    Case("timelock.schedule(address,uint256,bytes,bytes32,bytes32,uint256)", OWNER,
         lambda stage: (*scheduled(stage), STRICT.timelock_delay_s), **_OPERATOR, edges={
             "target": ANY_ADDRESS, "value": _NO_MATTER_WHICH, "data": (OK, OK), "predecessor": _ANY_WORD,
             "salt": _ANY_WORD, "delay": _DELAY}),
    Case("timelock.scheduleBatch(address[],uint256[],bytes[],bytes32,bytes32,uint256)", OWNER,
         lambda stage: (*scheduled_with_others(stage), STRICT.timelock_delay_s), **_OPERATOR, edges={
             "targets": _NOT_AS_LONG, "values": _NOT_AS_LONG, "payloads": _NOT_AS_LONG, "predecessor": _ANY_WORD,
             "salt": _ANY_WORD, "delay": _DELAY}),
    Case("timelock.cancel(bytes32)", OWNER, operation, scene=announced, **_OPERATOR,
         edges={"id": (_NOT_THAT_ONE, _NOT_THAT_ONE)}),
    Case("timelock.execute(address,uint256,bytes,bytes32,bytes32)", OWNER, scheduled, scene=ripe, **_OPERATOR, edges={
        "target": (_NOT_THAT_ONE,) * 2, "value": (OK, _NOT_THAT_ONE, _NOT_THAT_ONE), "payload": (_NOT_THAT_ONE,) * 2,
        "predecessor": (OK, _NOT_THAT_ONE), "salt": (OK, _NOT_THAT_ONE)}),
    Case("timelock.executeBatch(address[],uint256[],bytes[],bytes32,bytes32)", OWNER, scheduled_with_others,
         scene=ripe_batch, **_OPERATOR, edges={
             "targets": _NOT_AS_LONG, "values": _NOT_AS_LONG, "payloads": _NOT_AS_LONG,
             "predecessor": (OK, _NOT_THAT_ONE), "salt": (OK, _NOT_THAT_ONE)}),
    Case("timelock.updateDelay(uint256)", "timelock", plain(60), only=("timelock",),
         foreign="TimelockUnauthorizedCaller", edges={"newDelay": _NO_MATTER_WHICH}),
    # Any token may come in; none is ever looked at.
    Case("timelock.onERC721Received(address,address,uint256,bytes)", CAROL, plain(name(CAROL), name(CAROL), 1, b""),
         edges={"0": ANY_ADDRESS, "1": ANY_ADDRESS, "2": _NO_MATTER_WHICH, "3": (OK, OK)}),
    Case("timelock.onERC1155Received(address,address,uint256,uint256,bytes)", CAROL,
         plain(name(CAROL), name(CAROL), 1, 1, b""), edges={
             "0": ANY_ADDRESS, "1": ANY_ADDRESS, "2": _NO_MATTER_WHICH, "3": _NO_MATTER_WHICH, "4": (OK, OK)}),
    Case("timelock.onERC1155BatchReceived(address,address,uint256[],uint256[],bytes)", CAROL,
         plain(name(CAROL), name(CAROL), [1], [1], b""), edges={
             "0": ANY_ADDRESS, "1": ANY_ADDRESS, "2": (OK,), "3": (OK,), "4": (OK, OK)}),
]  # fmt: skip

CASES = [*PRICE_FEED, *L1, *PAUSES, *TIMELOCK]
