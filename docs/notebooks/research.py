import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium")


@app.cell(hide_code=True)
def _():
    import marimo as mo

    return (mo,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Explore a market, judge a strategy, compare Claude with its rules

    Three examples in Python. They need no key and no network: the market is simulated, and the record of the third example is invented. To use
    your own home and a real market instead, write `trader = Trader()` below, and name your exchange, symbol and strategy.

    Everything is as of one moment. Nothing later is ever in an answer, so you cannot look into the future by mistake.
    """)
    return


@app.cell
def _():
    import tempfile
    from pathlib import Path

    import matplotlib.pyplot as plt
    import pandas as pd

    from mcp_server.trader import Trader, invented_home

    plt.rcParams["date.converter"] = "concise"
    moment = "2026-05-20T12:00Z"
    home = Path(tempfile.mkdtemp(), "home")
    strategy = invented_home(home, until=moment)
    trader = Trader(home, exchange="simulated", as_of=moment)

    def shown(figure):
        plt.close(figure)  # else Jupyter shows it twice
        return figure

    return pd, plt, shown, strategy, trader


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 1. Explore a market

    `candles` gives closed candles, as many as you ask for, and `indicators` adds any indicator to them. Both return a table: `.to_pandas()`,
    `.to_arrow()`, or a column as a numpy array, `table["close"]`.
    """)
    return


@app.cell
def _(trader):
    hours = trader.indicators("BTC/USDT", ["ema(200)", "rsi(14)"], "1h", limit=10_000).to_pandas()
    hours.tail(3)
    return (hours,)


@app.cell
def _(hours, plt, shown):
    _figure, _axes = plt.subplots(2, 1, figsize=(9, 4.5), sharex=True, height_ratios=[3, 1], layout="constrained")
    _shown = hours.tail(1_500)
    _axes[0].plot(_shown.open_time, _shown.close, lw=0.8, label="close")
    _axes[0].plot(_shown.open_time, _shown.ema_200, lw=1.2, label="ema(200)")
    _axes[0].set(title="BTC/USDT, hourly (simulated)", ylabel="USDT")
    _axes[0].legend(frameon=False)
    _axes[1].plot(_shown.open_time, _shown.rsi_14, lw=0.6, color="tab:purple")
    _axes[1].set(ylabel="rsi(14)", ylim=(0, 100), yticks=[30, 70])
    shown(_figure)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    What happened in the day after each hour, by the RSI at its close? The last column counts on how many days that was so: ten hours in a row with a
    low RSI are hardly more evidence than one.
    """)
    return


@app.cell
def _(hours, pd):
    _entry = hours.open.shift(-1)  # you can act at the next open
    _day = 100 * (hours.close.shift(-24) / _entry - 1)
    _zone = pd.cut(hours.rsi_14, [0, 30, 40, 50, 60, 70, 100])
    _after = pd.DataFrame({"zone": _zone, "pct": _day, "day": hours.open_time.dt.date}).dropna()
    _after["up"] = _after.pct > 0
    _after.groupby("zone", observed=True).agg(
        mean_pct=("pct", "mean"), share_up=("up", "mean"), hours=("pct", "size"), days=("day", "nunique")
    ).round(2)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 2. Judge a strategy

    `backtest` trades a strategy's rules over closed candles. It gives the figures of the tool `backtest_strategy`, all trades, and the equity at each
    candle. Read the sentences first.
    """)
    return


@app.cell
def _(trader):
    report = trader.backtest("rsi-reversion", start="2025-05-20")
    report
    return (report,)


@app.cell
def _(plt, report, shown):
    _equity = report.equity.to_pandas()
    _figure, _axes = plt.subplots(2, 1, figsize=(9, 4.5), sharex=True, height_ratios=[3, 1], layout="constrained")
    _axes[0].plot(_equity.time, _equity.equity_pct, label="the rules")
    _axes[0].plot(_equity.time, _equity.holding_pct, lw=0.8, label="holding")
    _axes[0].set(title="rsi-reversion after costs", ylabel="gain, %")
    _axes[0].legend(frameon=False)
    _axes[1].fill_between(_equity.time, -_equity.drawdown_pct, lw=0, color="tab:red", alpha=0.4)
    _axes[1].set(ylabel="drawdown, %")
    shown(_figure)
    return


@app.cell
def _(report):
    report.trades.to_pandas().nlargest(3, "return_pct").drop(columns=["decided_at", "funding", "open"])
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Now change a rule, and backtest that. Each variant counts as a trial, here as everywhere: the more you try, the better the best one looks by luck
    alone. `sharpe_deflated` takes that into account: it is the probability that the Sharpe ratio is above what the best of so many shows by luck.
    """)
    return


@app.cell
def _(pd, trader):
    _config = {"name": "my-reversion", "trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "4h"}
    _variants = {}
    for _low in (25, 30, 40):
        _rules = {"indicators": ["rsi(14)"], "buy": f"crosses_above(rsi_14, {_low})", "sell": "rsi_14 > 65"}
        _variants[f"buy above {_low}"] = trader.backtest(
            config={**_config, "rules": _rules}, start="2025-05-20"
        ).figures
    pd.DataFrame(_variants).loc[["return_pct", "sharpe", "sharpe_deflated", "trials"]]
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## 3. Compare Claude with its twin

    A strategy by Claude may carry rules too: its twin, which costs nothing. Is the model worth its price? This record is invented: no model was asked,
    and half of the answers were thrown by dice. So there should be no evidence of skill.
    """)
    return


@app.cell
def _(strategy, trader):
    score = trader.score(strategy)
    score
    return (score,)


@app.cell
def _(pd, score):
    pd.DataFrame({"the model": score.figures, "its twin": score.figures["twin"]}).loc[
        ["judged", "hit_rate", "difference_pct", "difference_ci95"]
    ]
    return


@app.cell
def _(plt, shown, strategy, trader):
    _signals = trader.outcomes(strategy).to_pandas().query("outcome in ('right', 'wrong')")
    _side = _signals.twin.map({"BUY": 1, "SELL": -1, "HOLD": 0})
    _twin = 100 * _side * (_signals.exit_price / _signals.entry_price - 1) - (_side != 0) * _signals.cost_bps / 100
    _figure, _axis = plt.subplots(figsize=(9, 3), layout="constrained")
    _axis.plot(_signals.exit_time, _signals.net_pct.cumsum(), label="the model")
    _axis.plot(_signals.exit_time, _twin.cumsum(), label="its twin at the same moments")
    _axis.axhline(0, lw=0.5, color="grey")
    _axis.set(title="Net of costs, added up over the model's BUY and SELL signals", ylabel="%")
    _axis.legend(frameon=False)
    shown(_figure)
    return


@app.cell
def _(trader):
    trader.scores().to_pandas().set_index("strategy_name").T
    return


if __name__ == "__main__":
    app.run()
