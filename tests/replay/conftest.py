"""Tool servers of replays, forked: the project's own, on the simulated market; one for all replays of a module."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from runner.tool_server.server import Address
from tests.rigs.forked_server import forking
from tests.rigs.warm import Warm


@pytest.fixture(autouse=True)
def _servers_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers that a replay of this process starts for itself need not import everything first."""
    monkeypatch.setattr("runner.tool_server.server_process.Popen", forking(subprocess.Popen))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    folder, token = tmp_path_factory.mktemp("server"), "a-token-of-the-server"
    environment = {
        **os.environ,
        "TRADER_HOME": str(folder),
        "TRADER_EXCHANGE": "simulated",
        "TRADER_TOKEN": token,
    }
    reading, writing = os.pipe()
    with open(os.devnull) as nothing, (folder / "errors").open("w") as errors, os.fdopen(reading) as output:
        arguments = ["--http", "--host", "127.0.0.1", "--port", "0"]
        server = Warm("mcp_server", arguments, environment, Path.cwd(), (nothing.fileno(), writing, errors.fileno()))
        os.close(writing)
        try:
            yield Address(output.readline().strip(), SecretStr(token))
        finally:
            server.kill()
            server.wait(10)
