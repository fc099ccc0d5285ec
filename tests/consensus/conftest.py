"""Lets these tests import the little world they share (`simplex_world`)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
