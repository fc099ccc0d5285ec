"""Asks an image a question: one command in a container that is gone afterwards, also when the asker is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.runtimes.compose.ownership import OWNER_LABEL, Owner

if TYPE_CHECKING:
    from docker import DockerClient

PROBE_TIMEOUT_S = 60


def ask_image(client: DockerClient, image: str, program: str, *words: str, user: str = "") -> tuple[int, bytes]:
    """The exit code of a program in a container of `image`, without a network, and what it printed. Blocks; bounded.

    Raises DockerException, or OSError when it does not end within a minute.
    """
    with Owner.take() as owner:   # a killed asker's container goes with the next run
        container = client.containers.create(image, list(words), entrypoint=[program], user=user or None,
                                             network_mode="none", labels={OWNER_LABEL: owner.name})
        try:
            container.start()
            return int(container.wait(timeout=PROBE_TIMEOUT_S)["StatusCode"]), container.logs()
        finally:
            container.remove(force=True)  # `run(remove=True)` would leave one that could not be started
