"""The watched tool server: real processes that hang, die or cannot start, and the one connection that outlives them."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import anyio
import psutil
import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mcp_server.domain.outcome import Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.errors import Retryable, TraderError
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Claimed, Run
from mcp_server.storage.journal.runs import Journal
from runner.execute import Runner
from runner.notify.service import services
from runner.settings import RunnerSettings
from runner.tool_server import server_process
from runner.tool_server.connection import Connection
from runner.tool_server.server import Address, local_server
from runner.tool_server.server_process import ServerProcess
from runner.tool_server.supervisor import WatchedServer, log_line
from tests.rigs.loopback import served
from tests.rigs.tool_server import ToolServer
from tests.rigs.warm import forked_by
from tests.runner.conftest import forked_servers

__all__ = ["forked_servers"]

pytestmark = pytest.mark.usefixtures("forked_servers")

LIMIT_S = 60
RULES = {"buy": "close > open"}
OPERATOR = "a-token-of-the-operator"


@asynccontextmanager
async def kept(server: WatchedServer) -> AsyncIterator[Connection]:
    """Keep a server and a connection to it, as `up` does; at the end none of its processes is left."""
    connection = Connection(server.serving)
    server.on_change = connection.lose
    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.keep)
            tasks.start_soon(connection.hold)
            yield connection
            tasks.cancel_scope.cancel()
    assert pids_of_servers() == []


async def until(found: Callable[[], object]) -> None:
    while not found():  # noqa: ASYNC110 (what it looks at has no event)
        await anyio.sleep(0.02)


def pids_of_servers() -> list[int]:
    return [each.pid for each in forked_by(os.getpid())]


def pid_of_server() -> int:
    (pid,) = pids_of_servers()
    return pid


async def works(connection: Connection) -> bool:
    async with connection.tools() as tools:
        return "get_price" in await tools.offered()


async def test_a_server_that_hangs_is_ended_and_the_connection_comes_back(home: Path) -> None:
    server = WatchedServer(RunnerSettings(home=home), token=SecretStr(OPERATOR), look_every_s=0.1, look_s=0.5)
    async with kept(server) as connection:
        assert await works(connection)
        hanging = pid_of_server()
        os.kill(hanging, signal.SIGSTOP)
        with anyio.move_on_after(0.5) as bounded:  # a run asks in the meantime, within its own limit
            await works(connection)
        assert bounded.cancelled_caught
        await until(lambda: server.starts == 2)
        assert await works(connection)
        assert pid_of_server() != hanging
        assert not psutil.pid_exists(hanging)


async def test_a_look_asks_no_more_than_whether_the_server_answers(home: Path) -> None:
    """Else it would have the server open its database every few seconds, and keep it in memory for ever."""
    asked: list[str] = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(f"{scope['path']}?{scope['query_string'].decode()}")
        await PlainTextResponse("no", 503)(scope, receive, send)

    server, process = WatchedServer(RunnerSettings(home=home), look_every_s=0.01), cast(ServerProcess, None)
    with served(answer) as url, anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server._end_when_silent, Address(f"{url}/mcp", None), process)
            await until(lambda: len(asked) > 1)
            tasks.cancel_scope.cancel()
    assert set(asked) == {"/health?alive"}


async def test_a_run_that_meets_the_end_of_the_server_is_told_so_and_the_next_one_works(home: Path) -> None:
    server = WatchedServer(RunnerSettings(home=home))
    async with kept(server) as connection:
        assert await works(connection)
        os.kill(pid_of_server(), signal.SIGSTOP)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_kill_soon)
            with pytest.raises(TraderError, match="tool server"):
                await works(connection)
        assert await works(connection)


async def _kill_soon() -> None:
    await anyio.sleep(0.2)
    os.kill(pid_of_server(), signal.SIGKILL)


async def test_a_port_in_use_is_named_and_ends_the_first_start(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            Retryable, match=rf"Cannot listen on '127.0.0.1' port {port}.*Choose another --host or --port"
        ):
            await WatchedServer(RunnerSettings(home=home), port=port, start_patience_s=1.0).keep()
    assert pids_of_servers() == []


async def test_a_port_that_others_took_in_the_meantime_is_tried_again_until_it_is_free(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = WatchedServer(RunnerSettings(home=home), port=port)
    async with kept(server) as connection:
        assert await works(connection)
        os.kill(pid_of_server(), signal.SIGKILL)
        with await taken_again(port):
            await until(lambda: f"port {port}" in (server.problem or ""))
        assert await works(connection)
        assert server.problem is None


async def taken_again(port: int) -> socket.socket:
    """Take a port as soon as whoever has it is gone."""
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            await anyio.sleep(0.005)


async def test_a_server_elsewhere_that_is_down_is_told_and_no_failure_of_those_who_wait_for_it(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = "http://127.0.0.1:9/mcp"

    @asynccontextmanager
    async def serving() -> AsyncIterator[Address]:
        yield Address(url, None)

    connection = Connection(serving, logs=True)
    at = Home(home)
    database = Database(at.database)
    runner = Runner(RunnerSettings(home=home), Journal(database, at), database, serving, connection.tools)
    impatient = parse_strategy("dip", {"trading_pair": "BTC/USD", "interval": "1h", "timeout_s": 1, "rules": RULES}, {})
    moment = datetime(2026, 4, 1, tzinfo=UTC)
    run = Run(impatient, "schedule", moment, "rules", moment)
    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.hold)
            outcome = await runner.decide(Claimed(1, run, "k", None))
            assert (outcome.status, outcome.blame) == (Status.TIMEOUT, "outside")
            assert "could not be reached within 1 s" in (outcome.error or "")
            assert "cannot be reached" in (connection.problem or "")
            assert caplog.text.count("cannot be reached") == 1
            with ToolServer() as up_again:
                url = up_again.url
                assert await works(connection)
                assert connection.problem is None
                tasks.cancel_scope.cancel()


async def test_the_server_of_a_schedule_collects_news(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def popen(command: list[str], **_: object) -> None:
        commands.append(command)
        raise Retryable("It is not to be started.")

    monkeypatch.setattr(server_process, "Popen", popen)
    with pytest.raises(Retryable, match="not to be started"):
        await WatchedServer(RunnerSettings(home=home))._one()
    assert ["--collect-news" in command for command in commands] == [True]


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "anthropic_api_key", "Trader_Notify"])
async def test_no_other_program_sees_a_secret_that_is_not_for_it_however_its_name_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[object] = []

    def popen(*_: object, env: dict[str, str], **__: object) -> None:
        seen.extend(env.values())
        raise Retryable("It is not to be started.")

    async def note(*_: object, env: dict[str, str], **__: object) -> None:
        popen(env=env)

    monkeypatch.setenv(name, "json://a-secret")
    monkeypatch.setattr(server_process, "Popen", popen)
    monkeypatch.setattr(anyio, "run_process", note)
    settings = RunnerSettings.load()
    assert "json://a-secret" in settings.secrets()
    for started in (
        local_server(settings, "127.0.0.1", 0, None).__aenter__(),
        services([SecretStr("x://")])[0].send("", ""),
    ):
        with pytest.raises(Retryable, match="not to be started"):
            await started
    assert seen
    assert "json://a-secret" not in seen


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-30 17:30:15,504 INFO mcp_server.news.collecting: news: This server collects.", "INFO"),
        ("2026-11-30 17:30:15,504 WARNING mcp_server.news.collector: news: 'sec' fails INFO", "WARNING"),
        ("Traceback (most recent call last):", "WARNING"),
    ],
)
def test_a_line_that_the_server_logs_is_a_warning_only_if_something_is_wrong(
    line: str, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        log_line(line)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [(level, f"tool server: {line}")]
