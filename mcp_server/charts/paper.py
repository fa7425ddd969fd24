"""The sheet that a chart is drawn on: a figure measured in pixels from its top left corner."""

import io
from dataclasses import dataclass
from functools import cache
from typing import Literal

from mcp_server.charts.library import (
    FONTS,
    Axes,
    Figure,
    FigureCanvasAgg,
    FontProperties,
    Image,
    Rectangle,
    Text,
    get_font,
)
from mcp_server.charts.theme import Theme

DPI = 72
"""One point is one pixel, so that every size and width is in pixels."""

TITLE, BODY, SMALL = 27.0, 19.0, 18.0
"""Sizes of letters, still readable where a chat shows the picture at half its width."""

_REGULAR, _BOLD = FONTS / "DejaVuSans.ttf", FONTS / "DejaVuSans-Bold.ttf"
_MISSING = "□"
_HALF_A_CAPITAL = 0.365

Align = Literal["left", "center", "right"]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the sheet, in whole pixels from its top left corner."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """Its right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """Its lower edge."""
        return self.top + self.height


class Paper:
    """An empty sheet, to be drawn on by one thread."""

    def __init__(self, width: int, height: int, theme: Theme) -> None:
        self.width = width
        self.height = height
        self.theme = theme
        self._figure = Figure((width / DPI, height / DPI), dpi=DPI, facecolor=theme.background, edgecolor="none")
        self._canvas = FigureCanvasAgg(self._figure)
        self.inch = self._figure.dpi_scale_trans

    def axes(self, box: Box) -> Axes:
        """Add a surface to draw on: nothing on it yet, 0 to its width from left to right."""
        w, h = self.width, self.height
        axes = self._figure.add_axes((box.left / w, 1 - box.bottom / h, box.width / w, box.height / h))
        axes.set_axis_off()
        axes.set_xlim(0, box.width)
        return axes

    def write(
        self,
        x: float,
        y: float,
        text: str,
        color: str,
        *,
        size: float = BODY,
        bold: bool = False,
        align: Align = "left",
    ) -> None:
        """Write one line of text, `y` being the middle of its capital letters."""
        baseline = self.height - round(y + _HALF_A_CAPITAL * size)
        self._figure.add_artist(
            Text(
                x, baseline, readable(text), color=color, fontproperties=_font(size, bold), horizontalalignment=align,
                verticalalignment="baseline", parse_math=False, usetex=False, transform=None,
            )
        )  # fmt: skip

    def fill(self, box: Box, color: str, *, outline: str | None = None) -> None:
        """Fill a rectangle."""
        self._figure.add_artist(
            Rectangle(
                (box.left, self.height - box.bottom), box.width, box.height, facecolor=color,
                edgecolor=outline or "none", linewidth=1.0 if outline else 0.0, transform=None,
            )
        )  # fmt: skip

    def png(self) -> bytes:
        """Return the picture; the same drawing gives the same bytes."""
        self._canvas.draw()  # type: ignore[no-untyped-call]
        pixels = self._canvas.buffer_rgba()  # type: ignore[no-untyped-call]
        opaque = Image.frombuffer("RGBA", (self.width, self.height), pixels).convert("RGB")
        file = io.BytesIO()
        opaque.save(file, "PNG")
        return file.getvalue()


def text_width(text: str, *, size: float = BODY, bold: bool = False) -> float:
    """Measure a line of text in pixels."""
    font = get_font(str(_BOLD if bold else _REGULAR))
    font.set_size(size, DPI)
    font.set_text(readable(text), 0.0)
    return float(font.get_width_height()[0]) / 64


def fitted(text: str, width: float, *, size: float = BODY, bold: bool = False) -> str:
    """Cut a text so that it is no wider than `width` pixels, showing that it was cut."""
    if text_width(text, size=size, bold=bold) <= width:
        return text
    while text and text_width(text + "…", size=size, bold=bold) > width:
        text = text[:-1]
    return text + "…"


def readable(text: str) -> str:
    """Put a box in the place of each character that the font has no letter for: some symbols are Chinese."""
    return "".join(letter if ord(letter) in _letters() else _MISSING for letter in text)


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(str(_REGULAR)).get_charmap())


def _font(size: float, bold: bool) -> FontProperties:
    return FontProperties(fname=_BOLD if bold else _REGULAR, size=size)
