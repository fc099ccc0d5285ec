"""The pool's promises: arrival order, contiguous nonces, nothing committed handed out again."""

from __future__ import annotations

import pytest

from harness.evm.accounts import account
from harness.evm.wallet import decode_transaction, sign_transaction
from harness.roles.mempool import SENDER_TRANSACTIONS_MAX, Mempool, Rejected

TO = "0x" + "11" * 20


def signed(sender: int, nonce: int, *, chain_id: int = 901, gas: int = 100_000, max_fee: int = 0) -> bytes:
    key = account(sender).key
    return sign_transaction(key, chain_id=chain_id, nonce=nonce, to=TO, gas=gas, max_fee=max_fee, max_priority=max_fee)


def pool(gas_limit: int = 30_000_000) -> Mempool:
    return Mempool(chain_id=901, gas_limit=gas_limit)


def test_transactions_leave_in_arrival_order_across_senders() -> None:
    """First come, first served is the ordering the venue promises its users."""
    held = pool()
    raws = [signed(100, 0), signed(101, 0), signed(100, 1), signed(102, 0)]
    for raw in raws:
        held.add(raw)
    assert held.select() == raws


def test_a_nonce_gap_holds_back_only_what_follows_it() -> None:
    """A later nonce must not be included before its predecessor, and must not block others."""
    held = pool()
    late, early, other = signed(100, 1), signed(100, 0), signed(101, 0)
    held.add(late)
    held.add(other)
    assert held.select() == [other]
    held.add(early)
    assert held.select() == [other, early, late]


def test_included_ancestors_are_not_built_twice() -> None:
    """A leader that extends an uncommitted block must not repeat its transactions."""
    held = pool()
    first, second = signed(100, 0), signed(100, 1)
    held.add(first)
    held.add(second)
    assert held.select([decode_transaction(first)]) == [second]
    assert held.select() == [first, second], "selection must not change the pool: the ancestor may lose"


def test_commit_removes_the_transaction_and_its_rivals() -> None:
    """A used nonce is gone for good, whichever transaction used it."""
    held = pool()
    mine, rival = signed(100, 0), signed(100, 0, max_fee=5)
    held.add(mine)
    held.commit([decode_transaction(rival)])
    assert len(held) == 0
    assert held.next_nonce(account(100).address) == 1
    with pytest.raises(Rejected, match="is used; the next is 1"):
        held.add(mine)


def test_replacement_needs_a_higher_fee_and_goes_to_the_end() -> None:
    """As every node does it: equal fees do not displace what arrived first."""
    held = pool()
    cheap, other, dear = signed(100, 0, max_fee=1), signed(101, 0), signed(100, 0, max_fee=2)
    held.add(cheap)
    held.add(other)
    with pytest.raises(Rejected, match=r"replacement transaction underpriced: .* pay 10 % more than 2 wei"):
        held.add(dear) and held.add(signed(100, 0, max_fee=2, gas=90_000))
    assert held.select() == [other, dear]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x02junk", "not a transaction"),
        (signed(100, 0, chain_id=1), "for chain 1, this is chain 901"),
        (signed(100, 0, gas=30_000_001), "above the block's 30000000"),
    ],
)
def test_what_can_never_be_included_is_rejected_with_its_reason(raw: bytes, reason: str) -> None:
    """A client must learn at once that a transaction has no future."""
    with pytest.raises(Rejected, match=reason):
        pool().add(raw)


def test_one_sender_cannot_fill_the_pool() -> None:
    """A runaway bot is bounded; others are still admitted."""
    held = pool()
    for nonce in range(SENDER_TRANSACTIONS_MAX):
        held.add(signed(100, nonce))
    with pytest.raises(Rejected, match="the pool is full"):
        held.add(signed(100, SENDER_TRANSACTIONS_MAX))
    held.add(signed(101, 0))


def test_gas_limits_bound_a_block_without_breaking_a_senders_order() -> None:
    """Anvil fits by gas limit; a sender whose transaction does not fit waits with all that follows it."""
    held = pool(gas_limit=250_000)
    first, second, third, other = signed(100, 0), signed(100, 1, gas=200_000), signed(100, 2), signed(101, 0)
    for raw in (first, second, third, other):
        held.add(raw)
    assert held.select() == [first, other]


def test_those_who_pay_less_than_the_base_fee_stay() -> None:
    """Anvil would drop them silently; they wait for a cheaper block instead."""
    held = pool()
    held.add(signed(100, 0, max_fee=1))
    assert held.select(base_fee=2) == []
    assert len(held.select(base_fee=1)) == 1


def test_a_dropped_transaction_is_forgotten() -> None:
    """What the node refused to execute must not stall every later block."""
    held = pool()
    raw = signed(100, 0)
    name = held.add(raw).hash
    held.drop(name)
    held.drop(name)
    assert held.select() == []
    assert name not in held


def test_by_tip_the_highest_bid_comes_first_and_never_before_its_own_predecessor() -> None:
    """Keepers outbid each other; a later nonce with a high tip waits for its own low one, and ties go by arrival."""
    held = pool()
    cheap, dear, first, second, tied = (
        signed(100, 0, max_fee=1), signed(101, 0, max_fee=9), signed(102, 0, max_fee=2), signed(102, 1, max_fee=50),
        signed(103, 0, max_fee=2),
    )  # fmt: skip
    raws = [cheap, dear, first, second, tied]
    for raw in raws:
        held.add(raw)
    assert held.select() == raws
    assert held.select(by_tip=True) == [dear, first, second, tied, cheap]
