"""The deployed spot pool and the model's, given the same calls: the same amounts, refusals to the word, and reserves.

`HARNESS_DIFFERENTIAL=200` plays so many lives instead of the few that fit an ordinary test run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from harness.evm.accounts import OWNER, account
from harness.model.params import FAST
from harness.model.spot import LOCKED_SHARES, RESERVE_END, Refused, SpotPool
from harness.model.venue import Venue as Model
from harness.venue import exchange as ex
from harness.venue import spot as wire
from tests.contracts.conftest import STRICT, T0, USD, Outcome, Venue, W, venue_or_skip
from tests.model.side_by_side import Said

pytestmark = pytest.mark.node

LIVES = int(os.environ.get("HARNESS_DIFFERENTIAL", "8"))
A, B, POOR = 100, 101, 102
HUGE = RESERVE_END - 1
Step = tuple[Any, ...]


class Pools:
    """Both pools. Every call is put to the model first; the contract must answer as it does."""

    def __init__(self, chain: Venue) -> None:
        self.chain = chain
        self.model = Model(FAST)
        self.block = 0
        self.reached: set[str] = set()
        self._mark = chain.client.call("evm_snapshot")
        self._nonces = dict(chain.nonces)

    def reset(self) -> None:
        chain = self.chain
        assert chain.client.call("evm_revert", self._mark) is True
        self._mark = chain.client.call("evm_snapshot")
        chain.nonces, chain.now = dict(self._nonces), T0
        self.model, self.block = Model(FAST), 0

    @property
    def pool(self) -> SpotPool:
        return self.model.book.spot

    def swap(self, who: int, buys: bool, amount: int, min_out: int, late: int) -> None:
        deadline = self.chain.now - late
        data = wire.encode_swap(wire.Swap(buys, amount, min_out, deadline))

        def by_the_rules() -> tuple[int, ...]:
            out = self.pool.swap(buys=buys, amount_in=amount, min_out=min_out, deadline=deadline, now=self.chain.now)[1]
            return amount, out

        paid = (0, amount) if buys else (amount, 0)
        self._both(who, data, by_the_rules, "Swapped", ("amountIn", "amountOut"), lambda _: paid)

    def add(self, who: int, underlying: int, quote: int, min_shares: int, late: int) -> None:
        deadline = self.chain.now - late
        data = wire.encode_add_liquidity(underlying, quote, min_shares=min_shares, deadline=deadline)

        def by_the_rules() -> tuple[int, ...]:
            return self.pool.add(underlying=underlying, quote=quote, min_shares=min_shares, deadline=deadline,
                                 now=self.chain.now)[1:]

        names = ("underlying", "quote", "shares")
        self._both(who, data, by_the_rules, "LiquidityAdded", names, lambda taken: (taken[0], taken[1]))

    def remove(self, who: int, shares: int, min_underlying: int, min_quote: int, late: int) -> None:
        deadline = self.chain.now - late
        data = wire.encode_remove_liquidity(shares, min_underlying=min_underlying, min_quote=min_quote,
                                            deadline=deadline)

        def by_the_rules() -> tuple[int, ...]:
            brought = self.pool.remove(shares=shares, min_underlying=min_underlying, min_quote=min_quote,
                                       deadline=deadline, now=self.chain.now)[1:]
            return *brought, shares

        names = ("underlying", "quote", "shares")
        self._both(who, data, by_the_rules, "LiquidityRemoved", names, lambda _: (0, 0), self.shares_of(who) < shares)

    def shares_of(self, who: int) -> int:
        return int(self.chain.ask("spot_amm", "balanceOf", account(who).address)[0])

    def _both(self, who: int, data: bytes, by_the_rules: Callable[[], tuple[int, ...]], event: str,
              names: tuple[str, ...], paid: Callable[[tuple[int, ...]], tuple[int, int]], lacks: bool = False) -> None:
        due, refusal = (), ""
        has = (0, 0) if lacks else self._wallet(who)
        try:
            due = by_the_rules()
            lacks = lacks or any(cost > owned for cost, owned in zip(paid(due), has, strict=True))
        except Refused as refused:
            refusal = str(refused)
        outcome = self.chain.send(who, "spot_amm", data)
        self.block += 1
        if refusal or lacks:
            told = refusal.partition("(")[0] if refusal else "ERC20InsufficientBalance"
            assert _plain(outcome) == refusal if refusal else outcome.error.startswith(told), (outcome.error, refusal)
            self.reached.add(told)
        else:
            assert outcome.error == "", (outcome.error, due)
            args = outcome.one(event)
            assert (tuple(args[name] for name in names), args["account"]) == (due, account(who).address)
            self.reached.add(event)
        self.model.begin_block(self.block, self.chain.now)
        for said in outcome.events:
            found = self.model.apply(Said(said.name, 0, said.args))
            assert found == [], found
        shown = wire.decode_reserves(self.chain.call("spot_amm", wire.encode_reserves()))
        assert (shown.underlying, shown.quote, shown.shares) == (
            self.pool.underlying, self.pool.quote, self.pool.shares)
        for buys, amount in ((True, USD), (False, W), (True, HUGE), (False, HUGE)):
            assert self.chain.ask("spot_amm", "quote", buys, amount)[0] == self.pool.amount_out(
                buys=buys, amount_in=amount)

    def _wallet(self, who: int) -> tuple[int, int]:
        return (int(self.chain.ask("spot_token", "balanceOf", account(who).address)[0]),
                int(self.chain.ask("collateral_token", "balanceOf", account(who).address)[0]))  # fmt: skip


def _plain(outcome: Outcome) -> str:
    """The error as the model says it: without the names of its values."""
    name, _, rest = outcome.error.partition("(")
    return f"{name}({','.join(part.partition('=')[2] for part in rest[:-1].split(',') if part)})"


@pytest.fixture(scope="module")
def both() -> Iterator[Pools]:
    with venue_or_skip(STRICT) as chain:
        for who, wealth in ((A, HUGE), (B, HUGE), (POOR, 5)):
            address = account(who).address
            chain.ok(OWNER, "spot_token", chain.raw("spot_token", "mint", address, wealth))
            chain.ok(OWNER, "collateral_token", ex.encode_mint(address, wealth))
            for token in ("spot_token", "collateral_token"):
                chain.ok(who, token, ex.encode_approve(chain.at["spot_amm"], 2**256 - 1))
        yield Pools(chain)


def play(both: Pools, step: Step) -> None:
    verb, who, *rest = step
    pool, late = both.pool, rest[-1]
    if verb == "swap":
        buys, amount, slack = rest[0], rest[1], rest[2]
        if isinstance(amount, tuple):   # of the reserve it pays into, in ten-thousandths
            amount = (pool.quote if buys else pool.underlying) * amount[0] // 10_000
        both.swap(who, buys, amount, max(0, pool.amount_out(buys=buys, amount_in=amount) + slack), late)
    elif verb == "add":
        both.add(who, rest[0], rest[1], rest[2], late)
    elif verb == "fit":
        underlying = pool.underlying * rest[0] // 10_000
        quote = underlying * pool.quote // pool.underlying + rest[1] if pool.underlying else rest[0] * USD
        both.add(who, underlying, max(0, quote), 0, late)
    elif verb == "remove":
        owned = both.shares_of(who)
        shares = max(0, owned * rest[0] // 10_000 + rest[1])
        brought = pool.worth(shares) if pool.shares else (0, 0)
        both.remove(who, shares, max(0, brought[0] + rest[2]), max(0, brought[1] + rest[3]), late)


amounts = st.one_of(
    st.integers(0, 50), st.integers(1, 10**7), st.integers(1, 10**21), st.integers(1, 112).map(lambda n: 2**n),
    st.integers(1, 30_000).map(lambda n: (n,)),
)  # fmt: skip
plain = st.one_of(st.integers(0, 2_000), st.integers(1, 10**22), st.integers(90, 112).map(lambda n: 2**n - 1))
who = st.sampled_from((A, A, B, B, POOR))
late = st.sampled_from((0, 0, 0, 0, -5, 1))
edge = st.sampled_from((-(10**30), -1, 0, 0, 1))
step = st.one_of(
    st.tuples(st.just("swap"), who, st.booleans(), amounts, edge, late),
    st.tuples(st.just("swap"), who, st.booleans(), amounts, edge, late),
    st.tuples(st.just("add"), who, plain, plain, st.sampled_from((0, 0, 1, 10**20)), late),
    st.tuples(st.just("fit"), who, st.integers(0, 40_000), st.integers(-2, 2), late),
    st.tuples(st.just("remove"), who, st.sampled_from((0, 1, 3_333, 9_999, 10_000)), st.sampled_from((-1, 0, 0, 1)),
              edge, edge, late),
)  # fmt: skip
FIRST: Step = ("add", A, 1_000 * W, 200_000 * USD, 0, 0)


@settings(
    max_examples=LIVES, deadline=None, derandomize="HARNESS_DIFFERENTIAL" not in os.environ, database=None,
    suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
# Nothing in it yet; the smallest pool there can be, and one wei less; everything taken out that is anybody's.
@example([("swap", A, True, 5, 0, 0), ("remove", A, 0, 1, 0, 0, 0), ("add", A, 1_000, 1_000, 0, 0),
          ("add", A, 1_001, 1_001, 2, 0), ("add", A, 1_001, 1_001, 1, 0), ("swap", B, True, 1, -1, 0),
          ("swap", B, False, 500, 0, 0), ("remove", A, 10_000, 0, 0, 0, 0), ("swap", B, True, 400, 0, 0),
          ("add", B, 3, 1, 0, 0), ("fit", B, 40_000, 1, 0), ("remove", B, 10_000, 1, 0, 0, 0)])
# To the last unit of what is accepted and of the deadline; amounts that give nothing; those nobody has.
@example([FIRST, ("swap", B, True, 20_000 * USD, 0, 0), ("swap", B, True, 20_000 * USD, 1, 0),
          ("swap", B, False, W, 0, 1), ("swap", B, False, 1, 0, 0), ("swap", B, True, 0, 0, 0),
          ("swap", POOR, True, USD, 0, 0), ("swap", POOR, True, 5, 0, 0), ("add", POOR, W, USD, 0, 0),
          ("add", B, W, USD, 10**20, 0), ("remove", A, 5_000, 0, 1, 0, 0), ("remove", A, 5_000, 0, 0, 1, 0),
          ("remove", A, 5_000, 0, 0, 0, 1), ("remove", B, 0, 1, 0, 0, 0), ("remove", A, 5_000, 0, 0, 0, 0)])
# Up to the last reserve that is stored, and past it.
@example([("add", A, HUGE, 10**9, 0, 0), ("swap", B, False, 1, 0, 0), ("swap", B, False, 2**111, 0, 0),
          ("swap", B, True, 2**100, 0, 0), ("swap", B, True, HUGE, 0, 0), ("swap", B, True, HUGE + 1, 0, 0),
          ("add", B, HUGE + 1, 1, 0, 0), ("add", B, 1, HUGE + 1, 0, 0), ("fit", B, 1, 0, 0)])
@example([("add", A, 2**111, 2**111, 0, 0), ("swap", B, False, 2**111, 0, 0), ("swap", B, False, 2**111 - 1, 0, 0),
          ("add", B, 1, 1, 0, 0)])
@given(st.lists(step, min_size=4, max_size=16).map(lambda steps: [FIRST, *steps]))
def test_contract_and_model_give_the_same_and_refuse_the_same(both: Pools, steps: list[Step]) -> None:
    """Every amount and reserve to the unit, every refusal with its values, from a pool of a thousand to 2^112."""
    both.reset()
    for one in steps:
        before = both.pool
        play(both, one)
        after = both.pool
        # What the rules promise of all this: x·y for a share, squared, never falls.
        if before.shares and after.shares:
            was = before.underlying * before.quote * after.shares**2
            assert after.underlying * after.quote * before.shares**2 >= was
    assert both.pool.shares == 0 or both.pool.shares >= LOCKED_SHARES


def test_the_lives_reached_what_they_are_for(both: Pools) -> None:
    if "Swapped" not in both.reached:
        pytest.skip("the lives were not played in this process")
    assert both.reached >= {
        "Swapped", "LiquidityAdded", "LiquidityRemoved", "DeadlineOver", "NothingIn", "NoLiquidity", "NothingOut",
        "SlippageExceeded", "ReserveOverflow", "ERC20InsufficientBalance",
    }
