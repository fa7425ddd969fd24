"""A backtest in a few sentences for a beginner: no figure without its control, and no advice."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcp_server.domain.backtest.returns import FEWEST_DAYS
from mcp_server.domain.text import share

FEW_TRADES = 30
"""Below this number of closed trades, a result says next to nothing."""

LIKELY = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestFacts:
    """What the sentences speak about, under the names and in the units of a backtest's answer. None is undefined.

    Attributes:
        days: how long the record is.
        buy_and_hold_drawdown_pct: the deepest fall of the market itself over the same time.
        costs: whether a fee or slippage was assumed.
        random_percentile: 0 to 100, the share of `random_sets` sets of random entries that did not end better.
        decisions: the moments at which the rule was asked, of which it left `undecided` without an answer; at
            `without_news` of these, news that it looks at were missing; `news` says why, in sentences.
        missing: candles that the series lacks.
        unfilled: orders whose candle is missing.
        missing_fundings: settlements of a swap that are not known, and so were not paid.
        ruined_at: ISO time at which a short position lost everything.
        checked, changed: the cuts at which later candles were replaced, and the values that this changed.
    """

    return_pct: float
    buy_and_hold_pct: float | None
    max_drawdown_pct: float | None
    buy_and_hold_drawdown_pct: float | None
    days: float
    trades: int
    win_rate_pct: float | None
    profit_factor: float | None
    open_trade: bool
    costs: bool
    ruined_at: str | None
    sharpe: float | None
    sharpe_ci95: tuple[float, float] | None
    sharpe_deflated: float | None
    trials: int
    min_track_record_days: float | None
    random_percentile: float | None
    bar_later_return_pct: float | None
    double_cost_return_pct: float | None
    first_70_return_pct: float | None
    last_30_return_pct: float | None
    first_70_buy_and_hold_pct: float | None
    last_30_buy_and_hold_pct: float | None
    decisions: int
    undecided: int
    missing: int
    unfilled: int
    checked: int
    changed: int
    missing_fundings: int = 0
    without_news: int = 0
    news: Sequence[str] = ()
    random_sets: int | None = 1000
    buy_and_hold_sharpe: float | None = None


def summary(facts: BacktestFacts) -> list[str]:
    """Return three to seven sentences, of a rule that never traded two; then why news is missing that it looks at."""
    traded = bool(facts.trades or facts.open_trade)
    sentences = [*(_results(facts) if traded else [_no_trade(facts)]), _reservations(facts), *facts.news]
    if facts.changed:
        sentences = [_looks_ahead(facts), *(sentence for sentence in sentences if sentence != _sharpe(facts))]
    return [sentence for sentence in sentences if sentence]


def _results(facts: BacktestFacts) -> Iterator[str]:
    yield _against_holding(facts)
    yield _closed_trades(facts)
    yield _against_chance(facts)
    yield _later_and_dearer(facts)
    yield _halves(facts)
    yield _sharpe(facts)


def _no_trade(facts: BacktestFacts) -> str:
    held = "" if facts.buy_and_hold_pct is None else f"; holding {gained_or_lost(facts.buy_and_hold_pct)} in that time"
    return f"It never traded, so there is nothing to judge{held}."


def _against_holding(facts: BacktestFacts) -> str:
    ruin = f" It was ruined at {facts.ruined_at}: a short position lost all there was." if facts.ruined_at else ""
    own, held = facts.return_pct, facts.buy_and_hold_pct
    start = f"{'After fees and slippage' if facts.costs else 'Without any costs'} it {gained_or_lost(own)}"
    if held is None:
        return f"{start}; what holding did is not known.{ruin}"
    if _pct(own) == _pct(held):
        return f"{start}, just as holding did.{ruin}"
    return f"{start}, {'better' if own > held else 'worse'} than simply holding, which {gained_or_lost(held)}.{ruin}"


def _closed_trades(facts: BacktestFacts) -> str:
    fall = ""
    if facts.max_drawdown_pct is not None:
        held = facts.buy_and_hold_drawdown_pct
        beside = "" if held is None else f" (holding: {_pct(held)})"
        fall = f"; its equity was at worst {_pct(facts.max_drawdown_pct)} below its peak{beside}"
    if not facts.trades:
        return f"No trade is closed yet, too few to tell skill from luck{fall}."
    few = ", too few to tell skill from luck" if facts.trades < FEW_TRADES else ""
    if facts.trades == 1:
        return f"Only one trade is closed{few}{fall}."
    won = _won(facts)
    return f"It closed {facts.trades:,} trades{few}{',' if few and won else ''}{won}{fall}."


def _won(facts: BacktestFacts) -> str:
    rate, factor = facts.win_rate_pct, facts.profit_factor
    if rate is None:
        return ""
    if rate in {0, 100}:
        return f" and won {'all' if rate else 'none'} of them"
    if factor is None or factor == 1:
        return f" and won {share(rate / 100)} of them"
    larger = "less" if factor < 1 else "more"
    but = "but" if (factor < 1) == (rate > 50) else "and"
    return f" and won {share(rate / 100)} of them, {but} these gained {larger} than the others lost"


def _against_chance(facts: BacktestFacts) -> str:
    sets = facts.random_sets
    if facts.random_percentile is None or not sets:
        return ""
    better = round((1 - facts.random_percentile / 100) * sets)
    verdict = "chance alone explains such a result"
    if _seldom(better, sets):
        verdict = f"chance seldom does as well{', and still it lost' if _falls(facts.return_pct) else ''}"
    elif _seldom(sets - better, sets):
        verdict = "it chose its moments worse than chance"
    return f"Of {sets:,} random sets of as many and as long trades, {better:,} did better: {verdict}."


def _seldom(number: int, sets: int) -> bool:
    """Return whether so few of the sets are too few for chance; the rule itself counts as one more of them.

    Davison and Hinkley (1997), "Bootstrap Methods and their Application", 4.2: else few sets would prove too much.
    """
    return (number + 1) / (sets + 1) <= 1 - LIKELY


def _later_and_dearer(facts: BacktestFacts) -> str:
    later, double = facts.bar_later_return_pct, facts.double_cost_return_pct
    parts = []
    if later is not None:
        frail = ", so it hangs on a single candle" if later <= 0 and _rises(facts.return_pct) else ""
        parts.append(f"filled one candle later it would have {gained_or_lost(later)}{frail}")
    if double is not None and facts.costs:
        frail = ", so its gain is within the doubt about costs" if double <= 0 and _rises(facts.return_pct) else ""
        parts.append(f"at twice the cost it would have {gained_or_lost(double)}{frail}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _halves(facts: BacktestFacts) -> str:
    first, last = facts.first_70_return_pct, facts.last_30_return_pct
    if first is None or last is None:
        return ""
    held = [
        "" if pct is None else f" (holding {gained_or_lost(pct)})"
        for pct in (facts.first_70_buy_and_hold_pct, facts.last_30_buy_and_hold_pct)
    ]
    faded = ": what worked did not go on" if last <= 0 and _rises(first) else ""
    return (
        f"In the first 70 % of the time it {gained_or_lost(first)}{held[0]}, "
        f"and in the last 30 % it {gained_or_lost(last)}{held[1]}{faded}."
    )


def _sharpe(facts: BacktestFacts) -> str:
    if facts.days < FEWEST_DAYS:
        days = f"{int(facts.days)}" if facts.days >= 10 else f"{facts.days:.2g}"  # 89.9 are not 90
        return (
            f"A record of {days} day{'' if days == '1' else 's'} is too short for a Sharpe ratio or any yearly figure."
        )
    if facts.sharpe is None or facts.sharpe_ci95 is None:
        return ""
    low, high = facts.sharpe_ci95
    sign = "includes zero, so it may be luck" if low <= 0 <= high else f"is {'above' if low > 0 else 'below'} zero"
    held = facts.buy_and_hold_sharpe
    beside = "" if held is None else f" (holding: {ratio(held)})"
    text = f"Its Sharpe ratio (yearly return divided by its ups and downs) is {ratio(facts.sharpe)}{beside}; "
    text += f"the 95 % interval, {ratio(low)} to {ratio(high)}, {sign}"
    return f"{text}{_deflated(facts)}{_too_short(facts)}."


def _deflated(facts: BacktestFacts) -> str:
    if facts.sharpe_deflated is None:
        return ""
    bar = "below" if facts.sharpe_deflated < LIKELY else "above"
    if bar == "above" and facts.sharpe_ci95 is not None and facts.sharpe_ci95[0] <= 0:
        bar = "only just above"  # as the interval includes zero
    bar = f"{bar} the usual bar of 95 %"
    if facts.trials > 1:
        return (
            f"; after {facts.trials:,} variants tried, the probability that it beats the best of that many by luck "
            f"is {probability(facts.sharpe_deflated)}, {bar}"
        )
    return f"; the probability that it is truly above zero is {probability(facts.sharpe_deflated)}, {bar}"


def _too_short(facts: BacktestFacts) -> str:
    needed = facts.min_track_record_days
    if needed is None or needed <= facts.days:
        return ""
    alone = " even as the only one tried" if facts.trials > 1 else ""
    days, long = f"{facts.days:,.0f}", f"{needed:,.0f}"
    much = "a little longer" if days == long else f"{long} days long"
    return f"; to show skill{alone}, this record of {days} days would have to be {much}"


def _looks_ahead(facts: BacktestFacts) -> str:
    return (
        f"It looks into the future: {_count(facts.changed, 'column')} changed when later candles were replaced "
        f"({_count(facts.checked, 'moment')} checked), so no figure here means anything."
    )


def _reservations(facts: BacktestFacts) -> str:
    """Return in one sentence whether it looks ahead, and what is not known or not over yet."""
    parts = []
    if facts.missing:
        parts.append(f"{_count(facts.missing, 'candle')} missing")
    if facts.unfilled:
        parts.append(f"{_count(facts.unfilled, 'order')} not filled, as the candle is missing")
    if facts.missing_fundings:
        parts.append(f"{_count(facts.missing_fundings, 'funding')} not known, and so not paid")
    if facts.undecided:
        news = f", {facts.without_news:,} of them for lack of news" if facts.without_news else ""
        parts.append(f"no decision at {facts.undecided:,} of {facts.decisions:,} moments{news}")
    if facts.open_trade:
        parts.append("one trade still open, valued at the last close")
    mind = f"eep in mind: {'; '.join(parts)}." if parts else ""
    if facts.changed:
        return f"K{mind}" if mind else ""
    if not facts.checked:
        return f"Whether it looks into the future was not checked{f'; k{mind}' if mind else '.'}"
    proof = (
        f"No look-ahead was found: replacing what comes after {_count(facts.checked, 'moment')} changed nothing earlier"
    )
    return f"{proof}{f'; k{mind}' if mind else '.'}"


def gained_or_lost(pct: float) -> str:
    """Write a return in words: `gained 3.1 %`."""
    if pct <= -100:
        return "lost everything"
    if _pct(pct) == _pct(-100):
        return "lost nearly everything"
    if _pct(pct) == _pct(0):
        return "ended where it began"
    return f"{'gained' if pct > 0 else 'lost'} {_pct(abs(pct))}"


def _rises(pct: float) -> bool:
    """Return whether it is a gain also as it is written."""
    return pct > 0 and _pct(pct) != _pct(0)


def _falls(pct: float) -> bool:
    return pct < 0 and _pct(pct) != _pct(0)


def _pct(pct: float) -> str:
    return f"{pct + 0.0:,.1f} %".replace("-0.0", "0.0")


def ratio(value: float) -> str:
    """Write a ratio to two decimals; what is next to nothing has no sign."""
    return f"{value:.2f}".replace("-0.00", "0.00")


def probability(value: float) -> str:
    """Write a probability in words, rounded down, so that what is below a bar is never written as the bar."""
    return "over 99 %" if value > 0.99 else "under 1 %" if value < 0.01 else f"{math.floor(value * 100 + 1e-9)} %"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
