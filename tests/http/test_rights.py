"""A token that reads is offered only what reads, and cannot call what writes, in both eras of the protocol."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from starlette.requests import Request
from starlette.responses import Response

from mcp_server.app import build_server, tool_files
from mcp_server.http.rights import MORE_SCOPE_KEY, SCOPE_KEY, AsksForMore
from mcp_server.settings import ServerSettings
from tests.http.conftest import LIMIT_S, READS, WRITES, Guarded
from tests.tools.conftest import answer_of

Era = Literal["auto", "legacy"]
ERAS: list[Era] = ["auto", "legacy"]
WRITING = {name for name, file in tool_files().items() if not file.annotations.read_only_hint}
CONFIG = {"trading_pair": "BTC/USDT", "exchange": "simulated", "interval": "1h", "rules": {"buy": "close > 1"}}


@asynccontextmanager
async def calling(server: Guarded, token: str, mode: Era) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=LIMIT_S, trust_env=False) as http,
        Client(streamable_http_client(server.url, http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.mark.parametrize("mode", ERAS)
async def test_a_token_that_reads_is_offered_what_reads(server: Guarded, mode: Era) -> None:
    assert {"run_strategy", "set_strategy_status", "write_strategy"} == WRITING
    async with calling(server, READS, mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == tool_files().keys() - WRITING
    async with calling(server, WRITES, mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == tool_files().keys()


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("name", sorted(WRITING))
async def test_a_token_that_reads_cannot_call_what_writes(server: Guarded, mode: Era, name: str) -> None:
    async with calling(server, READS, mode) as client:
        arguments = {"strategy_name": "mine", "config": CONFIG, "status": "active"}
        with pytest.raises(MCPError, match=rf"may only read, so it cannot call '{name}'.*scope write"):
            await client.call_tool(name, arguments)
    assert not (server.home / "strategies" / "mine").exists()


@pytest.mark.parametrize("mode", ERAS)
async def test_a_token_that_reads_reads_and_one_that_writes_writes(server: Guarded, mode: Era) -> None:
    async with calling(server, WRITES, mode) as client:
        done = answer_of(await client.call_tool("write_strategy", {"strategy_name": f"by-{mode}", "config": CONFIG}))
        assert done["written"] is True
    async with calling(server, READS, mode) as client:
        said = answer_of(await client.call_tool("read_strategy", {"strategy_name": f"by-{mode}"}))
        assert said["config"]["trading_pair"] == "BTC/USDT"
        assert (await client.list_prompts()).prompts
        assert (await client.read_resource(f"strategy://by-{mode}")).contents


@pytest.mark.parametrize("name", ["nope", [], {}, None, ["write_strategy"]], ids=repr)
def test_what_is_no_tool_is_said_to_be_none_and_not_to_need_more_rights(server: Guarded, name: Any) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}}
    answers = [server.post(json.dumps(call).encode(), Authorization=f"Bearer {token}") for token in (READS, WRITES)]
    assert answers[0].text == answers[1].text
    assert "error" in answers[0].text.lower()
    assert not [word for word in ("unhashable", "may only read") if word in answers[0].text]


@pytest.mark.parametrize(
    ("sent", "name", "status"),
    [
        ("1", '"write_strategy"', 403),
        ('"a"', '"write_strategy"', 403),
        ("1", '"nope"', 200),
        ("1", "[]", 200),
        ("1", "{}", 200),
        ("NaN", '"write_strategy"', 200),
        ("1e999", '"write_strategy"', 200),
        ('"\\ud800"', '"write_strategy"', 200),
        ("[" * 3_000, '"write_strategy"', 200),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_only_a_call_that_can_be_answered_is_answered_with_the_scope_it_lacks(
    home: Path, sent: str, name: str, status: int
) -> None:
    """What is passed on is judged by the SDK, and by `OnlyWhatIsAllowed`."""
    body = f'{{"jsonrpc":"2.0","id":{sent},"method":"tools/call","params":{{"name":{name}}}}}'.encode()
    app = AsksForMore(passed_on, build_server(ServerSettings(home=home)))

    async def by_oauth(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, SCOPE_KEY: "read", MORE_SCOPE_KEY: "Bearer more"}, receive, send)

    transport = httpx2.ASGITransport(by_oauth)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", trust_env=False) as http:
        answer = await http.post("/mcp", content=body)
    assert (answer.status_code, answer.headers.get("www-authenticate")) == (
        status,
        "Bearer more" if status == 403 else None,
    )
    if status == 200:
        assert answer.content == body


async def passed_on(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the body as it arrives."""
    body = await Request(scope, receive).body()
    await Response(body)(scope, receive, send)


def test_rights_are_not_taken_from_a_header(server: Guarded) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_strategy","arguments":{}}}'
    answered = server.post(body, Authorization=f"Bearer {READS}", trader__scope="write", X_Trader_Scope="write")
    assert "may only read" in answered.text


@pytest.mark.parametrize("mode", ["auto", pytest.param("legacy", marks=pytest.mark.long)])
async def test_a_token_that_reads_may_backtest_and_is_told_how_far_it_is(server: Guarded, mode: Era) -> None:
    told: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    arguments = {"config": {**CONFIG, "interval": "1d"}, "start": "2025-10-01", "end": "2026-02-01"}
    async with calling(server, READS, mode) as client:
        answer = answer_of(await client.call_tool("backtest_strategy", arguments, progress_callback=note))
    assert answer["backtest_id"] > 0
    assert told[0] == "Gathering candles"


@pytest.mark.parametrize("mode", ERAS)
async def test_a_token_that_reads_may_ask_whether_signals_were_right(server: Guarded, mode: Era) -> None:
    async with calling(server, READS, mode) as client:
        answer = answer_of(await client.call_tool("get_performance", {}))
    assert answer["kind"] == "live"
