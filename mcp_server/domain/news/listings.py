"""A coin in an exchange's announcement: "Will List Plasma (XPL)", "Will Delist FLM, KDA and PERP"."""

import re
from collections.abc import Callable

_AND = r"(?:,? and |, | & )"
_AFTER = r"(?=,| and\b| & | on\b| for\b| spot\b| perpetual| trading|\W*$)"


def listing_matcher(ticker: str) -> Callable[[str], str | None]:
    """Return what tells by which words an announcement names a ticker as a coin's; None where it does not.

    It stands in brackets after its coin's name, whose initials it is not: `Know Your Customer (KYC)` is no coin. Or it
    is one of those that are listed or delisted.
    """
    coin = re.escape(ticker)
    bracketed = re.compile(rf"(?<=\w )\({coin}\)")
    listed = re.compile(rf"\b(?i:(?:de)?list(?:ing of)?) (?:[A-Z0-9]+{_AND})*({coin}){_AFTER}")

    def alias(headline: str) -> str | None:
        for match in bracketed.finditer(headline):
            if _initials(headline[: match.start()], len(ticker)) != ticker:
                return match[0]
        one = listed.search(headline)
        return one[1] if one else None

    return alias


def _initials(text: str, count: int) -> str:
    return "".join(word[0] for word in re.findall(r"\w+", text)[-count:]).upper()
