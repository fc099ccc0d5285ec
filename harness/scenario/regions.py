"""Where roles stand and what that costs: one-way latency between regions, as measured between AWS regions."""

from __future__ import annotations

from collections.abc import Sequence

from harness.plan import BaseLatency, RoleSpec

SAME_REGION_MS = 1.0
JITTER_SHARE = 0.05       # of the latency; the source gives none

# Source: cometbft/cometbft, test/e2e/pkg/files/aws-latencies.csv at v1.0.1 (Apache-2.0), upper triangle, ms one way.
_NAMES = (
    "n-virginia", "canada", "n-california", "london", "oregon", "ireland", "frankfurt", "s-paulo", "tokyo", "mumbai",
    "sydney", "seoul", "singapore",
)  # fmt: skip
_ONE_WAY_MS = (
    (7, 30, 38, 39, 33, 44, 58, 73, 93, 98, 87, 105),
    (38, 39, 29, 35, 46, 63, 70, 94, 97, 85, 103),
    (68, 10, 68, 75, 88, 54, 116, 69, 67, 86),
    (63, 5, 8, 94, 104, 56, 131, 118, 82),
    (59, 68, 88, 49, 109, 69, 63, 84),
    (13, 88, 100, 61, 127, 114, 90),
    (101, 111, 60, 143, 109, 77),
    (128, 151, 155, 142, 161),
    (60, 57, 16, 39),
    (76, 57, 27),
    (69, 45),
    (36,),
)

REGIONS: tuple[str, ...] = _NAMES


def one_way_ms(src: str, dst: str) -> float:
    """Milliseconds from one region to another; KeyError for a region that is not in the table."""
    if src not in REGIONS or dst not in REGIONS:
        raise KeyError(src if src not in REGIONS else dst)
    low, high = sorted((REGIONS.index(src), REGIONS.index(dst)))
    return SAME_REGION_MS if low == high else float(_ONE_WAY_MS[low][high - low - 1])


def base_latencies(roles: Sequence[RoleSpec]) -> tuple[BaseLatency, ...]:
    """Every directed link between two roles, in role order; links inside one region carry no jitter."""
    links = []
    for src in roles:
        for dst in roles:
            if src.name == dst.name:
                continue
            delay = one_way_ms(src.region, dst.region)
            jitter = 0.0 if src.region == dst.region else round(delay * JITTER_SHARE, 3)
            links.append(BaseLatency(src.name, dst.name, delay, jitter))
    return tuple(links)


