"""Computes indicators over candles."""

from collections.abc import Sequence

from mcp_server.domain.candles import Candles, Floats
from mcp_server.domain.indicators.catalog import call
from mcp_server.domain.indicators.spec import Spec


def compute(specs: Sequence[Spec], candles: Candles) -> dict[str, Floats]:
    """Compute each indicator over all candles.

    A row depends on its own candle and earlier ones only.

    Returns:
        Column name → values, one per candle: prices in quote, the rest in the indicator's own unit. NaN in the warm-up
        (`spec.warm_up` rows) and where the indicator is undefined. Candlestick patterns are -100, 0 or 100.

    Raises:
        BadInput: when TA-Lib refuses the parameters.
    """
    columns: dict[str, Floats] = {}
    for spec in specs:
        inputs = [getattr(candles, column) for column in spec.inputs]
        columns.update(zip(spec.columns, call(spec.function, inputs, spec.parameters), strict=True))
    return columns
