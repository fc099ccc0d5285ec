"""Reading history.jsonl back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.history.errors import HistoryError
from harness.history.reader import History, from_lines, read
from harness.history.recorder import HistoryWriter


def h(n: int) -> str:
    return "0x" + f"{n:064x}"


def a(n: int) -> str:
    return "0x" + f"{n:040x}"


def block(number: int, hash_: int, parent: int, t: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "t": t, "node": "sequencer-0", "kind": "block", "chain": "l2", "number": number, "hash": h(hash_),
        "parent": h(parent), "timestamp": 1000 + number, "origin": None, "base_fee": 0, "transactions": [],
        "events": [], **more,
    }


def head(label: str, number: int, hash_: int, node: str = "sequencer-0", t: int = 0, **more: Any) -> dict[str, Any]:
    return {"t": t, "node": node, "kind": "head", "label": label, "number": number, "hash": h(hash_),
            "reset": False, **more}


def op(id_: str, phase: str, t: int = 0) -> dict[str, Any]:
    return {"t": t, "node": "trader-0", "kind": "op", "id": id_, "client": "trader-0", "action": "open",
            "phase": phase, "args": {}, "detail": {}}


def load(*records: dict[str, Any]) -> History:
    return from_lines([orjson.dumps(record) for record in records])


def test_canonical_chain_is_the_ancestor_path_of_the_highest_committed_head() -> None:
    history = load(
        block(1, 1, 0), block(2, 2, 1), block(2, 22, 1), block(3, 3, 2), block(3, 33, 22), block(4, 4, 3),
        head("unsafe", 4, 4), head("committed", 2, 2), head("committed", 3, 3, node="replica-0"),
    )
    assert [b.hash for b in history.chain] == [h(1), h(2), h(3)]
    assert history.chain_gap is None
    assert len(history.blocks) == 6


def test_a_hole_under_the_committed_head_is_named() -> None:
    history = load(block(1, 1, 0), block(3, 3, 2), head("committed", 3, 3))
    assert [b.number for b in history.chain] == [3]
    assert history.chain_gap is not None
    assert "block 2" in history.chain_gap


def test_without_committed_heads_there_is_no_canonical_chain() -> None:
    history = load(block(1, 1, 0), head("unsafe", 1, 1))
    assert history.chain == ()
    assert history.chain_gap == "no node ever reported a committed head"


def test_an_l1_block_never_enters_the_l2_chain() -> None:
    history = load(block(1, 1, 0, chain="l1"), head("committed", 1, 1))
    assert history.chain == ()
    assert history.chain_gap is not None


def test_operations_are_paired_with_what_became_of_them() -> None:
    history = load(op("x/1", "invoke"), op("x/2", "invoke"), op("x/3", "invoke"), op("x/2", "fail"), op("x/1", "info"),
                   op("x/1", "ok"))
    assert [(o.invoke.id, o.status) for o in history.operations] == [("x/1", "ok"), ("x/2", "fail"), ("x/3", "info")]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([op("x", "ok")], "line 1: operation 'x' has the outcome 'ok' but was never invoked"),
        ([op("x", "invoke"), op("x", "invoke")], "line 2: operation 'x' invoked twice"),
        ([op("x", "invoke"), op("x", "ok"), op("x", "fail")], "line 3: operation 'x' was 'ok' and is now 'fail'"),
        ([head("safe", 1, 1, t=5), head("safe", 2, 2, t=4)], "line 2: time of sequencer-0 runs backward"),
        ([{"t": 0, "node": "n", "kind": "gossip"}], "line 1: unknown kind 'gossip'"),
        ([{"t": 0, "node": "n", "kind": "head", "label": "safe"}], "line 1: head lacks the field 'number'"),
        ([head("latest", 1, 1)], "label must be one of unsafe"),
        ([{**head("safe", 1, 1), "number": 1.5}], "number must be an integer in decimal digits, got 1.5"),
        ([{**head("safe", 1, 1), "hash": "0xAB"}], "hash must be 64 lower-case hex digits"),
        ([block(1, 1, 0, chain="l3")], "chain must be l1 or l2"),
        ([block(1, 1, 0, events=[{"name": "X", "contract": "Y", "tx": 0, "args": {}}])], "events[0].tx must index"),
        ([block(1, 1, 0, events=[{"name": "Deposited", "contract": "Vault", "tx": -1, "args": {"account": a(1)}}])],
         "event Deposited lacks its argument 'amount'"),
        ([block(1, 1, 0, events=[{"name": "Deposited", "contract": "Vault", "tx": -1,
                                  "args": {"account": a(1), "amount": 1e30}}])],
         "amount must be an integer in decimal digits"),
    ],
)
def test_a_bad_line_is_refused_with_its_number_and_value(records: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(HistoryError) as raised:
        load(*records)
    assert said in str(raised.value)
    assert raised.value.line == len(records)


@pytest.mark.parametrize("line", [b"{", b"[]", b"3", b"null", b'"x"', b"{}", b'{"kind":[]}', b"\xff"])
def test_lines_that_are_not_records_are_refused(line: bytes) -> None:
    with pytest.raises(HistoryError, match="line 1"):
        from_lines([line])


def test_money_survives_exactly() -> None:
    amount = 2**255 - 19
    history = load(block(1, 1, 0, events=[
        {"name": "Deposited", "contract": "Vault", "tx": -1, "args": {"account": a(1), "amount": str(amount)}},
        {"name": "SeriesFinalized", "contract": "Settlement", "tx": -1, "args": {"seriesId": 1, "price": f"-{amount}"}},
    ]), head("committed", 1, 1))
    deposited, finalized = history.chain[0].events
    assert deposited.args["amount"] == amount
    assert finalized.args == {"seriesId": 1, "price": -amount}


def test_a_fault_is_on_from_inject_to_heal_and_a_failed_probe_reopens_it() -> None:
    def fault(id_: str, phase: str, t: int) -> dict[str, Any]:
        return {"t": t, "node": "run", "kind": "fault", "id": id_, "fault": "kill", "phase": phase, "target": "x",
                "detail": {}}

    history = load(fault("f1", "inject", 1), fault("f2", "inject", 2), fault("f1", "evidence", 3),
                   fault("f1", "heal", 4), fault("f2", "heal", 5), fault("f2", "not-healed", 6),
                   fault("f1", "verify", 7), fault("f1", "inject", 8))
    spans = [(w.id, w.start_ns, w.end_ns) for w in history.fault_windows()]
    assert spans == [("f1", 1, 4), ("f2", 2, None), ("f1", 8, None)]
    healed = load(fault("f1", "inject", 1), fault("f1", "heal", 2), fault("f1", "not-healed", 3),
                  fault("f1", "heal", 4), fault("f1", "inject", 6), fault("f1", "heal", 7))
    assert [(w.start_ns, w.end_ns) for w in healed.fault_windows()] == [(1, 4), (6, 7)]


def test_what_the_writer_wrote_is_what_the_reader_reads(tmp_path: Path) -> None:
    stream = io.BytesIO()
    writer = HistoryWriter(stream, now_ns=iter(range(100)).__next__)
    run = writer.recorder("run")
    run.record("run", scenario="calm", seed=7, runtime="sim", versions={}, genesis_timestamp=1000,
               deployment={"Vault": a(9)}, accounts={"trader-0": a(1)})
    run.record("phase", name="boot")
    run.record("problem", what="x", detail="y", fatal=True)
    run.record("stat", rss_mb=12)
    run.record("observation", asset="ETH", round=3, timestamp=1003, price="5", source=None)
    path = tmp_path / "history.jsonl"
    path.write_bytes(stream.getvalue())
    history = read(path)
    assert history.run is not None
    assert (history.run.scenario, history.run.accounts) == ("calm", {"trader-0": a(1)})
    assert history.phase_ns("boot") == 1
    assert history.phase_ns("heal") is None
    assert history.problems[0].fatal
    assert history.stats[0].figures == {"rss_mb": 12}
    assert (history.observations[0].price, history.end_ns, history.records) == (5, 4, 5)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"cannot read gone\.jsonl"):
        read(tmp_path / "gone.jsonl")


def test_an_empty_history_reads_as_empty() -> None:
    history = from_lines([])
    assert (history.run, history.chain, history.records) == (None, (), 0)
