"""The colour of each column."""

from collections.abc import Sequence

from mcp_server.charts.theme import Theme
from mcp_server.domain.chart_layout import Study

Pens = dict[str, str]
"""Column → colour."""


def pens_for(studies: Sequence[Study], theme: Theme) -> Pens:
    """Assign colours to the columns of one panel: a band has one, other columns one each."""
    pens: Pens = {}
    taken = 0
    for study in studies:
        for drawing in study.drawings:
            if drawing.shape == "cloud":
                pens |= dict(zip(drawing.columns, (theme.up, theme.down), strict=True))
                continue
            if drawing.shape in ("bars", "candles"):
                pens |= dict.fromkeys(drawing.columns, theme.muted)
                continue
            for column in drawing.columns:
                pens[column] = theme.lines[taken % len(theme.lines)]
                if drawing.shape in ("line", "dots") or column == drawing.columns[-1]:
                    taken += 1
    return pens
