"""The composed server, driven through a real MCP client in memory, at a moment that the tests choose."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import SecretStr

from mcp_server.app import build_server
from mcp_server.backtest import child
from mcp_server.backtest import compute as computing
from mcp_server.charts.artist import Artist
from mcp_server.charts.child import picture
from mcp_server.child_process import ChildEnding, WaitingChild
from mcp_server.domain.backtest.answer import Backtest
from mcp_server.domain.backtest.run import BacktestTask, run_backtest
from mcp_server.settings import ServerSettings
from mcp_server.storage.queries import child as answering
from tests.rigs.journal_databases import journal_url, kept_in

__all__ = ["kept_in"]

NOW = datetime(2026, 5, 20, 12, 17, 33, tzinfo=UTC)

Ask = Callable[..., Awaitable[dict[str, Any]]]


class Told(Exception):
    """A tool answered with an error; the text is what the caller reads."""


@pytest.fixture
def settings(home: Path) -> ServerSettings:
    """The settings of the server; with `kept_in`, its journal may be in Postgres."""
    url = journal_url(home)
    return ServerSettings(home=home, exchange="simulated", database_url=None if url is None else SecretStr(url))


@pytest.fixture
async def client(settings: ServerSettings) -> AsyncIterator[Client]:
    async with Client(build_server(settings, clock=lambda: NOW), raise_exceptions=True) as client:
        yield client


def answer_of(result: CallToolResult) -> dict[str, Any]:
    text = "".join(block.text for block in result.content if isinstance(block, TextContent))
    if result.is_error:
        raise Told(text)
    assert text
    if any(isinstance(block, ImageContent) for block in result.content):
        return _facts(text)
    assert result.structured_content is not None
    structured: dict[str, Any] = result.structured_content
    return structured


def _facts(text: str) -> dict[str, Any]:
    """Read what stands beside a picture: lines of `name: value`, where a value that is no text is JSON."""
    facts = {}
    for name, _, value in (line.partition(": ") for line in text.splitlines()):
        try:
            facts[name] = json.loads(value)
        except json.JSONDecodeError:
            facts[name] = value
    return facts


@pytest.fixture
def ask(client: Client) -> Ask:
    async def call(name: str, **arguments: Any) -> dict[str, Any]:
        return answer_of(await client.call_tool(name, arguments))

    return call


@pytest.fixture(autouse=True)
def drawn_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pictures be drawn here: to start their process takes half a second, and `tests/charts` does."""
    monkeypatch.setattr(Artist, "prepare", lambda _: None)
    monkeypatch.setattr(Artist, "draw", lambda _, chart: picture(chart))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tool's process be this one: to start one takes seconds, and one test does. Its proof makes two cuts.

    By the clock it would make as many as it has time for, so that no two answers were the same.
    """

    def proven_by_two_cuts(task: BacktestTask, **_: Any) -> Backtest:
        return run_backtest(task, clock=count().__next__, proof_limit_s=3)

    async def run(_: tuple[str, ...], question: bytes, _within_s: float) -> ChildEnding:
        return ChildEnding(json.dumps(child.answer(BytesIO(question)), allow_nan=False).encode(), b"", 0)

    monkeypatch.setattr(computing, "run_child", run)
    monkeypatch.setattr(child, "run_backtest", proven_by_two_cuts)


@pytest.fixture
def queries_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process that answers a query be this one; the tests of queries themselves start real ones."""

    async def run(_: WaitingChild, question: bytes, _within_s: float) -> ChildEnding:
        return ChildEnding(json.dumps(answering.reply(question.decode())).encode(), b"", 0)

    monkeypatch.setattr(WaitingChild, "run", run)
