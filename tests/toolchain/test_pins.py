"""The lock pins every tool exactly, and names no registry."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.toolchain import ACCEPTED_ANVIL
from harness.toolchain.places import PINS

LOCK = json.loads((PINS / "package-lock.json").read_text())
MANIFEST = json.loads((PINS / "package.json").read_text())
PACKAGES: dict[str, dict[str, Any]] = {path: entry for path, entry in LOCK["packages"].items() if path}


def test_manifest_and_lock_agree() -> None:
    """`npm ci` refuses to install otherwise."""
    for kind in ("dependencies", "optionalDependencies"):
        assert LOCK["packages"][""][kind] == MANIFEST[kind]
        for name, version in MANIFEST[kind].items():
            assert PACKAGES[f"node_modules/{name}"]["version"] == version


def test_every_direct_version_is_exact() -> None:
    versions = [*MANIFEST["dependencies"].values(), *MANIFEST["optionalDependencies"].values()]
    assert [version for version in versions if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


def test_every_package_that_can_be_verified_has_its_integrity() -> None:
    """Only other platforms' Anvil may lack one: it could not be had where the lock was made."""
    bare = [path for path, entry in PACKAGES.items() if not entry.get("integrity", "").startswith("sha512-")]
    assert all(re.fullmatch(r"node_modules/@foundry-rs/anvil-(darwin|linux)-(amd64|arm64)", path) for path in bare)
    assert "node_modules/@foundry-rs/anvil-linux-amd64" not in bare


def test_the_lock_names_no_registry_host() -> None:
    assert not any("resolved" in entry for entry in PACKAGES.values())
    assert "omit-lockfile-registry-resolved=true" in (PINS / ".npmrc").read_text().splitlines()


@pytest.mark.parametrize("platform", ["darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64"])
def test_anvil_is_pinned_to_the_accepted_version_on_each_platform(platform: str) -> None:
    entry = PACKAGES[f"node_modules/@foundry-rs/anvil-{platform}"]
    assert entry["version"] == ACCEPTED_ANVIL
    assert entry["optional"] is True
    system, machine = platform.split("-")
    assert (entry["os"], entry["cpu"]) == ([system], [{"amd64": "x64", "arm64": "arm64"}[machine]])
