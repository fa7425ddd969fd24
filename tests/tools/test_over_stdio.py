"""The end of a server over standard input and output. Each test takes a second: a real server has to start."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ENOUGH_S = 30.0
AGES_S = 3600.0

IN_THE_MIDDLE = """
import atexit, signal, sys, threading

signal.signal(signal.SIGINT, signal.default_int_handler)  # what starts the tests may ignore it

class Told:
    def find_spec(self, name, *_):
        if name == "aiohttp":
            print("begun", file=sys.stderr, flush=True)
            threading.Event().wait()

sys.meta_path.insert(0, Told())
atexit.register(lambda: print("done", file=sys.stderr))
from mcp_server import parent
from mcp_server.__main__ import main
parent.GRACE_S = float(sys.argv.pop())
main()
"""

LIST = {"method": "tools/list"}
PRICE = {"method": "tools/call", "params": {"name": "get_price", "arguments": {"symbol": "BTC/USD"}}}


@contextmanager
def importing(home: Path, asked: dict[str, Any], grace_s: float = AGES_S) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server that was asked something, and is in the middle of an import that never ends."""
    pipe, env = subprocess.PIPE, {"TRADER_HOME": str(home), "TRADER_EXCHANGE": "kraken"}
    command = [sys.executable, "-c", IN_THE_MIDDLE, str(grace_s)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=env) as server:
        assert server.stdin is not None
        assert server.stderr is not None
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        messages = (
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2} | asked,
        )
        server.stdin.writelines(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n" for message in messages)
        server.stdin.flush()
        try:
            assert server.stderr.readline() == b"begun\n"
            yield server
        finally:
            server.kill()


def test_a_host_that_leaves_does_not_wait_for_an_import(home: Path) -> None:
    with importing(home, LIST) as server:
        _, errors = server.communicate(timeout=ENOUGH_S)
    assert (server.returncode, errors) == (0, b"done\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals end a program at once there")
@pytest.mark.parametrize(
    ("asked", "grace_s", "numbers"),
    [
        pytest.param(LIST, AGES_S, [signal.SIGINT], id="Ctrl-C while nobody is being answered", marks=pytest.mark.long),
        pytest.param(PRICE, 0.0, [signal.SIGTERM], id="SIGTERM while a thread works"),
        pytest.param(PRICE, AGES_S, [signal.SIGINT, signal.SIGTERM], id="two signals while a thread works"),
    ],
)
def test_a_signal_ends_the_server_while_standard_input_is_open(
    home: Path, asked: dict[str, Any], grace_s: float, numbers: list[signal.Signals]
) -> None:
    with importing(home, asked, grace_s) as server:
        for number in numbers:
            server.send_signal(number)
        server.wait(timeout=ENOUGH_S)
        assert server.stderr is not None
        assert (server.returncode, server.stderr.read()) == (128 + numbers[0], b"done\n")


@pytest.mark.parametrize("stream", [pytest.param("stdout", marks=pytest.mark.long), "stderr"])
def test_a_server_without_a_stream_ends_as_any_other(stream: str) -> None:
    """Programs without a window have none, and whoever starts one may have closed it."""
    code = f"import sys; sys.{stream} = None; from mcp_server.__main__ import _leave; _leave(3)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3
