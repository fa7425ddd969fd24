"""Which moments of a replay are not worth asking about: told by the project's own tools, before anything is paid."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import TraderError
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.replay.asleep import kept_out_moments
from runner.tool_server.client import Tools
from tests.runner.claude_runs import strategy as claude_strategy

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
MOMENTS = [datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(12)]
BEGINNING = datetime(2017, 1, 1, tzinfo=UTC)
"""Of the invented market."""

RULES = {"indicators": ["rsi(14)", "sma(1000)"], "buy": "close > 0", "timeframe": "1h"}


class Looking:
    """Looks at moments through the project's tool server, over MCP in memory."""

    def __init__(self, tools: Tools, folders: StrategyFolders) -> None:
        self.tools = tools
        self._folders = folders
        self.told: list[tuple[int, int]] = []

    def strategy(self, **config: Any) -> Strategy:
        """Write a strategy into the home of the server, and return it."""
        strategy = claude_strategy(exchange="simulated", **config)
        self._folders.write(strategy)
        return strategy

    async def kept_out(self, strategy: Strategy, moments: list[datetime]) -> dict[datetime, Outcome]:
        """Return what is not asked."""
        tell = lambda done, of: self.told.append((done, of))  # noqa: E731
        return await kept_out_moments(self.tools, strategy, "kraken", moments, tell)


@pytest.fixture
async def looking(home: Any) -> AsyncIterator[Looking]:
    async with Client(build_server(ServerSettings(home=home, exchange="kraken"), clock=lambda: NOW)) as client:
        yield Looking(Tools(client), StrategyFolders(Home(home), examples_folder()))


async def test_only_moments_at_which_wake_holds_are_asked_and_the_others_say_why(looking: Looking) -> None:
    strategy = looking.strategy(rules=RULES, wake="close > open")
    outcomes = await looking.kept_out(strategy, MOMENTS)
    candles = await looking.tools.call(
        "get_ohlcv",
        {"symbol": "BTC/USDT", "exchange": "simulated", "timeframe": "1h", "limit": 12, "as_of": str(MOMENTS[-1])},
    )
    rose = [close > opened for _, opened, _, _, close, _ in candles["rows"]]
    assert True in rose
    assert [moment not in outcomes for moment in MOMENTS] == rose
    for outcome in outcomes.values():
        assert (outcome.status, outcome.cost_usd, outcome.tokens_used) == (Status.SKIPPED_GATE, Decimal(0), 0)
        assert "Not worth asking" in (outcome.error or "")
        assert json.loads(json.dumps(outcome.trace))["conditions"][0]["value"] is False
    assert looking.told == [(number, 12) for number in range(1, 13)]


async def test_a_wake_that_cannot_be_decided_is_abstained(looking: Looking) -> None:
    strategy = looking.strategy(rules=RULES, wake="sma_1000 > 0")
    young, old = BEGINNING + timedelta(days=20), BEGINNING + timedelta(days=60)
    outcomes = await looking.kept_out(strategy, [young, old])
    assert list(outcomes) == [young]
    assert outcomes[young].status is Status.ABSTAINED
    assert "could not be decided" in (outcomes[young].error or "")


async def test_without_wake_a_moment_whose_candle_is_missing_is_abstained(looking: Looking) -> None:
    outcomes = await looking.kept_out(looking.strategy(), [BEGINNING, BEGINNING + timedelta(hours=1)])
    assert list(outcomes) == [BEGINNING]
    assert outcomes[BEGINNING].status is Status.ABSTAINED
    assert "1h candle of 2016-12-31T23:00Z" in (outcomes[BEGINNING].error or "")
    assert "offset_s" not in (outcomes[BEGINNING].error or ""), "beginning later helps no moment of the past"


async def test_a_cron_without_rules_says_nothing_of_candles_and_is_always_asked(looking: Looking) -> None:
    strategy = looking.strategy(interval=None, cron="0 * * * *")
    assert await looking.kept_out(strategy, MOMENTS[:3]) == {}


async def test_what_cannot_be_told_ends_it_before_anything_is_asked(looking: Looking) -> None:
    strategy = looking.strategy(rules=RULES, wake="close > open").model_copy(update={"name": "unwritten"})
    with pytest.raises(TraderError, match="unwritten"):
        await looking.kept_out(strategy, MOMENTS)
