"""An indicator as it is to be computed, and the names of its columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from mcp_server.domain.indicators.indicator import MOST_HISTORY, Indicator, Number
from mcp_server.domain.timeframes import DAY_MS, timeframe_ms
from mcp_server.errors import BadInput


@dataclass(frozen=True, slots=True)
class Spec:
    """One indicator as it is to be computed.

    Attributes:
        text: as it was written.
        function: the catalogue's entry.
        parameters: all of its parameters.
        inputs: what it is computed of, in calling order: candle columns, other specs (their first column), or `news`.
        source: what was named with `of`, as part of a column's name, if anything was.
        columns: the names of its outputs.
        warm_up: counts the leading rows without a value.
        history: counts the candles wanted for a last value that is stable to 1e-9 relative (at most 10,000).
        picked: the positions of its outputs among the entry's.
        running: it adds up from the first candle on, or is computed of what does: its level depends on where that is.
        sessions: of how many days' sessions, one after the other, it is computed.
        settled: with `history` candles its last value is stable; false where even 10,000 are not enough.
    """

    text: str = field(compare=False)
    function: str
    parameters: Mapping[str, Number]
    inputs: "tuple[str | Spec, ...]"
    source: str | None
    columns: tuple[str, ...]
    warm_up: int
    history: int
    picked: tuple[int, ...] = (0,)
    running: bool = False
    sessions: int = 0
    settled: bool = True

    def candles_wanted(self, timeframe: str) -> int:
        """Count the candles of a timeframe that it needs: its history, and a whole day for each session.

        Raises:
            BadInput: it is computed of sessions, and the timeframe is a day or longer.
        """
        length = timeframe_ms(timeframe)
        if self.sessions and length >= DAY_MS:
            raise BadInput(
                f"{self.text!r} begins anew each day at 00:00 UTC, so {timeframe} candles are too long for it.",
                "Use a shorter timeframe, or 'vwma(20)'.",
            )
        return min(self.history + self.sessions * (DAY_MS // length), MOST_HISTORY)


def distinct(specs: Sequence[Spec]) -> tuple[Spec, ...]:
    """Drop repetitions.

    Raises:
        BadInput: two that differ share a column.
    """
    kept: list[Spec] = []
    owners: dict[str, Spec] = {}
    for spec in specs:
        if spec in kept:
            continue
        for column in spec.columns:
            if column in owners:
                problem = f"{owners[column].text!r} and {spec.text!r} both name {column!r}."
                raise BadInput(problem, "Keep one of them.")
            owners[column] = spec
        kept.append(spec)
    return tuple(kept)


def column_names(
    indicator: Indicator, parameters: Mapping[str, Number], written: Mapping[str, Number], source: str | None
) -> tuple[str, ...]:
    """Return the columns of an indicator, one per output, as its spec names them.

    Args:
        indicator: the catalogue's entry.
        parameters: all of its parameters.
        written: those that the spec gives. All up to the last of these are part of the name.
        source: what it is computed of, if `of` names anything.
    """
    order = [parameter.name for parameter in indicator.parameters]
    last = max((order.index(name) for name in written), default=-1)
    parts = [indicator.name, *(_label(parameters[name]) for name in order[: last + 1])]
    parts += ["of", source] if source else []
    base = "_".join(parts)
    return tuple(f"{base}_{output}" if output else base for output in indicator.outputs)


def _label(value: Number) -> str:
    digits = format(Decimal(repr(value)), "f")
    shortest = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return shortest.replace("-", "m").replace(".", "p")
