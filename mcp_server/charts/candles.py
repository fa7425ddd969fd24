"""Candles and volume. A candle that rose is hollow, one that fell is filled: the difference needs no colours."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mcp_server.charts.library import LineCollection, PolyCollection
from mcp_server.charts.plot import Z_CANDLES, Z_GAP, Plot
from mcp_server.domain.candles import Floats, Times

HOLLOW_FROM_PX = 5
"""A narrower body has no room to be hollow."""

_STOUT_FROM_PX = 25
"""A wider body has a wick that matches it."""

Rising = npt.NDArray[np.bool_]


def draw_candles(
    plot: Plot, at: Times, candles: tuple[Floats, Floats, Floats, Floats], colors: tuple[str, str] | None = None
) -> None:
    """Draw candles (open, high, low, close) at slots; one with an undefined value is left out.

    `colors` are those of a candle that rose and of one that fell; None: the theme's.
    """
    up, down = colors or (plot.theme.up, plot.theme.down)
    whole = np.isfinite(np.column_stack(candles)).all(axis=1)
    opened, high, low, close = (column[whole] for column in candles)
    x, rising, body = plot.x[at[whole]], close >= opened, plot.body_px
    tints = np.where(rising, up, down)
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    thin = {"linewidths": 1.0 if body < _STOUT_FROM_PX else 3.0, "zorder": Z_CANDLES, "antialiaseds": False}
    if body < HOLLOW_FROM_PX:
        wicks = _segments(x, low, high)
        faint = 0.55 if body == 1 else 1.0
        plot.axes.add_collection(LineCollection(wicks, colors=tints, alpha=faint, **thin), autolim=False)
        faces = tints
    else:
        wicks = [*_segments(x, low, bottom), *_segments(x, top, high)]
        plot.axes.add_collection(LineCollection(wicks, colors=[*tints, *tints], **thin), autolim=False)
        faces = np.where(rising, plot.theme.tinted(up, 0.3), tints)
    _boxes(plot, x, bottom, top, faces, tints)


def draw_volume(plot: Plot, at: Times, volume: Floats, rising: Rising) -> None:
    """Draw the volume of each candle, in the colour of the candle."""
    colors = np.where(rising, plot.theme.up, plot.theme.down)
    _columns(plot, plot.x[at], np.zeros(len(volume)), volume, colors, alpha=0.6)


def draw_bars(plot: Plot, at: Times, values: Floats) -> None:
    """Draw values as columns from zero, those below in the other colour; undefined ones are left out."""
    defined = np.isfinite(values)
    values = values[defined]
    colors = np.where(values >= 0, plot.theme.up, plot.theme.down)
    _columns(plot, plot.x[at[defined]], np.minimum(values, 0), np.maximum(values, 0), colors, alpha=0.6)


def shade_gaps(plot: Plot, at: Times) -> None:
    """Shade the slots whose candle is missing."""
    holes = [(before + 1, after) for before, after in pairwise(at.tolist()) if after - before > 1]
    if at[-1] + 1 < len(plot.x):
        holes.append((at[-1] + 1, len(plot.x)))
    shade = plot.theme.tinted(plot.theme.muted, 0.11)
    for first, end in holes:
        left, right = (round(float(edge) * plot.slot_px) for edge in (first, end))
        plot.axes.axvspan(left, right, color=shade, linewidth=0, zorder=Z_GAP)


def _segments(x: Floats, low: Floats, high: Floats) -> list[Floats]:
    return [*np.stack([np.column_stack([x, low]), np.column_stack([x, high])], axis=1)]


def _boxes(plot: Plot, x: Floats, low: Floats, high: Floats, faces: npt.ArrayLike, edges: npt.ArrayLike) -> None:
    """Draw bodies: outlined, so that one without any height is still a line."""
    half = (plot.body_px - 1) / 2
    if half:
        boxes = _corners(x - half, x + half, low, high)
        bodies = PolyCollection(boxes, facecolors=faces, edgecolors=edges, linewidths=1.0, zorder=Z_CANDLES)
        bodies.set_antialiased(False)
        plot.axes.add_collection(bodies, autolim=False)
    else:
        bodies_of_a_pixel = LineCollection(_segments(x, low, high), colors=edges, linewidths=1.0, zorder=Z_CANDLES)
        bodies_of_a_pixel.set_antialiased(False)
        plot.axes.add_collection(bodies_of_a_pixel, autolim=False)


def _columns(plot: Plot, x: Floats, low: Floats, high: Floats, colors: npt.ArrayLike, *, alpha: float) -> None:
    half = plot.body_px / 2
    boxes = _corners(x - half, x + half, low, high)
    drawn = PolyCollection(boxes, facecolors=colors, edgecolors="none", linewidths=0.0, alpha=alpha, zorder=Z_CANDLES)
    drawn.set_antialiased(False)
    plot.axes.add_collection(drawn, autolim=False)


def _corners(left: Floats, right: Floats, low: Floats, high: Floats) -> list[Floats]:
    corners = [(left, low), (left, high), (right, high), (right, low)]
    return [*np.stack([np.column_stack(corner) for corner in corners], axis=1)]
