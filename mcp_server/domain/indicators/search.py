"""Finding indicators by what they mean, by how people call them, and by name."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from math import log

from mcp_server.domain.indicators.catalog import all_names, find
from mcp_server.domain.indicators.indicator import Indicator
from mcp_server.domain.indicators.meanings import KEYWORDS

_IDLE = frozenset((
    "a", "an", "and", "are", "at", "by", "find", "for", "in", "indicator", "indicators",
    "is", "it", "me", "of", "on", "or", "show", "that", "the", "to", "what", "with",
))  # fmt: skip
_WEIGHTS = {"name": 8.0, "title": 4.0, "keywords": 3.0, "meaning": 2.0, "group": 1.0}
_ALIKE_ENDING = 0.6
"""The weight of a word of which only the stem is the same, as a share of the weight of the same word."""

_WELL_KNOWN = (
    "rsi", "macd", "ema", "sma", "bbands", "atr", "adx", "stoch", "obv", "vwap", "supertrend", "ichimoku", "cci", "mfi",
    "willr", "sar", "aroon", "kc", "donchian", "roc", "mom", "hma", "wma", "chop", "cmf",
)  # fmt: skip
_KNOWN_BETTER = 1.5
"""The factor by which the well-known weigh more. They also come first where nothing is asked for."""

_WORD = re.compile(r"[a-z0-9_]+")
_STEM = 5


def search(query: str) -> list[Indicator]:
    """Return the entries that fit a query, the most likely first.

    Each word of the query weighs the more, the fewer entries have it, and the closer to the name it stands; entries
    with all of the words come before those with some. A word that no entry has stands for the nearest that one has.

    Args:
        query: words, a name, or a spec like `rsi(14)`; an empty one fits all.
    """
    words = [word for word in _words(query.split("(", maxsplit=1)[0]) if word not in _IDLE]
    if not words:
        return [] if query.strip() else [find(name) for name in dict.fromkeys((*_WELL_KNOWN, *all_names()))]
    vocabulary = {word for entry in _entries().values() for word in entry}
    weighed = [[_weigh(word, name) for name in all_names()] for word in (_known(word, vocabulary) for word in words)]
    scores = []
    for position, name in enumerate(all_names()):
        parts = [weights[position] * _rarity(weights) for weights in weighed]
        if any(parts):
            better = _KNOWN_BETTER if name in _WELL_KNOWN else 1.0
            scores.append((sum(part > 0 for part in parts), better * sum(parts), name))
    return [
        find(name) for _, _, name in sorted(scores, key=lambda s: (-s[0], -s[1], find(s[2]).library, len(s[2]), s[2]))
    ]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _known(word: str, vocabulary: set[str]) -> str:
    if word in vocabulary or any(other[:_STEM] == word[:_STEM] for other in vocabulary if len(word) >= _STEM):
        return word
    return next(iter(get_close_matches(word[:40], vocabulary, n=1, cutoff=0.7)), word)


@cache
def _entries() -> Mapping[str, Mapping[str, float]]:
    """Return each entry's words, with the weight of the weightiest place they stand in."""
    entries: dict[str, dict[str, float]] = {}
    for name in all_names():
        entry = find(name)
        places = {
            "name": name,
            "title": entry.title,
            "keywords": KEYWORDS.get(name, ""),
            "meaning": entry.meaning,
            "group": entry.group,
        }
        weights: dict[str, float] = {}
        for place, text in places.items():
            for word in _words(text):
                weights[word] = max(weights.get(word, 0.0), _WEIGHTS[place])
        entries[name] = weights
    return entries


@cache
def _weigh(word: str, name: str) -> float:
    weights = _entries()[name]
    if word in weights:
        return weights[word]
    if len(word) < _STEM - 1:
        return 0.0
    stem = word[:_STEM]
    return _ALIKE_ENDING * max((weight for other, weight in weights.items() if other[:_STEM] == stem), default=0.0)


def _rarity(weights: list[float]) -> float:
    return log(1 + len(weights) / (1 + sum(weight > 0 for weight in weights)))
