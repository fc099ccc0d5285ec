"""Records read and venue events replayed and judged per second, over a synthetic run of a busy market.

Run it directly; it prints one line of JSON for each figure. Measured in processor time: the work is pure and
single-threaded, and what else the machine does is not its business.
"""

from __future__ import annotations

import json
import time

import orjson

from harness.checks.catalogue import run_checks
from harness.checks.replay import replay
from harness.checks.results import JudgeBounds
from harness.history.reader import from_lines

TRADERS = 40
BLOCKS = 4_000
TRADES_PER_BLOCK = 3
W = 10**18
START = 1_000_000
TARGET_EVENTS_PER_SECOND = 5_000
TARGET_RECORDS_PER_SECOND = 100_000


def _hash(number: int) -> str:
    return "0x" + f"{number:064x}"


def _address(number: int) -> str:
    return "0x" + f"{number + 1:040x}"


def lines() -> list[bytes]:
    """A run with a price each second, three trades a half-second block, four head labels on six nodes."""
    records: list[bytes] = []
    trade = 0

    def write(block: int, node: str, kind: str, **fields: object) -> None:
        records.append(orjson.dumps({"t": block * 500_000_000, "node": node, "kind": kind, **fields}))

    for number in range(1, BLOCKS + 1):
        events: list[dict[str, object]] = []
        timestamp = START + number // 2

        def say(name: str, tx: int, into: list[dict[str, object]], **args: int | str | list[str]) -> None:
            into.append({"name": name, "contract": "Venue", "tx": tx, "args": {
                key: str(value) if isinstance(value, int) else value for key, value in args.items()}})

        if number == 1:
            say("SeriesListed", 0, events, id=1, kind=0, asset="ETH", strike=0, expiry=START + 10**6)
            say("SeriesListed", 0, events, id=2, kind=2, asset="ETH", strike=100 * W, expiry=START + 10**6)
            for trader in range(TRADERS):
                say("Deposited", 0, events, account=_address(trader), amount=10**12)
        if number % 2 == 0 or number == 1:
            price = 100 * W + (number * 7919 % 1000) * 10**16
            say("RoundAccepted", 0, events, asset="ETH", round=number, timestamp=timestamp, price=price, sources=4,
                prices=[str(price)] * 4)
        for tx in range(1, TRADES_PER_BLOCK + 1):
            trade += 1
            taker = trade * 31 % TRADERS
            say("Traded", tx, events, seriesId=1 + trade % 2, taker=_address(taker),
                maker=_address((taker + 1 + trade % 7) % TRADERS), size=(trade * 104_729 % 2001 - 1000) * 10**15 or 1,
                price=100 * W, nonce=trade, fee=0)
        write(number, "sequencer-0", "block", chain="l2", number=number, hash=_hash(number), parent=_hash(number - 1),
              timestamp=timestamp, origin=number // 6, base_fee=0, events=events, transactions=[
                  {"hash": _hash(number * 100 + tx), "sender": _address(tx), "to": _address(99), "ok": True,
                   "gas": 100_000, "error": None} for tx in range(TRADES_PER_BLOCK + 1)])
        for node in range(6):
            for label in ("unsafe", "committed", "safe", "finalized"):
                write(number, f"node-{node}", "head", label=label, number=number, hash=_hash(number), reset=False)
    return records


def main() -> None:
    recorded = lines()
    started = time.process_time()
    history = from_lines(recorded)
    read_s = time.process_time() - started
    started = time.process_time()
    result = replay(history.chain, history, JudgeBounds())
    replay_s = time.process_time() - started
    started = time.process_time()
    run_checks(history, ["all"], JudgeBounds())
    judge_s = time.process_time() - started
    for name, count, seconds, target in (
        ("history_records_per_s", history.records, read_s, TARGET_RECORDS_PER_SECOND),
        ("model_events_per_s", result.events, replay_s, TARGET_EVENTS_PER_SECOND),
        ("judged_events_per_s", result.events, judge_s, TARGET_EVENTS_PER_SECOND),
    ):
        rate = round(count / seconds)
        print(json.dumps({"bench": name, "value": rate, "unit": "1/s", "count": count, "seconds": round(seconds, 3),
                          "target": target, "ok": rate >= target}))


if __name__ == "__main__":
    main()
