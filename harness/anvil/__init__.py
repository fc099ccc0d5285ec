"""Real Anvil nodes as execution engines."""

from harness.anvil.adapters import InlineEngine, ThreadedEngine
from harness.anvil.attributes import DEPOSITOR_ADDRESS, L1_INFO_ADDRESS, SYSTEM_GAS
from harness.anvil.engine import AnvilEngine
from harness.anvil.journal import Genesis
from harness.anvil.spec import ChainKind, ChainSpec

__all__ = [
    "DEPOSITOR_ADDRESS",
    "L1_INFO_ADDRESS",
    "SYSTEM_GAS",
    "AnvilEngine",
    "ChainKind",
    "ChainSpec",
    "Genesis",
    "InlineEngine",
    "ThreadedEngine",
]
