"""What a `Store` must do."""

from __future__ import annotations

from harness.runtimes.conformance.subject import Check, RuntimeUnderTest


async def the_newest_value_is_read_flushed_or_not(subject: RuntimeUnderTest) -> None:
    store = subject.store()
    assert store.get("t", "k") is None
    store.put("t", "k", {"a": [1, "x", None, True]})
    assert store.get("t", "k") == {"a": [1, "x", None, True]}
    store.flush()
    store.put("t", "k", 2)
    assert store.get("t", "k") == 2
    store.delete("t", "k")
    assert store.get("t", "k") is None
    store.delete("t", "never-there")


async def a_stored_value_is_not_shared_with_its_writer(subject: RuntimeUnderTest) -> None:
    store = subject.store()
    value = {"list": [1]}
    store.put("t", "k", value)
    value["list"].append(2)
    read = store.get("t", "k")
    assert read is not None
    assert read == {"list": [1]}
    read["list"].append(3)
    assert store.get("t", "k") == {"list": [1]}


async def a_scan_gives_a_half_open_range_in_key_order(subject: RuntimeUnderTest) -> None:
    store = subject.store()
    for number in (30, 10, 20, 40):
        store.put("t", f"{number:06d}", number)
    store.put("other", "000015", 15)
    store.flush()
    store.put("t", "000025", 25)
    store.delete("t", "000040")
    assert [value for _, value in store.scan("t")] == [10, 20, 25, 30]
    assert [value for _, value in store.scan("t", start="000020", end="000030")] == [20, 25]
    assert list(store.scan("nowhere")) == []


async def a_scan_survives_writes_to_its_table(subject: RuntimeUnderTest) -> None:
    store = subject.store()
    for number in range(5):
        store.put("t", str(number), number)
    for key, value in store.scan("t"):
        store.put("t", key, value + 1)
        store.delete("t", "4")
    assert store.get("t", "0") == 1


async def a_crash_keeps_what_was_flushed(subject: RuntimeUnderTest) -> None:
    store = subject.store()
    store.put("t", "kept", 1)
    store.put("t", "gone", 1)
    store.flush()
    store.delete("t", "gone")
    store.flush()
    after = subject.crash_and_reopen(store)
    assert dict(after.scan("t")) == {"kept": 1}


async def a_crash_loses_what_was_not_flushed(subject: RuntimeUnderTest) -> None:
    store = subject.store()
    store.put("t", "changed", "old")
    store.put("t", "deleted", "old")
    store.flush()
    store.put("t", "changed", "new")
    store.put("t", "changed", "newer")
    store.put("t", "added", "new")
    store.delete("t", "deleted")
    after = subject.crash_and_reopen(store)
    assert dict(after.scan("t")) == {"changed": "old", "deleted": "old"}


async def a_reopened_store_goes_on_and_crashes_again(subject: RuntimeUnderTest) -> None:
    store = subject.store()
    store.put("t", "first", 1)
    store.flush()
    second = subject.crash_and_reopen(store)
    second.put("t", "second", 2)
    second.flush()
    second.put("t", "third", 3)
    third = subject.crash_and_reopen(second)
    assert dict(third.scan("t")) == {"first": 1, "second": 2}


CHECKS: tuple[Check, ...] = (
    the_newest_value_is_read_flushed_or_not,
    a_stored_value_is_not_shared_with_its_writer,
    a_scan_gives_a_half_open_range_in_key_order,
    a_scan_survives_writes_to_its_table,
    a_crash_keeps_what_was_flushed,
    a_crash_loses_what_was_not_flushed,
    a_reopened_store_goes_on_and_crashes_again,
)
