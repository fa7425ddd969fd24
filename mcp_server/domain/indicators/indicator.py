"""An entry of the catalogue: an indicator's inputs, parameters and outputs."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Number = int | float

TotalKind = Literal["sum", "product"]
"""How a running total adds up: another first candle adds a constant to all of a sum, or multiplies all of a product."""

Library = Literal["TA-Lib", "pandas-ta-classic", "collected news"]

MAX_PERIOD = 1000
"""The longest period in candles: it bounds the work, and ten times it is the longest history asked for."""

MOST_HISTORY = 10_000


IMPORTING = threading.Lock()
"""Held while one of the libraries is imported: TA-Lib must not find pandas then, and the other library needs it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: `whole` for a number of candles or a choice, and the least and greatest value allowed."""

    name: str
    default: Number
    low: Number
    high: Number
    whole: bool

    @property
    def is_period(self) -> bool:
        """Whether it counts candles (and doesn't choose a kind of moving average)."""
        return self.whole and not self.name.endswith("matype")


@dataclass(frozen=True, slots=True)
class Indicator:
    """One entry of the catalogue.

    Attributes:
        name: how a spec calls it, in lower case.
        title: its full name, as its library has it.
        group: what it belongs to, in TA-Lib's words.
        library: which library computes it; `collected news` are given (see `from_news`).
        inputs: candle columns in calling order; `periods` is a series of periods.
        sources: how many of them, from the first, `of` may replace.
        parameters: in the order in which a spec gives them.
        outputs: what each adds to the column's name, "" for the one that is named like the indicator.
        on_price: its values are prices, to be drawn over candles.
        totals: which outputs add up from the first candle on, and how: their level depends on where the history starts.
        by_session: it begins anew each day at 00:00 UTC.
        meaning: what it says, in one line.
    """

    name: str
    title: str
    group: str
    library: Library
    inputs: tuple[str, ...]
    sources: int
    parameters: tuple[Parameter, ...]
    outputs: tuple[str, ...]
    on_price: bool
    meaning: str
    totals: Mapping[str, TotalKind] = field(default_factory=dict)
    by_session: bool = False

    @property
    def signature(self) -> str:
        """Its spec with every parameter named, like `macd(fastperiod=12, slowperiod=26, signalperiod=9)`."""
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(f'{p.name}={p.default:g}' for p in self.parameters)})"
