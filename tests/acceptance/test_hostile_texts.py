"""A hundred hostile texts through every tool, prompt, resource, notice, report and log: nothing hidden comes out."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent, TextResourceContents
from rich.console import Console

from mcp_server.__main__ import CleanLines
from mcp_server.answers import MOST_BYTES
from mcp_server.app import build_server, tool_files
from mcp_server.domain.outcome import Ended, Outcome, Signal, Status
from mcp_server.domain.report.page import markdown
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.http.health import MOST_WHY, Health
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.heartbeat import Beat, Heartbeat
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from runner.cli import show
from runner.logs import start_logging
from runner.notify import events
from tests.acceptance.hostile_texts import HALVES, LONG, TEXTS, hidden
from tests.rigs.chain_server import chain_settings
from tests.rigs.exchanges.world import World
from tests.rigs.stand_in_exchange import StandInExchange
from tests.tools.conftest import NOW

RULES = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h", "rules": {"buy": "close > 1"}}
RUN = "id, strategy_id, strategy_version, trigger, as_of, engine, started_at, status, error_message, run_key"
SIGNAL = "execution_id, strategy_id, timestamp, signal, reasoning, price, data, execution_time_ms"
LONGEST_ERROR = 20_000
TRUE_SYMBOLS = ["BTC/EUR", "BTC/USD", "BTC/USDT", "DOGE/USD", "ETH/BTC", "ETH/USD", "PEPE/USD", "SOL/USD"]
CHAINS = ("ethereum", "base", "arbitrum", "polygon", "bnb", "optimism", "bitcoin")
A_PROCESS_EACH = 5
"""Of the texts that are sent as SQL, every so many: each is a process of its own."""


def strings(value: Any) -> Iterator[str]:
    """Yield every text and key within JSON values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def check(result: CallToolResult, about: object) -> None:
    """Check that an answer hides nothing in either form, and that it is not too long."""
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    values = [result.structured_content, result.meta] if result.structured_content or result.meta else []
    for text in [*texts, *strings(values)]:
        assert not hidden(text), (about, hidden(text)[:5])
        assert len(text.encode()) <= (LONGEST_ERROR if result.is_error else MOST_BYTES), about


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose strategies, reasonings and errors are the texts."""
    home = tmp_path_factory.mktemp("hostile")
    for number, text in enumerate([*TEXTS, *HALVES]):
        folder = home / "strategies" / f"s{number:03}"
        folder.mkdir(parents=True)
        agent = {"description": text[:1000] or "d", "prompt": text[:20_000], "tools": ["get_price"]}
        folder.joinpath("config.json").write_text(json.dumps({**RULES, "description": text, "synthesis_logic": text}))
        folder.joinpath("agents.json").write_text(json.dumps({f"a{text[:40]}" if number % 10 == 0 else "a": agent}))
    database = Database(Home(home).database, prepare=Home(home).prepare)
    journal = Journal(database, Home(home))
    claimed = journal.claim(Run(parse_strategy("s000", RULES, None), "manual", NOW, "rules", NOW))
    journal.finish(claimed, Outcome(Status.SUCCESS, Signal("BUY", Decimal(60), "so", 1.0)), NOW)
    moment = (NOW - timedelta(days=1)).replace(tzinfo=None)

    def write(connection: Any) -> None:
        for number, text in enumerate(TEXTS, 2):
            row = [number, moment + timedelta(minutes=number), text]
            connection.execute(
                f"INSERT INTO executions ({RUN}) VALUES ($1, 1, 'v', 'manual', $2, 'rules', $2, 'error', $3, $1)", row
            )
            connection.execute(
                f"INSERT INTO analysis_results ({SIGNAL}) VALUES ($1, 1, $2, 'SELL', $3, 1.0, '{{}}', 0)", row
            )

    database.write(write)
    return home


@pytest.fixture
def settings(stored: Path) -> ServerSettings:
    return chain_settings(stored, {chain: ["http://127.0.0.1:9"] for chain in CHAINS})


ALL_TEXTS = [*TEXTS, *HALVES]
A_PART = 24
"""Of the tools in `make test` each is sent one text in so many, and one tool others than the next."""

STEPS = [A_PART - 1, pytest.param(1, marks=pytest.mark.long)]


@pytest.mark.parametrize(
    ("name", "texts"),
    [pytest.param(name, ALL_TEXTS[place % A_PART :: A_PART], id=name) for place, name in enumerate(tool_files())]
    + [pytest.param(name, ALL_TEXTS, id=f"{name} all", marks=pytest.mark.long) for name in tool_files()],
)
async def test_no_tool_gives_back_what_hides_in_an_argument(
    settings: ServerSettings, name: str, texts: list[str]
) -> None:
    file = tool_files()[name]
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        (schema,) = [tool.input_schema for tool in (await client.list_tools()).tools if tool.name == name]
        arguments = [argument for argument in schema["properties"] if argument != "dry_run"]
        for number, text in enumerate(texts):
            argument = arguments[number % len(arguments)]
            if argument == "sql" and number % A_PROCESS_EACH:
                continue
            value: Any = [text] if schema["properties"][argument].get("type") == "array" else text
            if argument in ("config", "agents"):
                value = {**RULES, "description": text, "odd" if text in HALVES else text[:50]: text}
            sent = {**file.example, argument: value, **({"dry_run": True} if name == "write_strategy" else {})}
            check(await client.call_tool(name, sent), (name, argument, text[:40]))
            check(await client.call_tool(name, {**file.example, text[:100]: 1}), (name, text[:40]))


@pytest.mark.parametrize("step", STEPS)
async def test_no_tool_gives_back_what_is_stored(settings: ServerSettings, step: int) -> None:
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        for name, arguments in (
            ("list_strategies", {}),
            ("list_signals", {"limit": 500}),
            ("list_signals", {"limit": 500, "detail": "full", "outcomes": "all"}),
            ("query_journal", {"sql": "SELECT reasoning, * FROM analysis_results", "limit": 500}),
            ("query_journal", {"sql": "SELECT error_message FROM executions", "limit": 500, "detail": "full"}),
            ("query_journal", {"sql": 'SELECT 1 AS "a\u202eb", \'x\u200by\' AS "c\u200bd"'}),
            ("draw_chart", {"symbol": "BTC/USDT", "strategy_name": "s000"}),
        ):
            check(await client.call_tool(name, arguments), (name, arguments))
        for number in range(0, len(TEXTS) + len(HALVES), step):
            check(await client.call_tool("read_strategy", {"strategy_name": f"s{number:03}"}), number)
            check(await client.call_tool("evaluate_strategy", {"strategy_name": f"s{number:03}"}), number)


@pytest.mark.parametrize("step", STEPS)
async def test_no_prompt_and_no_resource_gives_back_what_is_stored_or_asked(
    settings: ServerSettings, step: int
) -> None:
    async with Client(build_server(settings, clock=lambda: NOW)) as client:
        for number, text in list(enumerate(ALL_TEXTS))[::step]:
            said = []
            for ask in (
                lambda: client.get_prompt("review_strategy", {"strategy_name": f"s{number:03}"}),  # noqa: B023
                lambda: client.get_prompt("design_strategy", {"idea": text}),  # noqa: B023
                lambda: client.get_prompt("review_strategy", {"strategy_name": text}),  # noqa: B023
                lambda: client.read_resource(f"strategy://s{number:03}"),  # noqa: B023
            ):
                try:
                    answer: Any = await ask()
                    said.append(answer.model_dump_json())
                    for part in getattr(answer, "contents", []):
                        assert isinstance(part, TextResourceContents)
                        json.loads(part.text)
                except MCPError as error:
                    said.append(json.dumps(str(error)))
            for answer in said:
                for written in strings(json.loads(answer)):
                    assert not hidden(written), (number, text[:40], hidden(written)[:5])
                    assert len(written.encode()) <= MOST_BYTES


async def test_an_exchange_whose_markets_have_hostile_names_is_used_as_if_it_had_none_of_these(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [text.replace("/", "|").replace(".", "|") for text in TEXTS]  # a point means something to kraken
    monkeypatch.setattr(World, "extra_bases", property(lambda _: names))
    with StandInExchange() as rig:
        own = settings.model_copy(update={"exchange": "kraken", "exchange_urls": {"kraken": rig.url}})
        async with Client(build_server(own, clock=lambda: NOW)) as client:
            found = await client.call_tool("find_markets", {"limit": 500})
            check(found, "markets")
            assert found.structured_content is not None
            symbols = [row[0] for row in found.structured_content["rows"]]
            assert "BTC/USD" in symbols
            asked_for = {f"{name}/USDT".upper() for name in names}  # kraken's names are written so
            assert sorted(set(symbols) - asked_for) == TRUE_SYMBOLS, "each is listed by its exact name or not at all"
            for text in TEXTS:
                check(await client.call_tool("get_price", {"symbol": text[:55] or "x"}), text[:40])


def strategy(text: str) -> Strategy:
    description = "d" if text in HALVES else text[:20_000]  # no strategy has these
    return parse_strategy("s", {**RULES, "description": description}, None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=str(number), marks=[pytest.mark.long] if text in (LONG[1], LONG[-1]) else [])
        for number, text in enumerate(ALL_TEXTS)
    ],
)
def test_no_notice_no_report_and_no_terminal_shows_what_hides(text: str) -> None:
    trace = {"sub_agents": [{"name": text[:50], "report": text, "calls": [{"tool": text, "result": text}]}]}
    said = Outcome(
        Status.SUCCESS, Signal("BUY", Decimal(60), text, 1.0, {"sub_agent_results": {"a": {text: text}}}), model=text,
        trace=trace,
    )  # fmt: skip
    failed = Outcome(Status.ERROR, error=text or "x")
    shown = [markdown(strategy(text), Ended(1, "claude", NOW, ended, NOW, NOW), None, text) for ended in (said, failed)]
    for ended in (said, failed):
        console = Console(file=StringIO(), width=100)
        show.executed(console, strategy(text), Ended(1, "claude", NOW, ended, NOW, NOW, text))
        assert isinstance(console.file, StringIO)
        shown.append(console.file.getvalue())
    told = [
        events.signal_changed(strategy(text), Ended(1, "rules", NOW, said, NOW, NOW), None),
        events.run_failed(strategy(text), Ended(1, "rules", NOW, failed, NOW, NOW)),
        events.strategy_paused(strategy(text), Ended(1, "rules", NOW, failed, NOW, NOW), 3),
        events.broken_edit("s", text),
        events.server_trouble(text, NOW),
    ]
    for event in told:
        assert event is not None
        notice = [value.replace("@\u200b", "@") for value in event.fields.values()]  # so that it calls nobody by name
        assert max(map(len, notice)) <= events.MOST_CHARACTERS
        shown += notice
    for page in shown:
        assert not hidden(page), hidden(page)[:5]
        assert len(page) < MOST_BYTES


async def test_neither_health_nor_the_servers_log_shows_what_hides(stored: Path) -> None:
    where, formatter = Home(stored), CleanLines("%(message)s")
    health = Health(where, examples_folder(), Database(where.database, prepare=where.prepare), lambda: NOW)
    problems = tuple(text[:5_000] for text in TEXTS)
    Heartbeat(where.heartbeat).write(Beat(1, NOW, NOW, 0, problems))
    for written in strings(await health.report()):
        assert not hidden(written), hidden(written)[:5]
        assert len(written) <= MOST_WHY
    for text in [*TEXTS, *HALVES]:
        line = formatter.format(logging.LogRecord("x", logging.ERROR, "", 1, "it said: %s", (text,), None))
        assert not hidden(line), hidden(line)[:5]
        assert len(line) <= 20_000


@pytest.mark.parametrize("human", [True, False])
def test_no_line_of_the_log_shows_what_hides(human: bool, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        start_logging([], human=human)
        for text in [*TEXTS, *HALVES]:
            logging.getLogger("runner.x").error("it said: %s", text, extra={"strategy": text, "error": text})
    finally:
        root.handlers = handlers
        root.setLevel(level)
        logging.getLogger("runner").setLevel(logging.NOTSET)
    lines = capsys.readouterr().err.splitlines()
    if not human:
        assert len(lines) == len(TEXTS) + len(HALVES)
        lines = [part for line in lines for part in strings(json.loads(line))]
    for line in lines:
        seen = show.plain(line).plain if human else line
        assert not hidden(seen), hidden(seen)[:5]
        assert len(line) < 20_000
