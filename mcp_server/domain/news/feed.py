"""A feed: where headlines come from, and what is known of it."""

from dataclasses import dataclass
from typing import Literal

NewsKind = Literal["announcement", "press", "regulator", "news", "index"]
"""From an exchange, the crypto press, a regulator, or any other newsroom; or a number of the day (Fear & Greed)."""

ABOUT_CRYPTO: frozenset[NewsKind] = frozenset({"announcement", "press"})
"""Kinds of sources that write about crypto alone: there a name like Ripple, or a ticker like SOL, means the coin."""

FeedForm = Literal["feed", "binance", "okx", "gdelt", "fear_greed"]
"""How it is written: RSS or Atom, or the JSON of one service."""


@dataclass(frozen=True, slots=True)
class Feed:
    """One source of headlines.

    `source` is the name that answers give it. `every_s` is the least time between two requests, in seconds. `terms`
    says what its publisher allows, in a sentence.
    """

    source: str
    url: str
    kind: NewsKind
    form: FeedForm = "feed"
    language: str = "en"
    every_s: float = 300.0
    terms: str = ""
