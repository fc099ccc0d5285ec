"""Inverse futures: coin for collateral, dollars for size, and one over the price in between."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import pytest

from harness.evm.accounts import KEEPERS, MAKER, OWNER, account
from harness.solidity.compile import compile_contracts
from harness.solidity.deploy import creation_code
from harness.venue import exchange as ex
from harness.venue.deployment import DEPOSITOR
from harness.venue.pools import account_of, encode_deposit_coin, encode_move_collateral, encode_open_coin_pool
from harness.venue.pools import encode_withdraw_coin
from tests.contracts.conftest import COINS, EVERYONE, PARAMS, T0, Outcome, Venue, W

pytestmark = pytest.mark.node

ALICE, BOB, CAROL, DAVE = 100, 101, 102, 103
KEEPER = KEEPERS[0]
COIN = 1                                # the pool
EXPIRY = T0 + 3_600
DERIBIT = replace(PARAMS, im_bps=400, mm_bps=250)


def open_pool(venue: Venue, pool: int = COIN, *, who: int = OWNER, token: str = "spot_token", asset: str = "BTC") -> Outcome:
    return venue.send(who, "vault", encode_open_coin_pool(pool, venue.at[token], asset))


def listing(pool: int = COIN, kind: str = "inverse", asset: str = "BTC", strike: int = 0, **terms: int) -> bytes:
    given = (0, pool, terms.get("oi_lower", 0), terms.get("oi_cap", 0), terms.get("profit_cap", 0))
    return ex.encode_list_series_with(ex.KINDS[kind], asset, strike, EXPIRY, given)


def pay_in(venue: Venue, who: int, wei: int) -> Outcome:
    return venue.send(who, "vault", encode_deposit_coin(COIN, wei))


def take_out(venue: Venue, who: int, wei: int) -> Outcome:
    return venue.send(who, "vault", encode_withdraw_coin(COIN, wei))


def of(who: int) -> str:
    return account_of(account(who).address, COIN)


def state(venue: Venue) -> ex.VenueState:
    """Everybody's accounts of both pools."""
    addresses = [account_of(account(who).address, pool) for pool in (0, COIN) for who in EVERYONE]
    return ex.decode_state(venue.call("lens", ex.encode_state(addresses, ("BTC",))))


def held(venue: Venue, who: int) -> ex.AccountState:
    return next(item for item in state(venue).accounts if item.address == of(who))


def books(venue: Venue) -> ex.PoolState:
    return state(venue).pools[COIN]


def gap(venue: Venue) -> int:
    """C1 of the coin pool, 0 where it holds; and every coin of the vault is the pool's."""
    seen, pool = state(venue), books(venue)
    assert pool.custody == pool.balance
    own = sum(a.cash - sum(p.notional for p in a.positions) for a in seen.accounts if a.pool == COIN)
    own += sum(series.clearing for series in seen.series)
    return pool.balance - (own + pool.insurance + pool.fees + pool.dust - pool.deficit)


@pytest.fixture
def coins(venue: Venue) -> Venue:
    """BTC at 10 000, a coin pool of it, an inverse future (1), and a rich maker and keeper."""
    venue.observe(10_000 * W, "BTC")
    assert open_pool(venue).error == ""
    venue.ok(OWNER, "clearing_house", listing())
    for who in (MAKER, KEEPER):
        assert pay_in(venue, who, 1_000 * W).error == ""
    return venue


def trade(venue: Venue, who: int, dollars: int, price: int, *, maker: int = MAKER, series: int = 1) -> Outcome:
    """`dollars` and `price` whole."""
    return venue.trade(who, series, dollars * W, price * W, maker=maker)


def at_price(venue: Venue, price: int) -> None:
    """The next second, with a price of it; in wei when it is no whole number of dollars."""
    venue.now += 1
    venue.system()
    venue.observe(price if price > 10**12 else price * W, "BTC")


def liquidate(venue: Venue, victim: int, keeper: int = KEEPER) -> Outcome:
    return venue.send(keeper, "liquidator", ex.encode_liquidate(of(victim)))


# What the peers publish.


@pytest.mark.parametrize("venue", [DERIBIT], indirect=True)
def test_deribits_example(venue: Venue) -> None:
    """deribit.com/docs/example-futures: 1000 dollars from 600 to 700 earn 0.238095 BTC, both fees together 0.00154755 (of
    it the published text rounds each), and 4 % of margin are 0.0667 BTC."""
    venue.observe(600 * W, "BTC")
    assert open_pool(venue).error == ""
    venue.ok(OWNER, "clearing_house", listing())
    assert pay_in(venue, MAKER, 100 * W).error == ""
    assert pay_in(venue, ALICE, W).error == ""
    opened = trade(venue, ALICE, 1_000, 600)
    assert opened.one("Traded")["fee"] == ceil(Fraction(W * W, 2 * 600 * W))
    assert held(venue, ALICE).im == ceil(Fraction(40 * W, 600))
    at_price(venue, 700)
    closed = trade(venue, ALICE, -1_000, 700)
    fees = opened.one("Traded")["fee"] + closed.one("Traded")["fee"]
    assert abs(fees - 1_547_619_047_619_048) <= 1
    assert held(venue, ALICE).cash + fees - W == 238_095_238_095_238_094      # 0.2380952…, each leg floored
    assert gap(venue) == 0


def test_bitmexs_example(coins: Venue) -> None:
    """bitmex.com/app/inverseFuturesGuide: 100 000 contracts from 10 000 to 10 500 earn 0.476 XBT."""
    assert pay_in(coins, ALICE, 2 * W).error == ""
    assert trade(coins, ALICE, 100_000, 10_000).error == ""
    at_price(coins, 10_500)
    seen = held(coins, ALICE)
    assert seen.equity - seen.cash == floor(Fraction(100_000 * W, 10_000) - Fraction(100_000 * W, 10_500))
    assert round((seen.equity - seen.cash) / W, 3) == 0.476


def test_who_is_long_loses_more_in_a_fall_than_it_gains_in_as_large_a_rise(coins: Venue) -> None:
    """Convexity: the coin that the loss is paid in is worth less, too. Down 20 % costs 25 % of the coins, up 20 % earns 16.7 %."""
    assert pay_in(coins, ALICE, 100 * W).error == ""
    assert trade(coins, ALICE, 100_000, 10_000).error == ""                   # 10 coins' worth
    cash = held(coins, ALICE).cash
    at_price(coins, 8_000)
    assert held(coins, ALICE).equity - cash == -(10 * W // 4)
    at_price(coins, 12_000)
    assert held(coins, ALICE).equity - cash == floor(Fraction(10 * W, 6))


# The pool.


def another_dollar(venue: Venue) -> str:
    """A second token of 6 decimals; its address."""
    code = creation_code(compile_contracts()["CollateralToken"], account(OWNER).address, account(OWNER).address)
    venue.client.call("anvil_impersonateAccount", DEPOSITOR)
    creation = {"from": DEPOSITOR, "data": "0x" + code.hex(), "maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0"}
    sent = venue.client.call("eth_sendTransaction", creation)   # in a batch the block may come before its gas is estimated
    venue.client.call("evm_mine", {"timestamp": venue.now})
    return str(venue.client.call("eth_getTransactionReceipt", sent)["contractAddress"])


def test_a_coin_pool_is_opened_once_by_the_owner_and_told_of(venue: Venue) -> None:
    """As the next number; its books begin empty and say what they are in."""
    assert open_pool(venue, who=ALICE).error == f"NotOwner(caller={account(ALICE).address})"
    assert open_pool(venue, 2).error == "UnknownPool(pool=2,count=0)"
    assert open_pool(venue, 0).error == "PoolInUse(pool=0)"
    opened = open_pool(venue)
    assert opened.one("CoinPoolOpened") == {"pool": 1, "asset": "BTC", "token": venue.at["spot_token"]}
    assert open_pool(venue).error == "PoolInUse(pool=1)"
    assert open_pool(venue, 2).error == f"CoinInUse(token={venue.at['spot_token']})"
    assert books(venue) == ex.PoolState(1, 0, 0, 0, 0, 0, "BTC", 0)
    assert state(venue).pools[0].coin == ""


def test_only_a_coin_of_18_decimals_whose_price_is_above_zero_backs_a_pool(venue: Venue) -> None:
    """One divides by that price: an asset that may go below zero is refused before anybody can hold anything of it."""
    assert open_pool(venue, asset="WTI").error == f"PriceMayBeNegative(asset=WTI,minAnswer={-10**26})"
    assert open_pool(venue, asset="DOGE").error == "UnknownAsset(asset=DOGE)"
    assert open_pool(venue, token="collateral_token").error == f"CoinInUse(token={venue.at['collateral_token']})"
    venue.at["cents"] = another_dollar(venue)
    assert open_pool(venue, token="cents").error == f"CoinDecimals(token={venue.at['cents']},decimals=6)"
    venue.at["nobody"] = account(DAVE).address
    assert open_pool(venue, token="nobody").error == f"CoinDecimals(token={venue.at['nobody']},decimals=0)"
    assert state(venue).pools[1:] == ()


def test_inverse_futures_are_in_a_coin_pool_of_their_asset_and_nothing_else_is(coins: Venue) -> None:
    """Collateral and profit are of one currency, whatever is listed."""
    inverse, future = ex.KINDS["inverse"], ex.KINDS["future"]
    for data, error in (
        (listing(0), f"CollateralMismatch(pool=0,kind={inverse},asset=BTC)"),
        (ex.encode_list_series(inverse, "BTC", 0, EXPIRY), f"CollateralMismatch(pool=0,kind={inverse},asset=BTC)"),
        (listing(asset="ETH"), f"CollateralMismatch(pool=1,kind={inverse},asset=ETH)"),
        (listing(kind="future"), f"CollateralMismatch(pool=1,kind={future},asset=BTC)"),
        (listing(2), f"CollateralMismatch(pool=2,kind={inverse},asset=BTC)"),
        (listing(3), "UnknownPool(pool=3,count=1)"),
        (listing(strike=1), f"StrikeOutOfRange(kind={inverse},strike=1)"),
    ):
        assert coins.send(OWNER, "clearing_house", data).error == error
    assert coins.ok(OWNER, "clearing_house", listing()).one("SeriesListed")["kind"] == inverse
    assert coins.send(OWNER, "order_book", coins.raw("order_book", "openMarket", 1, W, W)).error.startswith("IsolatedSeries(")


def test_coin_goes_in_and_out_wei_by_wei(coins: Venue) -> None:
    """A native unit is one of cash; the account is opened and told of once."""
    first = pay_in(coins, ALICE, 3)
    assert first.one("AccountOpened") == {"account": of(ALICE), "owner": account(ALICE).address, "pool": 1}
    assert first.one("CoinDeposited") == {"account": of(ALICE), "pool": 1, "amount": 3}
    assert [event.name for event in pay_in(coins, ALICE, 4).events] == ["CoinDeposited", "Transfer"]
    assert (held(coins, ALICE).cash, held(coins, ALICE).pool) == (7, COIN)
    taken = take_out(coins, ALICE, 7)
    assert taken.one("CoinWithdrawn") == {"account": of(ALICE), "pool": 1, "amount": 7}
    assert held(coins, ALICE).cash == 0
    assert coins.ask("spot_token", "balanceOf", account(ALICE).address)[0] == COINS * W
    assert gap(coins) == 0


def test_coin_that_is_not_there_or_in_use_does_not_leave(coins: Venue) -> None:
    """Initial margin without unrealised profit stays, to the wei; and the pool is never short."""
    alice = account(ALICE).address
    assert take_out(coins, ALICE, 1).error == f"AccountNotOpen(owner={alice},pool=1)"
    assert coins.send(ALICE, "vault", encode_withdraw_coin(0, 1)).error == "NotCoinPool(pool=0)"
    assert coins.send(ALICE, "vault", encode_withdraw_coin(2, 1)).error == "NotCoinPool(pool=2)"
    assert coins.send(ALICE, "vault", encode_deposit_coin(0, 1)).error == "NotCoinPool(pool=0)"
    assert coins.send(ALICE, "vault", encode_deposit_coin(9, 1)).error == "NotCoinPool(pool=9)"
    assert pay_in(coins, ALICE, 2 * W).error == ""
    assert trade(coins, ALICE, 100_000, 10_000).error == ""
    spare = held(coins, ALICE).cash - W                                       # 10 % of 10 coins stay
    refused = take_out(coins, ALICE, spare + 1)
    assert refused.error == f"InsufficientMargin(equity={W - 1},required={W})"
    assert take_out(coins, ALICE, spare).error == ""
    at_price(coins, 11_000)                                                   # the margin is less coin now; the profit stays
    margin = ceil(Fraction(W * 10, 11))
    assert take_out(coins, ALICE, W - margin + 1).error == f"InsufficientMargin(equity={margin - 1},required={margin})"
    whole = books(coins).balance
    assert take_out(coins, ALICE, whole + 1).error == f"PoolShort(pool=1,balance={whole},amount={whole + 1})"


def test_paused_withdrawals_keep_coin_too_and_deposits_go_on(coins: Venue) -> None:
    assert pay_in(coins, ALICE, W).error == ""
    coins.ok(OWNER, "pauses", coins.raw("pauses", "pause", 7))
    assert take_out(coins, ALICE, 1).error == "WithdrawalsPaused()"
    assert pay_in(coins, ALICE, W).error == ""
    assert coins.send(ALICE, "vault", encode_withdraw_coin(0, 1)).error == "WithdrawalsPaused()"


def test_dollars_do_not_become_coin(coins: Venue) -> None:
    """Neither in nor out, whatever the amount."""
    coins.deposit(ALICE, 1_000)
    assert pay_in(coins, ALICE, W).error == ""
    for source, target, error in (
        (0, 1, "HoldsCoin(pool=1)"), (1, 0, "HoldsCoin(pool=1)"),
        (1, 1, "SamePool(pool=1)"), (0, 2, "UnknownPool(pool=2,count=1)"),
    ):
        assert coins.send(ALICE, "vault", encode_move_collateral(source, target, 0)).error == error


def test_insurance_of_a_coin_pool_is_coin(coins: Venue) -> None:
    funded = coins.ok(OWNER, "vault", ex.encode_fund_insurance(5, COIN))
    assert funded.one("InsuranceFunded") == {"from": account(OWNER).address, "amount": 5, "pool": COIN}
    assert (books(coins).insurance, books(coins).balance) == (5, 2_000 * W + 5)
    assert gap(coins) == 0


def test_who_has_no_coin_in_the_pool_neither_trades_nor_makes_nor_keeps(coins: Venue) -> None:
    coins.deposit(ALICE, 100_000)
    alice, bob = account(ALICE).address, account(BOB).address
    assert trade(coins, ALICE, 100, 10_000).error == f"AccountNotOpen(owner={alice},pool=1)"
    assert pay_in(coins, ALICE, W).error == ""
    assert trade(coins, ALICE, 100, 10_000, maker=BOB).error == f"AccountNotOpen(owner={bob},pool=1)"
    assert liquidate(coins, ALICE, BOB).error == f"AccountNotOpen(owner={bob},pool=1)"


# Margin and rounding.


def test_one_wei_of_coin_decides_whether_a_position_opens(coins: Venue) -> None:
    """IM = ⌈q/P·10 %⌉: 30 000 dollars at 10 000 need 0.3 coins, and the fee 0.0015."""
    fee = 3 * W // 2_000
    assert pay_in(coins, ALICE, 3 * W // 10 + fee - 1).error == ""
    refused = trade(coins, ALICE, 30_000, 10_000)
    assert refused.error == f"InsufficientMargin(equity={3 * W // 10 - 1},required={3 * W // 10})"
    assert pay_in(coins, ALICE, 1).error == ""
    assert trade(coins, ALICE, 30_000, 10_000).error == ""
    assert (held(coins, ALICE).im, held(coins, ALICE).mm) == (3 * W // 10, 3 * W * 625 // 10_000)


def test_margin_and_fee_are_ceiled_and_both_legs_floored(coins: Venue) -> None:
    """One wei of a dollar is a part of a wei of coin: it costs one of margin, one of fee, and leaves one of dust."""
    for who in (ALICE, BOB):
        assert pay_in(coins, who, W).error == ""
    dust = books(coins).dust
    traded = coins.trade(ALICE, 1, 1, 10_000 * W)
    assert traded.one("Traded")["fee"] == 1
    assert (held(coins, ALICE).im, held(coins, ALICE).mm) == (1, 1)
    assert held(coins, ALICE).positions[0].notional == 0                      # long: n = ⌊1/10000⌋
    assert held(coins, MAKER).positions[0].notional == 1                      # short: n = ⌊−1/10000⌋ = −1
    assert books(coins).dust == dust + 1
    assert gap(coins) == 0


def test_reducing_and_flipping_round_each_part_on_its_own(coins: Venue) -> None:
    """Against the exact rational profit nobody gains a wei, and what they lose is dust."""
    assert pay_in(coins, ALICE, 10 * W).error == ""
    start = held(coins, ALICE).cash
    fees = 0
    for size, price in ((70_001, 9_970), (-20_003, 9_990), (11_007, 10_030), (-99_999, 10_010), (38_994, 9_995)):
        fees += coins.trade(ALICE, 1, size * W + (7 if size > 0 else -7), price * W).one("Traded")["fee"]
        assert gap(coins) == 0
    fees += coins.trade(ALICE, 1, -held(coins, ALICE).positions[0].size, 10_000 * W).one("Traded")["fee"]
    assert held(coins, ALICE).positions == ()
    assert held(coins, MAKER).positions == ()
    own, other = held(coins, ALICE).cash + fees - start, held(coins, MAKER).cash - 1_000 * W
    assert own + other + books(coins).dust == 0 < books(coins).dust <= 16
    assert gap(coins) == 0


def test_a_price_that_is_not_above_zero_is_refused(coins: Venue) -> None:
    """Whatever the band says: one over it is no amount of coin."""
    assert pay_in(coins, ALICE, W).error == ""
    for price in (0, -1, -10_000 * W):
        assert coins.trade(ALICE, 1, W, price).error == f"IndexNotPositive(asset=BTC,index={price})"
    assert coins.trade(ALICE, 1, W, 1).error == f"PriceOutOfBand(price=1,index={10_000 * W},bandBps=1000)"
    coins.now += 1
    refused = coins.send(OWNER, "price_feed", coins.round(0, "BTC"))
    assert refused.error == "NonPositivePrice(asset=BTC,price=0)"


def test_limits_are_of_dollars_open_and_profit_counts_in_coin(coins: Venue) -> None:
    """The cap is of contracts whatever the coin costs; a profit cap of 1000 dollars is a tenth of a coin at 10 000."""
    capped = int(coins.ok(OWNER, "clearing_house", listing(oi_lower=10_000, oi_cap=20_000)).one("SeriesListed")["id"])
    assert pay_in(coins, ALICE, 10 * W).error == ""
    assert pay_in(coins, BOB, 10 * W).error == ""
    assert trade(coins, ALICE, 15_000, 10_000, series=capped).error == ""
    assert held(coins, ALICE).im == 15_000 * W // 10_000 * 55 // 100          # half way from 10 % to all of it
    at_price(coins, 10_900)
    assert held(coins, ALICE).im == ceil(Fraction(15_000 * W * 55, 10_900 * 100))   # not further on: dollars are open
    assert trade(coins, ALICE, 5_000, 10_900, series=capped).error == ""
    refused = coins.trade(BOB, capped, 1, 10_900 * W)
    assert refused.error == f"OpenInterestCapped(id={capped},notional={20_000 * W + 1},cap={20_000 * W})"
    assert held(coins, ALICE).mm == ceil(Fraction(20_000 * W * 625, 10_900 * 10_000))


def test_profit_may_be_opened_against_only_up_to_its_cap_in_coin(coins: Venue) -> None:
    capped = int(coins.ok(OWNER, "clearing_house", listing(profit_cap=3_000)).one("SeriesListed")["id"])
    assert pay_in(coins, ALICE, 2 * W).error == ""
    assert trade(coins, ALICE, 100_000, 10_000, series=capped).error == ""
    at_price(coins, 12_500)                                                   # 2 coins of profit; 3000 dollars are 0.24
    credited = held(coins, ALICE).cash + 24 * W // 100
    more = trade(coins, ALICE, 100_000, 12_500, series=capped)
    assert more.error == ""
    fee = more.one("Traded")["fee"]
    refused = trade(coins, ALICE, 100_000, 12_500, series=capped)
    assert refused.error == f"InsufficientMargin(equity={credited - 2 * fee},required={300_000 * W // 125_000})"


def test_a_short_with_all_its_dollars_worth_of_coin_is_hedged_at_any_price(coins: Venue) -> None:
    """Formula 6: with C ≥ n/P_e there is no price at which it is liquidated; it holds dollars, synthetically."""
    assert pay_in(coins, ALICE, W + W // 100).error == ""
    assert trade(coins, ALICE, -10_000, 10_000).error == ""
    for price in (20_000, 100_000, 5_000_000):
        at_price(coins, price)
        seen = held(coins, ALICE)
        assert seen.equity > seen.mm > 0
    assert liquidate(coins, ALICE).error.startswith("NotLiquidatable(")


def test_a_long_is_liquidatable_just_below_the_price_formula_6_gives(coins: Venue) -> None:
    """n(1 + m)/(C + n/P_e), floored to the wei, is below maintenance; the next wei above is not."""
    assert pay_in(coins, ALICE, 2 * W).error == ""
    assert trade(coins, ALICE, 100_000, 10_000).error == ""
    worth = Fraction(held(coins, ALICE).cash, W) + 10
    limit = Fraction(100_000) * (1 + Fraction(625, 10_000)) / worth * W
    for price, answer in ((floor(limit) - 10**6, ""), (ceil(limit) + 10**6, "NotLiquidatable")):
        at_price(coins, price)
        assert ex.decode_liquidatable(coins.call("lens", ex.encode_liquidatable([of(ALICE)]))) == (answer == "",)
    assert liquidate(coins, ALICE).error.startswith("NotLiquidatable(")
    at_price(coins, floor(limit) - 10**6)
    assert liquidate(coins, ALICE).one("Liquidated")["stage"] == 1


# The ladder.


def test_a_partial_liquidation_takes_what_the_formula_says_in_coin(coins: Venue) -> None:
    """Formula 7 with notional q/P: sizes to the lot of a tenth of a cent, the penalty ceiled, its halves in coin."""
    assert pay_in(coins, ALICE, 2 * W).error == ""
    assert trade(coins, ALICE, 100_000, 10_000).error == ""
    price = 8_850
    at_price(coins, price)
    before = held(coins, ALICE)
    q = 100_000 * W
    penalty = ceil(Fraction(ceil(Fraction(q * W * W, price * W)) * 250, 10_000 * W))
    part = ceil(Fraction(q * (before.im - before.equity), before.im - penalty))
    lot = PARAMS.lot_wad
    size = ceil(Fraction(part, lot)) * lot
    done = liquidate(coins, ALICE)
    assert done.one("PositionTransferred")["size"] == size
    assert done.one("PositionTransferred")["price"] == price * W
    full = ceil(Fraction(ceil(Fraction(size * W * W, price * W)) * 250, 10_000 * W))
    flows = done.one("Liquidated")
    assert (flows["toKeeper"], flows["toInsurance"]) == (full // 2, full - full // 2)
    assert flows["equityBefore"] == before.equity
    after = held(coins, ALICE)
    assert after.im <= after.equity <= after.im + 10**15                      # back at initial margin, up to a lot
    assert books(coins).insurance == full - full // 2
    assert gap(coins) == 0


def test_small_is_as_many_dollars_as_elsewhere(coins: Venue) -> None:
    """100 dollars go whole; a wei of a dollar more goes in part."""
    for who, size, whole in ((ALICE, 100 * W, True), (BOB, 100 * W + 10**15, False)):
        assert pay_in(coins, who, W // 500).error == ""
        assert coins.trade(who, 1, size, 10_000 * W).error == ""
        at_price(coins, 8_850)
        moved = liquidate(coins, who).one("PositionTransferred")["size"]
        assert (moved == size) is whole
        at_price(coins, 10_000)


def test_a_loss_is_covered_deleveraged_and_shared_in_coin(coins: Venue) -> None:
    """An account that owes coin: insurance up to its limit of a block, the winner's gain, the deficit, and the haircut."""
    cross = state(coins).pools[0]
    coins.ok(OWNER, "vault", ex.encode_fund_insurance(W // 5, COIN))
    assert pay_in(coins, ALICE, 11 * W // 10).error == ""
    assert pay_in(coins, BOB, 20 * W).error == ""
    assert trade(coins, ALICE, 100_000, 10_000).error == ""
    at_price(coins, 8_200)
    assert trade(coins, BOB, -100_000, 8_200).error == ""                     # the maker is flat; Bob won nothing yet
    at_price(coins, 8_000)
    lost = ceil(Fraction(100_000 * W, 8_000)) - 10 * W
    cash = held(coins, ALICE).cash
    gain = held(coins, BOB).equity - held(coins, BOB).cash
    done = liquidate(coins, ALICE)
    flows = done.one("Liquidated")
    assert (flows["stage"], flows["covered"]) == (3, W // 10)
    taken = done.one("Deleveraged")
    assert (taken["counterparty"], taken["size"], taken["price"]) == (of(BOB), 100_000 * W, 8_000 * W)
    assert taken["cost"] == min(gain, lost - cash - W // 10) == gain
    assert flows["badDebt"] == lost - cash - W // 10 - gain == books(coins).deficit
    assert take_out(coins, BOB, 1).error == f"DeficitUncovered(deficit={flows['badDebt']})"
    assert gap(coins) == 0
    covered = coins.ok(CAROL, "vault", ex.encode_cover_deficit(COIN)).one("DeficitCovered")
    assert (covered["amount"], covered["pool"]) == (W // 10, COIN)
    shared = coins.ok(CAROL, "liquidator", ex.encode_haircut(COIN))
    assert shared.one("DeficitSocialized")["remaining"] == books(coins).deficit == 0
    assert take_out(coins, BOB, 1).error == ""
    after = state(coins).pools[0]
    assert replace(after, balance=cross.balance) == cross                     # no dollar moved
    assert gap(coins) == 0


def test_an_auctioned_account_is_sold_for_coin(coins: Venue) -> None:
    """What cannot pay the penalty goes to the bidder whole; its bonus grows to at most what is left."""
    assert pay_in(coins, ALICE, 11 * W // 10).error == ""
    assert trade(coins, ALICE, 100_000, 10_000).error == ""
    at_price(coins, 9_050)
    worth = held(coins, ALICE).equity
    assert liquidate(coins, ALICE).one("AuctionStarted")["equity"] == worth
    for _ in range(10):
        at_price(coins, 9_050)
    notional = ceil(Fraction(100_000 * W * W, 9_050))
    bonus = min(ceil(Fraction(notional * 500, 10_000 * W)) * 10 // 20, worth)
    sold = coins.send(KEEPER, "liquidator", ex.encode_bid(of(ALICE))).one("Liquidated")
    assert (sold["stage"], sold["toKeeper"], sold["toInsurance"]) == (2, bonus, worth - bonus)
    assert held(coins, ALICE).cash == 0
    assert gap(coins) == 0


def test_the_worst_portfolio_of_inverse_futures_fits_a_quarter_block(coins: Venue) -> None:
    """LL6 for 32 of them, cut back by a keeper, then closed against who gained."""
    coins.system()
    assert pay_in(coins, ALICE, 100 * W).error == ""
    for series in range(1, 33):
        if series > 1:
            coins.ok(OWNER, "clearing_house", listing())
        assert trade(coins, ALICE, 100_000, 10_000, series=series).error == ""
    spare = held(coins, ALICE).cash - 40 * W
    assert take_out(coins, ALICE, spare).error == ""
    at_price(coins, 9_300)
    partial = liquidate(coins, ALICE)
    assert partial.one("Liquidated")["stage"] == 1
    at_price(coins, 6_000)
    closed = liquidate(coins, ALICE)
    assert closed.one("Liquidated")["stage"] == 3
    print(f"worst portfolio of inverse futures: partial {partial.gas}, deleveraged {closed.gas}")
    assert max(partial.gas, closed.gas) <= 30_000_000 // 4, (partial.gas, closed.gas)
    assert gap(coins) == 0


# Settlement.


def expire(venue: Venue, price: int) -> None:
    venue.now = EXPIRY - 20
    venue.observe(price, "BTC")
    venue.now = EXPIRY


def test_the_last_second_trades_and_the_next_settles(coins: Venue) -> None:
    """T − 1 trades; T and T + 1 do not, and the price may be final from T on."""
    assert pay_in(coins, ALICE, W).error == ""
    coins.now = EXPIRY - 1
    coins.observe(10_000 * W, "BTC")
    assert trade(coins, ALICE, 1_000, 10_000).error == ""
    assert coins.finalize(1).error == f"NotExpired(id=1,expiry={EXPIRY})"
    for second in (EXPIRY, EXPIRY + 1):
        coins.now = second
        assert trade(coins, ALICE, 1_000, 10_000).error == f"SeriesExpired(id=1,expiry={EXPIRY})"
    coins.observe(10_000 * W, "BTC")
    assert coins.finalize(1).error == ""


def test_settlement_floors_both_sides_and_the_residue_is_dust(coins: Venue) -> None:
    """δ = ⌊−q/S_T⌋; the price of 9 973.1 leaves a remainder, and so a wei."""
    price = 9_973 * W + W // 10
    assert pay_in(coins, ALICE, 2 * W).error == ""
    assert trade(coins, ALICE, 77_777, 10_000).error == ""
    cash = held(coins, ALICE).cash
    before = books(coins)
    expire(coins, price)
    coins.observe(price, "BTC")
    assert coins.finalize(1).one("SeriesFinalized")["price"] == price
    q = 77_777 * W
    long_ = coins.ok(OWNER, "settlement", ex.encode_settle(of(ALICE), 1)).one("Settled")
    assert long_["cashDelta"] == floor(Fraction(-q * W, price)) + q // 10_000 < 0
    assert held(coins, ALICE).cash == cash + long_["cashDelta"]
    short = coins.ok(OWNER, "settlement", ex.encode_settle(of(MAKER), 1)).one("Settled")
    assert short["cashDelta"] == floor(Fraction(q * W, price)) - q // 10_000 > 0
    assert long_["cashDelta"] + short["cashDelta"] == -1
    assert books(coins).dust == before.dust + 1
    assert gap(coins) == 0


def test_a_debt_left_by_settlement_is_the_coin_pools(coins: Venue) -> None:
    """Owed coin goes to its insurance, then its deficit; the dollars do not know of it."""
    cross = state(coins).pools[0]
    assert pay_in(coins, ALICE, 11 * W // 10).error == ""
    assert trade(coins, ALICE, 100_000, 10_000).error == ""
    cash = held(coins, ALICE).cash
    expire(coins, 8_000 * W)
    coins.observe(8_000 * W, "BTC")
    assert coins.finalize(1).error == ""
    settled = coins.ok(OWNER, "settlement", ex.encode_settle(of(ALICE), 1))
    price = settled.one("Settled")["price"]
    owed = -(floor(Fraction(-100_000 * W * W, price)) + 10 * W + cash)
    assert settled.one("BadDebt") == {"account": of(ALICE), "covered": 0, "remaining": owed}
    coins.ok(OWNER, "settlement", ex.encode_settle(of(MAKER), 1))
    assert books(coins).deficit == owed > 0
    assert state(coins).pools[0] == cross
    assert gap(coins) == 0
