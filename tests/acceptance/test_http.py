"""`claude-trader-mcp` as a process: what it answers over HTTP and stdio, whom it turns away, and how it ends."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from pydantic import SecretStr

from mcp_server.app import tool_files
from mcp_server.errors import Misconfigured
from mcp_server.http.serve import check_exposure
from mcp_server.http.tokens import Tokens
from mcp_server.storage.setting_types import TokenEntry
from tests.rigs import warm
from tests.rigs.warm import Warm
from tests.tools.conftest import Told, answer_of

COMMAND = [sys.executable, "-m", "mcp_server"]
ON_A_FREE_PORT = ["--http", "--port", "0"]
LIMIT_S = 60
"""No step of a process may take longer, however busy the machine is."""


@dataclass(frozen=True)
class Serving:
    """A server that is up."""

    url: str
    process: subprocess.Popen[bytes] | Warm
    errors: BinaryIO
    for_people: str = ""

    @property
    def base(self) -> str:
        return self.url.removesuffix("/mcp")

    def said(self) -> str:
        """Give what it wrote on standard error so far."""
        self.errors.seek(0)
        return self.errors.read().decode()


@contextmanager
def serving(home: Path, *, faultless: bool = True, anew: bool = False, **environment: str) -> Iterator[Serving]:
    """Run `claude-trader-mcp --http` on a free port until the block ends; if `faultless`, nothing may fail in it.

    It is forked from a process that has imported everything; `anew` starts Python anew.
    """
    with tempfile.TemporaryFile() as errors, ExitStack() as stack:
        process: subprocess.Popen[bytes] | Warm
        if anew:
            process = stack.enter_context(_started([*COMMAND, *ON_A_FREE_PORT], home, errors, environment))
            output = process.stdout
        else:
            process, output = stack.enter_context(_forked(ON_A_FREE_PORT, home, errors, environment))
        assert output is not None
        url = output.readline().decode().strip()
        server = Serving(url, process, errors, output.readline().decode().strip())
        assert url.startswith("http://"), server.said()
        yield server
        process.terminate()
        process.wait(LIMIT_S)
        if faultless:
            assert "ERROR" not in server.said()
            assert "Traceback" not in server.said()


@contextmanager
def _started(
    command: list[str], home: Path, errors: BinaryIO, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that does not outlive the block, and that is killed when it says nothing for too long."""
    variables = {**os.environ, "TRADER_HOME": str(home), **environment}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, env=variables) as process, _ending(process):
        yield process


@contextmanager
def _forked(
    arguments: list[str], home: Path, errors: BinaryIO, environment: dict[str, str], given: int | None = None
) -> Iterator[tuple[Warm, BinaryIO]]:
    """Fork a process of which all that holds, with an input where its descriptor is given; give its output."""
    variables = {**os.environ, "TRADER_HOME": str(home), **environment}
    reading, writing = os.pipe()
    with open(os.devnull) as nothing, os.fdopen(reading, "rb") as output:
        try:
            streams = (nothing.fileno() if given is None else given, writing, errors.fileno())
            process = Warm("mcp_server", arguments, variables, Path.cwd(), streams, forks_servers=True)
        finally:
            os.close(writing)
        with _ending(process):
            yield process, output
        process.wait(LIMIT_S)


@contextmanager
def _ending(process: subprocess.Popen[bytes] | Warm) -> Iterator[None]:
    limit = threading.Timer(LIMIT_S * 3, process.kill)
    limit.start()
    try:
        yield
    finally:
        limit.cancel()
        process.kill()


@asynccontextmanager
async def calling(url: str, mode: Literal["auto", "legacy"] = "auto", **headers: str) -> AsyncIterator[Client]:
    """Connect to a server; keywords are headers, with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        httpx2.AsyncClient(headers=named, timeout=LIMIT_S, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("home"), TRADER_EXCHANGE="simulated") as server:
        yield server


def _post(server: Serving, **headers: str) -> httpx2.Response:
    named = {"Accept": "application/json, text/event-stream", **headers}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    return httpx2.post(server.url, headers=named, json=request, timeout=LIMIT_S, trust_env=False)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_both_eras_of_the_protocol_are_answered(server: Serving, mode: Literal["auto", "legacy"]) -> None:
    async with calling(server.url, mode) as client:
        listed = await client.list_tools()
        said = answer_of(await client.call_tool("get_ohlcv", {"symbol": "BTC/USDT", "limit": 3}))
        assert (client.protocol_version == LATEST_HANDSHAKE_VERSION) is (mode == "legacy")
    assert [tool.name for tool in listed.tools] == list(tool_files())
    assert len(said["rows"]) == 3


def test_its_second_line_tells_a_person_where_the_page_is(server: Serving) -> None:
    assert server.for_people == f"Open {server.base}/ in a browser."
    page = httpx2.get(f"{server.base}/", timeout=LIMIT_S, trust_env=False)
    assert (page.status_code, "<title>Claude Trader</title>" in page.text) == (200, True)


def test_an_address_that_was_told_can_be_connected_to_at_once(home: Path) -> None:
    with serving(home) as server:
        address = ("127.0.0.1", int(server.base.rpartition(":")[2]))
        socket.create_connection(address, timeout=LIMIT_S).close()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "127.0.0.1:1"])
def test_a_name_that_is_not_this_servers_is_refused_on_loopback(server: Serving, host: str) -> None:
    assert _post(server, Host=host).status_code == 421
    assert _post(server, Origin=f"http://{host}").status_code == 403


async def test_only_who_sends_the_token_is_answered(home: Path) -> None:
    with serving(home, TRADER_TOKEN="s3cret") as server:
        for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": "s3cret"}):
            refused = _post(server, **headers)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "TRADER_TOKEN" in refused.text
            assert "s3cret" not in refused.text
        assert httpx2.get(f"{server.base}/health", timeout=LIMIT_S, trust_env=False).status_code == 200
        async with calling(server.url, Authorization="Bearer s3cret") as client:
            assert (await client.list_tools()).tools


def test_with_a_public_address_it_tells_where_to_connect_and_logs_who_tries_to(home: Path) -> None:
    with serving(home, TRADER_PUBLIC_URL="https://trader.example", TRADER_TOKEN="s3cret") as server:
        assert server.for_people.endswith(" Connect claude.ai to https://trader.example/mcp.")

        def ask(path: str) -> httpx2.Response:
            return httpx2.get(
                f"{server.base}{path}", headers={"Host": "trader.example"}, timeout=LIMIT_S, trust_env=False
            )

        assert ask("/.well-known/oauth-authorization-server").json()["issuer"] == "https://trader.example"
        refused = _post(server, Host="trader.example")
        where = "https://trader.example/.well-known/oauth-protected-resource/mcp"
        assert f'resource_metadata="{where}"' in refused.headers["WWW-Authenticate"]
        assert ask("/authorize?client_id=stranger").status_code == 400
        assert "INFO mcp_server.oauth: A request to connect was refused" in server.said()


async def test_without_a_public_address_nobody_can_authorize(home: Path) -> None:
    with serving(home, TRADER_TOKEN="s3cret") as server:
        headers = {"Authorization": "Bearer s3cret"}
        for path in ("/authorize", "/token", "/revoke", "/.well-known/oauth-protected-resource/mcp"):
            for method in ("GET", "POST"):
                answer = httpx2.request(
                    method, f"{server.base}{path}", headers=headers, timeout=LIMIT_S, trust_env=False
                )
                assert answer.status_code == 404


async def test_the_earliest_of_header_and_argument_wins(server: Serving) -> None:
    async with calling(server.url, X_Trader_As_Of="2026-05-01T10:30Z") as client:

        async def last_open(**arguments: Any) -> tuple[str, str]:
            said = answer_of(await client.call_tool("get_ohlcv", {"symbol": "BTC/USDT", "limit": 2, **arguments}))
            return said["as_of"], said["rows"][-1][0]

        assert await last_open() == ("2026-05-01T10:30Z", "2026-05-01T09:00Z")
        assert await last_open(as_of="2026-05-03T10:30Z") == ("2026-05-01T10:30Z", "2026-05-01T09:00Z")
        assert await last_open(as_of="2026-04-03T10:30Z") == ("2026-04-03T10:30Z", "2026-04-03T09:00Z")


async def test_a_header_that_is_no_moment_is_told(server: Serving) -> None:
    async with calling(server.url, X_Trader_As_Of="noon") as client:
        with pytest.raises(Told, match=r"the header X-Trader-As-Of 'noon' is not a time\. Write ISO 8601"):
            answer_of(await client.call_tool("get_ohlcv", {"symbol": "BTC/USDT"}))


def _refused(home: Path, *arguments: str) -> tuple[int, str]:
    """Start a server that must not serve; give its exit code and what it said."""
    variables = {**os.environ, "TRADER_HOME": str(home)}
    code, output, errors = warm.run(["--http", *arguments], variables, home, LIMIT_S, "mcp_server")
    assert output == ""
    return code, errors


def test_others_are_not_served_without_a_token(home: Path) -> None:
    code, said = _refused(home, "--host", "0.0.0.0", "--port", "0")  # noqa: S104 (it is what must be refused)
    assert code == 1
    assert said.startswith("claude-trader-mcp: Listening on '0.0.0.0' would offer this server to others")
    assert "Set TRADER_TOKEN, or listen on 127.0.0.1." in said


@pytest.mark.parametrize("host", ["::", "", "192.0.2.1", "trader.example", "127.0.0.1.example"])
def test_an_address_beyond_loopback_needs_a_token(host: str) -> None:
    with pytest.raises(Misconfigured, match="Set TRADER_TOKEN"):
        check_exposure(host, Tokens({}))
    check_exposure(host, Tokens({"any": TokenEntry(token=SecretStr("s3cret"))}))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    check_exposure(host, Tokens({}))


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = _refused(home, "--port", str(port))
    assert code == 1
    assert said.startswith(f"claude-trader-mcp: Cannot listen on '127.0.0.1' port {port}: ")
    assert "Choose another --host or --port." in said
    assert "Traceback" not in said


def test_it_ends_with_the_process_that_holds_its_input(home: Path) -> None:
    """`test_over_stdio_there_is_nothing_but_the_protocol_and_it_ends_with_its_input` starts Python anew."""
    arguments, (given, held) = [*ON_A_FREE_PORT, "--with-parent"], os.pipe()
    with tempfile.TemporaryFile() as errors, _forked(arguments, home, errors, {}, given) as (process, output):
        os.close(given)
        url = output.readline().decode().strip()
        assert _post(Serving(url, process, errors)).status_code == 200
        os.close(held)
        assert process.wait(LIMIT_S) == 0


def test_it_ends_with_that_process_also_while_it_is_still_starting(home: Path) -> None:
    command = [*COMMAND, *ON_A_FREE_PORT, "--with-parent"]
    with tempfile.TemporaryFile() as errors, _started(command, home, errors, {}) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        assert process.stdout.read() == b"", "it never listened"
        assert process.wait(LIMIT_S) == 0


async def test_it_ends_when_it_is_told_to_though_a_client_stays_connected(home: Path) -> None:
    with serving(home) as server:
        async with calling(server.url) as client:
            await client.list_tools()
            server.process.terminate()
            server.process.wait(LIMIT_S)  # for this client it would wait for ever


LINES: list[dict[str, Any]] = [
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": LATEST_HANDSHAKE_VERSION,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": "calculate_rsi", "arguments": {"symbol": "BTC/USDT", "exchange": "simulated"}},
    },
]


def test_over_stdio_there_is_nothing_but_the_protocol_and_it_ends_with_its_input(home: Path) -> None:
    with tempfile.TemporaryFile() as errors, _started(COMMAND, home, errors, {}) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers = []
        for line in LINES:
            process.stdin.write(json.dumps(line).encode() + b"\n")
            process.stdin.flush()
            if "id" in line:
                answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(LIMIT_S) == 0
        assert Serving("", process, errors).said() == ""
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[0]["result"]["serverInfo"]["name"] == "claude-trader"
    assert 0 <= answers[1]["result"]["structuredContent"]["rsi"] <= 100
