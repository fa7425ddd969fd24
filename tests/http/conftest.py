"""The real HTTP server in this process, with tokens of both scopes, and a way to send it any bytes."""

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from mcp_server.app import build_server
from mcp_server.http.allowed_hosts import AllowedHosts
from mcp_server.http.connections import BoundedConnection
from mcp_server.http.gate import Gate
from mcp_server.http.health import Health
from mcp_server.http.limits import RateLimits
from mcp_server.http.oauth.oauth import oauth_parts, public_name
from mcp_server.http.serve import configured, mcp_app
from mcp_server.http.tokens import tokens_of
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.setting_types import TokenEntry
from tests.rigs.loopback import served

READS, WRITES = "a-token-that-reads", "a-token-that-writes"
TOKENS = {"phone": TokenEntry(token=SecretStr(READS)), "laptop": TokenEntry(token=SecretStr(WRITES), scope="write")}
PUBLIC = "trader.example"
LIMIT_S = 30.0
LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'


@dataclass(frozen=True)
class Answered:
    """What came back; status 0 where the connection was closed without a word."""

    status: int
    text: str
    headers: dict[str, str]
    cookies: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The text of the JSON-RPC error."""
        return str(json.loads(self.text)["error"]["message"])


@dataclass(frozen=True)
class Guarded:
    """A server that is up."""

    port: int
    home: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S)

    def send(self, *parts: bytes) -> Answered:
        """Send bytes as they are and give the one answer."""
        with self.connect() as sock:
            try:
                for part in parts:
                    sock.sendall(part)
            except OSError:
                pass
            return read_answer(sock)

    def post(self, body: bytes = LIST, path: str = "/mcp", method: str = "POST", **headers: str | None) -> Answered:
        """Send a request that is right but for what is said; keywords are headers, `_` for `-`, None leaves one out."""
        return self.send(self.head(len(body), path, method, **headers) + body)

    def head(self, length: int, path: str = "/mcp", method: str = "POST", **headers: str | None) -> bytes:
        usual: dict[str, str | None] = {
            "Host": f"127.0.0.1:{self.port}",
            "Authorization": f"Bearer {WRITES}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Content-Length": str(length),
            "Connection": "close",
        }
        said = usual | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in said.items() if value is not None),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read_answer(sock: socket.socket) -> Answered:
    """Read one answer: its head, and as much as it says that it has."""
    got = b""
    until = time.monotonic() + LIMIT_S
    try:
        while b"\r\n\r\n" not in got and time.monotonic() < until and (part := sock.recv(65536)):
            got += part
        head, _, body = got.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        length = int(headers.get("content-length", 1 << 30))
        while len(body) < length and time.monotonic() < until and (part := sock.recv(65536)):
            body += part
    except OSError:
        if not got:
            return Answered(0, "", {})
    cookies = tuple(line.partition(": ")[2] for line in rest if line.lower().startswith("set-cookie:"))
    return Answered(int(first.split(" ")[1]), body.decode(), headers, cookies) if got else Answered(0, "", {})


Guard = Callable[..., AbstractContextManager[Guarded]]


@contextmanager
def guarded(
    settings: ServerSettings,
    *,
    head_s: float = LIMIT_S,
    body_s: float = LIMIT_S,
    request_s: float = LIMIT_S,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    listener: socket.socket | None = None,
) -> Iterator[Guarded]:
    """Serve a home as `claude-trader-mcp --http` does, until the block ends."""

    class Timed(BoundedConnection):
        pass

    Timed.head_s = head_s
    home = Home(settings.home)
    database = Database(home.database, prepare=home.prepare)
    gate = Gate(
        mcp_app(build_server(settings, clock=clock, database=database)),
        allowed_hosts=_AnyPort((*settings.public_hosts, *public_name(settings))),
        tokens=tokens_of(settings),
        limits=RateLimits(settings.concurrent_calls, settings.calls_per_minute, time.monotonic),
        health=Health(home, examples_folder(), database, clock),
        oauth=oauth_parts(settings, tokens_of(settings), time.time),
        body_s=body_s,
        request_s=request_s,
        now=lambda: 0.0,  # attempts to sign in come back never, so that no test depends on how fast it is
    )
    config = configured(gate, Timed)
    config.timeout_graceful_shutdown = 0
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    with served(config, listener=listener) as url:
        yield Guarded(int(url.rpartition(":")[2]), settings.home)


class _AnyPort(AllowedHosts):
    """The names of a server whose port is not known yet; the tests of names say what is said of ports."""

    def __init__(self, public: tuple[str, ...]) -> None:
        super().__init__("127.0.0.1", 0, public)
        self._public |= {"127.0.0.1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server with a token of each scope and one public name."""
    home = tmp_path_factory.mktemp("home")
    settings = ServerSettings(home=home, exchange="simulated", tokens=TOKENS, public_hosts=(PUBLIC,))
    with guarded(settings) as server:
        yield server
