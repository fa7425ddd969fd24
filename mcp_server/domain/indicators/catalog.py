"""The one catalogue of indicators: all of TA-Lib, what pandas-ta-classic has beyond it, and what news gives.

Where both have one, TA-Lib computes it: it is a thousand times faster, and its warm-up is part of its metadata.
"""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from typing import Protocol

import numpy as np

from mcp_server.domain.candles import CANDLE_COLUMNS, Floats
from mcp_server.domain.indicators import pandas_ta_functions, talib_functions
from mcp_server.domain.indicators.extras import EXTRAS, LEFT_OUT
from mcp_server.domain.indicators.from_news import FROM_NEWS
from mcp_server.domain.indicators.indicator import Indicator, Number
from mcp_server.domain.indicators.meanings import KEYWORDS
from mcp_server.errors import NotFound


class _Library(Protocol):
    def lookback(self, name: str, parameters: Mapping[str, Number], /) -> int: ...

    def call(self, name: str, inputs: Sequence[Floats], parameters: Mapping[str, Number], /) -> tuple[Floats, ...]: ...


_ALIKE = 0.6
"""The share of two names' letters that must be the same."""


@cache
def names() -> tuple[str, ...]:
    """List the names of all that is computed of candles, sorted."""
    return tuple(sorted(talib_functions.names() | set(EXTRAS)))


@cache
def all_names() -> tuple[str, ...]:
    """List every entry's name: what is computed of candles, then what news gives."""
    return (*names(), *FROM_NEWS)


@cache
def find(name: str) -> Indicator:
    """Describe the entry of that name, in lower case.

    Raises:
        NotFound: no such entry; the remedy names the nearest, or what to write instead.
    """
    if name in talib_functions.names():
        return talib_functions.describe(name)
    if name in EXTRAS:
        return pandas_ta_functions.describe(name)
    if name in FROM_NEWS:
        return FROM_NEWS[name]
    if name in CANDLE_COLUMNS:
        remedy = f"Write 'sma(20) of {name}'; rules have the column itself."
        raise NotFound(f"{name!r} is a candle's own column.", remedy)
    if name in LEFT_OUT:
        raise NotFound(f"{name!r} is not in the catalogue.", LEFT_OUT[name])
    near = _nearest(name)
    remedy = f"Did you mean {' or '.join(map(repr, near))}?" if near else "find_indicators lists them."
    raise NotFound(f"Unknown indicator {name!r}.", remedy)


def _nearest(name: str) -> list[str]:
    """Return up to three entries that people call by this name, else those spelt alike, TA-Lib's first on a tie."""
    words = {word for keywords in KEYWORDS.values() for word in keywords.split()}
    meant = name if name in words else next(iter(get_close_matches(name[:40], words, n=1, cutoff=0.85)), None)
    by_keyword = [entry for entry in all_names() if meant in KEYWORDS.get(entry, "").split()]
    likeness = [(SequenceMatcher(None, name, entry).ratio(), entry not in EXTRAS, entry) for entry in all_names()]
    by_spelling = [entry for ratio, _, entry in sorted(likeness, reverse=True) if ratio >= _ALIKE]
    return (by_keyword if meant == name else by_spelling or by_keyword)[:3]


def lookback(indicator: Indicator, parameters: Mapping[str, Number]) -> int:
    """Count the leading rows without a value, with these parameters; -1 when the library refuses them together."""
    if indicator.name in FROM_NEWS:
        return 0
    library: _Library = talib_functions if indicator.library == "TA-Lib" else pandas_ta_functions
    return library.lookback(indicator.name, parameters)


def call(indicator: Indicator, inputs: Sequence[Floats], parameters: Mapping[str, Number]) -> tuple[Floats, ...]:
    """Compute one indicator over arrays of one length.

    Where an input is undefined, so is the indicator, and it begins anew after that: a NaN would poison all later ones.
    A running total goes on from where it was.

    Args:
        indicator: the entry.
        inputs: its columns in calling order.
        parameters: all of its parameters.

    Returns:
        One array per output, as long as the inputs; NaN in the warm-up, wherever the value is not finite, and where it
        would be 0/0.

    Raises:
        BadInput: when the library refuses these parameters together.
    """
    library: _Library = talib_functions if indicator.library == "TA-Lib" else pandas_ta_functions
    outputs = tuple(np.full(len(inputs[0]), np.nan) for _ in indicator.outputs)
    for start, end in _defined_runs(inputs):
        part = library.call(indicator.name, [column[start:end] for column in inputs], parameters)
        for name, output, values in zip(indicator.outputs, outputs, part, strict=True):
            known = output[np.isfinite(output)]
            goes_on = indicator.totals.get(name) == "sum" and len(known)
            output[start:end] = values + known[-1] if goes_on else values
    return outputs


def _defined_runs(inputs: Sequence[Floats]) -> list[tuple[int, int]]:
    """Return the stretches of rows in which every input is finite."""
    finite = np.concatenate([[False], np.logical_and.reduce([np.isfinite(column) for column in inputs]), [False]])
    edges = np.flatnonzero(finite[1:] != finite[:-1])
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
