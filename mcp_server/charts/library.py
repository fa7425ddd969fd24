"""Matplotlib, as this project takes it: the only file that imports it, and only the parts without global state.

Left to itself, the import reads the user's matplotlibrc, looks through all fonts of the machine (seconds, the first
time), keeps what it finds in the user's home, and warns where that cannot be written. Here it sees an empty folder for
a moment instead, and its own fonts only: every chart looks the same everywhere, and nothing is left behind.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcp_server.errors import Misconfigured


@contextmanager
def _undisturbed() -> Iterator[None]:
    log = logging.getLogger("matplotlib")
    level, before = log.level, dict(os.environ)
    try:
        folder = tempfile.TemporaryDirectory(prefix="claude-trader-", ignore_cleanup_errors=True)
    except OSError:
        raise Misconfigured(
            "A chart needs a folder for temporary files, and none can be written.", "Set TMPDIR to one."
        ) from None
    with folder:
        ours = {"MPLCONFIGDIR": folder.name, "MATPLOTLIBRC": folder.name, "MPL_IGNORE_SYSTEM_FONTS": "1"}
        try:
            log.setLevel(logging.ERROR)  # a matplotlibrc in the working folder is read, complained of, and undone below
            os.environ.update(ours)
            yield
        finally:
            log.setLevel(level)
            for name in ours:
                os.environ.pop(name)
                os.environ.update({name: before[name]} if name in before else {})


with _undisturbed():
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties, get_font
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text
    from matplotlib.transforms import ScaledTranslation
    from PIL import Image

    matplotlib.rcdefaults()

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"

__all__ = [
    "FONTS",
    "Axes",
    "Figure",
    "FigureCanvasAgg",
    "FontProperties",
    "Image",
    "Line2D",
    "LineCollection",
    "PolyCollection",
    "Rectangle",
    "ScaledTranslation",
    "Text",
    "get_font",
]
