"""One panel's surface: where its slots and values lie, the grid, and the labels beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mcp_server.charts.library import Axes, LineCollection
from mcp_server.charts.paper import SMALL, Box, Paper, fitted, text_width
from mcp_server.charts.scale import Scale
from mcp_server.charts.times import TimeTick
from mcp_server.domain.candles import Floats

LABEL_PX = 20
"""Labels on an axis are at least this far apart."""

AXIS_GAP_PX = 9
"""The gap between a panel and the labels on its right."""

Z_GAP, Z_GRID, Z_FILL, Z_CANDLES, Z_LINES, Z_PRICE, Z_MARKS = range(7)
"""The layers, from the bottom."""


@dataclass(frozen=True, slots=True)
class Tag:
    """The label of one value that stands out: the last price."""

    value: float
    text: str
    color: str


class Plot:
    """A panel on the sheet, with its scale.

    Args:
        paper: the sheet.
        box: where on it.
        scale: the values from bottom to top.
        slots: how many candles fit from left to right.
    """

    def __init__(self, paper: Paper, box: Box, scale: Scale, slots: int) -> None:
        self.paper = paper
        self.theme = paper.theme
        self.box = box
        self.scale = scale
        self.slot_px = box.width / slots
        self.x: Floats = np.floor((np.arange(slots) + 0.5) * self.slot_px) + 0.5
        self.axes: Axes = paper.axes(box)
        if scale.log:
            self.axes.set_yscale("log")
        self.axes.set_ylim(scale.low, scale.high)

    def y(self, value: float) -> float:
        """Return the height at which a value lies, in pixels from the top of the sheet."""
        return self.box.bottom - self.scale.share(value) * self.box.height

    @property
    def body_px(self) -> int:
        """The width of a candle's body: an odd number of pixels, so that its wick is in the middle."""
        return max(int(self.slot_px * 0.72) - 1 | 1, 1)

    def frame(self) -> None:
        """Draw the line between this panel and what is above it, and the one beside its axis."""
        box, theme = self.box, self.theme
        self.paper.fill(Box(box.left, box.bottom, self.paper.width - box.left, 1), theme.border)
        self.paper.fill(Box(box.right, box.top, 1, box.height), theme.border)

    def time_grid(self, ticks: Sequence[TimeTick]) -> None:
        """Draw a line at each label of the time axis."""
        self._lines([((self.x[t.slot], self.scale.low), (self.x[t.slot], self.scale.high)) for t in ticks])

    def value_axis(self, values: Sequence[float], write: Callable[[float], str], *, tag: Tag | None = None) -> None:
        """Draw a line at each value and write it on the right, except where it would touch the edge or the tag."""
        inside = [value for value in values if self.writable(value)]
        self._lines([((0, value), (self.box.width, value)) for value in inside])
        taken = [self.y(tag.value)] if tag else []
        for value in inside:
            y = self.y(value)
            if all(abs(y - other) >= LABEL_PX for other in taken):
                self._label(y, write(value), self.theme.muted)
                taken.append(y)
        if tag:
            self._tag(tag)

    def writable(self, value: float) -> bool:
        """Return whether the label of a value would lie inside of this panel's height."""
        edge = LABEL_PX * 0.4
        return self.scale.holds(value) and self.box.top + edge <= self.y(value) <= self.box.bottom - edge

    def _label(self, y: float, text: str, color: str, *, bold: bool = False) -> None:
        room = self.paper.width - self.box.right - AXIS_GAP_PX - 2
        size = SMALL
        while size > 12 and text_width(text, size=size, bold=bold) > room:
            size -= 1
        text = fitted(text, room, size=size, bold=bold)
        self.paper.write(self.box.right + AXIS_GAP_PX, y, text, color, size=size, bold=bold)

    def _tag(self, tag: Tag) -> None:
        box = self.box
        y = round(min(max(self.y(tag.value), box.top + 13), box.bottom - 13))
        self.paper.fill(Box(box.right + 1, y - 13, self.paper.width - box.right - 1, 26), tag.color)
        self._label(y, tag.text, self.theme.on_tag, bold=True)

    def _lines(self, segments: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> None:
        if segments:
            grid = LineCollection(segments, colors=self.theme.grid, linewidths=1.0, zorder=Z_GRID)
            self.axes.add_collection(grid, autolim=False)
