"""One tool server for all replays of a module: the project's own, on the simulated market."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from runner.settings import RunnerSettings
from runner.tool_server.server import Address, local_server


@pytest.fixture(scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Address]:
    settings = RunnerSettings(home=tmp_path_factory.mktemp("server"), exchange="simulated")
    async with local_server(settings, "127.0.0.1", 0, SecretStr("a-token-of-the-server")) as (address, _):
        yield address
