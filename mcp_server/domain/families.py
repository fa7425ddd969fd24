"""The families of tools: a server may offer some of them only, and says so."""

from collections.abc import Sequence

from mcp_server.domain.error_hints import nearest
from mcp_server.errors import BadInput

FAMILIES = ("market", "indicators", "blockchain", "news", "strategies", "journal")
"""The folders of `tools/`."""

_ABOUT = {
    "market": "market data",
    "indicators": "indicators",
    "blockchain": "chains",
    "news": "news",
    "strategies": "trading strategies that give signals",
    "journal": "the record of trading strategies' signals",
}

_WHOLE = frozenset(FAMILIES) - {"blockchain", "news"}

WHAT_THE_PAGE_NEEDS = "the tools market, indicators, strategies and journal"


def whole(families: frozenset[str]) -> bool:
    """Return whether there are all families from which prompts and pages call tools."""
    return families >= _WHOLE


def parse_families(text: str) -> frozenset[str]:
    """Read names of families, separated by commas.

    Raises:
        BadInput: a name is no family's, or there is none.
    """
    names = {name.strip() for name in text.split(",")} - {""}
    if not names:
        raise BadInput("No family of tools is named.", f"Known: {', '.join(FAMILIES)}.")
    for name in sorted(names):
        if name not in FAMILIES:
            raise BadInput(f"Unknown family of tools {name!r}.", nearest(name, FAMILIES))
    return frozenset(names)


def offered_about(families: frozenset[str]) -> str:
    """Return what a server offers, as the sentences that its instructions begin with."""
    told = families - {"journal"} if "strategies" in families else families
    listed = _and([_ABOUT[name] for name in FAMILIES if name in told])
    rest = [name for name in FAMILIES if name not in families]
    left_out = f" This server was started without the tools for {_and(rest)}." if rest else ""
    return f"{listed[0].upper()}{listed[1:]}; it places no orders.{left_out}"


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
