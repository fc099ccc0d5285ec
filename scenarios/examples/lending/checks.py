"""What must hold of the pool: its books balance, and who is liquidated had it coming at a fresh price."""

from __future__ import annotations

from harness.project import Cases, Check, Finding, Subject

BPS, WAD = 10_000, 10**18
LIQUIDATION_BPS, PRICE_AGE_MAX = 8_000, 20


def books(subject: Subject) -> Finding:
    """Cash in hand plus what is owed is what was supplied less what was lost, after every block."""
    cases, seen = Cases(), 0
    for block in subject.chain:
        reading = subject.history.readings.get(block.hash)
        if reading is None or len(reading.values) < 4:
            continue
        cash, debt, supplied, lost = (reading.values[name] for name in ("cash", "debt", "supplied", "lost"))
        seen += debt > 0
        gap = cash + debt - (supplied - lost)
        if gap:
            cases.add(severity=abs(gap), block=block.number, gap=gap, **reading.values)
    return cases.finding(
        seen,
        holds=f"cash and debt are what was supplied less what was lost, after each of {seen} blocks with debt",
        violated="cash and debt are not what was supplied less what was lost",
        nothing="nobody ever owed anything",
    )


def just_liquidations(subject: Subject) -> Finding:
    """Recomputed from the events alone: at the oracle's newest price, fresh, the debt was above the limit."""
    cases, judged = Cases(), 0
    collateral: dict[str, int] = {}
    debt: dict[str, int] = {}
    price, observed = 0, 0
    for block in subject.chain:
        rounds = {event.tx: event.args for event in block.events if event.name == "RoundAccepted"}
        for event in sorted([*block.project_events], key=lambda item: item.tx):
            for tx in [tx for tx in rounds if tx < event.tx]:  # rounds earlier in the same block
                price, observed = rounds[tx]["price"], rounds.pop(tx)["timestamp"]
            args = event.args
            if event.contract != "pool" or "account" not in args:
                continue
            account = args["account"]
            if event.name == "CollateralAdded":
                collateral[account] = collateral.get(account, 0) + args["amount"]
            elif event.name == "CollateralTaken":
                collateral[account] -= args["amount"]
            elif event.name == "Borrowed":
                debt[account] = debt.get(account, 0) + args["amount"]
            elif event.name == "Repaid":
                debt[account] -= args["amount"]
            elif event.name == "Liquidated":
                judged += 1
                limit = collateral[account] * price * LIQUIDATION_BPS // (WAD * BPS)
                age = block.timestamp - observed
                if debt[account] <= limit or age > PRICE_AGE_MAX or args["debt"] != debt[account]:
                    cases.add(severity=max(0, limit - debt[account]), block=block.number, account=account,
                              debt=debt[account], limit=limit, price=price, price_age_s=age)
                debt[account] = 0
                collateral[account] -= args["seized"]
        for args in rounds.values():
            price, observed = args["price"], args["timestamp"]
    return cases.finding(
        judged,
        holds=f"{judged} liquidations, each of an account above its limit at a fresh price",
        violated="liquidated although healthy, or at a stale price",
        nothing="nobody was liquidated",
    )


CHECKS = [
    Check("POOL-BOOKS", "books", "cash in hand plus debt is what was supplied less what was lost", books),
    Check("POOL-JUST", "just liquidations", "only accounts above their limit at a fresh price are liquidated",
          just_liquidations),
]
