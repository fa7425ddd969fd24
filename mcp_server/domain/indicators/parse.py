"""Reads indicator specs: the text `rsi(14)`, `ema(50) of volume` or `sma(9) of rsi(14)`."""

import re
from collections.abc import Callable, Mapping, Sequence

from mcp_server.domain.candles import CANDLE_COLUMNS
from mcp_server.domain.error_hints import nearest
from mcp_server.domain.indicators.arguments import read_arguments, takes
from mcp_server.domain.indicators.catalog import all_names, find, lookback
from mcp_server.domain.indicators.history import wanted_history
from mcp_server.domain.indicators.indicator import MAX_PERIOD, MOST_HISTORY, Indicator, Number
from mcp_server.domain.indicators.spec import Spec, column_names, distinct
from mcp_server.errors import BadInput, TraderError

MOST_NESTED = 3
"""The most specs that may stand in one another: each needs its own history."""

_MOST_CHARACTERS = 200
_HEAD = re.compile(
    r"\s*(?P<name>[a-z][a-z0-9_]*)\s*(\((?P<arguments>[^()]*)\)\s*)?(\.\s*(?P<output>[a-z0-9_]+)\s*)?",
    re.ASCII | re.IGNORECASE,
)
_OF = re.compile(r"of\b", re.ASCII | re.IGNORECASE)
_PERIODS = "ht_dcperiod"
"""The series of periods where an indicator takes one and none is given: the market's own cycle."""


def parse_specs(texts: Sequence[str], check: Callable[[], None] | None = None) -> tuple[Spec, ...]:
    """Read a list of indicator specs, in their order; the same one twice is one.

    How much history a new one needs is measured, which takes up to two seconds: `check` is called before each spec, and
    what it raises ends the work.

    Raises:
        BadInput: some are wrong (with several, a line each), or two different ones name the same column.
    """
    read, errors = list[Spec](), dict[str, TraderError]()
    for text in texts:
        if check is not None:
            check()
        try:
            read.append(parse_spec(text))
        except TraderError as error:
            errors[str(error)] = error
    if len(errors) > 1:
        raise BadInput("\n".join(errors))
    for only_one in errors.values():
        raise only_one
    return distinct(read)


def parse_spec(text: str) -> Spec:
    """Read one indicator spec, in any case: `name`, `name(14)`, `name(20, nbdevup=2.5)`, `name(50) of volume`.

    What it is computed of may be a spec itself (`sma(9) of rsi(14)`), or two series where it takes two
    (`correl(20) of close, volume`). Of several outputs a dot picks one: `macd(12,26,9).hist`.

    Raises:
        BadInput: bad syntax, an unknown parameter, column or output, or a number out of its range.
        NotFound: an unknown indicator; the remedy names the nearest.
    """
    if len(text) > _MOST_CHARACTERS:
        problem = f"{text[:60]!r} … is longer than {_MOST_CHARACTERS} characters."
        raise BadInput(problem, "Leave out parameters and spaces.")
    match = _HEAD.match(text)
    if match is None:
        raise _unreadable(text)
    spec, rest = _read(text, text, match, 1)
    if rest:
        raise _unreadable(text)
    return spec


def _unreadable(text: str) -> BadInput:
    remedy = "Write 'rsi(14)', 'bbands(20, 2.5)' or 'ema(50) of volume'."
    return BadInput(f"{text[:60]!r} is not an indicator spec.", remedy)


def _read(text: str, part: str, match: re.Match[str], depth: int) -> tuple[Spec, str]:
    """Read the spec that `part` begins with, where `match` was found; return it and the text after it."""
    rest = part[match.end() :]
    if rest and not rest.startswith(",") and not _OF.match(rest):
        raise _unreadable(text)
    indicator = find(match["name"].lower())
    written = read_arguments(text, indicator, match["arguments"] or "")
    parameters = {parameter.name: written.get(parameter.name, parameter.default) for parameter in indicator.parameters}
    sources, rest = _sources(text, indicator, rest, depth)
    inputs = _inputs(text, indicator, sources)
    source = "_".join(map(_source_name, sources)) or None
    picked = _picked(text, indicator, match["output"])
    columns = column_names(indicator, parameters, written, source)
    inner = [source for source in inputs if isinstance(source, Spec)]
    warm_up = _warm_up(text, indicator, parameters, max((spec.warm_up for spec in inner), default=0))
    longest = max((int(parameters[p.name]) for p in indicator.parameters if p.is_period), default=1)
    plain = zip(inputs, indicator.inputs, strict=True)
    columns_of = tuple(default if isinstance(source, Spec) else source for source, default in plain)
    history, settled = wanted_history(indicator.name, columns_of, tuple(parameters.items()), longest)
    adds_up = any(indicator.outputs[position] in indicator.totals for position in picked)
    running = adds_up or any(spec.running for spec in inner)
    spec = Spec(
        text=part[: len(part) - len(rest)].strip(),
        function=indicator.name,
        parameters=parameters,
        inputs=inputs,
        source=source,
        columns=tuple(columns[position] for position in picked),
        warm_up=warm_up,
        history=min(history + max((spec.history for spec in inner), default=0), MOST_HISTORY),
        picked=picked,
        running=running,
        sessions=indicator.by_session + max((spec.sessions for spec in inner), default=0),
        settled=running or (settled and all(spec.settled for spec in inner)),
    )
    return spec, rest


def _sources(text: str, indicator: Indicator, rest: str, depth: int) -> tuple[list[str | Spec], str]:
    """Read what follows `of`, as many series as the indicator takes; return them and the text after them."""
    sources: list[str | Spec] = []
    if not (of := _OF.match(rest)):
        return sources, rest
    rest = rest[of.end() :]
    while True:
        source, rest = _source(text, indicator, rest, depth)
        sources.append(source)
        if len(sources) == indicator.sources or not rest.startswith(","):
            return sources, rest
        rest = rest[1:]


def _source(text: str, indicator: Indicator, rest: str, depth: int) -> tuple[str | Spec, str]:
    match = _HEAD.match(rest)
    if match is None:
        raise _unreadable(text)
    word, bare = match["name"].lower(), match["arguments"] is None and match["output"] is None
    if bare and word not in CANDLE_COLUMNS and word not in all_names():
        raise BadInput(f"{text!r}: there is no candle column {word!r}.", nearest(word, CANDLE_COLUMNS))
    if not indicator.sources:
        fixed = ", ".join(indicator.inputs)
        problem = f"{text!r}: {indicator.name!r} is always computed from {fixed}."
        raise BadInput(problem, f"Leave out 'of {word}'.")
    if bare and word in CANDLE_COLUMNS:
        return word, rest[match.end() :]
    if depth == MOST_NESTED:
        problem = f"{text!r} has more than {MOST_NESTED} indicators in one another."
        raise BadInput(problem, "Leave out the innermost.")
    return _read(text, rest, match, depth + 1)


def _inputs(text: str, indicator: Indicator, sources: list[str | Spec]) -> tuple[str | Spec, ...]:
    missing = indicator.inputs[len(sources) :]
    if sources and len(sources) < indicator.sources and missing[0] != "periods":
        remedy = f"Write '{indicator.name} of close, volume'."
        raise BadInput(f"{text!r}: {indicator.name!r} compares two series.", remedy)
    return (*sources, *(parse_spec(_PERIODS) if column == "periods" else column for column in missing))


def _source_name(source: str | Spec) -> str:
    return source if isinstance(source, str) else source.columns[0]


def _picked(text: str, indicator: Indicator, output: str | None) -> tuple[int, ...]:
    if output is None:
        return tuple(range(len(indicator.outputs)))
    called = [name or indicator.name for name in indicator.outputs]
    if output.lower() not in called:
        raise BadInput(f"{text!r}: {indicator.name!r} has no output {output!r}.", nearest(output.lower(), called))
    return (called.index(output.lower()),)


def _warm_up(text: str, indicator: Indicator, parameters: Mapping[str, Number], before: int) -> int:
    own = lookback(indicator, parameters)
    if own < 0:
        raise BadInput(f"{text!r}: TA-Lib refuses these parameters together.", takes(indicator))
    warm_up = own + before
    if warm_up >= MOST_HISTORY:
        raise BadInput(
            f"{text!r} has no value in its first {warm_up} candles, and at most {MOST_HISTORY} are read.",
            f"Give shorter periods (each at most {MAX_PERIOD}).",
        )
    return warm_up
