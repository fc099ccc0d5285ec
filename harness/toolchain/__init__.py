"""The external tools a run needs: pinned, installed once, checked before use."""

from harness.toolchain.anvil import ACCEPTED_ANVIL, anvil_binary, anvil_version
from harness.toolchain.errors import ToolError
from harness.toolchain.install import install, node_binary, node_modules, npm_binary
from harness.toolchain.inventory import ToolStatus, inspect
from harness.toolchain.places import cache_home

__all__ = [
    "ACCEPTED_ANVIL",
    "ToolError",
    "ToolStatus",
    "anvil_binary",
    "anvil_version",
    "cache_home",
    "inspect",
    "install",
    "node_binary",
    "node_modules",
    "npm_binary",
]
