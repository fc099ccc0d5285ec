"""Pending transactions of one node: admitted once, kept until committed, handed out in arrival order by nonce."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from harness.evm.wallet import DecodedTransaction as Transaction
from harness.evm.wallet import decode_transaction

POOL_TRANSACTIONS_MAX = 20_000
SENDER_TRANSACTIONS_MAX = 256
BLOCK_TRANSACTIONS_MAX = 300
REPLACEMENT_PERCENT = 10
"""How much more a replacement pays per gas: geth's, so that wallets' own "speed up" gets through."""


class Rejected(Exception):
    """The pool will not hold this transaction; `args[0]` says why and with which values, in geth's words first:
    wallets tell the reasons apart by them."""


@dataclass(slots=True)
class Mempool:
    """One node's pool. Nonces are counted from the blocks the node committed: every included transaction uses one."""

    chain_id: int
    gas_limit: int
    nonces: dict[str, int] = field(default_factory=dict)
    """Next nonce of each sender after the committed head."""
    _pending: dict[str, dict[int, Transaction]] = field(default_factory=dict)
    _arrivals: dict[str, int] = field(default_factory=dict)
    """Transaction hash → arrival order, which is the order of inclusion (first come, first served)."""
    _raw: dict[str, bytes] = field(default_factory=dict)
    _arrival: int = 0
    when_added: list[Callable[[Transaction], None]] = field(default_factory=list)
    """Called with each transaction that is new here, once it is held."""

    def __len__(self) -> int:
        return len(self._arrivals)

    def __contains__(self, transaction_hash: str) -> bool:
        return transaction_hash in self._arrivals

    def add(self, raw: bytes) -> Transaction:
        """Admit a raw transaction; one already held is returned again, unchanged in its place.

        A transaction with the nonce of one already pending replaces it when it outbids it.

        Raises:
            Rejected: malformed, for another chain, with a used nonce, too large, or the pool is full.
        """
        try:
            transaction = decode_transaction(raw)
        except ValueError as error:
            raise Rejected(f"not a transaction: {error}") from error
        if transaction.hash in self._arrivals:
            return transaction
        sender = transaction.sender
        if transaction.chain_id != self.chain_id:
            raise Rejected(
                f"invalid chain id: the transaction is for chain {transaction.chain_id}, this is chain {self.chain_id}"
            )
        if transaction.gas_limit > self.gas_limit:
            raise Rejected(
                f"exceeds block gas limit: gas limit {transaction.gas_limit} is above the block's {self.gas_limit}"
            )
        expected = self.nonces.get(sender, 0)
        if transaction.nonce < expected:
            raise Rejected(f"nonce too low: nonce {transaction.nonce} of {sender} is used; the next is {expected}")
        mine = self._pending.setdefault(sender, {})
        rival = mine.get(transaction.nonce)
        if rival is not None and not outbids(transaction, rival):
            raise Rejected(
                f"replacement transaction underpriced: nonce {transaction.nonce} of {sender} is pending as "
                f"{rival.hash}; to replace it pay {REPLACEMENT_PERCENT} % more than {rival.max_fee} wei per gas, and "
                f"than its tip of {rival.max_priority_fee}"
            )
        if rival is None and (len(self._arrivals) >= POOL_TRANSACTIONS_MAX or len(mine) >= SENDER_TRANSACTIONS_MAX):
            held = f"{len(self._arrivals)} pending, {len(mine)} of this sender"
            raise Rejected(f"txpool is full: the pool is full ({held})")
        if rival is not None:
            self._forget(rival.hash)
        mine[transaction.nonce] = transaction
        self._arrival += 1
        self._arrivals[transaction.hash] = self._arrival
        self._raw[transaction.hash] = raw
        for tell in self.when_added:
            tell(transaction)
        return transaction

    def raw(self, transaction_hash: str) -> bytes | None:
        """A pending transaction as it came; None where it is not held."""
        return self._raw.get(transaction_hash)

    def pending_of(self, sender: str) -> Mapping[int, Transaction]:
        """A sender's pending transactions by nonce."""
        return self._pending.get(sender, {})

    def senders(self) -> list[str]:
        """Who has something pending."""
        return list(self._pending)

    def next_nonce(self, sender: str) -> int:
        """The first nonce of `sender` that is neither committed nor pending without a gap."""
        nonce = self.nonces.get(sender, 0)
        mine = self._pending.get(sender, {})
        while nonce in mine:
            nonce += 1
        return nonce

    def commit(self, transactions: Iterable[Transaction]) -> None:
        """These are in a committed block: their nonces are used, and they and their rivals leave the pool."""
        for transaction in transactions:
            sender = transaction.sender
            self.nonces[sender] = max(self.nonces.get(sender, 0), transaction.nonce + 1)
            mine = self._pending.get(sender)
            if mine is None:
                continue
            for nonce in [n for n in mine if n < self.nonces[sender]]:
                self._forget(mine.pop(nonce).hash)
            if not mine:
                del self._pending[sender]

    def uncommit(self, transactions: Iterable[Transaction]) -> None:
        """The blocks of these are gone: their nonces are free again. They come back by `add`, if at all."""
        for transaction in transactions:
            sender = transaction.sender
            self.nonces[sender] = min(self.nonces.get(sender, 0), transaction.nonce)

    def drop(self, transaction_hash: str) -> None:
        """Forget one transaction that the node refused to execute."""
        if transaction_hash not in self._arrivals:
            return
        self._forget(transaction_hash)
        for sender, mine in self._pending.items():
            for nonce, transaction in mine.items():
                if transaction.hash == transaction_hash:
                    del mine[nonce]
                    if not mine:
                        del self._pending[sender]
                    return

    def _forget(self, transaction_hash: str) -> None:
        del self._arrivals[transaction_hash]
        del self._raw[transaction_hash]

    def select(
        self, included: Iterable[Transaction] = (), *, base_fee: int = 0, by_tip: bool = False, gas_taken: int = 0
    ) -> list[bytes]:
        """Raw transactions for the next block: in arrival order, nonces contiguous per sender, within the gas limit.

        Args:
            included: transactions of not yet committed ancestors of the block, whose nonces count as used.
            base_fee: those who pay less per gas stay pending.
            by_tip: the highest tips first, and by arrival only among equal ones.
            gas_taken: of the block's gas limit by what it holds already.
        """
        nonces: dict[str, int] = {}
        for transaction in included:
            nonces[transaction.sender] = max(nonces.get(transaction.sender, 0), transaction.nonce + 1)
        candidates: list[tuple[int, int, Transaction]] = []   # what it bids (negated), its arrival, itself
        for sender, mine in self._pending.items():
            nonce = max(self.nonces.get(sender, 0), nonces.get(sender, 0))
            latest, least_tip = 0, None
            while (following := mine.get(nonce)) is not None and following.max_fee >= base_fee:
                # A later nonce that arrived first waits for its predecessor.
                latest = max(latest, self._arrivals[following.hash])
                tip = min(following.max_priority_fee, following.max_fee - base_fee) if by_tip else 0
                least_tip = tip if least_tip is None else min(least_tip, tip)
                candidates.append((-least_tip, latest, following))
                nonce += 1
        candidates.sort(key=_bid_arrival_nonce)
        chosen: list[bytes] = []
        gas = gas_taken
        closed: dict[str, bool] = {}
        for _, _, transaction in candidates:
            if len(chosen) >= BLOCK_TRANSACTIONS_MAX:
                break
            if transaction.sender in closed:
                continue
            if gas + transaction.gas_limit > self.gas_limit:
                closed[transaction.sender] = True
                continue
            gas += transaction.gas_limit
            chosen.append(self._raw[transaction.hash])
        return chosen


def _bid_arrival_nonce(candidate: tuple[int, int, Transaction]) -> tuple[int, int, int]:
    return candidate[0], candidate[1], candidate[2].nonce


def outbids(transaction: Transaction, rival: Transaction) -> bool:
    """Whether one pays enough more per gas than another to take its place: 10 %, in fee cap and in tip."""
    hundredths = 100 + REPLACEMENT_PERCENT
    return (
        transaction.max_fee > rival.max_fee
        and transaction.max_fee * 100 >= rival.max_fee * hundredths
        and transaction.max_priority_fee * 100 >= rival.max_priority_fee * hundredths
    )
