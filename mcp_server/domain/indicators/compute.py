"""Computes indicators over candles."""

from collections.abc import Callable, Sequence

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.indicators.catalog import call, find
from mcp_server.domain.indicators.from_news import given_as
from mcp_server.domain.indicators.spec import Spec

Change = Callable[[Spec, tuple[Floats, ...]], tuple[Floats, ...]]


def compute(specs: Sequence[Spec], candles: Candles, check: Callable[[], None] | None = None) -> dict[str, Floats]:
    """Compute each indicator over all candles.

    A row depends on its own candle and earlier ones only.

    Args:
        specs: what to compute.
        candles: n candles, with what is to be given of news (`from_news.news_wanted`).
        check: called before each of them; what it raises ends the work.

    Returns:
        Column name → values, one per candle: prices in quote, the rest in the indicator's own unit. NaN in the warm-up
        (`spec.warm_up` rows) and where the indicator is undefined. Candlestick patterns are -100, 0 or 100.

    Raises:
        BadInput: when the library refuses the parameters, or news is not given.
    """
    columns: dict[str, Floats] = {}
    for spec in specs:
        if check is not None:
            check()
        columns.update(zip(spec.columns, outputs_of(spec, candles), strict=True))
    return columns


def outputs_of(spec: Spec, candles: Candles, change: Change | None = None) -> tuple[Floats, ...]:
    """Compute one indicator: an array for each of its columns.

    Args:
        spec: what to compute.
        candles: of these.
        change: replaces the outputs of each indicator that it is computed of, and its own, all before one is picked.
    """
    if (given := given_as(spec)) is not None:
        return (candles.given_column(given.key),)
    inputs = [
        getattr(candles, source) if isinstance(source, str) else outputs_of(source, candles, change)[0]
        for source in spec.inputs
    ]
    outputs = call(find(spec.function), inputs, spec.parameters)
    if change is not None:
        outputs = change(spec, outputs)
    return tuple(outputs[position] for position in spec.picked)
