"""The toxics on one direction of one connection, in the order they were added, and the two ends of that chain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from harness.ports import Random
from harness.proxy.stages import STAGES, LimitData, Next, Setting, Stage
from harness.proxy.toxics import Toxic

HELD_BYTES_MAX = 8 << 20  # by all stages together; above it the source is no longer read


class Chain:
    """Bytes go in at `feed` and come out at `deliver`. Toxics come and go while they pass, and none is lost by that."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        random: Random,
        *,
        key: tuple[str, ...],
        replies: bool,
        deliver: Callable[[bytes], None],
        ended: Callable[[], None],
        reset: Callable[[], None],
        hold: Callable[[bool], None],
        left: Callable[[], int],
    ) -> None:
        """`ended` is called when the stream is over behind all stages, `hold` when the source should pause or go on.

        `left` says how many bytes of the message now passing are still to come.
        """
        self._loop = loop
        self._random = random
        self._key = key
        self._replies = replies
        self._ended = ended
        self._reset = reset
        self._hold = hold
        self._left = left
        self._exit = _Exit(deliver, self._exhausted)
        self._stages: list[Stage] = []
        self._is_holding = False
        self._is_finishing = False
        self.has_ended = False
        """Whether the stream behind the last stage is over."""

    @property
    def is_empty(self) -> bool:
        return not self._stages

    @property
    def is_busy(self) -> bool:
        """Whether bytes or the end of the stream are still on their way."""
        return self._is_finishing and not self.has_ended

    def feed(self, data: bytes) -> None:
        (self._stages[0] if self._stages else self._exit).feed(data)

    def finish(self) -> None:
        """The source has ended. Idempotent."""
        if not self._is_finishing:
            self._is_finishing = True
            (self._stages[0] if self._stages else self._exit).finish()

    def clear(self) -> None:
        """Nobody will read what comes out: forget it."""
        for stage in self._stages:
            stage.clear()

    def set_toxics(self, toxics: Sequence[Toxic]) -> None:
        """Replace the stages by those of these toxics; a stage whose toxic is unchanged goes on as it was."""
        kept = {stage.toxic.name: stage for stage in self._stages}
        passed = {name: stage.passed for name, stage in kept.items() if isinstance(stage, LimitData)}
        wanted = {toxic.name: toxic for toxic in toxics}
        for stage in list(self._stages):
            if wanted.get(stage.toxic.name) is not stage.toxic:
                self._stages.remove(stage)
                self._link()
                stage.remove()
        stages: list[Stage] = []
        following: Next = self._exit
        left = self._left() if not any(stage.held for stage in self._stages) else 0
        for toxic in reversed(toxics):
            stage_or_none = kept.get(toxic.name)
            if stage_or_none is None or stage_or_none.toxic is not toxic:
                stage_or_none = self._make(toxic, following, left)
                if isinstance(stage_or_none, LimitData):
                    stage_or_none.passed = passed.get(toxic.name, 0)
            stages.insert(0, stage_or_none)
            following = stage_or_none
        self._stages = stages
        self._link()
        self._changed()

    def _make(self, toxic: Toxic, following: Next, left: int) -> Stage:
        key = (*self._key, toxic.name)
        spared = toxic.toxicity < 1.0 and self._random.unit("toxic", *key, "toxicity") >= toxic.toxicity
        setting = Setting(self._loop, self._random, key, self._replies, left, self._reset, self._changed)
        return (Stage if spared else STAGES[toxic.type])(toxic, setting, following)

    def _link(self) -> None:
        followings: list[Next] = [*self._stages[1:], self._exit]
        for stage, following in zip(self._stages, followings, strict=False):
            stage.next = following

    def _exhausted(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self._ended()

    def _changed(self) -> None:
        is_full = sum(stage.held for stage in self._stages) > HELD_BYTES_MAX
        if is_full != self._is_holding:
            self._is_holding = is_full
            self._hold(is_full)


class _Exit:
    """Behind the last stage."""

    def __init__(self, deliver: Callable[[bytes], None], finish: Callable[[], None]) -> None:
        self.feed = deliver
        self.finish = finish
