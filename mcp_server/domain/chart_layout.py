"""The layout of a chart: where each indicator belongs, and in which shape it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcp_server.domain.indicators.catalog import find
from mcp_server.domain.indicators.indicator import Indicator
from mcp_server.domain.indicators.spec import Spec
from mcp_server.errors import BadInput

MOST_PANELS = 5
"""With more panels than this below the price, none is readable."""

Shape = Literal["line", "bars", "dots", "band", "cloud", "turning", "candles", "events"]
"""How columns are drawn. All but four take one column each:

`band` (upper, perhaps middle, lower), `cloud` (two edges), `turning` (a line and its direction, 1 or -1), `candles`
(open, high, low, close). `events` marks the candles whose value is not 0: up or down, by its sign.
"""

_GUIDES: dict[tuple[str, ...], tuple[float, ...]] = {
    ("rsi", "imi", "ultosc", "uo", "rsx", "aroon"): (30, 70),
    ("stoch", "stochf", "stochrsi", "kdj", "mfi", "percentrank"): (20, 80),
    ("willr",): (-80, -20),
    ("cci",): (-100, 100),
    ("cmo",): (-50, 50),
    ("smi",): (-40, 40),
    ("adx", "adxr", "dx"): (25,),
    ("rvi",): (50,),
    ("stc",): (25, 75),
    ("rocr", "vortex"): (1,),
    ("rocr100",): (100,),
}
"""The levels at which traders read an oscillator. A line at zero is drawn wherever values lie on both of its sides."""

_TOGETHER: dict[Shape, tuple[tuple[str, ...], ...]] = {
    "candles": (("open", "high", "low", "close"),),
    "band": (("upper", "middle", "lower"), ("upper", "lower")),
    "cloud": (("spana", "spanb"),),
}
"""Outputs that are drawn as one."""

_EVENTS, _DOTS, _BARS = ("fractal", "smc_sweep"), ("sar", "sarext"), ("ao", "ac")


@dataclass(frozen=True, slots=True)
class Drawing:
    """One thing to draw: its shape, the columns that it needs, and what each of them is called."""

    shape: Shape
    columns: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """One indicator on a chart: its title, what is drawn of it, and the levels that traders read it at."""

    title: str
    drawings: tuple[Drawing, ...]
    guides: tuple[float, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns."""
        return tuple(column for drawing in self.drawings for column in drawing.columns)


@dataclass(frozen=True, slots=True)
class Layout:
    """The studies on the price, those on the volume, and those that share each of the panels below."""

    price: tuple[Study, ...] = ()
    volume: tuple[Study, ...] = ()
    panels: tuple[tuple[Study, ...], ...] = ()


def layout(specs: Sequence[Spec]) -> Layout:
    """Place indicators: what is a price lies on the price, the rest in panels below; patterns share one of them.

    An average of something lies where that lies: `ema(9) of volume` on the volume, `ema(9) of rsi(14)` in its panel.

    Raises:
        BadInput: there would be too many panels.
    """
    price: list[Study] = []
    volume: list[Study] = []
    panels: list[tuple[Spec | None, list[Study]]] = []
    for spec in specs:
        study, place = study_of(spec), _place(spec)
        if place == "price":
            price.append(study)
        elif place == "volume":
            volume.append(study)
        else:
            home = None if any(drawing.shape == "events" for drawing in study.drawings) else place
            panel = next((studies for of, studies in panels if _same(of, home)), None)
            if panel is None:
                panels.append((home, [study]))
            else:
                panel.append(study)
    if len(panels) > MOST_PANELS:
        named = ", ".join(repr(studies[0].title) for _, studies in panels)
        raise BadInput(
            f"{len(panels)} panels below the price are too many: {named} need one each, and {MOST_PANELS} fit.",
            "Leave some out, or draw a second chart.",
        )
    return Layout(tuple(price), tuple(volume), tuple(tuple(studies) for _, studies in panels))


def study_of(spec: Spec) -> Study:
    """Return how an indicator is drawn, judging by the names of its outputs."""
    indicator = find(spec.function)
    outputs = [indicator.outputs[position] for position in spec.picked]
    parts = {
        output.replace("_", ""): (column, output or indicator.name)
        for output, column in zip(outputs, spec.columns, strict=True)
    }

    def drawing(shape: Shape, taken: Sequence[str]) -> Drawing:
        pairs = [parts.pop(output) for output in taken]
        return Drawing(shape, tuple(column for column, _ in pairs), tuple(name for _, name in pairs))

    drawings: list[Drawing] = []
    for shape, groups in _TOGETHER.items():
        drawings += [drawing(shape, group) for group in groups if set(group) <= parts.keys()]
    if indicator.name == "supertrend" and {"", "trend"} <= parts.keys():
        drawings.append(drawing("turning", ("", "trend")))
    drawings += [drawing(_shape(indicator, output), (output,)) for output in list(parts)]
    guides = next((levels for names, levels in _GUIDES.items() if indicator.name in names), ())
    return Study(" ".join(spec.text.split()), tuple(drawings), guides)


def _shape(indicator: Indicator, output: str) -> Shape:
    if indicator.group == "Pattern Recognition" or indicator.name in _EVENTS:
        return "events"
    if indicator.name in _DOTS:
        return "dots"
    return "bars" if output == "hist" or indicator.name in _BARS else "line"


def _place(spec: Spec) -> Literal["price", "volume"] | Spec:
    """Return where a spec belongs: on the price, on the volume, or in the panel of itself or of what it averages."""
    source = spec.inputs[0]
    if not _is_level(spec):
        return spec
    if isinstance(source, Spec):
        return _place(source)
    return "volume" if source == "volume" and spec.source is not None else "price"


def _is_level(spec: Spec) -> bool:
    """Return whether its values have the scale of what it is computed of."""
    indicator = find(spec.function)
    outputs = {indicator.outputs[position] for position in spec.picked}
    return indicator.on_price and outputs != {"trend"} and not set(_TOGETHER["candles"][0]) <= outputs


def _same(one: Spec | None, other: Spec | None) -> bool:
    """Return whether two specs are the same but for which outputs are picked; None is what patterns share."""
    if one is None or other is None:
        return one is other
    return (one.function, one.parameters, one.inputs) == (other.function, other.parameters, other.inputs)
