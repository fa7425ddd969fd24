"""Indicators that are given with the candles: news is counted elsewhere, as of each candle's close."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server.domain.indicators.indicator import Indicator, Parameter
from mcp_server.domain.news.rate import MOST_HOURS

if TYPE_CHECKING:
    from mcp_server.domain.indicators.spec import Spec

_GROUP = "News"

FROM_NEWS = {
    entry.name: entry
    for entry in (
        Indicator(
            name="news_per_hour",
            title="News per hour",
            group=_GROUP,
            library="collected news",
            inputs=("news",),
            sources=0,
            parameters=(Parameter("hours", 24, 1, MOST_HOURS, True),),
            outputs=("",),
            on_price=False,
            meaning="Stories about the coin that were first seen in the hours before the close, divided by these hours",
        ),
        Indicator(
            name="fear_greed",
            title="Fear & Greed index",
            group=_GROUP,
            library="collected news",
            inputs=("news",),
            sources=0,
            parameters=(),
            outputs=("",),
            on_price=False,
            meaning="Mood of the crypto market as last seen by the close: 0 is extreme fear, 100 extreme greed",
        ),
    )
}
"""By their names. `MEANINGS` and a warm-up are of what is computed of candles; these are NULL where news was not
collected."""


@dataclass(frozen=True, slots=True)
class GivenNews:
    """One of them as rules want it; `hours` is None for the index."""

    name: str
    hours: int | None

    @property
    def key(self) -> str:
        """Its name among the columns that are given with candles."""
        return self.name if self.hours is None else f"{self.name}_{self.hours}"

    @property
    def spec(self) -> str:
        """How it is written in a strategy."""
        return self.name if self.hours is None else f"{self.name}({self.hours})"


def given_as(spec: "Spec") -> GivenNews | None:
    """Return what is to be given for a spec; None where it is computed."""
    if spec.function not in FROM_NEWS:
        return None
    hours = spec.parameters.get("hours")
    return GivenNews(spec.function, None if hours is None else int(hours))


def news_wanted(specs: "Sequence[Spec | str]") -> tuple[GivenNews, ...]:
    """Return all that is to be given for indicators and for what they are computed of, each once, in order."""
    return tuple(sorted(set(_wanted(specs)), key=lambda one: (one.name, one.hours or 0)))


def _wanted(specs: "Sequence[Spec | str]") -> "Iterator[GivenNews]":
    for spec in specs:
        if not isinstance(spec, str):
            given = given_as(spec)
            yield from _wanted(spec.inputs) if given is None else (given,)
