"""Everything that a backtest assumes, in words, as HTML."""

from collections.abc import Iterator, Mapping
from typing import Any

from mcp_server.domain.backtest.fundings import missing_fundings
from mcp_server.domain.backtest.run import Simulated
from mcp_server.domain.report.html import safe
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.symbols import pays_fundings
from mcp_server.domain.text import counted


def assumptions(answer: Mapping[str, Any], simulated: Simulated) -> str:
    """Return the rules that were tested, and a list of what was assumed of trading them."""
    sentences = [*_trading(answer), *_fundings(simulated), *_candles(answer), *_counted(answer)]
    listed = "".join(f"<li>{safe(sentence)}</li>" for sentence in sentences)
    return f"<h2>The rules</h2>{_rules(simulated.task.strategy)}<h2>What is assumed</h2><ul>{listed}</ul>"


def _rules(strategy: Strategy) -> str:
    rules = strategy.config.rules
    if rules is None:
        return "<p>It has none.</p>"
    parts = {"BUY when": rules.buy, "SELL when": rules.sell}
    lines = [f"<li>{name} <code>{safe(text, 4_000)}</code></li>" for name, text in parts.items() if text]
    columns = ", ".join(f"<code>{safe(spec, 200)}</code>" for spec in rules.indicators)
    using = f"<li>Computed from {safe(strategy.timeframe)} candles: {columns}</li>" if columns else ""
    every = strategy.config.interval
    when = f"every {safe(every)}" if every else f"by the schedule <code>{safe(strategy.schedule)}</code>"
    return f"<ul><li>Decided {when}.</li>{''.join(lines)}{using}</ul>"


def _trading(answer: Mapping[str, Any]) -> Iterator[str]:
    fee, slippage = answer["fee_bps"], answer["slippage_bps"]
    yield (
        "A decision is made at the close of a candle, from closed candles alone, and filled at the open of the next "
        "candle."
    )
    yield (
        f"Each fill pays a fee of {_per_cent(fee)} of its value, and its price is {_per_cent(slippage)} worse than the "
        "open (slippage). An order of any size is filled whole."
    )
    if answer["side"] == "long":
        yield "Long only: BUY opens a position, SELL closes it, HOLD keeps things as they are."
    else:
        yield (
            "Long and short: BUY opens a long position or turns a short one, SELL the other way, HOLD keeps things as "
            "they are. A short position is as large as the equity; it is ruined where a candle's high takes all of it. "
            "Borrowing costs nothing."
        )
    stake = answer.get("stake_pct")
    yield (
        "Each trade puts in the whole equity, so gains and losses compound."
        if stake is None
        else f"Each trade puts in {stake:g} % of the equity at the start, or what is left of it."
    )
    yield "A trade that is open at the end counts at the last close, and is not counted as closed."


def _fundings(simulated: Simulated) -> Iterator[str]:
    if pays_fundings(simulated.task.symbol):
        begin_ms, end_ms, fundings = simulated.start_ms, simulated.end_ms, simulated.task.fundings
        known = counted(sum(begin_ms <= funding.time_ms <= end_ms for funding in fundings), "settled funding")
        missing = missing_fundings(fundings, begin_ms, end_ms)
        lacking = f" {_of_the_time(missing, 'settlement')} not known and cost nothing." if missing else ""
        yield f"This is a perpetual market: {known} of the time counted for the positions that were held then.{lacking}"


def _of_the_time(number: int, thing: str) -> str:
    return f"{counted(number, thing)} of the time {'is' if number == 1 else 'are'}"


def _candles(answer: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_of_the_time(int(answer['missing']), 'candle')} missing; no fill was invented there."
    if unfilled := answer.get("unfilled"):
        yield f"{counted(int(unfilled), 'order')} fell on a missing candle and lapsed."
    undecided = int(answer["signals"]["undecided"])
    yield f"At {counted(undecided, 'moment')} the rule had no answer; the position was kept."


def _counted(answer: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"Tried so far: {counted(int(answer['trials']), 'variant')} of this strategy on this market; the deflated "
        "Sharpe ratio counts every one."
    )
    ahead = answer["look_ahead"]
    changed = "no decision changed" if not ahead["changed"] else f"{counted(int(ahead['changed']), 'column')} changed"
    yield (
        f"Look-ahead was looked for at {counted(int(ahead['checked']), 'cut')}, {int(ahead['decisions']):,} of them at "
        f"entries and exits: all that came after was replaced by other candles, and {changed}."
    )
    for column, at, cut in ahead.get("where", ()):
        yield f"At the cut {cut}, {column!r} at {at} changed: it looks ahead."


def _per_cent(bps: float) -> str:
    return f"{bps / 100:g} %"
