"""A topic: plain words that a headline must have, all of them, in any order."""

import re
from collections.abc import Callable

from mcp_server.errors import BadInput

_UNSPACED = 0x2E80
"""From here on are the scripts that put no space between words, as Chinese does."""

_PLAIN = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
"""Typographic quotes as typed ones."""

_PARTS = re.compile(r'"([^"]*)"|([^\s"]+)')
_OPERATORS = frozenset(("OR", "NOT", "|", "||"))


def topic_matcher(topic: str) -> Callable[[str], bool]:
    """Return whether a headline has every word of a topic, as a whole word or its plural in s, in any case.

    Words in quotes are one phrase, and commas part words.

    Raises:
        BadInput: a topic without a letter or digit, or with an operator such as OR.
    """
    words = [(word, re.compile(_pattern(word))) for word in _words(topic)]

    def holds(headline: str) -> bool:
        text = (headline if headline.isascii() else headline.translate(_PLAIN)).lower()  # translating takes long
        return all(word in text and pattern.search(text) for word, pattern in words)

    return holds


def _words(topic: str) -> list[str]:
    parts = [(phrase, word.strip(",;")) for phrase, word in _PARTS.findall(topic.translate(_PLAIN))]
    if operator := next((word for _, word in parts if word in _OPERATORS), None):
        raise BadInput(
            f"topic has {operator!r}, but a headline must have all of its words.", "Ask once for each alternative."
        )
    words = [" ".join(phrase.split()) or word for phrase, word in parts if word != "AND"]
    if not any(character.isalnum() for word in words for character in word):
        raise BadInput(f"topic {topic!r} has no word.", "Give words that a headline must have, such as SEC ETF.")
    return [word.lower() for word in words if word]


def _pattern(word: str) -> str:
    return _edge(word[0], r"(?<!\w)") + re.escape(word) + _edge(word[-1], r"s?(?!\w)")


def _edge(character: str, boundary: str) -> str:
    return boundary if (character.isalnum() or character == "_") and ord(character) < _UNSPACED else ""
