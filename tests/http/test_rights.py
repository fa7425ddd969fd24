"""A token that reads is offered only what reads, and cannot call what writes, in both eras of the protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from mcp_server.app import tool_files
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


def test_rights_are_not_taken_from_a_header(server: Guarded) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_strategy","arguments":{}}}'
    answered = server.post(body, Authorization=f"Bearer {READS}", trader__scope="write", X_Trader_Scope="write")
    assert "may only read" in answered.text


@pytest.mark.parametrize("mode", ERAS)
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
