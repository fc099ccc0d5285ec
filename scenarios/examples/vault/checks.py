"""What must hold of the vault, read from a run's history: storage after every block, and every event."""

from __future__ import annotations

from harness.project import Cases, Check, Finding, Subject


def custody(subject: Subject) -> Finding:
    """After every block the vault holds at least what it says it owes: nobody can be left unpaid."""
    cases, seen = Cases(), 0
    for block in subject.chain:
        reading = subject.history.readings.get(block.hash)
        if reading is None or not {"held", "owed"} <= set(reading.values):
            continue
        seen += reading.values["owed"] > 0
        missing = reading.values["owed"] - reading.values["held"]
        if missing > 0:
            cases.add(severity=missing, block=block.number, missing=missing, **reading.values)
    return cases.finding(
        seen,
        holds=f"the vault held what it owes after each of {seen} blocks",
        violated="the vault owes more than it holds",
        nothing="the vault never owed anything",
    )


def shares_add_up(subject: Subject) -> Finding:
    """What events say of each account's shares adds up to the total in storage, after every block."""
    cases, moved = Cases(), 0
    shares: dict[str, int] = {}
    for block in subject.chain:
        for event in block.project_events:
            if event.contract != "vault":
                continue
            moved += 1
            sign = 1 if event.name == "Deposited" else -1
            account = event.args["account"]
            shares[account] = shares.get(account, 0) + sign * event.args["shares"]
            if shares[account] < 0:
                cases.add(severity=-shares[account], block=block.number, account=account, shares=shares[account])
        reading = subject.history.readings.get(block.hash)
        if reading is not None and reading.values.get("shares") != sum(shares.values()):
            cases.add(block=block.number, expected=sum(shares.values()), got=reading.values.get("shares"))
    return cases.finding(
        moved,
        holds=f"{moved} deposits and withdrawals add up to the shares in storage",
        violated="shares in storage are not what deposits and withdrawals add up to",
        nothing="nobody paid in or withdrew",
    )


CHECKS = [
    Check("VAULT-CUSTODY", "custody", "the vault holds at least what it owes, after every block", custody),
    Check("VAULT-SHARES", "shares", "shares in storage are what deposits and withdrawals add up to", shares_add_up),
]
