"""How an indicator answers when a running total that it is computed of begins somewhere else.

A running total (OBV) begins at the first candle that was loaded, so its level is known only up to a constant. Nothing
may depend on that constant: what it does to an indicator is measured, on made-up candles.
"""

from collections.abc import Mapping

import numpy as np

from mcp_server.domain.candles import Candles, Floats, GivenColumn
from mcp_server.domain.indicators.catalog import find
from mcp_server.domain.indicators.compute import outputs_of
from mcp_server.domain.indicators.from_news import news_wanted
from mcp_server.domain.indicators.history import made_up_candles
from mcp_server.domain.indicators.indicator import TotalKind
from mcp_server.domain.indicators.spec import Spec

Total = tuple[str, TotalKind]
"""A running total, by its function, parameters and inputs, and how it adds up."""

Moves = Mapping[Total, float]
"""Total → what another beginning of it does: of a sum, how many times the added constant is added (an average: 1); of
a product, the power of the factor that multiplies. A total that is not in it changes nothing."""

_CHANGES: dict[TotalKind, tuple[float, ...]] = {"sum": (12_345.678, -54_321.987, 97.31), "product": (1.37, 0.61, 2.9)}
_ROWS = 300
_EXACT = 1e-7


def moves(spec: Spec) -> tuple[Moves | None, ...]:
    """Return how each column of an indicator answers to other beginnings; None: in another way than `Moves` says."""
    totals = dict(_totals(spec))
    answers: list[dict[Total, float] | None] = [{} for _ in spec.columns]
    if totals:
        made_up = made_up_candles()
        times = np.arange(len(made_up["close"])) * 3_600_000
        columns = (made_up[name] for name in ("open", "high", "low", "close", "volume"))
        given = {one.key: GivenColumn(made_up["volume"]) for one in news_wanted([spec])}
        candles = Candles(times, *columns, given=given).slice(0, spec.history + spec.sessions * 24 + _ROWS)
        plain = outputs_of(spec, candles)
        for name, kind in totals.items():
            changed = [(by, outputs_of(spec, candles, _Beginning(name, kind, by))) for by in _CHANGES[kind]]
            for position, answer in enumerate(answers):
                pairs = [(by, outputs[position][-_ROWS:]) for by, outputs in changed]
                move = _move(kind, plain[position][-_ROWS:], pairs)
                if move is None:
                    answers[position] = None
                elif answer is not None and move:
                    answer[name, kind] = move
    return tuple(answers)


class _Beginning:
    """Changes the outputs of one running total as another beginning would."""

    def __init__(self, name: str, kind: TotalKind, by: float) -> None:
        self._name, self._kind, self._by = name, kind, by

    def __call__(self, spec: Spec, outputs: tuple[Floats, ...]) -> tuple[Floats, ...]:
        if _name(spec) != self._name:
            return outputs
        entry = find(spec.function)
        return tuple(
            (values + self._by if self._kind == "sum" else values * self._by) if name in entry.totals else values
            for name, values in zip(entry.outputs, outputs, strict=True)
        )


def _totals(spec: Spec) -> list[tuple[str, TotalKind]]:
    """List the running totals that an indicator is, or is computed of."""
    kinds = set(find(spec.function).totals.values())
    inner = [total for source in spec.inputs if isinstance(source, Spec) for total in _totals(source)]
    return [*((_name(spec), kind) for kind in kinds), *inner]


def _name(spec: Spec) -> str:
    parameters = ",".join(f"{value:g}" for value in spec.parameters.values())
    inputs = (f"{_name(source)}{source.picked}" if isinstance(source, Spec) else source for source in spec.inputs)
    return f"{spec.function}({parameters}) of {','.join(inputs)}"


def _move(kind: TotalKind, plain: Floats, changed: list[tuple[float, Floats]]) -> float | None:
    """Return the one share, or power, that explains every change; None where there is none."""
    known = np.isfinite(plain)
    if not known.any() or any((np.isfinite(values) != known).any() for _, values in changed):
        return None
    plain = plain[known]
    size = float(np.abs(plain).max())
    move: float | None = None
    for by, values in ((by, values[known]) for by, values in changed):
        if move is None:
            move = _fitted(kind, by, plain, values)
        expected = plain + move * by if kind == "sum" else plain * by**move
        allowed = _EXACT * (size + abs(move * by) if kind == "sum" else size * by**move)
        if (np.abs(values - expected) > allowed).any():
            return None
    return move


def _fitted(kind: TotalKind, by: float, plain: Floats, values: Floats) -> float:
    if kind == "sum":
        return round(float(np.median(values - plain)) / by, 6)
    ratios = values[plain != 0] / plain[plain != 0]
    ratio = float(np.median(ratios)) if len(ratios) else 1.0
    return round(float(np.log(ratio) / np.log(by)), 6) if ratio > 0 else 0.0
