"""Divides a sheet into heading, price, volume, panels and time axis, from top to bottom."""

from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.charts.legend import LINE_PX
from mcp_server.charts.paper import Box

WIDTH, HEIGHT = 1200, 800
LEFT, HEADING, TIME_AXIS = 16, 86, 38

VOLUME = 78
_PRICE_LEAST, _PANEL, _EVENT_ROW = 380, 96, 22
_MARGIN = 8


@dataclass(frozen=True, slots=True)
class Section:
    """One panel's share of the sheet: where its legend begins, and where it is drawn."""

    legend_top: int
    box: Box


def panel_px(event_rows: int) -> int:
    """Return the height of a panel below the volume; one of patterns has a row for each."""
    return event_rows * _EVENT_ROW + _MARGIN if event_rows else _PANEL


def divided(right: int, legend_lines: Sequence[int], below_px: Sequence[int]) -> tuple[int, list[Section]]:
    """Divide the sheet, which grows where the panels would leave too little for the price.

    Args:
        right: the width of the axis on the right.
        legend_lines: how many lines the legends of the price and of each panel below it take.
        below_px: the height of each panel below the price.

    Returns:
        The sheet's height, and the sections of the price and of each panel below it.
    """
    heights = [0, *below_px]
    legends = [lines * LINE_PX + _MARGIN for lines in legend_lines]
    others = HEADING + TIME_AXIS + sum(heights) + sum(legends)
    heights[0] = max(HEIGHT - others, _PRICE_LEAST)
    sections, top = [], HEADING
    for height, legend in zip(heights, legends, strict=True):
        sections.append(Section(top + _MARGIN // 2, Box(LEFT, top + legend, WIDTH - LEFT - right, height)))
        top += legend + height
    return top + TIME_AXIS, sections
