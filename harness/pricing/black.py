"""Black (1976): a European option on a forward, undiscounted, from the total variance that is left.

Floats would differ in the last bit between platforms and so between histories. `decimal` rounds `ln`, `exp` and `sqrt`
correctly, so everything here is a pure function of its arguments. These are a trader's opinions: no money is checked
against them.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, Literal

DIGITS: Final = 28
WAD: Final = 10**18
TAIL: Final = 8
"""Beyond so many standard deviations the normal distribution is 0 or 1: 6·10⁻¹⁶."""
TERMS_MAX: Final = 300

OptionKind = Literal["call", "put"]

CONTEXT = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)
_ONE, _HALF, _TWO = Decimal(1), Decimal("0.5"), Decimal(2)
_ROOT_TWO_PI = CONTEXT.sqrt(CONTEXT.multiply(_TWO, Decimal("3.141592653589793238462643383279502884")))


def normal_density(x: Decimal) -> Decimal:
    return CONTEXT.divide(CONTEXT.exp(CONTEXT.multiply(CONTEXT.multiply(x, x), -_HALF)), _ROOT_TWO_PI)


def normal_cdf(x: Decimal) -> Decimal:
    """Φ(x), to about 20 digits: ½ + φ(x)·(x + x³/3 + x⁵/15 + …), all terms of one sign."""
    if x > TAIL:
        return _ONE
    if x < -TAIL:
        return Decimal(0)
    square, term, total = CONTEXT.multiply(x, x), x, x
    for odd in range(3, 2 * TERMS_MAX, 2):
        term = CONTEXT.divide(CONTEXT.multiply(term, square), Decimal(odd))
        grown = CONTEXT.add(total, term)
        if grown == total:
            break
        total = grown
    return CONTEXT.add(_HALF, CONTEXT.multiply(normal_density(x), total))


def price(kind: OptionKind, *, forward: int, strike: int, variance: Decimal) -> int:
    """Value of one option, in the unit of `forward` and `strike` (1e18 quote), floored; at least its intrinsic value.

    Args:
        variance: σ²·T, the total variance of the logarithm until expiry; 0 gives the intrinsic value.
    """
    intrinsic = max(forward - strike if kind == "call" else strike - forward, 0)
    if variance <= 0 or forward <= 0 or strike <= 0:
        return intrinsic
    d1, d2 = _distances(forward, strike, variance)
    received = CONTEXT.multiply(Decimal(forward), normal_cdf(d1))
    call = int(CONTEXT.subtract(received, CONTEXT.multiply(Decimal(strike), normal_cdf(d2))))
    value = call if kind == "call" else call - forward + strike   # parity: exact in integers
    return max(value, intrinsic)


def delta(kind: OptionKind, *, forward: int, strike: int, variance: Decimal) -> int:
    """Change of the value per unit of the forward, 1e18; of the intrinsic value where no variance is left."""
    if variance <= 0 or forward <= 0 or strike <= 0:
        in_the_money = forward > strike if kind == "call" else strike > forward
        return (WAD if kind == "call" else -WAD) if in_the_money else 0
    d1, _ = _distances(forward, strike, variance)
    of_call = int(CONTEXT.multiply(normal_cdf(d1), Decimal(WAD)))
    return of_call if kind == "call" else of_call - WAD


def implied_variance(kind: OptionKind, *, forward: int, strike: int, value: int) -> Decimal:
    """The total variance that reproduces a value, to 18 decimals; 0 at or below the intrinsic value.

    Raises:
        ValueError: the value is not below that of infinite variance, which no option reaches.
    """
    most = forward if kind == "call" else strike
    if value >= most:
        raise ValueError(f"a {kind} is worth less than {most}; no variance gives {value}")
    low, high = Decimal(0), Decimal(64)
    if value <= price(kind, forward=forward, strike=strike, variance=low):
        return low
    for _ in range(66):   # 64·2⁻⁶⁶ is below 10⁻¹⁸
        middle = CONTEXT.divide(CONTEXT.add(low, high), _TWO)
        if price(kind, forward=forward, strike=strike, variance=middle) < value:
            low = middle
        else:
            high = middle
    return high


def _distances(forward: int, strike: int, variance: Decimal) -> tuple[Decimal, Decimal]:
    spread = CONTEXT.sqrt(variance)
    moneyness = CONTEXT.ln(CONTEXT.divide(Decimal(forward), Decimal(strike)))
    d1 = CONTEXT.add(CONTEXT.divide(moneyness, spread), CONTEXT.multiply(spread, _HALF))
    return d1, CONTEXT.subtract(d1, spread)
