"""Text with units to exact integers, or a refusal: durations, rates, prices, probabilities, bandwidths."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

NS_PER_SECOND = 1_000_000_000
WAD_DECIMALS = 18
NATIVE_DECIMALS = 6       # of the collateral token, contracts/RULES.md
GWEI_DECIMALS = 9
TEXT_MAX = 48             # longest number worth reading

_UNIT_NS = {
    "ns": 1, "us": 1_000, "ms": 1_000_000, "s": NS_PER_SECOND, "m": 60 * NS_PER_SECOND, "h": 3_600 * NS_PER_SECOND,
}  # fmt: skip
_BANDWIDTH = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}  # netem's words, powers of ten
_DURATION = re.compile(r"(-?)(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h)")
_DECIMAL = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_DURATION_MAX_NS = 30 * 24 * 3600 * NS_PER_SECOND


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + "…")


def duration_ns(value: object, *, signed: bool = False) -> int:
    """Nanoseconds of `50ms`, `5s`, `2m`, `1.5h`; negative only when `signed`. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"a duration needs a unit, as in 50ms, 5s, 2m, 3h; got {_shown(value)}")
    match = _DURATION.fullmatch(value.strip()) if len(value) <= TEXT_MAX else None
    if match is None:
        raise ValueError(f"not a duration: {_shown(value)}; write a number and a unit, as in 50ms, 5s, 2m, 3h")
    sign, number, unit = match.groups()
    if sign and not signed:
        raise ValueError(f"negative duration: {_shown(value)}")
    exact = Decimal(number) * _UNIT_NS[unit]
    if exact != int(exact):
        raise ValueError(f"finer than a nanosecond: {_shown(value)}")
    if exact > _DURATION_MAX_NS:
        raise ValueError(f"longer than 30 days: {_shown(value)}")
    return -int(exact) if sign else int(exact)


def positive_duration_ns(value: object) -> int:
    nanoseconds = duration_ns(value)
    if nanoseconds == 0:
        raise ValueError("a duration of zero has no effect; write more than 0")
    return nanoseconds


def decimal(value: object) -> Decimal:
    """A finite decimal from YAML's or a CSV's text. Raises ValueError on NaN, infinities and anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError(f"not a number: {_shown(value)}")
    text = str(value).strip()
    if len(text) > TEXT_MAX:
        raise ValueError(f"too many digits: {_shown(text)}")
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"not a finite number: {_shown(text)}")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"not a finite number: {_shown(text)}") from error


def fixed_point(value: object, *, decimals: int, below: int = 10**12) -> int:
    """`value · 10**decimals` exactly, for 0 ≤ value < `below`. Raises ValueError where digits would be lost."""
    number = decimal(value)
    if number < 0:
        raise ValueError(f"negative: {_shown(value)}")
    if number >= below:
        raise ValueError(f"out of range: {_shown(value)} is not below {below}")
    # Decimal's scaling by a power of ten only moves the exponent, so nothing is rounded before the test.
    _, digits, exponent = number.as_tuple()
    shift = int(exponent) + decimals
    mantissa = int("".join(map(str, digits)))
    if shift >= 0:
        return mantissa * _power_of_ten(shift)
    quotient, remainder = divmod(mantissa, _power_of_ten(-shift))
    if remainder:
        raise ValueError(f"too many digits: {_shown(value)} has more than {decimals} after the point")
    return quotient


def _power_of_ten(exponent: int) -> int:
    return int("1" + "0" * exponent)


def price_wad(value: object) -> int:
    """A price > 0 in 1e18 quote."""
    wad = fixed_point(value, decimals=WAD_DECIMALS)
    if wad == 0:
        raise ValueError("a price must be above 0")
    return wad


def signed_price_wad(value: object) -> int:
    """A price of any sign in 1e18 quote."""
    if decimal(value) < 0:
        return -fixed_point(str(value).strip().removeprefix("-"), decimals=WAD_DECIMALS)
    return fixed_point(value, decimals=WAD_DECIMALS)


def native_amount(value: object) -> int:
    """Token units (6 decimals) of an amount in quote."""
    return fixed_point(value, decimals=NATIVE_DECIMALS)


def gwei(value: object) -> int:
    """Wei of an amount in gwei, at most a million gwei."""
    return fixed_point(value, decimals=GWEI_DECIMALS, below=10**6)


def milli(value: object) -> int:
    """Thousandths, exactly."""
    return fixed_point(value, decimals=3, below=10**6)


def rate_milli(value: object) -> int:
    """Thousandths of an operation per second, of `4/s`, `0.5/s` or `30/m`. Raises ValueError."""
    if not isinstance(value, str) or value.count("/") != 1:
        raise ValueError(f"not a rate: {_shown(value)}; write it as 4/s or 30/m")
    number, unit = (part.strip() for part in value.split("/"))
    if unit not in ("s", "m"):
        raise ValueError(f"not a rate: {_shown(value)}; the unit is s or m, as in 4/s or 30/m")
    thousandths = milli(number) if unit == "s" else milli(number) // 60
    if not 0 < thousandths <= 1_000_000:
        raise ValueError(f"a rate must be above 0 and at most 1000/s: {_shown(value)}")
    return thousandths


def probability(value: object) -> float:
    """0…1, from `0.05` or `5%`."""
    percent = isinstance(value, str) and value.strip().endswith("%")
    number = decimal(str(value).strip().removesuffix("%")) / (100 if percent else 1)
    if not 0 <= number <= 1:
        raise ValueError(f"not a probability: {_shown(value)}; write 0 to 1, or 0% to 100%")
    return float(number)


def bandwidth_bps(value: object) -> int:
    """Bits per second of `64kbit`, `1mbit` (netem's units)."""
    match = re.fullmatch(r"(\d{1,9})\s*(bit|kbit|mbit|gbit)(?:/s)?", value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f"not a bandwidth: {_shown(value)}; write it as 64kbit or 1mbit")
    return int(match[1]) * _BANDWIDTH[match[2]]


def block_count(value: object) -> int:
    """10 of `10 blocks` or `10`."""
    text = str(value).strip()
    match = re.fullmatch(r"(\d{1,6})(?:\s*blocks?)?", text)
    if isinstance(value, bool) or match is None or int(match[1]) == 0:
        raise ValueError(f"not a number of blocks: {_shown(value)}; write it as 10 blocks")
    return int(match[1])


def duration_text(nanoseconds: int) -> str:
    """The shortest exact way to write a duration: `1500ms`, `20s`, `2m`."""
    for unit in ("h", "m", "s", "ms", "us"):
        if nanoseconds % _UNIT_NS[unit] == 0 and nanoseconds:
            return f"{nanoseconds // _UNIT_NS[unit]}{unit}"
    return f"{nanoseconds}ns" if nanoseconds else "0s"
