"""The image is named by its content, built once, built again when it is gone, and lets its containers do little."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from harness.runtimes.compose import images
from harness.runtimes.compose.base import Target, base_image, target_of
from harness.runtimes.compose.client import engine_client
from harness.runtimes.compose.dependencies import add_bytes, add_tree, dependencies_tar, pinned_versions
from harness.toolchain.anvil import ACCEPTED_ANVIL
from harness.toolchain.errors import ToolError

HERE = Target((3, 11), "x86_64", (2, 36))


def test_the_platform_tags_go_down_from_the_bases_own_c_library() -> None:
    """A wheel for a newer glibc than the base's would not load."""
    tags = HERE.platforms
    assert tags[0] == "manylinux_2_36_x86_64"
    assert "manylinux_2_37_x86_64" not in tags
    assert tags.index("manylinux_2_17_x86_64") < tags.index("manylinux1_x86_64")


def test_the_image_gets_the_hosts_versions_and_not_what_only_the_host_needs() -> None:
    """Equal versions inside and outside; plotly and pytest stay out, and so does what only they require."""
    versions = pinned_versions(HERE)
    assert versions["aiohttp"] == version("aiohttp")
    assert "yarl" in versions, "what a dependency requires comes along"
    assert not {"plotly", "pytest", "narwhals", "harness", "mypy"} & set(versions)


def test_wheels_that_do_not_exist_are_refused_with_what_pip_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad luck with the base's Python ends in a sentence, not in a traceback; and nothing half-made stays."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    (tmp_path / "images").mkdir()
    with pytest.raises(ToolError, match=r"Python 3\.11 on x86_64.*orjson.*BASE_IMAGE"):
        dependencies_tar(HERE, {"orjson": "3.10.0"}, lambda line: None)
    assert list((tmp_path / "images").iterdir()) == []


def test_equal_trees_give_equal_bytes(tmp_path: Path) -> None:
    """Or the engine's layers would never be found again."""
    contents = []
    for name in ("a", "b"):
        root = tmp_path / name
        root.mkdir()
        for file in ("z.py", "b.py") if name == "a" else ("b.py", "z.py"):
            (root / file).write_text(file)
        (root / "__pycache__").mkdir()
        (root / "__pycache__" / name).write_text(name)
        with tarfile.open(fileobj=(stream := io.BytesIO()), mode="w") as archive:
            add_tree(archive, root, "tree")
        contents.append(stream.getvalue())
    assert contents[0] == contents[1]


def test_the_tag_changes_with_every_ingredient(tmp_path: Path) -> None:
    """A tag that stayed the same would run yesterday's code."""
    file, other = tmp_path / "one", tmp_path / "two"
    file.write_text("1")
    other.write_text("2")
    recipe = images.Recipe("sha256:base", HERE, {"orjson": "3"}, file, file)
    changed = [
        replace(recipe, base="sha256:other"), replace(recipe, versions={"orjson": "4"}), replace(recipe, anvil=other),
        replace(recipe, dockerfile=other), replace(recipe, target=replace(HERE, python=(3, 12))),
    ]
    assert recipe.tag == images.Recipe("sha256:base", HERE, {"orjson": "3"}, file, file).tag
    assert len({recipe.tag, *(each.tag for each in changed)}) == 6


@pytest.mark.docker
class TestWithAnEngine:
    def test_the_image_runs_the_harness_and_the_pinned_anvil_as_nobody_in_particular(
        self, engine: docker.DockerClient, image: str
    ) -> None:
        """With a read-only root, no capability, no network and no root user, all that a role needs is there."""
        question = (
            "import json,os,subprocess,importlib.util as u,harness.runtimes.local.role_process as r;"
            "open('/var/lib/harness/x','w').close();"
            "print(json.dumps([os.getuid(), r.__cached__, os.path.exists(r.__cached__), u.find_spec('plotly') is None,"
            " subprocess.run([os.environ['ANVIL'],'--version'],capture_output=True,text=True).stdout]))"
        )
        said = engine.containers.run(
            image, ["python", "-c", question], remove=True, network_mode="none", read_only=True, cap_drop=["ALL"],
            security_opt=["no-new-privileges"], tmpfs={"/tmp": "", "/var/lib/harness": "mode=1777"},
        )
        uid, cached, is_compiled, has_no_plotly, anvil = json.loads(said)
        assert uid == 10001
        assert is_compiled, f"{cached} is missing: every start would compile again"
        assert has_no_plotly
        assert ACCEPTED_ANVIL in anvil

    @pytest.fixture
    def own_image(self, engine: docker.DockerClient, image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """The same content under a name of this test's own: others use the real one meanwhile."""
        monkeypatch.setattr(images, "REPOSITORY", "harness-test-own")
        tag = images.ensure_image(engine)
        assert tag == image.replace("harness:", "harness-test-own:")
        yield tag
        engine.images.remove(tag, force=True)

    def test_a_deleted_image_is_built_again_from_layers_in_the_cache(
        self, engine: docker.DockerClient, own_image: str
    ) -> None:
        """Somebody may clean up between two runs, or between finding the image and using it."""
        engine.images.remove(own_image, force=True)
        with pytest.raises(ImageNotFound):
            engine.images.get(own_image)
        assert images.ensure_image(engine) == own_image
        assert engine.images.get(own_image).labels[images.LABEL] == own_image.partition(":")[2]

    def test_two_builders_at_once_build_once(self, engine: docker.DockerClient, own_image: str) -> None:
        """The second waits for the first and finds its image."""
        engine.images.remove(own_image, force=True)
        told: list[str] = []

        def build(_: int) -> str:
            with closing(engine_client()) as client:
                return images.ensure_image(client, told.append)

        with ThreadPoolExecutor(2) as pool:
            tags = list(pool.map(build, range(2)))
        assert tags == [own_image, own_image]
        assert sum(line.startswith("built the image") for line in told) == 1, told

    def test_the_base_is_asked_what_it_is(self, engine: docker.DockerClient) -> None:
        """Wheels are chosen for the base's Python, which need not be the host's."""
        said = target_of(engine, base_image(engine))
        python = engine.containers.run(str(base_image(engine).id), ["python", "--version"], remove=True).decode()
        assert python.split()[1].startswith(f"{said.python[0]}.{said.python[1]}.")

    def test_a_base_without_python_is_refused(
        self, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With its name and what to set, before anything is built."""
        with tarfile.open(fileobj=(stream := io.BytesIO()), mode="w") as archive:
            add_bytes(archive, "empty", b"")
        engine.api.import_image_from_data(stream.getvalue(), repository="harness-test-empty", tag="latest")
        monkeypatch.setenv("BASE_IMAGE", "harness-test-empty:latest")
        try:
            with pytest.raises(ToolError, match=r"harness-test-empty:latest has no working `python`.*set BASE_IMAGE"):
                images.ensure_image(engine)
            assert engine.containers.list(all=True, filters={"ancestor": "harness-test-empty:latest"}) == []
        finally:
            engine.images.remove("harness-test-empty:latest", force=True)

    def test_by_hand_it_prints_the_tag_alone(self, image: str) -> None:
        done = subprocess.run([sys.executable, "-m", "harness.runtimes.compose.images"], capture_output=True, text=True,
                              timeout=120, check=False)  # fmt: skip
        assert (done.returncode, done.stdout) == (0, image + "\n"), done.stderr

    def test_an_engine_that_does_not_answer_is_a_sentence(self) -> None:
        """Exit 4 and how to go on, not a traceback."""
        done = subprocess.run(
            [sys.executable, "-m", "harness.runtimes.compose.images"], capture_output=True, text=True, timeout=120,
            check=False, env={"PATH": "/usr/bin", "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        )  # fmt: skip
        assert done.returncode == 4
        assert "no Docker engine answers" in done.stderr
        assert "compose/engine start" in done.stderr
        assert "Traceback" not in done.stderr
