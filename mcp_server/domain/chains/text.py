"""Text that strangers wrote: names and symbols of tokens are whatever their makers like."""

import unicodedata

_UNWANTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control and format characters (bidirectional and zero-width ones are among these), and what is no character."""

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
"""Letters and marks that show nothing."""

_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0), range(0x180B, 0x1810))
"""Marks that choose another form of the character before them, and so can carry a hidden text."""

_MOST_MARKS = 2
"""So many accents may stand on one letter."""


def cleaned(text: str, limit: int) -> str:
    """Give a text without what cannot be seen or changes how the rest is read, at most `limit` characters long.

    It is normalised (NFKC) first, so that look-alike forms of the same characters become those.
    """
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFKC", text[: limit * 16]):
        kind = unicodedata.category(character)
        if kind in _UNWANTED or character in _BLANK or any(ord(character) in selectors for selectors in _SELECTORS):
            continue
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks <= _MOST_MARKS:
            kept.append(" " if kind == "Zs" else character)
    return " ".join("".join(kept).split())[:limit].rstrip()
