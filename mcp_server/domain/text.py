"""Text for people and models: what strangers wrote, made harmless and short; numbers, moments and costs, written out.

Names of tokens and markets, headlines, reasonings of models, errors of other programs, descriptions of strategies:
all of it may steer a terminal, hide words or pretend to be something else. It is cleaned here, by one rule.
"""

import re
import unicodedata
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0), range(0x180B, 0x1810))
"""Marks that choose another form of the character before them, and so can carry a hidden text."""

BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800").union(*(map(chr, some) for some in _SELECTORS))
"""Letters and marks that show nothing."""

_MOST_MARKS = 2
"""So many accents may stand on one letter."""

_READ_AHEAD = 16
"""So many times the limit is looked at: text that hides more than that is cut."""

_ADDRESS = re.compile(r"\b\w+://\S+")

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def cleaned(text: str, limit: int, *, lines: bool = False, addresses: bool = True) -> str:
    """Return the part of a text that can be seen: no control, bidirectional, zero-width or blank characters.

    Args:
        text: what somebody wrote.
        limit: the most characters to return; a text that is longer ends in `…`.
        lines: keep line breaks and spaces; without it the text becomes one line with single spaces.
        addresses: keep URLs; without it each becomes `[address]`.
    """
    looked_at = text[: limit * _READ_AHEAD]
    kept = _visible(looked_at)
    if not lines:
        kept = " ".join(kept.split())
    if not addresses:
        kept = _ADDRESS.sub("[address]", kept)
    return shortened(kept if len(text) == len(looked_at) else f"{kept}…", limit)


def cleaned_name(text: str, limit: int) -> str:
    """Clean the name or symbol of a token or market; look-alike forms of a character become that character (NFKC)."""
    return cleaned(unicodedata.normalize("NFKC", text[: limit * _READ_AHEAD]), limit)


def cleaned_values(value: Any, limit: int) -> Any:
    """Clean every text and every key within JSON values; line breaks stay."""
    if isinstance(value, str):
        return cleaned(value, limit, lines=True)
    if isinstance(value, dict):
        return {cleaned(str(key), limit): cleaned_values(item, limit) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned_values(item, limit) for item in value]
    return value


def escaped(text: str, limit: int = 60) -> str:
    """Return a key or an argument for an error: as it is if all of it can be seen, else quoted and with escapes.

    Unlike `cleaned` it shows what is hidden, because that may be just what is wrong.
    """
    return shortened(text if text.isprintable() and text == _visible(text) else ascii(text), limit)


def shortened(text: str, limit: int) -> str:
    """Cut a text to at most `limit` characters; a text that was cut ends in `…`."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def significant(value: float | Decimal, digits: int = 6) -> float:
    """Round to significant digits: a price may be 0.0000081, so decimals would lose it."""
    return float(f"{value:.{digits}g}")


def number(value: float | None) -> str:
    """Write a price with all of its significant digits, and thousands apart."""
    if value is None:
        return "-"
    if abs(value) < 1e-4:
        return f"{value:.8g}"
    return f"{value:,.{10 if abs(value) >= 1 else 14}f}".rstrip("0").rstrip(".")


def two_numbers(one: float, other: float) -> tuple[str, str]:
    """Write two numbers with four significant digits, and with more where that would make different ones the same."""
    texts = [(number(significant(one, digits)), number(significant(other, digits))) for digits in (4, 6, 8, 10)]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[0])


def minute(moment: datetime) -> str:
    """Write a moment to the minute; all times are UTC."""
    return moment.strftime("%Y-%m-%d %H:%M")


def duration(length: timedelta) -> str:
    """Write a length of time in the largest unit of which there are two at least."""
    seconds = round(length.total_seconds())
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            many = seconds / size
            return f"{many:.3g} {unit}" if many < 100 else f"{many:,.0f} {unit}"
    return f"{max(seconds, 0)} s"


def exact_duration(seconds: int) -> str:
    """Write a length of time that somebody has set, rounding nothing: `24 h`, `36 h`, `90 min`."""
    whole = ((size, unit) for size, unit in _UNITS if seconds >= 2 * size and seconds % size == 0)
    size, unit = next(whole, (1, "s"))
    return f"{seconds // size:,} {unit}"


def cost(value: Decimal | None) -> str:
    """Write a cost in US dollars; an unknown one is not zero."""
    if value is None:
        return "cost unknown"
    return "no cost" if value == 0 else f"${value:.4f}"


def dollars(amount: float | Decimal) -> str:
    """Write US dollars to the cent, and less than ten cents to two digits, so that none looks like nothing."""
    value = float(amount)
    return f"{value:,.2f}" if value >= 0.1 or not value else f"{Decimal(str(value)):.2g}"


def change(pct: float) -> str:
    """Write a change in per cent, with its sign; one next to nothing has none."""
    text = f"{pct:+,.2f} %"
    return text[1:] if text[1:] == "0.00 %" else text


def counted(number: int, noun: str) -> str:
    """Write a number of things: `1 run`, `2,000 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def share(ratio: float) -> str:
    """Write a share in whole per cent: what is not all is never 100 %, and what is not none never 0 %."""
    if 0 < ratio <= 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 <= ratio < 1 else f"{100 * ratio:.0f} %"


def percent(value: Decimal | None) -> str:
    """Write a confidence, or nothing where none is stated."""
    return "" if value is None else f"{float(value):g}"


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for character in text.replace("\r\n", "\n"):
        if character == "\n" or character.isspace():
            kept.append(character if character == "\n" else " ")
            marks = 0
        elif character.isprintable() and character not in BLANK:
            marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
            if marks <= _MOST_MARKS:
                kept.append(character)
    return "".join(kept)
