"""One at a time on this machine: a lock in a file, which the kernel lets go if its holder dies."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.toolchain.errors import ToolError

_POLL_S = 0.2


@contextmanager
def machine_lock(path: Path, *, who: str, timeout_s: float, narrate: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock, waiting for it if need be; blocks. `who` is what holds it elsewhere: "installer of the tools".

    Raises:
        ToolError: somebody else has held it for all that time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        deadline = time.monotonic() + timeout_s
        is_told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ToolError(f"another {who} holds the lock", found=f"{path} for {timeout_s:.0f} s",
                                    remedy="end it, or set $HARNESS_HOME to another folder") from None
                if not is_told:
                    narrate(f"waiting up to {timeout_s:.0f} s for another {who}")
                    is_told = True
                time.sleep(_POLL_S)
        yield
