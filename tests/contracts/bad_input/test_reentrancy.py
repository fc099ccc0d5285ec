"""A token that tells whoever it moves to and from, in the middle of it: nothing can be had there that could not be had
before or after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace

import pytest

from harness.evm.abi import Interface
from harness.evm.accounts import OWNER
from harness.mutants.catalogue import find_mutant
from harness.mutants.patching import mutant_contracts
from harness.solidity.compile import compile_with_solcx
from harness.solidity.incremental import compile_changed
from harness.venue import exchange as ex
from harness.venue.bridge import Message
from tests.contracts.bad_input.cases_authority import attested, observed
from tests.contracts.bad_input.cases_bridge import ID, bridged, id_of, say_proven
from tests.contracts.bad_input.cases_trading import signed
from tests.contracts.bad_input.stage import (
    ALICE,
    BOB,
    CAROL,
    COINS,
    FOREVER,
    FUTURE,
    PERPETUAL,
    SOON,
    Attempt,
    Stage,
    State,
    build,
    final,
    mocks,
)
from tests.contracts.bad_input.test_bad_input import CASES, deploy_l1
from tests.contracts.conftest import STRICT, USD, W, venue_or_skip

pytestmark = pytest.mark.node

PUPPET = "0x" + "99" * 20
MINTING = "execute"

Call = tuple[str, bytes]        # field of the deployment, calldata

OUTER: dict[str, tuple[str, str, tuple[object, ...]]] = {
    "deposit": ("vault", "deposit", (7 * USD,)),
    "withdraw": ("vault", "withdraw", (7 * USD,)),
    "send": ("l1_bridge", "send", (PUPPET, 7 * USD, 100_000, b"")),
    "depositCoin": ("vault", "depositCoin", (COINS, W)),
    "withdrawCoin": ("vault", "withdrawCoin", (COINS, W)),
    "fundInsurance": ("vault", "fundInsurance", (0, 7 * USD)),
    "swap, buying": ("spot_amm", "swap", (True, 700 * USD, 0, FOREVER)),
    "swap, selling": ("spot_amm", "swap", (False, W, 0, FOREVER)),
    "addLiquidity": ("spot_amm", "addLiquidity", (W, 10_000 * USD, 0, FOREVER)),
    "removeLiquidity": ("spot_amm", "removeLiquidity", (10**9, 0, 0, FOREVER)),
}
"""Every call of anybody's that moves tokens, but those of the tokens themselves; with what the puppet has."""


def to_puppet(stage: Stage) -> Message:
    """A message over the bridge that mints to the puppet, whom the token tells of it."""
    return replace(bridged(stage, gas=3_000_000), target=PUPPET, payload=b"")


def outer_call(stage: Stage, name: str) -> Call:
    if name == MINTING:
        return "bridge_inbox", stage.call_of("bridge_inbox", "execute", astuple(to_puppet(stage))[1:])
    contract, function, arguments = OUTER[name]
    return contract, stage.call_of(contract, function, *arguments)


def codec(mock: str) -> Interface:
    return Interface(mocks()[mock].abi)


def told(stage: Stage, function: str, *arguments: object) -> Attempt:
    return Attempt(function, CAROL, PUPPET, codec("Puppet").encode_call(function, *arguments))


def run(stage: Stage, *calls: Call) -> Attempt:
    return told(stage, "run", [(stage.at[contract], data) for contract, data in calls])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """ETH at 1800, so that Alice is below; SOON has its price; both tokens tell; the puppet has something of all."""
    with venue_or_skip(STRICT) as venue:
        stage = Stage(venue.client, venue.at)
        build(stage)
        deploy_l1(stage)
        for token in ("collateral_token", "spot_token", "l1_token"):
            stage.client.call("anvil_setCode", stage.at[token], "0x" + mocks()["HookToken"].runtime.hex())
            stage.ok(OWNER, token, stage.raw(token, "mint", PUPPET, 10**6 * W))
        stage.client.call("anvil_setCode", PUPPET, "0x" + mocks()["Puppet"].runtime.hex())
        final(stage)
        approvals = [(token, ex.encode_approve(stage.at[spender], 2**256 - 1)) for token, spender in (
            ("collateral_token", "vault"), ("collateral_token", "spot_amm"), ("spot_token", "spot_amm"),
            ("spot_token", "vault"),
            ("l1_token", "l1_bridge"))]
        calls: list[tuple[str, str, tuple[object, ...]]] = [
            ("vault", "deposit", (100_000 * USD,)), ("vault", "moveCollateral", (0, 1, 1_000 * USD)),
            ("vault", "depositCoin", (COINS, 100 * W)),
            ("spot_amm", "addLiquidity", (10 * W, 20_000 * USD, 0, FOREVER)),
            ("order_book", "place", (FUTURE, W, 1900 * W, 0, FOREVER)),
        ]  # fmt: skip
        bought = stage.quote(PERPETUAL, W, 2000 * W)
        trade = ("clearing_house", ex.encode_trade(bought, stage.sign(bought), W))
        setting_up = [*approvals, *[(call[0], stage.call_of(call[0], call[1], *call[2])) for call in calls], trade]
        assert stage.attempt(run(stage, *setting_up)).error == ""
        stage.live(1, 1800)
        stage.live(1)
        say_proven(stage, id_of(to_puppet(stage)), 1)
        yield stage


def inner(stage: Stage) -> dict[str, Call]:
    """Every call that is anybody's to make, as the puppet could make it here and now."""
    puppet, alice, bob = PUPPET, stage.address(ALICE), stage.address(BOB)
    quote = stage.quote(FUTURE, W, 1800 * W)
    (order,) = stage.ask("order_book", "lastOrderId")
    calls: dict[str, tuple[object, ...]] = {
        "vault.deposit": (5 * USD,), "vault.withdraw": (5 * USD,), "vault.fundInsurance": (0, 5 * USD),
        "vault.moveCollateral": (0, 1, 5 * USD), "vault.coverDeficit": (0,),
        "vault.depositCoin": (COINS, 2 * W), "vault.withdrawCoin": (COINS, 2 * W),
        "clearing_house.trade": signed(stage, (astuple(quote), None, W)),
        "clearing_house.settleFunding": (puppet, PERPETUAL), "perpetuals.accrue": (PERPETUAL,),
        "order_book.place": (FUTURE, W, 1850 * W, 0, FOREVER), "order_book.cancel": (order,),
        "order_book.update": ([order], [(FUTURE, W, 1800 * W, 1, FOREVER)]),
        "liquidator.liquidate": (alice,), "liquidator.bid": (alice,), "liquidator.cancelAuction": (alice,),
        "liquidator.haircut": (0,), "liquidator.initialize": (1,),
        "settlement.finalize": (SOON,), "settlement.resolve": (SOON,), "settlement.settle": (bob, SOON),
        "price_feed.submit": attested(stage, observed(stage)),
        "collateral_token.approve": (bob, 5), "collateral_token.transfer": (bob, 5 * USD),
        "collateral_token.transferFrom": (puppet, bob, 5), "spot_token.approve": (bob, 5),
        "spot_token.transfer": (bob, W), "spot_token.transferFrom": (puppet, bob, 5),
        "spot_amm.approve": (bob, 5), "spot_amm.transfer": (bob, 5), "spot_amm.transferFrom": (puppet, bob, 5),
        "spot_amm.swap": (True, 500 * USD, 0, FOREVER), "spot_amm.addLiquidity": (W, 2_000 * USD, 0, FOREVER),
        "spot_amm.removeLiquidity": (10**8, 0, 0, FOREVER),
        "timelock.onERC721Received": (puppet, puppet, 1, b""),
        "timelock.onERC1155Received": (puppet, puppet, 1, 1, b""),
        "timelock.onERC1155BatchReceived": (puppet, puppet, [1], [1], b""),
        "l1_token.approve": (bob, 5), "l1_token.transfer": (bob, 5), "l1_token.transferFrom": (puppet, bob, 5),
        "l1_bridge.send": (bob, 5 * USD, 100_000, b""), "bridge_inbox.prove": (ID, 1, b"", [], []),
        "bridge_inbox.execute": (astuple(to_puppet(stage))[1:],),
        "batch_inbox.submit": (b"frame",), "forced_queue.enqueue": (0, 50_000, b"transaction"),
    }  # fmt: skip
    return {name: (name.partition(".")[0], stage.call_of(*name.split("."), *arguments))
            for name, arguments in calls.items()}


def after(stage: Stage, item: Attempt) -> tuple[str, State, tuple[bool, str]]:
    """The error of a call, the state it would leave but for the puppet's own notes, and what was said in the middle."""
    with stage.branch():
        error = stage.attempt(item).error
        state = {address: (balance, code, {} if address == PUPPET else slots)
                 for address, (balance, code, slots) in stage.dump().items()}
        notes = codec("Puppet")

        def note(name: str) -> tuple[object, ...]:
            said = stage.client.call("eth_call", {"to": PUPPET, "data": "0x" + notes.encode_call(name).hex()}, "latest")
            return notes.decode_result(name, bytes.fromhex(said[2:]))

        if item.label != "runWithin" or error:
            return error, state, (False, "")
        assert note("wasHeard") == (True,), "no token told the puppet"
        (answer,) = note("answer")
        assert isinstance(answer, bytes)
        return error, state, (note("hasSucceeded") == (True,), ex.explain_revert(answer))


def test_every_call_of_anybodys_is_tried_in_the_middle(stage: Stage) -> None:
    """A new function comes with the way it is tried, or this fails and says which."""
    anybodys = {function.partition("(")[0] for function, case in CASES.items() if not case.only}
    assert sorted(anybodys - inner(stage).keys()) == []
    moving = {case.signature.partition("(")[0] for case in CASES.values() if case.moves_tokens and not case.only}
    assert moving - {"transfer", "transferFrom"} == {name.partition(",")[0] for name in (*OUTER, MINTING)}


@pytest.mark.parametrize("name", [*OUTER, MINTING])
def test_nothing_is_gained_in_the_middle_of_a_transfer(stage: Stage, name: str) -> None:
    """The state after a call within another is that after one and then the other, or the inner one was refused."""
    outer = outer_call(stage, name)
    error, alone, _ = after(stage, run(stage, outer))
    assert error == ""
    succeeded, wrong = [], []
    for what, call in inner(stage).items():
        within = told(stage, "runWithin", (stage.at[outer[0]], outer[1]), (stage.at[call[0]], call[1]))
        error, state, (has_succeeded, said) = after(stage, within)
        if error:
            wrong.append(f"{what}: refuses the whole with {error}")
        elif not has_succeeded:
            if state != alone:
                wrong.append(f"{what}: refused with {said} and changed something")
            elif not said.startswith("Reentrancy(") and after(stage, run(stage, outer, call))[0] == "":
                wrong.append(f"{what}: refused with {said}, and afterwards it is not")
        else:
            orders = [after(stage, run(stage, *pair))[:2] for pair in ((outer, call), (call, outer))]
            if ("", state) not in orders:
                wrong.append(f"{what}: neither before nor after, which give {[error or 'done' for error, _ in orders]}")
            succeeded.append(what)
    assert wrong == []
    # What it could do alone it can do here, but for what the pool locks.
    assert {"vault.deposit", "vault.withdraw", "clearing_house.trade", "liquidator.liquidate"} <= set(succeeded)
    assert ("spot_amm.swap" in succeeded) is (outer[0] != "spot_amm")


@pytest.mark.parametrize("broken", [False, True], ids=["ours", "X29"])
def test_a_second_withdrawal_within_the_first_is_paid_for_too(broken: bool) -> None:
    """Mutant X29 needs a token that calls its receiver: there it pays twice and debits once, and ours never does."""
    artifacts = compile_changed(mutant_contracts(find_mutant("X29")), compile_with_solcx) if broken else None
    with venue_or_skip(STRICT, artifacts) as venue:
        stage = Stage(venue.client, venue.at)
        stage.client.call("anvil_setCode", stage.at["collateral_token"], "0x" + mocks()["HookToken"].runtime.hex())
        stage.client.call("anvil_setCode", PUPPET, "0x" + mocks()["Puppet"].runtime.hex())
        stage.ok(OWNER, "collateral_token", stage.raw("collateral_token", "mint", PUPPET, 100 * USD))
        approval = ("collateral_token", ex.encode_approve(stage.at["vault"], 2**256 - 1))
        deposit, withdrawal = (
            ("vault", stage.call_of("vault", name, amount)) for name, amount in (("deposit", 100 * USD),
                                                                                 ("withdraw", 7 * USD)))
        assert stage.attempt(run(stage, approval, deposit)).error == ""
        target = (stage.at[withdrawal[0]], withdrawal[1])
        assert stage.attempt(told(stage, "runWithin", target, target)).error == ""
        assert stage.ask("collateral_token", "balanceOf", PUPPET) == (14 * USD,)
        assert stage.ask("vault", "cash", PUPPET) == ((93 if broken else 86) * W,)
