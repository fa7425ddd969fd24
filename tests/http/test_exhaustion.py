"""More connections than the process may open files: the server closes idle ones, goes on, and says what happened."""

import resource
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from mcp_server.http import connections
from mcp_server.http.connections import MOST_CONNECTIONS, BoundedConnection, connection_limits
from mcp_server.http.pages.files import page_files
from mcp_server.settings import ServerSettings
from tests.acceptance.test_http import LIMIT_S, Serving, serving
from tests.http.conftest import TOKENS, guarded, read_answer

FILES = 256


@contextmanager
def few_files(files: int) -> Iterator[None]:
    """Let this process, and those that it starts meanwhile, open this many files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with a token, which may open few files."""
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as stack:
        with few_files(FILES):
            server = stack.enter_context(serving(home, anew=True, TRADER_EXCHANGE="simulated", TRADER_TOKEN="t" * 20))
        yield server


def _connect(server: Serving, stack: ExitStack, count: int) -> list[socket.socket]:
    """Open connections without waiting for any of them, and send nothing."""
    opened = []
    for _ in range(count):
        sock = stack.enter_context(socket.socket())
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", int(server.base.rpartition(":")[2])))
        opened.append(sock)
    return opened


def _alive(server: Serving) -> bool:
    health = httpx2.get(f"{server.base}/health", timeout=LIMIT_S, trust_env=False)
    return bool(health.json() == {"status": "alive"})


def test_a_burst_of_idle_connections_without_a_token_opens_too_few_files_to_matter(server: Serving) -> None:
    with ExitStack() as stack:
        _connect(server, stack, 2 * FILES)
        assert _alive(server)
        assert server.process.poll() is None
    assert server.said() == "", "it never ran out of files"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux changes the limit of another process")
def test_a_server_that_can_open_no_file_says_so_and_goes_on_when_it_can(tmp_path: Path) -> None:
    with serving(tmp_path, faultless=False, anew=True, TRADER_TOKEN="t" * 20) as server:
        assert _alive(server)
        pid = server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{pid}/fd").iterdir())), before[1]))
        with ExitStack() as stack:
            _connect(server, stack, 5)
            until = time.monotonic() + LIMIT_S
            while "accept() out of system resource" not in server.said() and time.monotonic() < until:
                time.sleep(0.05)
        assert "[Errno 24] Too many open files" in server.said()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        assert _alive(server)


@pytest.mark.parametrize("files", [64, 256, 1024, 4096])
def test_half_of_the_files_that_connections_may_take_is_left_for_those_not_counted_yet(files: int) -> None:
    with few_files(files):
        most, accepted = connection_limits()
    assert 1 <= most <= MOST_CONNECTIONS
    assert most + 4 * accepted <= max(files - 128, files // 4)


def test_with_enough_files_the_limit_is_the_documented_one() -> None:
    with few_files(4096):
        assert connection_limits() == (MOST_CONNECTIONS, 128)


def test_the_connection_that_is_closed_is_the_one_idle_for_longest_not_the_oldest(server: Serving) -> None:
    port = int(server.base.rpartition(":")[2])
    most = (FILES - 128) // 2
    request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with ExitStack() as stack:
        kept = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S))
        for _ in range(3):
            kept.sendall(request)
            assert read_answer(kept).status == 200
            for _ in range(most * 3 // 4):  # one after the other, so that each is accepted before the next
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S))
            assert _alive(server)


def test_clients_of_the_page_that_read_nothing_make_room_for_others(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, paused, pause = 4, threading.Semaphore(0), BoundedConnection.pause_writing

    def pause_and_tell(connection: BoundedConnection) -> None:
        pause(connection)
        paused.release()

    monkeypatch.setattr(BoundedConnection, "pause_writing", pause_and_tell)
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", most)
    library = next(path for path in page_files().by_path if path.startswith("/lightweight-charts"))
    with guarded(ServerSettings(home=home, exchange="simulated", tokens=TOKENS)) as server, ExitStack() as stack:
        for _ in range(most):
            sock = stack.enter_context(server.connect())
            sock.sendall(server.head(0, library, "GET", Authorization=None, Connection=None) * 100)
        assert all(paused.acquire(timeout=LIMIT_S) for _ in range(most))
        until = time.monotonic() + LIMIT_S  # buffers of the system may still grow, and a server then sends once more
        while not (status := server.post(b"", "/health", "GET").status) and time.monotonic() < until:
            continue
    assert status in (200, 503)
