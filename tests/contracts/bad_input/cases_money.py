"""Bad input to what holds or moves tokens: the tokens, the vault, the spot pool."""

from __future__ import annotations

from collections.abc import Callable

from harness.evm.abi import asset_word
from harness.evm.accounts import MAKER, OWNER, account
from tests.contracts.bad_input.stage import (
    BOB,
    CAROL,
    COINS,
    FOREVER,
    KEEPER,
    Sender,
    Stage,
    as_built,
    overdrawn,
)
from tests.contracts.bad_input.table import NO_DATA, OK, OVERFLOW, Arguments, Case
from tests.contracts.conftest import USD, W

EXCHANGE: tuple[Sender, ...] = ("clearing_house", "liquidator", "settlement")
TOO_LARGE = "SafeCastOverflowedUintToInt"


def plain(*arguments: object) -> Callable[[Stage], Arguments]:
    return lambda stage: arguments


def name(who: int) -> str:
    return account(who).address


def owned(contract: str) -> list[Case]:
    """What OpenZeppelin's Ownable adds."""
    return [
        Case(f"{contract}.renounceOwnership()", OWNER, plain(), only=(OWNER,), foreign="OwnableUnauthorizedAccount"),
        Case(f"{contract}.transferOwnership(address)", OWNER, plain(name(CAROL)), only=(OWNER,),
             foreign="OwnableUnauthorizedAccount", edges={"newOwner": ("OwnableInvalidOwner", OK)}),
    ]  # fmt: skip


def erc20(contract: str, holder: int, amount: int) -> list[Case]:
    """What OpenZeppelin's ERC20 adds; the keeper is allowed `amount` of what the holder has."""

    def allowed(stage: Stage) -> None:
        stage.ok(holder, contract, stage.raw(contract, "approve", name(KEEPER), amount))

    return [
        Case(f"{contract}.approve(address,uint256)", holder, plain(name(BOB), amount),
             edges={"spender": ("ERC20InvalidSpender", OK), "value": (OK, OK, OK)}),
        Case(f"{contract}.transfer(address,uint256)", holder, plain(name(BOB), amount),
             foreign="ERC20InsufficientBalance", moves_tokens=True,
             edges={"to": ("ERC20InvalidReceiver", OK), "value": (OK, OK, "ERC20InsufficientBalance")}),
        Case(f"{contract}.transferFrom(address,address,uint256)", KEEPER, plain(name(holder), name(BOB), amount),
             foreign="ERC20InsufficientAllowance", moves_tokens=True, scene=allowed, edges={
                 "from": ("ERC20InsufficientAllowance", "ERC20InsufficientAllowance"),
                 "to": ("ERC20InvalidReceiver", OK), "value": (OK, OK, "ERC20InsufficientAllowance")}),
    ]  # fmt: skip


def mint(contract: str) -> Case:
    return Case(f"{contract}.mint(address,uint256)", OWNER, plain(name(BOB), USD), only=(OWNER,),
                foreign="OwnableUnauthorizedAccount", moves_tokens=True,
                edges={"to": ("ERC20InvalidReceiver", OK), "amount": (OK, OK, OVERFLOW)})


def ledger(signature: str, *arguments: object, **edges: tuple[str, ...]) -> Case:
    """A function of the vault that only the exchange's contracts may call."""
    return Case(f"vault.{signature}", "liquidator", plain(*arguments), only=EXCHANGE, foreign="NotExchange",
                edges={path.rstrip("_"): outcomes for path, outcomes in edges.items()},
                scene=overdrawn if signature.startswith("takeHaircut") else as_built)


ANY_ADDRESS = (OK, OK)

TOKENS = [
    *owned("collateral_token"), *erc20("collateral_token", CAROL, USD), mint("collateral_token"),
    *owned("spot_token"), *erc20("spot_token", CAROL, W), mint("spot_token"),
    *erc20("spot_amm", MAKER, 10**9),
]

LEDGER = [
    ledger("addCash(address,int256)", name(BOB), W, account=ANY_ADDRESS, delta=(OK, OK, OK, OK, OVERFLOW)),
    ledger("addDust(uint32,int256)", 0, 1, pool=(OK, OK, OK), residue=(OK, OK, OK, OK, OK)),
    ledger("admitPool(uint32,uint8,bytes32)", 3, 0, asset_word("ETH"), pool=(OK, OK, "UnknownPool"),
           kind=(OK, OK, NO_DATA), asset=(OK, OK)),
    ledger("bookBadDebt(address)", name(BOB), account=ANY_ADDRESS),
    ledger("coverLoss(address)", name(BOB), account=ANY_ADDRESS),
    ledger("pay(address,address,uint256)", name(BOB), name(CAROL), W,
           from_=ANY_ADDRESS, to=ANY_ADDRESS, amount=(OK, OK, TOO_LARGE)),
    ledger("payInsurance(address,uint256)", name(BOB), W, from_=ANY_ADDRESS, amount=(OK, OK, TOO_LARGE)),
    ledger("register(address)", name(BOB), account=ANY_ADDRESS),
    ledger("takeFee(address,uint256)", name(BOB), W, account=ANY_ADDRESS, fee=(OK, OK, TOO_LARGE)),
    ledger("takeHaircut(address,uint256)", name(BOB), W, account=ANY_ADDRESS, amount=(OK, OK, TOO_LARGE)),
]  # fmt: skip

VAULT = [
    Case("vault.deposit(uint256)", BOB, plain(USD), foreign="ERC20InsufficientAllowance", moves_tokens=True,
         edges={"amount": (OK, OK, OVERFLOW)}),
    Case("vault.withdraw(uint256)", BOB, plain(USD), foreign="InsufficientMargin", moves_tokens=True,
         edges={"amount": (OK, OK, OVERFLOW)}, blocked={4: "WithdrawalsPaused", "stale": "StalePrice"}),
    Case("vault.fundInsurance(uint32,uint256)", BOB, plain(0, USD), foreign="ERC20InsufficientAllowance",
         moves_tokens=True, edges={"pool": (OK, OK, "UnknownPool"), "amount": (OK, OK, OVERFLOW)}),
    Case("vault.coverDeficit(uint32)", CAROL, plain(0), scene=overdrawn,
         edges={"pool": (OK, "NothingToCover", "NothingToCover")}),
    Case("vault.moveCollateral(uint32,uint32,uint256)", BOB, plain(0, 1, USD), foreign="InsufficientMargin",
         edges={"from": (OK, "SamePool", "UnknownPool"), "to": ("SamePool", OK, "UnknownPool"),
                "amount": (OK, OK, OVERFLOW)},
         blocked={"stale": "StalePrice"}),
    # Shares of the spot pool are a coin as any other of 18 decimals.
    Case("vault.openCoinPool(uint32,address,bytes32)", OWNER,
         lambda stage: (COINS + 1, stage.at["spot_amm"], asset_word("BTC")), only=(OWNER,), foreign="NotOwner", edges={
             "pool": ("PoolInUse", "PoolInUse", "UnknownPool"), "token": ("CoinDecimals", "CoinDecimals"),
             "asset": ("UnknownAsset", "UnknownAsset")}),
    Case("vault.depositCoin(uint32,uint256)", CAROL, plain(COINS, W), foreign="ERC20InsufficientAllowance",
         moves_tokens=True, edges={"pool": ("NotCoinPool",) * 3, "amount": (OK, OK, TOO_LARGE)}),
    Case("vault.withdrawCoin(uint32,uint256)", CAROL, plain(COINS, W), foreign="AccountNotOpen", moves_tokens=True,
         edges={"pool": ("NotCoinPool",) * 3, "amount": (OK, OK, "PoolShort")},
         blocked={4: "WithdrawalsPaused", "stale": "StalePrice"}),
]  # fmt: skip

_DEADLINE = ("DeadlineOver", "DeadlineOver", OK)

SPOT = [
    Case("spot_amm.addLiquidity(uint256,uint256,uint256,uint64)", CAROL, plain(W, 2_000 * USD, 0, FOREVER),
         foreign="ERC20InsufficientAllowance", moves_tokens=True, edges={
             "underlying": ("NothingOut", "NothingOut", "ReserveOverflow"),
             "quote_": ("NothingOut", OK, "ReserveOverflow"),
             "minShares": (OK, OK, "SlippageExceeded"), "deadline": _DEADLINE}),
    Case("spot_amm.removeLiquidity(uint256,uint256,uint256,uint64)", MAKER, plain(10**9, 0, 0, FOREVER),
         foreign="ERC20InsufficientBalance", moves_tokens=True, edges={
             "shares": ("NothingIn", OK, OVERFLOW), "minUnderlying": (OK, OK, "SlippageExceeded"),
             "minQuote": (OK, OK, "SlippageExceeded"), "deadline": _DEADLINE}),
    Case("spot_amm.swap(bool,uint256,uint256,uint64)", CAROL, plain(True, 1_000 * USD, 0, FOREVER),
         foreign="ERC20InsufficientAllowance", moves_tokens=True, edges={
             "buys": (OK,), "amountIn": ("NothingIn", OK, "NothingOut"), "minOut": (OK, OK, "SlippageExceeded"),
             "deadline": _DEADLINE}),
]  # fmt: skip

CASES = [*TOKENS, *LEDGER, *VAULT, *SPOT]
