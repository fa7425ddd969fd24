"""What a chart on a page draws of indicators: a layout as one list of lines, each with its pane, shape and colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mcp_server.domain.chart_layout import Drawing, Study
    from mcp_server.domain.indicators.spec import Spec

COLORS = 8
"""Lines take colours in turn within a pane."""

Total = Literal["sum", "product", "apart"]
"""What another first candle does to a running total, and to what is computed of one: it adds a constant to all its
values, multiplies them, or changes them in another way, so that values of two answers cannot be joined."""

LineShape = Literal["line", "dots", "bars", "turning", "candles", "events"]
Pane = int | Literal["volume"]


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One thing to draw, with the values of its columns.

    `pane`: 0 is the price, `volume` lies on its volume, 1 and more are panes below. `color`: a number from 1. `levels`:
    where traders read it. `total`: how values of two answers are joined. Shapes are those of `chart_layout`; bands and
    clouds are lines.
    """

    columns: tuple[str, ...]
    pane: Pane
    shape: LineShape
    color: int
    dashed: bool = False
    levels: tuple[float, ...] = ()
    total: Total | None = None


def chart_lines(specs: Sequence[Spec]) -> list[ChartLine]:
    """List what is drawn of indicators, on the price first.

    Raises:
        BadInput: there would be too many panels.
    """
    from mcp_server.domain.chart_layout import layout as placed

    layout, totals = placed(specs), _totals(specs)
    panes: list[tuple[Pane, tuple[Study, ...]]] = [
        (0, layout.price),
        ("volume", layout.volume),
        *((number, studies) for number, studies in enumerate(layout.panels, 1)),
    ]
    return [line for pane, studies in panes for line in _lines(pane, studies, totals)]


def _totals(specs: Sequence[Spec]) -> dict[str, Total]:
    """Return how each column that rests on a running total answers to another first candle."""
    from mcp_server.domain.indicators.totals import moves

    totals: dict[str, Total] = {}
    for spec in specs:
        for column, move in zip(spec.columns, moves(spec) if spec.running else (), strict=spec.running):
            kinds = {"apart"} if move is None else {kind for (_, kind) in move}
            if kinds:
                totals[column] = "sum" if kinds == {"sum"} else "product" if kinds == {"product"} else "apart"
    return totals


def _lines(pane: Pane, studies: tuple[Study, ...], totals: Mapping[str, Total]) -> Iterator[ChartLine]:
    taken = 0
    for study in studies:
        levels = study.guides or ((0.0,) if any(drawing.shape == "bars" for drawing in study.drawings) else ())
        for drawing in study.drawings:
            for columns, shape, dashed, more in _parts(drawing):
                taken += more
                color = (taken - 1) % COLORS + 1
                yield ChartLine(columns, pane, shape, color, dashed, levels, totals.get(columns[0]))
                levels = ()


def _parts(drawing: Drawing) -> Iterator[tuple[tuple[str, ...], LineShape, bool, int]]:
    """List a drawing's columns that are drawn as one, their shape, whether dashed, and how many colours that takes."""
    match drawing.shape:
        case "band":
            for position, column in enumerate(drawing.columns):
                yield (column,), "line", len(drawing.columns) == 3 and position == 1, int(position == 0)
        case "cloud":
            for column in drawing.columns:
                yield (column,), "line", False, 1
        case shape:
            yield drawing.columns, shape, False, 1
