"""An entry of the catalogue: an indicator's inputs, parameters and outputs."""

import threading
from dataclasses import dataclass
from typing import Literal

Number = int | float

Library = Literal["TA-Lib", "pandas-ta-classic"]

MAX_PERIOD = 1000
"""The longest period in candles: it bounds the work, and ten times it is the longest history asked for."""


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
        library: which library computes it.
        inputs: candle columns in calling order; `periods` is a series of periods.
        sources: how many of them, from the first, `of` may replace.
        parameters: in the order in which a spec gives them.
        outputs: what each adds to the column's name, "" for the one that is named like the indicator.
        on_price: its values are prices, to be drawn over candles.
        running: it adds up from the first candle on, so its level depends on where the history starts.
        repaints: later candles change its past values; no rule may use it.
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
    running: bool
    repaints: bool
    meaning: str

    @property
    def signature(self) -> str:
        """Its spec with every parameter named, like `macd(fastperiod=12, slowperiod=26, signalperiod=9)`."""
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(f'{p.name}={p.default:g}' for p in self.parameters)})"
