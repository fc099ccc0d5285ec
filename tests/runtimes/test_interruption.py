"""Ctrl-C during a run: cancelled once, its cleanup is never cut off, and the caller gets a KeyboardInterrupt."""

from __future__ import annotations

import asyncio
import signal

import pytest

from harness.runtimes.interruption import Interruption
from harness.runtimes.shielded import uninterrupted


def test_further_interrupts_do_not_cut_off_the_cleanup() -> None:
    cleaned: list[str] = []

    async def run(interruption: Interruption) -> None:
        interruption.cancels_this_task()
        try:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0)
            cleaned.append("whole")

    with pytest.raises(KeyboardInterrupt), Interruption() as interruption, asyncio.Runner() as runner:
        runner.run(run(interruption))
    assert cleaned == ["whole"]


def test_an_interrupt_before_there_is_a_task_ends_what_runs() -> None:
    reached: list[str] = []

    def interrupted() -> None:
        with Interruption():
            signal.raise_signal(signal.SIGINT)
            reached.append("too far")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == []


@pytest.mark.parametrize("fails", [False, True])
def test_the_handler_from_before_is_back_afterwards(fails: bool) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with Interruption():
            assert signal.getsignal(signal.SIGINT) is not before
            if fails:
                raise OSError("for another reason")
    except OSError:
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_where_interrupts_are_ignored_a_termination_cancels_and_waits_for_the_cleanup() -> None:
    """A script's background job hears of its end by SIGTERM alone, and has as much to clean up."""
    cleaned: list[str] = []

    async def run(interruption: Interruption) -> None:
        interruption.cancels_this_task()
        try:
            with uninterrupted():
                signal.raise_signal(signal.SIGTERM)
                cleaned.append("block")
            await asyncio.sleep(60)
        finally:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0)
            cleaned.append("whole")

    def terminated(number: int, frame: object) -> None:
        cleaned.append("told")

    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, terminated)
    try:
        with pytest.raises(KeyboardInterrupt), Interruption() as interruption, asyncio.Runner() as runner:
            runner.run(run(interruption))
        assert signal.getsignal(signal.SIGTERM) is terminated
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert cleaned == ["block", "whole", "told"]


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    """A background job of a script is started so, and is not to be ended by the Ctrl-C that is meant for another."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_shielded_block_is_finished_before_the_interrupt_is_felt() -> None:
    done: list[int] = []

    def shielded() -> None:
        with uninterrupted():
            with uninterrupted():
                signal.raise_signal(signal.SIGINT)
                done.append(1)
            done.append(2)

    with pytest.raises(KeyboardInterrupt):
        shielded()
    assert done == [1, 2]
