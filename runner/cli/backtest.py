"""`claude-trader backtest`: is the rule any good? On past candles, with controls beside the figures."""

import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mcp_server.domain.strategy.limits import MOST_COST_BPS
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput, TraderError
from runner.cli.context import AnyStrategy, Context, Json, fail, print_json

MOST_PROCESSES = 256

EPILOG = (
    "Examples: `claude-trader backtest rsi-reversion --from 2025-01-01 --report rsi.html`; a grid of variants: "
    '`claude-trader backtest rsi-reversion --vary "rsi(14)=rsi(7),rsi(21)" --vary "35=30,25"`'
)


def _moment(option: str) -> Callable[[str], datetime]:
    return partial(parse_moment, name=option)


def _number(option: str, most: float, *, zero: bool = True) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (0 <= value <= most and (value or zero)):
            bounds = f"from 0 to {most:,g}" if zero else f"above 0 and at most {most:g}"
            raise BadInput(f"{option} {text!r} is no number {bounds}.", "Write it like 10 or 2.5.")
        return value

    return parse


def _workers(text: str) -> int | str:
    if text.startswith(("tcp://", "tls://")):
        return text
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_PROCESSES):
        problem = f"--workers {text!r} is no number from 1 to {MOST_PROCESSES}, and no address of a cluster."
        raise BadInput(problem, "Write it like 2, or like tcp://10.0.0.5:8786 or tls://10.0.0.5:8786.")
    return int(text)


From = Annotated[
    datetime | None,
    typer.Option(
        "--from",
        parser=_moment("--from"),
        metavar="TIME",
        help="Begin here, for example 2024-01-01. Default: with the stored candles.",
    ),
]
To = Annotated[
    datetime | None,
    typer.Option(
        "--to",
        parser=_moment("--to"),
        metavar="TIME",
        help="End here. Default: where the stored candles end, else now.",
    ),
]
Side = Annotated[
    Literal["long", "both"], typer.Option(help="long: BUY buys, SELL sells again. both: SELL also goes short.")
]
Fee = Annotated[
    float | None,
    typer.Option(
        parser=_number("--fee-bps", MOST_COST_BPS),
        metavar="N",
        help="Fee a side in basis points, 10 is 0.1 %. Default: costs of the strategy, else 10.",
    ),
]
Slippage = Annotated[
    float | None,
    typer.Option(
        parser=_number("--slippage-bps", MOST_COST_BPS),
        metavar="N",
        help="How much worse than the open a fill is, a side, in basis points. Default: likewise, else 5.",
    ),
]
Stake = Annotated[
    float | None,
    typer.Option(
        parser=_number("--stake-pct", 100, zero=False),
        metavar="N",
        help="Put this per cent of the starting equity into each trade. Default: all of the equity.",
    ),
]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary", metavar="A=B,C", help="Also try B and C where the rules have A. Several make a grid, each a trial."
    ),
]
Workers = Annotated[
    Any,  # int | str | None, which Typer cannot read
    typer.Option(
        parser=_workers,
        metavar="N|tcp://HOST:PORT",
        help="Processes for a grid, at most 256, or the Dask cluster that computes it. Default: one for each core.",
    ),
]
Trades = Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Write every trade as CSV.")]
Report = Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a page with an interactive chart.")]
Picture = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw price, trades, equity and drawdown.")]
Prove = Annotated[
    Literal["all"] | None,
    typer.Option(help="all: look for look-ahead at every candle, however long that takes. Default: at 200 and more."),
]


def backtest(
    name: AnyStrategy,
    start: From = None,
    end: To = None,
    side: Side = "long",
    fee_bps: Fee = None,
    slippage_bps: Slippage = None,
    stake_pct: Stake = None,
    vary: Vary = None,
    workers: Workers = None,
    as_json: Json = False,
    trades: Trades = None,
    report: Report = None,
    picture: Picture = None,
    prove: Prove = None,
) -> None:
    """Find out whether a strategy's rules were any good: run them over past candles, as they run live.

    A signal is decided at a candle's close and filled at the next open, with fees and slippage. Beside the figures
    stand their controls: holding, random trades, a candle late, twice the cost. Candles that are not stored are
    fetched first, and kept.

    Exit codes: 0: done. 2: invalid usage, or no candles. Every backtest is a row of the journal, and each variant that
    you try makes the bar for all of them higher.
    """
    try:  # the imports too: Ctrl-C ends it in the same way from its first moment on
        from runner.backtest.backtest import run
        from runner.backtest.request import Options
        from runner.cli import show

        options = Options(
            name=name,
            start=start,
            end=end,
            side=side,
            fee_bps=fee_bps,
            slippage_bps=slippage_bps,
            stake_pct=stake_pct,
            vary=tuple(vary or ()),
            workers=workers,
            prove_all=prove == "all",
            trades=trades,
            report=report,
            picture=picture,
        )
        answer = run(Context(), options, show.console(stderr=True, quiet=as_json or not sys.stderr.isatty()))
    except KeyboardInterrupt:
        fail("stopped; candles that were fetched stay", 130)
    except TraderError as error:
        fail(error, 2)
    if as_json:
        print_json(answer)
        return
    from runner.cli.show_backtest import backtest as show_backtest
    from runner.cli.show_grid import grid as show_grid

    console = show.console()
    (show_grid if vary else show_backtest)(console, answer)
    if files := [str(file) for file in (report, picture, trades) if file]:
        console.print(show.plain(f"\nWritten: {', '.join(files)}"))
