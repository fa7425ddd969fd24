"""Where rules lack news: why a condition has no value at a candle, and at how many that is so."""

import re
from collections.abc import Sequence

import numpy as np

from mcp_server.domain.candles import Candles
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.from_news import GivenNews, news_wanted
from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.rules.series import BUY, HOLD, UNDECIDED, Codes
from mcp_server.domain.rules.verdict import EvaluatedRule
from mcp_server.errors import BadInput

_WORD = re.compile(r"[a-z_][a-z0-9_]*")


def why_undefined(
    rules: Sequence[EvaluatedRule], specs: Sequence[Spec], candles: Candles, reach: int
) -> tuple[str, ...]:
    """Return why news is missing that conditions without a value look at, in sentences; none where none are.

    Args:
        rules: with their values at the last candle.
        specs: the indicators that they use.
        candles: up to that one.
        reach: how many candles before it their conditions look back to.
    """
    undecided = [condition for rule in rules if rule.value() is None for condition in rule.deciding()]
    words = set(_WORD.findall(" ".join(condition.text.lower() for condition in undecided)))
    looked_at = [spec for spec in specs if words & set(spec.columns) and news_wanted([spec])]
    columns = compute(looked_at, candles)
    missing = {name for name, values in columns.items() if np.isnan(values[-reach - 1 :]).any()}
    news = news_wanted([spec for spec in looked_at if missing & set(spec.columns)])
    return tuple(dict.fromkeys(why for one in news if (why := candles.given[one.key].why)))


def undecided_without_news(news: Sequence[GivenNews], candles: Candles, signals: Codes) -> Codes:
    """Return BUY for each candle without a decision at which one of these is undefined, and HOLD for the others.

    Args:
        news: what the rules look at.
        candles: n candles, with this news.
        signals: n codes, what the rules decided.
    """
    missing = np.zeros(len(candles), dtype=np.bool_)
    for one in news:
        missing |= np.isnan(candles.given_column(one.key))
    return np.where(missing & (signals == UNDECIDED), np.int8(BUY), np.int8(HOLD))


def check_news(news: Sequence[GivenNews], candles: Candles) -> None:
    """Refuse candles of which none has the news that rules look at.

    Raises:
        BadInput: a count of this news is undefined at each candle.
    """
    for one in news:
        if np.isnan(candles.given_column(one.key)).all():
            raise BadInput(
                f"{one.spec!r} has no value in all of this time. {candles.given[one.key].why}".rstrip(),
                "Choose a time in which news was collected, as `claude-trader up` does, or leave it out of the rules.",
            )
