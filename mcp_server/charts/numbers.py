"""Numbers as a chart writes them: short, and with the digits that matter."""

import math
from decimal import Decimal

from mcp_server.domain.candles import Floats
from mcp_server.domain.text import significant

_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_PLAIN = (1e-9, 1e12)
"""Within these a price is written in full: outside of them with an exponent."""


def price_decimals(prices: Floats) -> int:
    """Count the decimals that prices have, but no more than make eight significant digits of the greatest."""
    greatest = max((abs(price) for price in prices.tolist()), default=0.0)
    most = 7 - (math.floor(math.log10(greatest)) if greatest else 0)
    return max(min(max((_decimals(price) for price in prices.tolist()), default=0), most), 0)


def price_text(price: float, decimals: int) -> str:
    """Write a price in full, like `91,626.33` or `0.0000081`."""
    if price and not _PLAIN[0] <= abs(price) < _PLAIN[1]:
        return _with_exponent(price, 6)
    return f"{price:,.{decimals}f}"


def level_decimals(price: float) -> int:
    """Count the decimals that make six significant digits, for what is computed from prices."""
    return max(5 - _magnitude(price), 0)


def short_text(value: float) -> str:
    """Write a value to four significant digits, like `56.31`, `-123.4`, `1.234M` or `3.1e-8`."""
    size = abs(value)
    if not value:
        return "0"
    if not 1e-4 <= size < 1e15:
        return _with_exponent(value, 4)
    for limit, suffix in _SUFFIXES:
        if size >= limit and (limit > 1e3 or size >= 1e5):
            return f"{value / limit:.4g}{suffix}"
    if size >= 1e4 or value.is_integer():
        return f"{value:,.0f}"
    return f"{value:.{max(3 - _magnitude(value), 0)}f}"


def tick_text(value: float, step: float) -> str:
    """Write a round value on an axis whose ticks are `step` apart."""
    size = abs(value)
    if not value:
        return "0"
    if step < 1e-4 or size >= 1e15:
        return _with_exponent(value, 3)
    for limit, suffix in _SUFFIXES:
        if size >= limit and (limit > 1e3 or size >= 1e4):
            return f"{value / limit:.6g}{suffix}"
    return f"{value:.{step_decimals(step)}f}"


def step_decimals(step: float) -> int:
    """Count the decimals of a round step."""
    return _decimals(significant(step, 3))


def _with_exponent(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    short = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{short}e{int(exponent)}"


def _decimals(value: float) -> int:
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0
