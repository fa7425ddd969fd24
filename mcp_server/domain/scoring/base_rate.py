"""How often BUY and SELL would have been right at any moment of a market, net of costs: the control of a hit rate.

A moment is a candle: entered at its open, left at the close that an outcome of the same horizon has. Moments of swaps
are net of fundings only where fundings are given.
"""

from dataclasses import dataclass

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.scoring.signals import JudgedSignals

LEAST_MOMENTS = 1_000
"""A share of fewer moments is no null for a single outcome, and a record's span is widened backwards to as many."""


@dataclass(frozen=True, slots=True)
class BaseRate:
    """The share of moments of a span at which a direction would have been right, from 0 to 1.

    `buy` and `sell` are of every moment of the span, `weighted` by how often the strategy signalled either. Each is
    None where it has no moment, or no signal to weight by. `moments` counts them.
    """

    buy: float | None
    sell: float | None
    weighted: float | None
    moments: int


@dataclass(frozen=True, slots=True, eq=False)
class KnownShares:
    """What was known at each entry about its direction, one value for each signal; NaN for a HOLD.

    Also NaN: `share` and `limit` where fewer than LEAST_MOMENTS moments were known. `limit` is the upper end of a
    one-sided 99 % interval around `share`; `independent` is the effective number of moments, whose horizons overlap.
    """

    share: Floats
    limit: Floats
    independent: Floats


def base_rate(
    candles: Candles, timeframe: str, judged: JudgedSignals, fundings: dict[int, Floats] | None = None
) -> BaseRate:
    """Return the base rate over a record's own span, widened backwards to LEAST_MOMENTS moments where it is shorter.

    Args:
        candles: closed candles of the market, oldest first, with any gaps, from LEAST_MOMENTS before the first entry.
        timeframe: of the candles.
        judged: the record. Where its horizons or costs differ, each is weighted by its signals.
        fundings: horizon (ms) → what a long position that enters at each candle pays until that horizon's exit, as a
            ratio of the entry price (NaN: not known, the moment is left out). None: nothing, as on spot.
    """
    raise NotImplementedError


def known_shares(
    candles: Candles, timeframe: str, judged: JudgedSignals, fundings: dict[int, Floats] | None = None
) -> KnownShares:
    """Return, for each signal, the share of moments known at its entry at which its direction was right.

    Known are moments whose exit candle had closed by the entry. Arguments as of `base_rate`; each entry looks at all
    earlier candles that are given, and more of them make its limit tighter.
    """
    raise NotImplementedError
