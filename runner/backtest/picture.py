"""The picture of a backtest, drawn by the tool server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from runner.settings import RunnerSettings


def draw(settings: RunnerSettings, backtest_id: int) -> bytes:
    """Return the picture of a backtest in the journal, a PNG.

    Raises:
        TraderError: the server does not draw it.
    """
    return anyio.run(_drawn, settings, backtest_id)


async def _drawn(settings: RunnerSettings, backtest_id: int) -> bytes:
    from runner.tool_server.client import connected
    from runner.tool_server.server import tool_server

    async with tool_server(settings) as address, connected(address) as tools:
        return await tools.picture("draw_chart", {"backtest_id": backtest_id})
