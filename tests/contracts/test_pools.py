"""Isolated pools: an account, books, insurance and a waterfall of their own, and nothing that crosses but its owner's hand."""

from __future__ import annotations

from typing import Any

import pytest

from harness.evm.accounts import KEEPERS, MAKER, OWNER, account
from harness.venue import exchange as ex
from harness.venue.pools import account_of, encode_move_collateral
from tests.contracts.conftest import EVERYONE, PARAMS, T0, USD, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL, DAVE = 100, 101, 102, 103
KEEPER = KEEPERS[0]
CROSS, POOL = 0, 1


def listing(pool: int, kind: str = "future", strike: int = 0) -> bytes:
    return ex.encode_list_series_with(ex.KINDS[kind], "ETH", strike, T0 + 3_600, (0, pool, 0, 0, 0))


def move(venue: Venue, who: int, dollars: int, source: int = CROSS, target: int = POOL) -> Outcome:
    return venue.send(who, "vault", encode_move_collateral(source, target, dollars * USD))


def of(who: int, pool: int = POOL) -> str:
    return account_of(account(who).address, pool)


def state(venue: Venue) -> ex.VenueState:
    """Everybody in both pools."""
    addresses = [of(who, pool) for pool in (CROSS, POOL) for who in EVERYONE]
    return ex.decode_state(venue.call("lens", ex.encode_state(addresses, ("ETH",))))


def held(venue: Venue, who: int, pool: int = POOL) -> ex.AccountState:
    return next(item for item in state(venue).accounts if item.address == of(who, pool))


def gaps(venue: Venue) -> tuple[int, ...]:
    """C1 of each pool, 0 where it holds, and of the custody against all of them, last."""
    seen = state(venue)
    pools_of_series = {number: venue.ask("clearing_house", "terms", number)[0][1] for number in range(1, 5)}
    found = []
    for books in seen.pools:
        own = sum(a.cash - sum(p.notional for p in a.positions) for a in seen.accounts if a.pool == books.pool)
        own += sum(s.clearing for s in seen.series if pools_of_series[s.series_id] == books.pool)
        found.append(books.balance - (own + books.insurance + books.fees + books.dust - books.deficit))
    return (*found, seen.totals.custody * 10**12 - sum(books.balance for books in seen.pools), seen.conservation_gap())


@pytest.fixture
def pooled(market: Venue) -> Venue:
    """The market, with a future of pool 1 as series 4; maker and keeper have moved collateral there."""
    market.system()
    market.ok(OWNER, "clearing_house", listing(POOL))
    market.deposit(KEEPER, 200_000)
    assert move(market, MAKER, 1_000_000).error == ""
    assert move(market, KEEPER, 100_000).error == ""
    return market


def at_price(venue: Venue, price: int, *, seconds: int = 1) -> Venue:
    venue.live(seconds)
    venue.observe(price)
    return venue


def enter(venue: Venue, who: int, dollars: int, size: int, price: int = 2000, *, maker: int = MAKER) -> None:
    """`who` pays in, moves all of it to the pool and trades its future there."""
    venue.deposit(who, dollars)
    assert move(venue, who, dollars).error == ""
    assert venue.trade(who, 4, size, price * W, maker=maker).error == ""


def liquidate(venue: Venue, victim: int, keeper: int = KEEPER) -> Outcome:
    return venue.send(keeper, "liquidator", ex.encode_liquidate(of(victim)))


def test_pools_are_numbered_as_they_come(market: Venue) -> None:
    """No gap, so that the count says which there are; books of a new one are empty."""
    assert market.send(OWNER, "clearing_house", listing(2)).error == "UnknownPool(pool=2,count=0)"
    assert market.ok(OWNER, "clearing_house", listing(1)).one("TermsSet")["pool"] == 1
    assert market.ok(OWNER, "clearing_house", listing(1)).error == ""
    market.ok(OWNER, "clearing_house", listing(2))
    assert [tuple(vars_of(books)) for books in state(market).pools][1:] == [(1, 0, 0, 0, 0, 0), (2, 0, 0, 0, 0, 0)]


def vars_of(books: ex.PoolState) -> tuple[int, ...]:
    return (books.pool, books.balance, books.insurance, books.fees, books.dust, books.deficit)


def test_collateral_moves_as_a_withdrawal_here_and_a_deposit_there(market: Venue) -> None:
    """The account is opened and told of once; both books and both accounts change by the amount."""
    market.ok(OWNER, "clearing_house", listing(POOL))
    market.deposit(ALICE, 1_000)
    first = move(market, ALICE, 400)
    assert first.one("AccountOpened") == {"account": of(ALICE), "owner": account(ALICE).address, "pool": 1}
    assert first.one("CollateralMoved") == {"owner": account(ALICE).address, "from": 0, "to": 1, "amount": 400 * USD}
    again = move(market, ALICE, 100)
    assert [event.name for event in again.events] == ["CollateralMoved"]
    assert (held(market, ALICE).cash, held(market, ALICE, CROSS).cash) == (500 * W, 500 * W)
    assert held(market, ALICE).pool == POOL
    assert state(market).pools[1].balance == 500 * W
    assert move(market, ALICE, 500, POOL, CROSS).error == ""
    assert (held(market, ALICE).cash, held(market, ALICE, CROSS).cash) == (0, 1_000 * W)
    assert gaps(market) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("source", "target", "dollars", "error"),
    [
        (1, 1, 1, "SamePool(pool=1)"),
        (0, 2, 1, "UnknownPool(pool=2,count=1)"),
        (2, 0, 1, "UnknownPool(pool=2,count=1)"),
        (1, 0, 0, "AccountNotOpen(owner={alice},pool=1)"),
        (0, 1, 1_001, "InsufficientMargin(equity=-1000000000000000000,required=0)"),
    ],
)
def test_moves_that_make_no_sense_are_refused(market: Venue, source: int, target: int, dollars: int, error: str) -> None:
    market.ok(OWNER, "clearing_house", listing(POOL))
    market.deposit(ALICE, 1_000)
    assert move(market, ALICE, dollars, source, target).error == error.format(alice=account(ALICE).address)


def test_collateral_in_use_does_not_move(pooled: Venue) -> None:
    """As for a withdrawal: initial margin at fresh prices stays, in either direction."""
    enter(pooled, ALICE, 300, W)                                          # a margin of 200, a fee of 1
    assert move(pooled, ALICE, 99, POOL, CROSS).error == ""
    refused = move(pooled, ALICE, 1, POOL, CROSS).error
    assert refused == f"InsufficientMargin(equity={199 * W},required={200 * W})"
    assert pooled.send(ALICE, "vault", ex.encode_withdraw(100 * USD)).error.startswith("InsufficientMargin")
    pooled.now += PARAMS.max_price_age_s + 1
    assert move(pooled, ALICE, 0, POOL, CROSS).error.startswith("StalePrice(")


def test_a_pool_is_never_short_of_what_leaves_it(pooled: Venue) -> None:
    """C5 at every transfer: profit that is still owed by others in the pool is no collateral of it."""
    enter(pooled, ALICE, 300, W)
    assert move(pooled, MAKER, 999_900, POOL, CROSS).error.startswith("InsufficientMargin")  # a margin of 200, too
    at_price(pooled, 3000 * W)
    assert pooled.trade(ALICE, 4, -W, 3000 * W).error == ""               # 1000 of cash won, owed by the maker
    move_all = held(pooled, ALICE).cash // 10**12
    assert pooled.send(ALICE, "vault", encode_move_collateral(POOL, CROSS, move_all)).error == ""
    assert gaps(pooled) == (0, 0, 0, 0)


def test_who_has_no_account_in_a_pool_neither_trades_nor_makes_nor_keeps_there(pooled: Venue) -> None:
    """Positions of a pool are held by accounts of it alone."""
    pooled.deposit(ALICE, 10_000)
    alice, bob = account(ALICE).address, account(BOB).address
    assert pooled.trade(ALICE, 4, W, 2000 * W).error == f"AccountNotOpen(owner={alice},pool=1)"
    assert move(pooled, ALICE, 300).error == ""
    assert pooled.trade(ALICE, 4, W, 2000 * W, maker=BOB).error == f"AccountNotOpen(owner={bob},pool=1)"
    assert pooled.trade(ALICE, 4, W, 2000 * W).error == ""
    at_price(pooled, 1800 * W)
    assert liquidate(pooled, ALICE, BOB).error == f"AccountNotOpen(owner={bob},pool=1)"
    assert liquidate(pooled, ALICE, ALICE).error == f"SelfLiquidation(account={of(ALICE)})"


def test_a_trade_is_of_the_pool_of_its_series(pooled: Venue) -> None:
    """Position, fee and dust of it are there; the cross account of either side does not move."""
    before = state(pooled).pools[CROSS]
    enter(pooled, ALICE, 300, W)
    traded = pooled.trade(ALICE, 4, -(W // 3), 2000 * W).one("Traded")
    assert (traded["taker"], traded["maker"]) == (of(ALICE), of(MAKER))
    assert pooled.trade(ALICE, 4, W, 2000 * W, maker=ALICE).error == f"SelfTrade(account={account(ALICE).address})"
    seen = state(pooled)
    assert seen.pools[POOL].fees > W
    assert (seen.pools[CROSS].fees, seen.pools[CROSS].dust) == (before.fees, before.dust)
    assert held(pooled, ALICE, CROSS).positions == ()
    assert held(pooled, ALICE).positions[0].size == W - W // 3
    assert gaps(pooled) == (0, 0, 0, 0)


def test_the_book_is_of_the_cross_pool(pooled: Venue) -> None:
    from harness.venue.book import encode_open_market

    refused = pooled.send(OWNER, "order_book", encode_open_market(4, tick=10**16, lot=10**15))
    assert refused.error == "IsolatedSeries(seriesId=4,pool=1)"


def test_a_partial_liquidation_stays_in_its_pool(pooled: Venue) -> None:
    """Keeper's account of the pool takes position and reward; the pool's insurance takes the rest of the penalty."""
    enter(pooled, ALICE, 300, W)
    at_price(pooled, 1800 * W)
    cross = state(pooled).pools[CROSS]
    done = liquidate(pooled, ALICE).one("Liquidated")
    assert (done["account"], done["keeper"], done["stage"]) == (of(ALICE), of(KEEPER), 1)
    assert state(pooled).pools[POOL].insurance == done["toInsurance"] > 0
    assert state(pooled).pools[CROSS] == cross
    assert held(pooled, KEEPER).positions[0].size > 0
    assert held(pooled, KEEPER, CROSS).positions == ()
    assert gaps(pooled) == (0, 0, 0, 0)


def bankrupt(venue: Venue) -> Outcome:
    """Alice's loss of 201 meets 100 won by Bob and an insurance of 60, half of it a block: 71 of deficit."""
    venue.ok(OWNER, "vault", ex.encode_fund_insurance(60 * USD, POOL))
    enter(venue, ALICE, 300, W)
    at_price(venue, 1600 * W)
    enter(venue, BOB, 1_000, -W, 1600)                                    # the maker is flat now
    at_price(venue, 1500 * W)
    return liquidate(venue, ALICE)


def test_a_bankruptcy_is_borne_by_its_pool_alone(pooled: Venue) -> None:
    """C5: insurance, deleveraging, deficit and haircut of pool 1; the cross pool's books and accounts do not change."""
    pooled.deposit(DAVE, 500)
    assert pooled.trade(DAVE, 1, W // 10, 2000 * W).error == ""
    cross, dave = state(pooled).pools[CROSS], held(pooled, DAVE, CROSS).cash
    done = bankrupt(pooled)
    flows = done.one("Liquidated")
    assert (flows["stage"], flows["covered"], flows["badDebt"]) == (3, 30 * W, 71 * W)
    assert done.one("Deleveraged")["counterparty"] == of(BOB)
    assert state(pooled).pools[POOL].deficit == 71 * W
    owed = f"DeficitUncovered(deficit={71 * W})"
    assert move(pooled, BOB, 1, POOL, CROSS).error == owed
    assert pooled.send(DAVE, "vault", ex.encode_withdraw(1)).error == ""  # who is not in it may leave
    assert pooled.send(DAVE, "liquidator", ex.encode_haircut()).error == "NoDeficit()"
    assert pooled.send(DAVE, "vault", ex.encode_cover_deficit()).error.startswith("NothingToCover(deficit=0")
    covered = pooled.ok(CAROL, "vault", ex.encode_cover_deficit(POOL))
    assert covered.one("DeficitCovered") == {"amount": 30 * W, "remaining": 41 * W, "pool": 1}
    shared = pooled.ok(CAROL, "liquidator", ex.encode_haircut(POOL))
    payers = [event.args["account"] for event in shared.events if event.name == "Haircut"]
    assert set(payers) <= {of(who) for who in EVERYONE}
    assert shared.one("DeficitSocialized") == {"amount": 41 * W, "remaining": 0, "pool": 1}
    after = state(pooled).pools[CROSS]
    assert after.balance == cross.balance - 10**12
    assert (after.insurance, after.fees, after.dust, after.deficit) == (cross.insurance, cross.fees, cross.dust, 0)
    assert held(pooled, DAVE, CROSS).cash == dave - 10**12
    assert gaps(pooled) == (0, 0, 0, 0)
    assert move(pooled, BOB, 1, POOL, CROSS).error == ""


def test_each_pool_has_its_own_limit_of_a_block(pooled: Venue) -> None:
    """A draw of one leaves what the other may still pay in the same block alone."""
    bankrupt(pooled)
    assert pooled.ask("vault", "insuranceAvailable", CROSS)[0] == 50 * W
    assert pooled.ask("vault", "insuranceAvailable", POOL)[0] == 0
    pooled.system()
    assert pooled.ask("vault", "insuranceAvailable", POOL)[0] == 15 * W   # a new block: half of the 30 left


def test_settlement_leaves_its_residue_and_its_loss_in_the_pool(pooled: Venue) -> None:
    """The last one settled moves the clearing to the pool's dust; a debt goes to the pool's deficit."""
    enter(pooled, ALICE, 300, W)
    cross = state(pooled).pools[CROSS]
    at_price(pooled, 1500 * W)
    pooled.now = T0 + 3_584
    pooled.observe(1500 * W)
    pooled.now = T0 + 3_600
    pooled.observe(1500 * W)
    assert pooled.finalize(4).error == ""
    settled = pooled.ok(OWNER, "settlement", ex.encode_settle(of(ALICE), 4))
    assert settled.one("BadDebt") == {"account": of(ALICE), "covered": 0, "remaining": 201 * W}
    pooled.ok(OWNER, "settlement", ex.encode_settle(of(MAKER), 4))
    seen = state(pooled)
    assert seen.pools[POOL].deficit == 201 * W
    assert seen.pools[CROSS] == cross
    assert gaps(pooled) == (0, 0, 0, 0)


def test_insurance_of_a_pool_that_is_not_there_is_refused(market: Venue) -> None:
    assert market.send(OWNER, "vault", ex.encode_fund_insurance(USD, 1)).error == "UnknownPool(pool=1,count=0)"


@pytest.mark.parametrize(("function", "arguments"), [("admitPool", (1, 0, bytes(32))), ("addDust", (1, 1))])
def test_only_the_exchange_touches_the_books(market: Venue, function: str, arguments: tuple[Any, ...]) -> None:
    refused = market.send(ALICE, "vault", market.raw("vault", function, *arguments))
    assert refused.error == f"NotExchange(caller={account(ALICE).address})"
