"""Reports of real runs: by rules over the invented market, and by Claude sub-agents with a scripted model."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch, Told
from mcp_server.domain.outcome import Ended, Outcome, Signal, Status
from mcp_server.domain.report.page import markdown
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Misconfigured
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.news.store import NewsStore
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.execute import Runner
from runner.report import chart, report, write_report
from runner.settings import RunnerSettings
from runner.tool_server.client import connected
from runner.tool_server.server import Address, tool_server
from tests.domain.test_report_text import HOSTILE, rendered
from tests.rigs.news_trace import news_answer, news_call, news_trace
from tests.rigs.scripted_messages_api import ScriptedMessagesApi
from tests.runner.claude_runs import AS_OF, KEY, script, strategy

PNG = b"\x89PNG\r\n\x1a\n"
RULES = parse_strategy("dip", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
BOUGHT = Outcome(Status.SUCCESS, Signal("BUY", Decimal(60), "it rose", 42.5), cost_usd=Decimal(0))


def executed(outcome: Outcome = BOUGHT, number: int = 7) -> Ended:
    at = datetime(2026, 5, 20, 12, 0, 5, tzinfo=UTC)
    return Ended(number, "rules", at, outcome, at, at + timedelta(seconds=1.5))


async def ran(home: Path, what: Strategy, **settings: Any) -> tuple[Ended, Path]:
    """Run a strategy, draw, and write the report, with a tool server of its own."""
    at = Home(home)
    known = RunnerSettings(home=home, exchange="simulated", **settings)
    journal = Journal(Database(at.database, prepare=at.prepare), at)
    async with tool_server(known) as where:

        @asynccontextmanager
        async def address() -> AsyncIterator[Address]:
            yield where

        done = await Runner(known, journal, Database(at.database), address).run(what, as_of=AS_OF)
        return done, await report(at, what, done, "simulated", address)


@pytest.mark.usefixtures("forked_servers")
async def test_the_report_of_a_run_by_rules_has_all_that_decided_and_the_chart(home: Path) -> None:
    what = StrategyFolders(Home(home), examples_folder()).read("rsi-reversion")
    done, path = await ran(home, what)
    assert done.outcome.signal is not None
    assert path == home / "analysis" / "rsi-reversion" / "2026-03-01T12-00-00Z.md"
    text = path.read_text()
    assert text.startswith(f"# {done.outcome.signal.signal}: BTC/USDT as of 2026-03-01 12:00 UTC\n")
    assert "| cost | none: no model was asked |" in text
    assert "| buy | `crosses_above(rsi_14, 35)` | " in text
    assert "`rsi_14` = " in text
    assert "![BTC/USDT as of 2026-03-01 12:00 UTC](2026-03-01T12-00-00Z.png)" in text
    assert path.with_suffix(".png").read_bytes().startswith(PNG)
    assert sorted(file.suffix for file in path.parent.iterdir()) == [".md", ".png"]
    html = rendered(text)
    assert html.count("<table>") == 2
    assert html.count("<img") == 1


def test_each_sub_agents_findings_calls_and_words_stand_under_its_name() -> None:
    asked = {"tool": "get_price", "arguments": {"symbol": "BTC/USDT"}, "result": '{"last": 42.5}', "is_error": False}
    agents: list[dict[str, Any]] = [
        {"name": "price-monitor", "reported": True, "report": "It costs 42.5.", "calls": [asked],
         "tokens": {"input": 200, "output": 40}},
        {"name": "rsi-analyzer", "reported": False, "missing": "it was cut off", "calls": []},
    ]  # fmt: skip
    signal = Signal("BUY", Decimal(72), "it dips", 1.0, {"sub_agent_results": {"price-monitor": {"last": 42.5}}})
    outcome = Outcome(
        Status.SUCCESS, signal, cost_usd=Decimal("0.0123"), tokens_used=720, trace={"sub_agents": agents},
        model="claude-sonnet-4-5",
    )  # fmt: skip
    text = markdown(strategy(description="Buys dips."), replace(executed(outcome), engine="claude"), None)
    assert "**dip**: Buys dips." in text
    assert "| decided by | claude-sonnet-4-5 and its sub-agents |" in text
    assert "| cost | $0.0123, 720 tokens |" in text
    price, rsi = text.split("### price-monitor")[1].split("### rsi-analyzer")
    for words in ("- last: 42.5", '- `get_price(symbol=BTC/USDT)`: `{"last": 42.5}`', "> It costs 42.5.", "240 tokens"):
        assert words in price
        assert words not in rsi
    assert "*It did not report: it was cut off.*" in rsi


@pytest.mark.long
@pytest.mark.usefixtures("forked_servers")
async def test_the_report_of_a_claude_run_has_each_sub_agents_findings_and_what_it_cost(home: Path) -> None:
    folder = home / "strategies" / "dip"
    folder.mkdir(parents=True)
    what = strategy(exchange="simulated", model="claude-sonnet-4-5", description="Buys dips.")
    (folder / "config.json").write_text(json.dumps(what.config_json()))
    (folder / "agents.json").write_text(json.dumps(what.agents_json()))
    with ScriptedMessagesApi(script()) as api:
        done, path = await ran(home, what, ANTHROPIC_BASE_URL=api.url, ANTHROPIC_API_KEY=KEY)
    assert done.outcome.signal is not None, done
    text = path.read_text()
    assert "**dip**: Buys dips." in text
    assert "| confidence | 72 of 100 |" in text
    assert "| decided by | claude-sonnet-4-5 and its sub-agents |" in text
    assert re.search(r"\| cost \| \$0\.\d{4}, 720 tokens \|", text)
    assert "> The RSI is 28.5." in text
    price, rsi = text.split("### price-monitor")[1].split("### rsi-analyzer")
    assert "- last: 42.5" in price
    assert "- `get_price(symbol=BTC/USDT)`: `{" in price
    assert "> It costs 42.5." in price
    assert "- rsi: 28.5" in rsi
    assert KEY not in text
    assert path.with_suffix(".png").exists()


@pytest.mark.usefixtures("forked_servers")
async def test_a_chart_that_cannot_be_drawn_loses_no_report(home: Path) -> None:
    at = Home(home)
    lost = parse_strategy("lost", {"trading_pair": "NO/SUCH", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
    crowded = [f"{name}(14)" for name in ("rsi", "cci", "mfi", "willr", "adx", "roc", "mom", "cmo")]
    config = {"trading_pair": "BTC/USDT", "interval": "1h", "rules": {"buy": "close > 1", "indicators": crowded}}
    full = parse_strategy("full", config, None)
    async with tool_server(RunnerSettings(home=home)) as where, connected(where) as tools:
        picture, why = await chart(tools, lost, executed(), "nosuch")
        assert picture is None
        drawn, _ = await chart(tools, full, executed(), "simulated")
        assert drawn is not None, "with other indicators, where these do not fit on one chart"
    path = write_report(at, lost, executed(), picture, why)
    assert "*No chart: Unknown exchange 'nosuch'" in path.read_text()
    assert not path.with_suffix(".png").exists()


async def test_a_tool_server_that_is_gone_costs_the_chart_and_not_the_report(home: Path) -> None:
    @asynccontextmanager
    async def gone() -> AsyncIterator[Address]:
        yield Address("http://127.0.0.1:9/mcp", None)

    path = await report(Home(home), RULES, executed(), "simulated", gone)
    assert "*No chart: The tool server cannot be reached" in path.read_text()


async def test_headlines_that_sub_agents_saw_have_their_links_unless_the_database_is_gone(home: Path) -> None:
    @asynccontextmanager
    async def gone() -> AsyncIterator[Address]:
        yield Address("http://127.0.0.1:9/mcp", None)

    at = Home(home)
    database = Database(at.database, prepare=at.prepare)
    told = [Told("g", "https://wire.example/7", "Bitcoin falls", None)]
    NewsStore(database).enter(NewsFetch("wire", 0, "ok", 1), Feed("wire", "https://wire.example/feed", "press"), told)
    row = [1, None, "2026-05-20T11:40:30Z", "wire", "Bitcoin falls", 0]
    outcome = replace(BOUGHT, trace=news_trace(news_call(news_answer([row]))))
    for known, links in ((database, 1), (Database(home / "not" / "there.duckdb"), 0), (None, 0)):
        path = await report(at, RULES, executed(outcome), "simulated", gone, database=known)
        assert path.read_text().count("“Bitcoin falls”, wire, first seen 2026-05-20T11:40:30Z") == 1
        assert path.read_text().count("`https://wire.example/7`") == links


def test_a_report_names_the_record_so_far_and_nothing_where_it_is_not_known(home: Path) -> None:
    path = write_report(Home(home), RULES, executed(), None, record="12 judged: too few to say")
    assert "| record so far | 12 judged: too few to say |" in path.read_text()
    assert "record so far" not in write_report(Home(home), RULES, executed(), None).read_text()


def test_a_report_never_replaces_another_and_nothing_half_made_is_left(home: Path) -> None:
    at = Home(home)
    first = write_report(at, RULES, executed(number=1), PNG)
    before = first.read_bytes()
    paths = [write_report(at, RULES, executed(number=number), PNG) for number in (2, 2, 3)]
    assert [path.name for path in [first, *paths]] == [
        "2026-05-20T12-00-05Z.md",
        "2026-05-20T12-00-05Z-2.md",
        "2026-05-20T12-00-05Z-2-2.md",
        "2026-05-20T12-00-05Z-3.md",
    ]
    assert first.read_bytes() == before
    for path in paths:
        assert f"]({path.stem}.png)" in path.read_text()
    assert len(list(first.parent.iterdir())) == 8


def test_a_report_without_a_chart_beside_a_chart_without_a_report(home: Path) -> None:
    at = Home(home)
    (home / "analysis" / "dip").mkdir(parents=True)
    (home / "analysis" / "dip" / "2026-05-20T12-00-05Z.png").write_bytes(b"another's")
    path = write_report(at, RULES, executed(), PNG)
    assert path.name == "2026-05-20T12-00-05Z-7.md"
    assert (path.parent / "2026-05-20T12-00-05Z.png").read_bytes() == b"another's"


def test_nothing_is_written_through_a_link(home: Path, tmp_path: Path) -> None:
    at, outside = Home(home), tmp_path / "outside"
    outside.mkdir()
    (home / "analysis").mkdir()
    (home / "analysis" / "dip").symlink_to(outside)
    with pytest.raises(Misconfigured, match="leads out of"):
        write_report(at, RULES, executed(), PNG)
    (home / "analysis" / "dip").unlink()
    (home / "analysis" / "dip").mkdir()
    (home / "analysis" / "dip" / "2026-05-20T12-00-05Z.md").symlink_to(outside / "file.md")
    write_report(at, RULES, executed(), None)
    assert list(outside.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(home: Path) -> None:
    (home / "analysis").write_text("in the way")
    with pytest.raises(Misconfigured, match="cannot be written"):
        write_report(Home(home), RULES, executed(), None)


def test_a_run_without_a_signal_says_why() -> None:
    failed = replace(executed(), outcome=Outcome(Status.TIMEOUT, error="it took longer than 5 s"), engine="claude")
    text = markdown(RULES, failed, None)
    assert text.startswith("# No signal (timeout): BTC/USD as of 2026-05-20 12:00 UTC\n")
    assert "> it took longer than 5 s" in text
    assert "| cost | unknown |" in text
    assert "*No chart: it could not be drawn.*" in text


@pytest.mark.parametrize(
    ("twin", "row"),
    [
        ({"signal": "SELL", "confidence": 50.0}, "| its rules alone | would say SELL |"),
        ({"signal": None, "reasoning": "both rules hold"}, "| its rules alone | no signal: both rules hold |"),
        ({"signal": None, "error": "the exchange is down"}, "| its rules alone | no signal: the exchange is down |"),
        (None, None),
    ],
)
def test_the_report_of_a_run_by_claude_tells_what_its_rules_would_say(twin: Any, row: str | None) -> None:
    data = {"sub_agent_results": {}, **({"twin": twin} if twin else {})}
    outcome = Outcome(Status.SUCCESS, Signal("BUY", Decimal(60), "it rises", 1.0, data))
    text = markdown(strategy(), replace(executed(outcome), engine="claude"), None)
    assert [line for line in text.splitlines() if "its rules alone" in line] == ([row] if row else [])


WRITTEN_BY_A_MODEL = "ZZZ"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_anywhere_in_a_run_adds_nothing_to_the_report_but_text(text: str) -> None:
    def html(said: str) -> str:
        agent: Mapping[str, Any] = {
            "name": "price-monitor", "reported": False, "model": said, "missing": said, "report": said,
            "calls": [{"tool": said, "arguments": {said: said}, "result": said, "is_error": False}],
        }  # fmt: skip
        data = {
            "sub_agent_results": {"price-monitor": {"x": said, "y": [said]}, said: {"z": said}},
            "twin": {"signal": None, "error": said},
        }
        outcome = Outcome(
            Status.SUCCESS, Signal("BUY", Decimal(1), said, 1.0, data), model=said,
            trace={"sub_agents": [agent],
                   "conditions": [{"rule": said, "text": said, "value": True, "values": {said: said}}]},
        )  # fmt: skip
        what = strategy(description=said.strip() or "x")
        return rendered(markdown(what, replace(executed(outcome), engine="claude"), None, said))

    tags = "<a|<img|<script|<h1|<h2|<h3|<hr|<table|<pre|<ol|<strong|<details|<td"
    assert sorted(re.findall(tags, html(text))) == sorted(re.findall(tags, html(WRITTEN_BY_A_MODEL)))
