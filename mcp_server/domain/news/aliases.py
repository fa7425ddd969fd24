"""What coins are called: their names and tickers, and how sure each of them is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Sureness = Literal["clear", "crypto", "word"]
"""Where a ticker or name means the coin: in any source; in one about crypto; or where a sign beside it says so."""

_SURENESS: dict[str, Sureness] = {"names": "clear", "crypto_names": "crypto", "words": "word"}


@dataclass(frozen=True, slots=True)
class CoinTicker:
    """A ticker of a coin. `share` says that a stock has it too."""

    base: str
    sureness: Sureness
    share: bool


@dataclass(frozen=True, slots=True)
class CoinName:
    """A name of a coin, as its words in small letters; `base` is None for a phrase that names no coin."""

    words: tuple[str, ...]
    base: str | None
    sureness: Sureness


@dataclass(frozen=True, slots=True)
class Aliases:
    """All names and tickers. `names` are by their first word, the longest first; `bases` are the curated coins."""

    tickers: Mapping[str, CoinTicker]
    names: Mapping[str, tuple[CoinName, ...]]
    bases: frozenset[str]


def read_aliases(content: Mapping[str, Any]) -> Aliases:
    """Return the aliases of a parsed `aliases.json`.

    Raises:
        ValueError: a name or ticker belongs to two coins.
    """
    shares = frozenset(content["shares"])
    tickers: dict[str, CoinTicker] = {}
    for base, coin in content["bases"].items():
        for ticker, sureness in coin["tickers"].items():
            _once(ticker, base, tickers.get(ticker))
            tickers[ticker] = CoinTicker(base, sureness, ticker in shares)
    names: dict[tuple[str, ...], CoinName] = {}
    for name in _all_names(content):
        _once(" ".join(name.words), name.base, names.get(name.words))
        names[name.words] = name
    by_first: dict[str, tuple[CoinName, ...]] = {}
    for name in sorted(names.values(), key=lambda one: -len(one.words)):
        by_first[name.words[0]] = (*by_first.get(name.words[0], ()), name)
    return Aliases(tickers, by_first, frozenset(content["bases"]))


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in small letters; a dot or hyphen parts words as a space does."""
    return tuple(name.lower().replace(".", " ").replace("-", " ").split())


def _once(alias: str, base: str | None, other: CoinTicker | CoinName | None) -> None:
    if other is not None:
        raise ValueError(f"{alias!r} is an alias of {other.base!r} and of {base!r}.")


def _all_names(content: Mapping[str, Any]) -> Iterator[CoinName]:
    for phrase in content["phrases"]:
        yield CoinName(words_of(phrase), None, "clear")
    for base, coin in content["bases"].items():
        for key, sureness in _SURENESS.items():
            for words in map(words_of, coin.get(key, ())):
                yield CoinName(words, base, sureness)
                if sureness == "clear" and len(words) == 1 and words[0][-1] not in "sx":
                    yield CoinName((f"{words[0]}s",), base, sureness)
