"""By what a signal is judged, and what a strategy may say of it."""

from typing import Any

import pytest

from mcp_server.domain.scoring.terms import Terms, horizon_s, terms_of
from mcp_server.domain.strategy.format import Config
from mcp_server.domain.strategy.parse import InvalidStrategy, parse_files, parse_strategy
from mcp_server.domain.strategy.strategy import Strategy

HOUR_S = 3_600
DAY_S = 24 * HOUR_S


def strategy(timeframe: str | None = None, **keys: Any) -> Strategy:
    rules = {"timeframe": timeframe, "buy": "close > 1"} if timeframe else {"buy": "close > 1"}
    config = {"trading_pair": "BTC/USD", "rules": rules, **({} if "cron" in keys else {"interval": "1h"}), **keys}
    return parse_strategy("s", config, None)


HORIZONS: dict[str, tuple[dict[str, Any], int]] = {
    "of a minute's interval": ({"interval": "1m"}, DAY_S),
    "of four hours": ({"interval": "4h"}, DAY_S),
    "of a day's interval": ({"interval": "1d"}, 5 * DAY_S),
    "of a cron": ({"cron": "30 9 * * *", "timeframe": "1h"}, DAY_S),
    "of candles longer than a day": ({"interval": "4h", "timeframe": "3d"}, 3 * DAY_S),
    "of candles longer than five intervals": ({"interval": "1d", "timeframe": "1w"}, 7 * DAY_S),
    "in minutes": ({"interval": "5m", "horizon": "90m"}, 90 * 60),
    "in hours": ({"horizon": "4h"}, 4 * HOUR_S),
    "in days": ({"horizon": "3d"}, 3 * DAY_S),
    "in weeks": ({"horizon": "2w"}, 14 * DAY_S),
    "no whole number of candles": ({"interval": "4h", "horizon": "10h"}, 10 * HOUR_S),
    "of one candle": ({"interval": "4h", "horizon": "240m"}, 4 * HOUR_S),
}


@pytest.mark.parametrize(("keys", "seconds"), HORIZONS.values(), ids=HORIZONS.keys())
def test_a_horizon_is_as_stated_else_a_day_or_five_intervals(keys: dict[str, Any], seconds: int) -> None:
    assert terms_of(strategy(**keys), "rules", "kraken").horizon_s == seconds


@pytest.mark.parametrize(("keys", "candle"), [
    ({"interval": "4h", "horizon": "3h"}, "4h"),
    ({"interval": "1m", "timeframe": "1h", "horizon": "59m"}, "1h"),
    ({"cron": "0 * * * *", "timeframe": "1w", "horizon": "6d"}, "1w"),
])  # fmt: skip
def test_a_horizon_below_one_candle_is_an_error_that_says_the_least(keys: dict[str, Any], candle: str) -> None:
    with pytest.raises(InvalidStrategy) as refused:
        strategy(**keys)
    (finding,) = refused.value.findings
    assert finding.place == "config.json horizon"
    assert finding.problem.startswith(f"{keys['horizon']!r} is shorter than one candle of {candle}")
    assert finding.remedy == f"Use {candle} or more, or leave it out."


@pytest.mark.parametrize(
    "keys",
    [{"horizon": 5}, {"horizon": "5"}, {"horizon": None}, {"horizon": ["1h"]}, {"interval": "7m", "horizon": "1m"}],
)
def test_what_is_no_horizon_or_no_timeframe_is_told_once(keys: dict[str, Any]) -> None:
    config = {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}, **keys}
    files = parse_files("s", config, None)
    assert [finding.place for finding in files.findings] == (
        [f"config.json {next(iter(keys))}"] if keys["horizon"] else []
    )


def test_a_horizon_below_one_candle_that_an_earlier_version_kept_is_the_default() -> None:
    assert horizon_s(Config(trading_pair="BTC/USD", interval="4h", horizon="1h")) == DAY_S


def test_terms_are_of_the_market_the_round_trip_and_the_engine_that_ran() -> None:
    plain = strategy(interval="4h", timeframe="1h")
    assert terms_of(plain, "rules", "kraken") == Terms(
        "kraken", "BTC/USD", "1h", DAY_S, 30.0, "1", plain.decision_version("kraken")
    )
    named = strategy(exchange="binance", costs={"fee_bps": 7.5})
    assert terms_of(named, "claude", "kraken") == Terms(
        "binance", "BTC/USD", "1h", DAY_S, 25.0, "1", named.decision_version("kraken", "claude")
    )


def test_a_strategy_never_stops_by_itself_unless_it_says_so() -> None:
    assert strategy().config.stop is None
    stop = strategy(stop={}).config.stop
    assert stop is not None
    assert (stop.no_skill, stop.minimum_edge_pct) == (0.05, 0)
    written = {"no_skill": 0.01, "minimum_edge_pct": -0.25}
    assert strategy(stop=written).config_json()["stop"] == written


@pytest.mark.parametrize("stop", [
    {"no_skill": 0}, {"no_skill": 1}, {"no_skill": -0.1}, {"no_skill": "0.05"}, {"no_skill": True}, {"no_skill": None},
    {"no_skill": float("nan")}, {"minimum_edge_pct": "0"}, {"minimum_edge_pct": float("inf")},
    {"minimum_edge_pct": 101}, {"minimum_edge_pct": -101},
])  # fmt: skip
def test_a_stop_that_cannot_be_is_refused(stop: dict[str, Any]) -> None:
    (key,) = stop
    with pytest.raises(InvalidStrategy, match=rf"config\.json stop\.{key}: "):
        strategy(stop=stop)


def test_an_unknown_key_of_stop_names_the_nearest() -> None:
    with pytest.raises(InvalidStrategy, match=r"stop\.no_skil: not a known key\. Did you mean 'no_skill'"):
        strategy(stop={"no_skil": 0.05})
