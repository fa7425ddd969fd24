"""Runs that a host's own model decides, over HTTP: only calls of the token that answers are evidence, in both eras."""

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from mcp import Client
from pydantic import SecretStr

from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.setting_types import TokenEntry
from mcp_server.storage.strategies.folders import StrategyFolders
from tests.http.conftest import TOKENS, WRITES, Guarded, guarded
from tests.http.test_rights import Era, calling
from tests.tools.conftest import answer_of
from tests.tools.test_run_strategy import AGENTS, ANSWER, ASKED

OTHER = "another-token-that-writes"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("home")
    tokens = {**TOKENS, "desk": TokenEntry(token=SecretStr(OTHER), scope="write")}
    strategy = parse_strategy("asked", {**ASKED, "timeout_s": 600}, AGENTS)
    StrategyFolders(Home(home), examples_folder()).write(strategy)
    with guarded(ServerSettings(home=home, exchange="simulated", tokens=tokens)) as server:
        yield server


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    return answer_of(await client.call_tool(name, arguments))


async def look(client: Client, run: dict[str, Any], **more: Any) -> None:
    for tool in ("calculate_rsi", "get_price"):
        await call(client, tool, symbol="BTC/USDT", as_of=run["as_of"], **more)


@pytest.mark.parametrize("mode", ["auto", pytest.param("legacy", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("who_looks", "status"), [("laptop", "success"), ("desk", "abstained"), ("phone", "abstained")]
)
async def test_calls_are_evidence_for_an_answer_of_the_same_token_alone(
    server: Guarded, mode: Era, who_looks: str, status: str
) -> None:
    tokens = {**{name: entry.token.get_secret_value() for name, entry in TOKENS.items()}, "desk": OTHER}
    async with AsyncExitStack() as stack:
        laptop = await stack.enter_async_context(calling(server, WRITES, mode))
        looking = await stack.enter_async_context(calling(server, tokens[who_looks], mode))
        run = await call(laptop, "run_strategy", strategy_name="asked")
        await look(looking, run)
        asked = {"strategy_name": "asked", "execution_id": run["execution_id"]}
        ended = await call(laptop, "run_strategy", **asked, answer=ANSWER)
    assert ended["status"] == status
    assert status == "success" or ("'rsi' called no tool" in ended["error"] and "'price'" in ended["error"])


async def test_calls_of_a_scheduled_agent_with_the_same_token_are_none_of_the_hosts(server: Guarded) -> None:
    async with calling(server, WRITES, "auto") as laptop:
        run = await call(laptop, "run_strategy", strategy_name="asked")
        agent = {"X-Trader-As-Of": run["as_of"], "X-Trader-Exchange": "simulated"}
        for tool in ("calculate_rsi", "get_price"):
            params = {"name": tool, "arguments": {"symbol": "BTC/USDT"}}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
            assert server.post(body.encode(), **agent).status == 200
        asked = {"strategy_name": "asked", "execution_id": run["execution_id"]}
        ended = await call(laptop, "run_strategy", **asked, answer=ANSWER)
    assert ended["status"] == "abstained"


async def test_who_takes_up_anothers_open_run_has_to_look_too(server: Guarded) -> None:
    async with calling(server, WRITES, "auto") as laptop, calling(server, OTHER, "auto") as desk:
        run = await call(laptop, "run_strategy", strategy_name="asked")
        await look(laptop, run)
        assert await call(desk, "run_strategy", strategy_name="asked") == run
        asked = {"strategy_name": "asked", "execution_id": run["execution_id"]}
        assert (await call(desk, "run_strategy", **asked, answer=ANSWER))["status"] == "abstained"
        refused = await laptop.call_tool("run_strategy", {**asked, "answer": ANSWER})
    assert refused.is_error
