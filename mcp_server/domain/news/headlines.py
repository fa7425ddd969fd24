"""Whether two headlines say the same: their words in order, whatever the case, the tense or the form of numbers."""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from unicodedata import normalize

MOST_ADDED = 5
"""Of so many words of the longer headline, the shorter may lack one."""

_DASH = r"[|\u2013\u2014-]"

_OPENING = re.compile(
    rf"^\W*(?:breaking|just in|update|exclusive|flash|developing|alert)(?: news)?\s*(?::|{_DASH})\s*", re.IGNORECASE
)

_PUBLISHERS = (
    "AMBCrypto|AP News|Axios|Barron's|BBC News|BeInCrypto|Benzinga|Bitcoin Magazine|Bitcoinist|Blockworks|Bloomberg|"
    "CNBC|CoinDesk|Cointelegraph|Crypto Briefing|CryptoPotato|CryptoSlate|Decrypt|DL News|Financial Times|Forbes|"
    "Fortune|Investing.com|MarketWatch|NewsBTC|Reuters|TechCrunch|The Block|The Defiant|The Guardian|"
    "The Wall Street Journal|U.Today|WSJ|Yahoo|Yahoo Finance"
)
_SIGNED = re.compile(rf"\s{_DASH}\s*(?:{_PUBLISHERS.replace('.', '[.]')})\s*$", re.IGNORECASE)
"""A headline may end in the name of its publisher."""

_APOSTROPHE = re.compile(r"[\u2018\u2019]")
_DOTTED = re.compile(r"\b(?:[A-Za-z]\.){2,}")
_WORD = re.compile(
    r"(?:(?<![\w.])(?P<minus>[-\u2212]))?(?P<money>[$€£¥₿])?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d{1,20})?|\d{1,20}(?:\.\d{1,20})?)"
    r"(?:\s?(?P<size>k|thousand|m|mn|mln|million|b|bn|billion|t|tn|trillion)(?!\w))?(?P<percent>\s?%|\s?per\s?cent\b)?"
    r"(?!\w)|(?P<word>[^\W_]+(?:'[^\W_]+)*)|(?P<asks>\?)",
    re.IGNORECASE,
)
_SIZES = {"k": 3, "t": 12, "m": 6, "b": 9}
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|e)$")


def _listed(words: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", words))


_EMPTY = _listed(
    "the a an of and in on at for as its their this that has have had be been is are was were",
)
"""Words that say nothing by themselves."""

_CHANGING = _listed(
    """
    not no never none neither nor without un non anti ex former fake false hoax alleged allegedly supposed rumored will
    rumoured may might could would can should must to by from with against up down above below over under before after
    until if unless despite except only almost nearly partially partly half again re another other new more less most
    least fewer deny denies denied reject rejects rejected halt halts halted stop stops stopped fail fails failed lift
    lifts lifted end ends ended resume resumes resumed refuse refuses refused plan plans planned consider considers mull
    mulls weigh weighs delay delays delayed cancel cancels cancelled canceled reverse reverses reversed lose loses lost
    drop drops dropped back off out one two three four five six seven eight nine ten dozen dozens hundred hundreds
    thousand thousands million millions billion billions first second third last double triple daily weekly monthly
    bitcoin ether ethereum solana ripple dogecoin cardano litecoin monero tether stablecoin stablecoins polkadot tron
    avalanche chainlink toncoin sui aptos arbitrum optimism polygon shiba pepe
    """
)
"""Words that make another story of a headline, where they stand in one of two alone."""


@dataclass(frozen=True, slots=True)
class _Sketch:
    """The words of a headline that count, each in one form; and of each, whether it may be missing in the other."""

    words: tuple[str, ...]
    spare: tuple[bool, ...]


def near_equal(one: str, other: str) -> bool:
    """Return whether two headlines say the same.

    Their words must be the same in the same order, once case, punctuation, endings (`approves`, `approved`), forms of
    numbers (`$60,000`, `$60K`), words that say nothing, and a publisher's name at the end are set aside. One of them
    may have words more in one place: at most one in `MOST_ADDED` of its words, written in lower case, as a name, a
    number or a word like `not` or `may` makes another story. A word in another's place makes one always.
    """
    shorter, longer = sorted((_sketch(one), _sketch(other)), key=lambda sketch: len(sketch.words))
    added = len(longer.words) - len(shorter.words)
    if not shorter.words or added * MOST_ADDED > len(longer.words):
        return False
    at = 0
    while at < len(shorter.words) and shorter.words[at] == longer.words[at]:
        at += 1
    return shorter.words[at:] == longer.words[at + added :] and all(longer.spare[at : at + added])


def ends_of(headline: str) -> tuple[str, str]:
    """Return the first and the last word, in their one form: headlines that are nearly equal share one of them."""
    words = _sketch(headline).words
    return (words[0], words[-1]) if words else ("", "")


@lru_cache(maxsize=8192)
def _sketch(headline: str) -> _Sketch:
    text = _APOSTROPHE.sub("'", normalize("NFKC", headline))
    text = _DOTTED.sub(lambda dotted: dotted[0].replace(".", ""), _SIGNED.sub("", _OPENING.sub("", text)))
    shouted = text.upper() == text
    words, spare = [], []
    for match in _WORD.finditer(text):
        word = match["word"]
        if word is None:
            words.append(_number(match) if match["digits"] else "?")
            spare.append(False)
            continue
        name = word.isupper() and len(word) > 1 and not shouted  # THE may be a token
        if word.casefold() in _EMPTY and not name:
            continue
        words.append(_ENDING.sub("", word.casefold().removesuffix("'s")))
        spare.append(word.islower() and word.isalpha() and word not in _CHANGING)
    return _Sketch(tuple(words), tuple(spare))


def _number(match: re.Match[str]) -> str:
    value = Decimal(match["digits"].replace(",", ""))
    if size := match["size"]:
        value = value.scaleb(_SIZES["k" if size.casefold() == "thousand" else size[0].casefold()])
    return (
        f"{'-' if match['minus'] else ''}{match['money'] or ''}{value.normalize():f}{'%' if match['percent'] else ''}"
    )
