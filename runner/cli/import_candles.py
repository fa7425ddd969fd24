"""`claude-trader import-candles`: price history from a file, into the candle store."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from mcp_server.domain.timeframes import Timeframe
from mcp_server.errors import BadInput
from runner.cli.context import Context

EPILOG = "Example: `claude-trader import-candles btc.csv --exchange coinbase --symbol BTC/USD --timeframe 1h`"


def _decimal_mark(text: str) -> str:
    if text not in (".", ","):
        raise BadInput(f"--decimal-mark {text!r} is no decimal mark.", "Give . or ,")
    return text


def import_candles(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV, JSON, Parquet or Feather: time, open, high, low, close, volume."),
    ],
    exchange: Annotated[str, typer.Option(metavar="ID", help="Where the prices are from, for example coinbase.")],
    symbol: Annotated[str, typer.Option(metavar="SYMBOL", help="The exact symbol, for example BTC/USD.")],
    timeframe: Annotated[
        Timeframe,
        typer.Option(metavar="LENGTH", help="Length of a candle: 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w."),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove stored candles between the file's that it lacks.")
    ] = False,
    date_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="How dates are written, for example %d/%m/%Y.")
    ] = None,
    decimal_mark: Annotated[
        str | None, typer.Option(metavar="MARK", parser=_decimal_mark, help="The decimal mark: a point or a comma.")
    ] = None,
    volume: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of the volume in base; none: it is unknown.")
    ] = None,
) -> None:
    """Load price history from a file, so that runs in the past need no network.

    The file counts as complete: a candle that is missing in it is treated as never traded. History begins with the
    file's first candle, unless earlier candles are stored already. Nothing is guessed: what can be read in two ways is
    refused.
    """
    from mcp_server.storage.candles.import_file import Dialect, import_candle_file
    from mcp_server.storage.candles.store import CandleStore, Series

    context = Context()
    series = Series(exchange, symbol, timeframe)
    dialect = Dialect(date_format, decimal_mark, volume)
    done = import_candle_file(
        CandleStore(context.database), file, series, datetime.now(UTC), replace=replace, dialect=dialect
    )
    typer.echo(done)
