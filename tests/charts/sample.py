"""Charts to draw in tests, and their pictures as arrays of pixels."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mcp_server.charts.chart import Chart
from mcp_server.charts.draw import draw
from mcp_server.charts.theme import THEMES
from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.chart_layout import layout
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.parse import parse_specs
from mcp_server.domain.timeframes import timeframe_ms, to_ms

AS_OF_MS = to_ms(datetime(2026, 5, 20, 12, 0, tzinfo=UTC))
DARK = THEMES["dark"]

Pixels = npt.NDArray[np.int_]


def waves(count: int, *, price: float = 100.0, timeframe: str = "1h", holes: Sequence[int] = ()) -> Candles:
    """Make candles that rise and fall around a price, the last of them closed at the as-of."""
    step = np.arange(count)
    close: Floats = price * (1 + 0.05 * np.sin(step / 9) + 0.01 * np.cos(step * 1.7))
    opened: Floats = np.concatenate([[price], close[:-1]])
    reach = price * 0.004 * (1 + step % 3)
    high, low = np.maximum(opened, close) + reach, np.minimum(opened, close) - reach
    times = AS_OF_MS - timeframe_ms(timeframe) * (count - step)
    kept = np.setdiff1d(step, np.arange(count)[list(holes)])
    volume = (50 + step % 7).astype(np.float64)
    columns: list[Floats] = [opened, high, low, close, volume]
    return Candles(times[kept].astype(np.int64), *(column[kept] for column in columns))


def chart(candles: Candles, specs: Sequence[str] = (), **others: Any) -> Chart:
    """Describe a chart of candles with their indicators."""
    parsed = parse_specs(specs)
    facts = {
        "symbol": "BTC/USDT",
        "exchange": "kraken",
        "timeframe": "1h",
        "as_of_ms": AS_OF_MS,
        "simulated": False,
        "candles": candles,
        "layout": layout(parsed),
        "columns": compute(parsed, candles),
    }
    return Chart(**{**facts, **others})


def pixels(png: bytes) -> Pixels:
    """Decode a picture: rows from the top, columns from the left, red, green and blue."""
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


def drawn(subject: Chart) -> Pixels:
    return pixels(draw(subject))


def places(picture: Pixels, color: str) -> npt.NDArray[np.int_]:
    """List where a picture has exactly this colour, as (row, column)."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    red, green, blue = (picture[:, :, part] == wanted[part] for part in range(3))
    return np.argwhere(red & green & blue)


def columns_of(picture: Pixels, color: str, *, top: int = 0, bottom: int | None = None) -> list[int]:
    """List in which columns a colour is, from row `top` to row `bottom`."""
    return sorted({int(column) for _, column in places(picture[top:bottom], color)})
