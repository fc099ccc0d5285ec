"""What roles that trade on their own account pay in when they first start; their wallets hold it from genesis on."""

from __future__ import annotations

KEEPER_NATIVE = 20_000_000 * 10**6
MAKER_NATIVE = 50_000_000 * 10**6
KEEPER_POOL_NATIVE = 2_000_000 * 10**6
MAKER_POOL_NATIVE = 5_000_000 * 10**6
"""What of it they move to each isolated pool."""
