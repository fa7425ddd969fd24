"""No answer is longer than a model can read: it says what was left out, and how to ask for it."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent

from mcp_server.answers import MOST_BYTES
from mcp_server.app import build_server
from mcp_server.domain.candles import Candles
from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.tools.market.get_ohlcv import COLUMNS, MOST_ROWS, Ohlcv, rows_of
from tests.tools.conftest import NOW, answer_of

STRATEGIES, RUNS = 400, 8
RULES = {"trading_pair": "A/B", "interval": "1h", "rules": {"buy": "close > 1"}}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with many strategies, and runs whose reasonings are long."""
    home = tmp_path_factory.mktemp("full")
    for number in range(STRATEGIES):
        folder = home / "strategies" / f"s{number:04}"
        folder.mkdir(parents=True)
        folder.joinpath("config.json").write_text(json.dumps({**RULES, "name": folder.name, "description": "d" * 190}))
    journal = Journal(Database(Home(home).database, prepare=Home(home).prepare), Home(home))
    strategy = parse_strategy("s0000", RULES, None)
    for number in range(RUNS):
        as_of = NOW - timedelta(hours=RUNS - number)
        said = Signal("BUY", Decimal(60), "It rose, he said. " * 2_300, 100.0)
        journal.finish(journal.claim(Run(strategy, "manual", as_of, "claude", NOW)), Outcome(Status.SUCCESS, said), NOW)
    return home


@pytest.fixture
def settings(full: Path) -> ServerSettings:
    return ServerSettings(home=full, exchange="simulated")


async def bounded(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool, and check that both forms of its answer are within the bound and say the same."""
    result: CallToolResult = await client.call_tool(name, arguments)
    answer = answer_of(result)
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert len(json.dumps(block.text, ensure_ascii=False).encode()) <= MOST_BYTES
    assert len(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()) <= MOST_BYTES
    assert answer.get("note", "") in block.text
    return answer


async def test_hundreds_of_strategies_are_listed_in_several_answers(client: Client) -> None:
    names: list[str] = []
    note = "after=None"
    while "after=" in note:
        after = names[-1] if names else None
        answer = await bounded(client, "list_strategies", **({"after": after} if after else {}))
        names += [row[0] for row in answer["rows"]]
        note = answer.get("note", "")
        assert not note or f"after={names[-1]!r}" in note
    assert [name for name in names if name.startswith("s0")] == [f"s{number:04}" for number in range(STRATEGIES)]
    assert len(names) == len(set(names))


async def test_long_reasonings_are_whole_or_left_out_and_the_others_can_be_asked_for(client: Client) -> None:
    answer = await bounded(client, "list_signals", limit=500, detail="full")
    shown = len(answer["rows"])
    assert 3 <= shown < RUNS
    assert all(len(row[9]) == 20_000 for row in answer["rows"])
    assert f"Only the first {shown} of {RUNS} rows" in answer["note"]
    ids = [row[0] for row in answer["rows"]]
    while len(ids) < RUNS:
        assert f"before={ids[-1]}." in answer["note"]
        answer = await bounded(client, "list_signals", limit=500, detail="full", before=ids[-1])
        ids += [row[0] for row in answer["rows"]]
    assert ids == list(range(RUNS, 0, -1))


async def test_of_many_candles_the_last_ones_fit_and_the_others_can_be_asked_for(client: Client) -> None:
    last = await bounded(client, "get_ohlcv", symbol="BTC/USDT", timeframe="1m", limit=10_000)
    first = last["rows"][0][0]
    assert last["rows"][-1][0] == "2026-05-20T12:16Z"
    assert f"as_of={first!r}" in last["note"]
    before = await bounded(client, "get_ohlcv", symbol="BTC/USDT", timeframe="1m", limit=10_000, as_of=first)
    assert before["rows"][-1][0] < first
    together = await bounded(client, "get_ohlcv", symbol="BTC/USDT", timeframe="1m", limit=2, as_of=last["rows"][1][0])
    assert together["rows"] == [before["rows"][-1], last["rows"][0]], "nothing is missing between the two answers"


async def test_a_table_of_several_markets_is_refused_as_a_whole(client: Client) -> None:
    symbols, specs = ["BTC/USDT", "ETH/USDT"], [f"ema({length})" for length in range(20, 29)]
    result = await client.call_tool("calculate_indicators", {"symbol": symbols, "indicators": specs, "last": 900})
    assert result.is_error
    assert "Lower last" in str(result.content)


async def test_a_strategy_that_is_too_long_is_read_with_its_texts_cut(settings: ServerSettings, tmp_path: Path) -> None:
    folder = tmp_path / "strategies" / "long"
    folder.mkdir(parents=True)
    agent = {"description": "d", "tools": ["get_price"], "prompt": "p" * 20_000}
    folder.joinpath("config.json").write_text(json.dumps({"trading_pair": "A/B", "interval": "1h"}))
    folder.joinpath("agents.json").write_text(json.dumps({f"a{number}": agent for number in range(8)}))
    async with Client(build_server(settings.model_copy(update={"home": tmp_path}), clock=lambda: NOW)) as client:
        answer = await bounded(client, "read_strategy", strategy_name="long")
    assert {len(agent["prompt"]) for agent in answer["agents"].values()} == {10_000}
    assert "do not write this back" in answer["note"]


async def test_of_ten_thousand_candles_no_more_are_written_than_might_fit(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []

    def counted(candles: Candles) -> list[Any]:
        counts.append(len(candles))
        return rows_of(candles)

    monkeypatch.setattr("mcp_server.tools.market.get_ohlcv.rows_of", counted)
    answer = await bounded(client, "get_ohlcv", symbol="BTC/USD", limit=10_000)
    assert counts == [MOST_ROWS]
    kept = len(answer["rows"])
    assert f"Only the last {kept:,} of 10,000 rows fit into an answer. Those before it: as_of=" in answer["note"]
    assert (await bounded(client, "get_ohlcv", symbol="BTC/USD", limit=kept))["rows"] == answer["rows"]


def test_an_answer_is_filled_by_the_rows_that_are_written_however_short_they_are() -> None:
    shortest = ("2026-01-01T00:00Z", 1.0, 1.0, 1.0, 1.0, 1)
    facts = {"symbol": "A/B", "exchange": "e", "timeframe": "1h", "as_of": shortest[0], "age_s": None}
    answer = Ohlcv(**facts, columns=COLUMNS, rows=[shortest] * MOST_ROWS, unwritten=7).result().structured_content
    assert answer is not None
    assert f"of {MOST_ROWS + 7:,} rows fit" in answer["note"]
    assert "unwritten" not in answer
