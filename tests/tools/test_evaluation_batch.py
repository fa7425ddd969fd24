"""Strategies that are evaluated together do not wait for one of them that takes long, nor fail with one that fails."""

from collections.abc import AsyncIterator
from threading import Event

import pytest

from mcp_server import evaluation_batch
from mcp_server.app import make_kit, tool_files
from mcp_server.domain.candles import Candles
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.evaluation import Evaluation, ReadyRules
from mcp_server.evaluation_batch import Batch
from mcp_server.evaluations import AskedEvaluation
from mcp_server.market.history import History
from mcp_server.settings import ServerSettings
from mcp_server.toolkit import Call, Kit
from tests.tools.conftest import NOW

CONFIG = {"trading_pair": "BTC/USDT", "interval": "1h", "rules": {"buy": "close > 1"}}


@pytest.fixture
async def kit(settings: ServerSettings) -> AsyncIterator[Kit]:
    kit = make_kit(settings, tool_files(), clock=lambda: NOW)
    yield kit
    await kit.close()


async def answered(kit: Kit, *names: str) -> list[str]:
    """Evaluate strategies of these names, and return those that have an answer."""
    asked = []
    for name in names:
        strategy = parse_strategy(name, CONFIG, None)
        kit.strategies.write(strategy)
        asked.append(AskedEvaluation(strategy_name=name, version=strategy.version, as_of="now"))
    batch = Batch(Call(kit), asked)
    await batch.evaluate()
    return [name for place, name in enumerate(names) if "answer" in batch.answers.get(place, {})]


async def test_what_takes_long_is_left_with_all_that_come_after_it(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    decided, goes_on = ReadyRules.decided, Event()

    def slowly(ready: ReadyRules, history: History, candles: Candles) -> Evaluation:
        if ready.strategy.name == "slow":
            goes_on.wait(5)
        return decided(ready, history, candles)

    monkeypatch.setattr(ReadyRules, "decided", slowly)
    monkeypatch.setattr(evaluation_batch, "DECIDE_S", 0.5)
    try:
        assert await answered(kit, "quick", "slow", "late") == ["quick"]
    finally:
        goes_on.set()


async def test_a_slip_of_ours_at_one_strategy_leaves_the_others_their_answers(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = ReadyRules.decided

    def slips(ready: ReadyRules, history: History, candles: Candles) -> Evaluation:
        if ready.strategy.name == "odd":
            raise RuntimeError
        return decided(ready, history, candles)

    monkeypatch.setattr(ReadyRules, "decided", slips)
    assert await answered(kit, "one", "odd", "two") == ["one", "two"]
