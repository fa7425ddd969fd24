"""Strategies whose rules look at news: live, together, in backtests, charts and checks, over a home with news."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_server.app import make_kit, tool_files
from mcp_server.domain.timeframes import iso, parse_moment, to_ms
from mcp_server.evaluation_batch import Batch
from mcp_server.evaluations import AskedEvaluation
from mcp_server.settings import ServerSettings
from mcp_server.toolkit import Call
from mcp_server.trader.trader import Trader
from tests.news.collected import HOUR_MS, collect, every_half_hour
from tests.tools.conftest import NOW, Ask, Told

SINCE = NOW - timedelta(hours=40)
READY_MS = to_ms(SINCE) + 7 * HOUR_MS
"""From here on a rate of six hours has values."""

RULES = {"indicators": ["news_per_hour(6)", "fear_greed"], "buy": "news_per_hour_6 >= 0.5", "sell": "fear_greed > 70"}
CONFIG: dict[str, Any] = {"trading_pair": "BTC/USDT", "interval": "1h", "rules": RULES}
BURST = ["Bitcoin rallies past its record", "BTC miners sell their reserves", "A fund buys bitcoin worth $2B",
         "Ethereum developers agree on a date"]  # fmt: skip


@pytest.fixture
def collected(home: Path) -> None:
    """Stories 20 hours ago, three about bitcoin and one of another coin; the index twice a day."""
    readings: list[tuple[int, Any]] = [*every_half_hour(SINCE, NOW)]
    readings += [(to_ms(NOW) - 20 * HOUR_MS, BURST)]
    readings += [(to_ms(SINCE) + hours * HOUR_MS + 5, value) for hours, value in ((0, 30.0), (24, 75.0))]
    collect(home, readings)


@pytest.mark.usefixtures("collected")
async def test_rules_see_what_was_seen_by_the_close_of_the_candle_that_they_decide_on(ask: Ask) -> None:
    await ask("write_strategy", strategy_name="mine", config=CONFIG)
    before, then, since, now = [
        await ask("evaluate_strategy", strategy_name="mine", as_of=iso(to_ms(NOW) - hours * HOUR_MS))
        for hours in (20, 19, 13, 0)
    ]
    assert [answer["conditions"][0]["values"]["news_per_hour_6"] for answer in (before, then, since, now)] == [
        0, 0.5, 0, 0,
    ]  # fmt: skip
    assert [answer["signal"] for answer in (before, then, since, now)] == ["HOLD", "BUY", "SELL", "SELL"]
    assert then["conditions"][1]["values"] == {"fear_greed": 30}


@pytest.mark.usefixtures("collected")
async def test_before_there_is_a_rate_rules_abstain_and_say_since_when_news_were_collected(ask: Ask) -> None:
    await ask("write_strategy", strategy_name="mine", config={**CONFIG, "wake": "news_per_hour_6 > 0"})
    asked = {"strategy_name": "mine", "as_of": iso(READY_MS - HOUR_MS)}
    for rule in ("signal", "wake"):
        answer = await ask("evaluate_strategy", **asked, rule=rule)
        assert (answer["signal"], answer.get("wakes")) == (None, None)
        why = (
            f"News has been collected since {iso(to_ms(SINCE))}, so a rate of 6 h has a value from {iso(READY_MS)} on."
        )
        assert answer["reasoning"].endswith(why)
    early = await ask("evaluate_strategy", strategy_name="mine", as_of=iso(to_ms(SINCE) - 5 * HOUR_MS))
    assert "No news had been collected by 2026-05-18T15:00Z." in early["reasoning"]
    assert "The Fear & Greed index had not been collected by 2026-05-18T15:00Z." in early["reasoning"]


@pytest.mark.usefixtures("collected")
async def test_strategies_that_are_evaluated_together_see_the_same_news(settings: ServerSettings, ask: Ask) -> None:
    others = {"indicators": ["sma(3) of news_per_hour(2)"], "buy": "sma_3_of_news_per_hour_2 > 0.1"}
    configs = [CONFIG, {**CONFIG, "rules": others}, {**CONFIG, "rules": {"buy": "close > 1"}}]
    kit = make_kit(settings, tool_files(), clock=lambda: NOW)
    alone, asked = [], []
    for number, config in enumerate(configs):
        written = await ask("write_strategy", strategy_name=f"s{number}", config=config)
        as_of = iso(to_ms(NOW) - 19 * HOUR_MS)
        alone.append(await ask("evaluate_strategy", strategy_name=f"s{number}", as_of=as_of))
        asked.append(AskedEvaluation(strategy_name=f"s{number}", version=written["version"], as_of=as_of))
    batch = Batch(Call(kit), asked)
    await batch.evaluate()
    assert [batch.answers[place]["answer"] for place in range(3)] == alone
    assert [answer["signal"] for answer in alone] == ["BUY"] * 3
    await kit.close()


@pytest.mark.usefixtures("collected", "in_this_process")
async def test_a_backtest_counts_what_was_undecided_for_lack_of_news(ask: Ask) -> None:
    """That it decides as runs do is shown by `tests/news/test_live_as_backtest.py`, and by the long form below."""
    await ask("write_strategy", strategy_name="mine", config=CONFIG)
    answer = await backtested(ask)
    assert min(answer["signals"].values()) > 0
    assert 0 < answer["without_news"] < answer["signals"]["undecided"]
    assert answer["look_ahead"]["changed"] == 0
    assert f"{answer['without_news']} of them for lack of news" in answer["summary"][-3]
    assert answer["summary"][-2:] == [
        "The Fear & Greed index had not been collected by 2026-05-18T20:00Z.",
        f"News has been collected since {iso(to_ms(SINCE))}, so a rate of 6 h has a value from {iso(READY_MS)} on.",
    ]
    again = await ask("backtest_strategy", backtest_id=answer["backtest_id"])
    assert (again["return_pct"], again.get("note")) == (answer["return_pct"], None)


async def backtested(ask: Ask) -> dict[str, Any]:
    start, end = iso(to_ms(SINCE) - 10 * HOUR_MS), iso(to_ms(NOW))
    return await ask("backtest_strategy", strategy_name="mine", start=start, end=end, trades=5)


@pytest.mark.long
@pytest.mark.usefixtures("collected", "in_this_process")
async def test_a_backtest_decides_as_runs_did_and_counts_what_was_undecided_for_lack_of_news(ask: Ask) -> None:
    await ask("write_strategy", strategy_name="mine", config=CONFIG)
    answer = await backtested(ask)
    runs = [
        await ask("evaluate_strategy", strategy_name="mine", as_of=iso(at))
        for at in range(to_ms(parse_moment(answer["start"])) + HOUR_MS, to_ms(NOW), HOUR_MS)
    ]
    signals = [run["signal"] and run["signal"].lower() for run in runs]
    counts = {"buy": "buy", "sell": "sell", "hold": "hold", "undecided": None}
    assert answer["signals"] == {name: signals.count(signal) for name, signal in counts.items()}
    assert answer["without_news"] == sum("is missing at this candle" in run["reasoning"] or
                                         "are missing at this candle" in run["reasoning"] for run in runs)  # fmt: skip
    assert answer["signals"]["undecided"] - answer["without_news"] == sum(
        "both hold" in run["reasoning"] for run in runs
    )


@pytest.mark.usefixtures("in_this_process")
async def test_a_backtest_of_a_time_without_news_is_refused_with_what_helps(home: Path, ask: Ask) -> None:
    await ask("write_strategy", strategy_name="mine", config=CONFIG)
    with pytest.raises(
        Told, match=r"has no value in all of this time. .*had (been|not been) collected .*Choose a time"
    ):
        await ask("backtest_strategy", strategy_name="mine", start="2026-05-01", end="2026-05-05")
    collect(home, [(to_ms(SINCE), [])])
    with pytest.raises(Told, match="Choose a time in which news was collected"):
        await ask("backtest_strategy", strategy_name="mine", start="2026-05-01", end="2026-05-05")


@pytest.mark.usefixtures("collected")
async def test_indicators_of_news_are_found_calculated_and_drawn(ask: Ask, home: Path) -> None:
    found = await ask("find_indicators", query="news")
    assert [row[0] for row in found["rows"]] == ["news_per_hour", "fear_greed"]
    assert found["rows"][0][2:] == ["hours=24 [1..720]", "news", "news_per_hour", 0, "collected news"]
    specs = ["news_per_hour(6)", "fear_greed", "rsi(14)"]
    as_of = iso(to_ms(NOW) - 19 * HOUR_MS)
    asked = {"symbol": "BTC/USDT", "indicators": specs, "as_of": as_of}
    table = await ask("calculate_indicators", **asked, last=30, layout=True)
    assert table["columns"] == ["open_time", "close", "news_per_hour_6", "fear_greed", "rsi_14"]
    assert table["rows"][-1][2:4] == [0.5, 30]
    assert table["rows"][0][2:4] == [None, None]
    for why in (
        f"News has been collected since {iso(to_ms(SINCE))}, so a rate of 6 h has a value from {iso(READY_MS)} on.",
        "The Fear & Greed index had not been collected by 2026-05-18T20:00Z.",
    ):
        assert why in table["note"]
    assert "note" not in await ask("calculate_indicators", **asked), "its one row has both"
    drawn = await ask("draw_chart", **asked)
    assert (drawn["values"]["news_per_hour_6"], drawn["values"]["fear_greed"]) == (0.5, 30)
    with Trader(home, exchange="simulated", clock=lambda: NOW) as trader:
        frame = trader.indicators("BTC/USDT", specs, limit=30, as_of=as_of)
        values = [None if np.isnan(value) else value for value in frame["news_per_hour_6"]]
    assert values == [row[2] for row in table["rows"]]


async def test_divergence_of_news_is_refused(ask: Ask) -> None:
    with pytest.raises(Told, match="made of news"):
        await ask("detect_divergence", symbol="BTC/USDT", oscillator="fear_greed")


def warnings(check: dict[str, Any]) -> str:
    return "\n".join(" ".join(row[2:]) for row in check["findings"] if row[1] == "config.json rules.indicators")


async def test_a_check_warns_of_an_invented_market_and_of_news_that_are_not_there(ask: Ask) -> None:
    checked = warnings(await ask("write_strategy", strategy_name="mine", config=CONFIG, dry_run=True))
    assert "this market is invented" in checked
    assert "No news had been collected by 2026-05-20T12:00Z. `claude-trader up` collects news" in checked
    plain = {**CONFIG, "rules": {"indicators": ["rsi(14)"], "buy": "rsi_14 < 30"}, "wake": "close > 1"}
    assert not warnings(await ask("write_strategy", strategy_name="mine", config=plain, dry_run=True))


@pytest.mark.parametrize("hours", [3, None])
async def test_a_check_warns_of_a_sub_agent_whose_questions_about_news_would_fail(
    home: Path, ask: Ask, hours: int | None
) -> None:
    if hours:
        collect(home, [*every_half_hour(NOW - timedelta(hours=hours), NOW)])
    prompts = {"reader": ["get_news", "get_price"], "pricer": ["get_price"]}
    agents = {name: {"description": name, "prompt": "Look.", "tools": tools} for name, tools in prompts.items()}
    config = {**CONFIG, "engine": "claude", "rules": None, "synthesis_logic": "BUY when both lean to BUY."}
    asked = {"strategy_name": "mine", "config": config, "agents": agents, "dry_run": True}

    rows = (await ask("write_strategy", **asked))["findings"]
    warned = [row[1:] for row in rows if row[1].startswith("agents.json") and "news" in row[2]]
    assert [(place, problem[:38]) for place, problem, _ in warned] == (
        [] if hours else [("agents.json reader.tools", "No news had been collected by 2026-05-")]
    )
    assert all("Let `claude-trader up` run first" in remedy for *_, remedy in warned)


async def test_a_check_warns_of_a_coin_whose_names_are_not_known(ask: Ask) -> None:
    pair = {**CONFIG, "trading_pair": "QQZX/USDT"}
    checked = warnings(await ask("write_strategy", strategy_name="mine", config=pair, dry_run=True))
    assert "No names of QQZX are known, so only headlines with $QQZX, a pair of it or its listing count." in checked
    index = {**pair, "rules": {"indicators": ["fear_greed"], "buy": "fear_greed < 20"}}
    checked = warnings(await ask("write_strategy", strategy_name="mine", config=index, dry_run=True))
    assert "No names" not in checked


async def test_a_check_counts_how_often_rules_of_news_held_and_warns_of_what_is_missing_alone(
    home: Path, ask: Ask
) -> None:
    collect(home, [*every_half_hour(SINCE, NOW), (to_ms(NOW) - 20 * HOUR_MS, BURST)])
    rules = {"indicators": RULES["indicators"], "buy": "news_per_hour_6 >= 0.5"}
    config = {**CONFIG, "rules": rules, "wake": "fear_greed < 20"}
    checked = await ask("write_strategy", strategy_name="mine", config=config, dry_run=True)
    assert "The Fear & Greed index had not been collected by 2026-05-20T12:00Z." in warnings(checked)
    assert "No news" not in warnings(checked)
    assert "No names of" not in warnings(checked)
    assert checked["held"] == "buy 6, sell 0, undecided 0 of 33 1h candles"
