"""Whether a name or ticker in a headline means the coin, or is a plain word or something else of that name."""

from collections.abc import Iterator, Mapping

from mcp_server.domain.news.aliases import CoinName, CoinTicker
from mcp_server.domain.news.headline import Headline

_MARKERS = frozenset(
    ("network", "blockchain", "protocol", "mainnet", "testnet", "chain", "token", "tokens", "coin", "foundation")
).union(("dao", "ecosystem", "validators", "finance", "labs", "superchain", "l1", "l2"))
"""Words that make the word before them a coin's name: Optimism mainnet."""

_OTHER_COIN = frozenset(("wrapped", "baby", "mini"))
"""Words that make another coin of the one that follows."""

_LEAST_IN_LIST = 3
_COMMAS = frozenset((", ", "/", " & ", ", $", "/$"))


def means_coin(name: CoinName, line: Headline, at: int, *, crypto: bool, tickers: Mapping[str, CoinTicker]) -> bool:
    """Return whether a name that stands at a position means its coin; `crypto`: its source is about crypto alone."""
    end = at + len(name.words)
    if name.base is None:
        return True
    if line.only_alike(end) or (line.word(at - 1) in _OTHER_COIN and line.gaps[at] in (" ", "-")):
        return False
    if name.sureness == "clear":
        return True
    capital = not any(word[0].islower() for word in line.words[at:end])
    if not crypto or not capital or line.all_capitals or line.word(end) == "of":
        return False
    return name.sureness == "crypto" or _has_sign(name.base, line, at, end, tickers)


def is_ticker(ticker: CoinTicker, line: Headline, at: int, *, crypto: bool, tickers: Mapping[str, CoinTicker]) -> bool:
    """Return whether a ticker without a `$` means its coin.

    One that is also a word does only in a list of three tickers or more, of which one is no word: `BTC, LINK and SOL`.
    """
    if line.only_alike(at + 1):
        return False
    if ticker.sureness == "clear":
        return True
    if not crypto or line.all_capitals or len(line.words[at]) == 1:
        return False
    if ticker.sureness == "crypto":
        return True
    listed = [tickers[line.words[one]] for one in _listed(line, at, tickers)]
    return len(listed) >= _LEAST_IN_LIST and any(one.sureness != "word" for one in listed)


def _has_sign(base: str, line: Headline, at: int, end: int, tickers: Mapping[str, CoinTicker]) -> bool:
    after, gap = line.word(end), line.gaps[end]
    if after in _MARKERS and gap in (" ", "-"):
        return True
    if after == "s" and gap in ("'", "\u2019"):
        return True
    if any(word in tickers and tickers[word].base == base for word in line.words[end:] + line.words[:at]):
        return True
    return not line.begins(at) and not line.title_case


def _listed(line: Headline, at: int, tickers: Mapping[str, CoinTicker]) -> Iterator[int]:
    yield at
    for step in (-1, 1):
        one = _next_listed(line, at, step)
        while one is not None and line.words[one] in tickers:
            yield one
            one = _next_listed(line, one, step)


def _next_listed(line: Headline, at: int, step: int) -> int | None:
    gap = at + 1 if step == 1 else at
    one = at + step
    if line.word(one) in ("and", "or"):
        one += step
        return one if 0 <= one < len(line.words) else None
    return one if 0 <= one < len(line.words) and line.gaps[gap] in _COMMAS else None
