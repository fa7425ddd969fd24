"""Where rules lack news: why a condition has no value at a candle."""

import re
from collections.abc import Sequence

import numpy as np

from mcp_server.domain.candles import Candles
from mcp_server.domain.indicators.compute import compute
from mcp_server.domain.indicators.from_news import news_wanted
from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.rules.verdict import EvaluatedRule

_WORD = re.compile(r"[a-z_][a-z0-9_]*")


def why_undefined(
    rules: Sequence[EvaluatedRule], specs: Sequence[Spec], candles: Candles, reach: int
) -> tuple[str, ...]:
    """Return why news are missing that conditions without a value look at, in sentences; none where none are.

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
