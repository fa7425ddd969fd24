"""A topic: plain words that a headline must hold, all of them, in any order."""

import re
from collections.abc import Callable

_UNSPACED = 0x2E80
"""From here on are the scripts that put no space between words, as Chinese does."""


def topic_matcher(topic: str) -> Callable[[str], bool]:
    """Return whether a headline holds every word of a topic, as a whole word, in capitals or small letters."""
    words = [(word, re.compile(_pattern(word))) for word in topic.lower().split()]

    def holds(headline: str) -> bool:
        text = headline.lower()
        return all(word in text and pattern.search(text) for word, pattern in words)

    return holds


def _pattern(word: str) -> str:
    return _edge(word[0], r"(?<!\w)") + re.escape(word) + _edge(word[-1], r"(?!\w)")


def _edge(character: str, boundary: str) -> str:
    return boundary if (character.isalnum() or character == "_") and ord(character) < _UNSPACED else ""
