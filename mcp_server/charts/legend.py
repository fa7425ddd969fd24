"""Legends: the names of what is drawn in a panel, with its last values, in its colours."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mcp_server.charts.paper import SMALL, Paper, fitted, text_width
from mcp_server.charts.pens import Pens
from mcp_server.charts.theme import Theme
from mcp_server.domain.candles import Floats
from mcp_server.domain.chart_layout import Drawing, Study

LINE_PX = 25
_SPACE_PX, _APART_PX = 12.0, 28.0
_UNDEFINED = "\N{EN DASH}"

Write = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Word:
    """A few words of one colour. `opens`: it begins something new, so it stands further apart."""

    text: str
    color: str
    opens: bool = False
    bold: bool = False

    @property
    def width(self) -> float:
        """Its width in pixels."""
        return text_width(self.text, size=SMALL, bold=self.bold)


Line = list[tuple[float, Word]]


def words_of(
    studies: Sequence[Study], columns: Mapping[str, Floats], pens: Pens, theme: Theme, write: Write
) -> list[Word]:
    """List the words of a legend for studies."""
    words: list[Word] = []
    for study in studies:
        alone = len(study.columns) == 1
        first = study.drawings[0]
        words.append(Word(study.title, pens[first.columns[0]] if alone else theme.muted, opens=True))
        for drawing in study.drawings:
            words += _values(drawing, columns, pens, theme, write, named=not alone)
    return words


def flowed(words: Sequence[Word], width: float) -> list[Line]:
    """Break words into lines no wider than `width` pixels; what belongs together stays in one line if it can."""
    lines: list[Line] = [[]]
    x = 0.0
    for group in _groups(words):
        whole = sum(word.width for word in group) + _SPACE_PX * (len(group) - 1)
        if lines[-1] and x + _APART_PX + whole > width >= whole:
            lines.append([])
        for word in group:
            text = fitted(word.text, width, size=SMALL, bold=word.bold)
            fitting = replace(word, text=text)
            gap = 0.0 if not lines[-1] else _APART_PX if word.opens else _SPACE_PX
            x = x + gap if lines[-1] else 0.0
            if lines[-1] and x + fitting.width > width:
                lines.append([])
                x = 0.0
            lines[-1].append((x, fitting))
            x += fitting.width
    return [line for line in lines if line]


def _groups(words: Sequence[Word]) -> list[list[Word]]:
    groups: list[list[Word]] = []
    for word in words:
        if word.opens or not groups:
            groups.append([])
        groups[-1].append(word)
    return groups


def write_legend(paper: Paper, left: int, top: int, lines: Sequence[Line]) -> None:
    """Write the lines of a legend, the first one's upper edge at `top`."""
    for number, line in enumerate(lines):
        for x, word in line:
            y = top + LINE_PX * (number + 0.5)
            paper.write(left + x, y, word.text, word.color, size=SMALL, bold=word.bold)


def _values(
    drawing: Drawing, columns: Mapping[str, Floats], pens: Pens, theme: Theme, write: Write, *, named: bool
) -> Iterator[Word]:
    if drawing.shape == "events":
        ups, downs = (int((sign * columns[drawing.columns[0]] > 0).sum()) for sign in (1, -1))
        if named:
            yield Word(drawing.names[0], pens[drawing.columns[0]])
        yield Word(f"▲{ups}", theme.up)
        yield Word(f"▼{downs}", theme.down)
        return
    shown = drawing.columns[:1] if drawing.shape == "turning" else drawing.columns
    for column, name in zip(shown, drawing.names, strict=False):
        color = pens[column]
        last = columns[column][-1]
        if drawing.shape in ("bars", "turning"):
            sign = columns[drawing.columns[-1]][-1]
            color = theme.down if sign < 0 else theme.up
        text = _UNDEFINED if math.isnan(last) else write(float(last))
        yield Word(f"{name} {text}" if named and drawing.shape != "turning" else text, color)
