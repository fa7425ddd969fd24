"""Which coins a headline is about. Names are never guessed: only what is curated, a cashtag, a pair or a listing."""

import re
from collections.abc import Callable, Iterator

from mcp_server.domain.news.aliases import Aliases, words_of
from mcp_server.domain.news.feed import ABOUT_CRYPTO, NewsKind
from mcp_server.domain.news.headline import Headline
from mcp_server.domain.news.item import NewsItem
from mcp_server.domain.news.listings import listing_matcher
from mcp_server.domain.news.pairs import QUOTES, STABLE_QUOTES, base_of, joined_base, of_one
from mcp_server.domain.news.signs import is_ticker, means_coin

__all__ = ["Subjects", "base_of"]

_Match = tuple[str | None, int]
"""What stands at a word: the coin, None for no coin, and how many words it takes."""


class Subjects:
    """Finds the coins that headlines name, by curated aliases."""

    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases
        self._firsts = frozenset((*aliases.names, *map(str.lower, aliases.tickers)))

    def of(self, headline: str, *, crypto_source: bool) -> dict[str, str]:
        """Return the coins that a headline names: base → the alias that matched, as it is written there.

        The longest name wins and takes its words: Bitcoin Cash is no bitcoin. In a source that is not about crypto
        alone, only names and tickers count that mean nothing else.
        """
        coins: dict[str, str] = {}
        for base, alias in self._named(headline, crypto_source):
            coins.setdefault(base, alias)
        return coins

    def matcher(self, base: str) -> Callable[[NewsItem], str | None]:
        """Return what tells the alias by which an item names a coin, None where it does not: see `namer`."""
        alias = self.namer(base)
        return lambda item: alias(item.headline, item.kind)

    def namer(self, base: str) -> Callable[[str, NewsKind], str | None]:
        """Return what tells the alias by which a headline of a kind of source names a coin, None where it does not.

        A coin that is not curated is named only by a cashtag or a pair of its ticker, or by an exchange that lists it.
        """
        coin = self.coin(base)
        if coin not in self._aliases.bases:
            return _uncurated(coin)
        names, tickers = self._needles(coin)

        def alias(headline: str, kind: NewsKind) -> str | None:
            if _has(headline.lower(), names) or _has(headline, tickers):
                for named, alias in self._named(headline, kind in ABOUT_CRYPTO):
                    if named == coin:
                        return alias
            return None

        return alias

    def coin(self, text: str) -> str:
        """Return the coin for a symbol, a base, a former ticker or a name: POL for `MATIC/USDT`, BTC for `bitcoin`.

        So for a cashtag, BTC for `$BTC`. One that is not curated comes back as `base_of` tells it.
        """
        text = text.strip().removeprefix("$")
        return self._curated(text) or self._curated(base_of(text)) or base_of(text)

    def is_curated(self, base: str) -> bool:
        """Return whether the names of a coin are known; if not, only cashtags and pairs name it."""
        return self.coin(base) in self._aliases.bases

    def _curated(self, text: str) -> str | None:
        if ticker := self._aliases.tickers.get(text) or self._aliases.tickers.get(text.upper()):
            return ticker.base
        words = words_of(text)
        names = self._aliases.names.get(words[0], ()) if words else ()
        return next((name.base for name in names if name.words == words), None)

    def _needles(self, coin: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return texts of which a headline has one at least if it names a coin: in small letters; as written."""
        names = [first for first, some in self._aliases.names.items() if any(name.base == coin for name in some)]
        shortest = (name for name in names if not any(other in name for other in names if other != name))
        tickers = [ticker for ticker, meant in self._aliases.tickers.items() if meant.base == coin]
        single = (f for ticker in tickers if len(ticker) == 1 for f in (f"${ticker}", f"{ticker}/"))
        return tuple(shortest), (*single, *(ticker for ticker in tickers if len(ticker) > 1))

    def _named(self, headline: str, crypto: bool) -> Iterator[tuple[str, str]]:
        line, after, has_pair = Headline(headline), 0, "USD" in headline or "/" in headline
        for at, first in enumerate(line.folded):
            if first not in self._firsts and not (has_pair and ("USD" in line.words[at] or line.gaps[at + 1] == "/")):
                continue
            if at < after:
                continue
            base, count = self._at(line, at, crypto)
            after = at + count
            if base is not None:
                yield base, ("$" if line.is_cashtag(at) else "") + line.text(at, count)

    def _at(self, line: Headline, at: int, crypto: bool) -> _Match:
        aliases, word = self._aliases, line.words[at]
        if match := self._pair(line, at, crypto):
            return match
        ticker = aliases.tickers.get(word)
        if ticker and line.is_cashtag(at):
            return ticker.base if crypto or not ticker.share else None, 1
        for name in aliases.names.get(line.folded[at], ()):
            if line.has(name.words, at) and means_coin(name, line, at, crypto=crypto, tickers=aliases.tickers):
                return name.base, len(name.words)
        means = ticker is not None and is_ticker(ticker, line, at, crypto=crypto, tickers=aliases.tickers)
        return ticker.base if ticker and means else None, 1

    def _pair(self, line: Headline, at: int, crypto: bool) -> _Match | None:
        """Return the base of a pair: its quote is no subject. A row of three, `BTC/ETH/SOL`, is no pair."""
        word, quote = line.words[at], line.words[at + 1] if at + 1 < len(line.words) else ""
        joins = ("/",) if len(word) == 1 else ("/", "-", "_")
        if quote in QUOTES and line.gaps[at + 1] in joins and "/" not in (line.gaps[at], line.gaps[at + 2]):
            ticker = self._aliases.tickers.get(of_one(word))
            if ticker and (crypto or quote in STABLE_QUOTES or ticker.sureness == "clear"):
                return ticker.base, 2
            return (None, 2) if line.gaps[at + 1] == "/" and word.isupper() else None
        base = joined_base(word) if "USD" in word and word not in self._aliases.tickers else None
        ticker = self._aliases.tickers.get(base) if base else None
        return (ticker.base, 1) if ticker else None


def _has(text: str, needles: tuple[str, ...]) -> bool:
    for needle in needles:  # noqa: SIM110 - `any` takes thrice as long, and a month has 16,000 headlines
        if needle in text:
            return True
    return False


def _uncurated(ticker: str) -> Callable[[str, NewsKind], str | None]:
    coin, quotes = re.escape(ticker), "|".join(sorted(QUOTES))
    stable = "|".join(sorted(STABLE_QUOTES))
    pair = rf"(?<![\w/])(?:1000+)?{coin}(?:[/_-](?:{quotes})(?![\w/])|(?:{stable})(?!\w))"
    found, listing = re.compile(rf"(?<![\w$])\${coin}(?!\w)|{pair}"), listing_matcher(ticker)

    def alias(headline: str, kind: NewsKind) -> str | None:
        if not ticker or ticker not in headline:
            return None
        if match := found.search(headline):
            return match[0]
        return listing(headline) if kind == "announcement" else None

    return alias
