"""The part of a `Trader` that asks markets: candles, indicators, backtests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import BadInput
from mcp_server.trader.candle_span import CandleSpan, candle_frame
from mcp_server.trader.session import Moment, TraderSession, ms_of, text_of

if TYPE_CHECKING:
    from mcp_server.market.history import History
    from mcp_server.trader.backtest_report import BacktestReport
    from mcp_server.trader.frame import Frame


class MarketTables(TraderSession):
    """What a `Trader` says of markets, and of rules over them."""

    def candles(
        self,
        symbol: str,
        timeframe: str = "1h",
        limit: int | None = None,
        *,
        start: Moment = None,
        exchange: str | None = None,
        as_of: Moment = None,
    ) -> Frame:
        """Return closed candles, oldest first, in as many requests as that takes.

        Args:
            symbol: like BTC/USD.
            timeframe: like 1h.
            limit: the last so many, 500 where there is no `start`; up to 1,000,000.
            start: all from then on, in place of `limit`.
            exchange: a ccxt id, or 'simulated'.
            as_of: the last candle has closed by then.

        Returns:
            One row per candle: `open_time`; `open`, `high`, `low`, `close` in quote per base; `volume` in base, NaN
            where it is not known. Missing candles are left out; `about["missing"]` counts them.

        Raises:
            BadInput: no such market, timeframe or number of candles.
            Retryable: the exchange did not answer in time; what arrived is kept, so ask again.
            TraderError: what the exchange answers.
        """
        span = CandleSpan(limit, ms_of(start, "start"))
        history = self._history(symbol, timeframe, span, exchange, as_of)
        return candle_frame(history, span, {}, history.note)

    def indicators(
        self,
        symbol: str,
        indicators: str | Sequence[str],
        timeframe: str = "1h",
        limit: int | None = None,
        *,
        start: Moment = None,
        exchange: str | None = None,
        as_of: Moment = None,
    ) -> Frame:
        """Return indicators at closed candles, oldest first, with enough candles before the first row to settle them.

        Args:
            symbol: like BTC/USD.
            indicators: a spec or several, such as 'rsi(14)', 'ema(50) of volume', 'macd(12,26,9)'.
            timeframe: like 1h.
            limit: the last so many candles, 500 where there is no `start`.
            start: all from then on, in place of `limit`.
            exchange: a ccxt id, or 'simulated'.
            as_of: the last candle has closed by then.

        Returns:
            One row per candle: the columns of `candles`, then those of each indicator by the names that rules use, such
            as `rsi_14`. Prices are in quote, the rest in the indicator's own unit; NaN is undefined, as in the warm-up.

        Raises:
            BadInput: an indicator or its parameters are wrong; else as `candles`.
        """
        from mcp_server.answers import caveats
        from mcp_server.domain.indicators.compute import compute
        from mcp_server.domain.indicators.from_news import news_wanted
        from mcp_server.domain.indicators.parse import parse_specs
        from mcp_server.news.for_rules import with_news

        texts = [indicators] if isinstance(indicators, str) else [*indicators]
        if not texts:
            raise BadInput("No indicator is named.", "Name at least one, such as 'rsi(14)'.")
        span, specs = CandleSpan(limit, ms_of(start, "start")), parse_specs(texts)
        wanted = max(spec.candles_wanted(timeframe) for spec in specs)
        history = self._history(symbol, timeframe, span, exchange, as_of, before=wanted - 1)
        candles = with_news(self._kit.news, history.candles, timeframe, history.symbol, news_wanted(specs))
        note = " ".join(filter(None, [history.note, *caveats(specs)])) or None
        return candle_frame(history, span, compute(specs, candles), note)

    def backtest(
        self,
        strategy_name: str | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        start: Moment = None,
        end: Moment = None,
        side: Literal["long", "both"] = "long",
        fee_bps: float | None = None,
        slippage_bps: float | None = None,
        stake_pct: float | None = None,
        exchange: str | None = None,
        as_of: Moment = None,
    ) -> BacktestReport:
        """Backtest a strategy's rules on closed candles, filled at the next open. It counts as a trial, as everywhere.

        Args:
            strategy_name: a strategy of your home, or an example; or
            config: the content of a config.json that is not written.
            start: the first candle's open time; None: what is stored, else the last 5,000 candles.
            end: the last candle has closed by then.
            side: both goes short, too.
            fee_bps: of each side, in basis points; None: the strategy's `costs`.
            slippage_bps: likewise.
            stake_pct: of the first equity, put into each trade; None: all equity.
            exchange: in place of the strategy's.
            as_of: no candle has closed later.

        Returns:
            Figures, all trades, and the equity at each candle.

        Raises:
            BadInput: no such strategy, a wrong argument or config, or no candles.
            NotSupported: it takes more than a call may; the remedy is the command.
            TraderError: what the exchange answers, and that the journal cannot be written.
        """
        arguments = {
            "strategy_name": strategy_name, "config": None if config is None else dict(config), "start": text_of(start),
            "end": text_of(end), "side": side, "fee_bps": fee_bps, "slippage_bps": slippage_bps, "stake_pct": stake_pct,
            "exchange": exchange, "months": True,
        }  # fmt: skip

        async def work() -> BacktestReport:
            import anyio.to_thread

            from mcp_server.backtest.redo import again
            from mcp_server.trader.backtest_report import BacktestReport

            figures = await self._ask("backtest_strategy", arguments, as_of)
            read, until = self._kit.journal.backtests.read, self._call(as_of).moment(None)
            backtest = await again(
                self._kit.market, self._kit.news, await anyio.to_thread.run_sync(read, figures["backtest_id"], until)
            )
            simulated = await anyio.to_thread.run_sync(backtest.simulated)
            return BacktestReport.of(figures, backtest, simulated)

        return self._do(work)

    def _history(
        self,
        symbol: str,
        timeframe: str,
        span: CandleSpan,
        exchange: str | None,
        as_of: Moment,
        *,
        before: int = 0,
    ) -> History:
        async def work() -> History:
            call = self._call(as_of)
            moment = call.moment(None)
            count = span.count(to_ms(moment), timeframe) + before
            return await self._kit.market.candles(call.exchange(exchange), symbol, timeframe, count, moment)

        return self._do(work)
