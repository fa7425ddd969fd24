"""One connection to the tool server for all runs, made anew when it is lost and when another server has started."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from mcp_server.errors import Retryable, TraderError
from runner.tool_server.client import Tools, connected
from runner.tool_server.server import Serving

PAUSE_S = 0.5
READY_S = 30.0
"""How long it waits for a server elsewhere; after that, runs end with the reason that there is none."""

logger = logging.getLogger(__name__)


class Connection:
    """Lends the tools of the server that `serving` gives; `hold` keeps the connection until it is cancelled.

    `problem` says why there is none, once that is known; `logs`: log it, as nobody else watches the server.
    """

    def __init__(self, serving: Serving, *, logs: bool = False) -> None:
        self._serving = serving
        self._logs = logs
        self.problem: str | None = None
        self._tools: Tools | None = None
        self._ready = anyio.Event()
        self._lost = anyio.Event()

    async def hold(self) -> None:
        """Connect, and connect again whenever the connection is lost."""
        while True:
            try:
                async with self._serving() as address, connected(address) as tools:
                    self._lost = anyio.Event()
                    self._tools, self.problem = tools, None
                    self._ready.set()
                    await self._lost.wait()
            except TraderError as error:
                if self._logs and self.problem is None:
                    logger.warning("%s", error)
                self.problem = str(error)
            except Exception as error:  # whatever ends a connection, there will be another
                logger.exception("the connection to the tool server")
                self.problem = f"unexpected {type(error).__name__}; the log says more"
            finally:
                self._lend_none()
            await anyio.sleep(PAUSE_S)

    @asynccontextmanager
    async def tools(self) -> AsyncIterator[Tools]:
        """Lend the tools, as soon as there is a connection; the caller limits how long it waits.

        Raises:
            Retryable: the connection was lost meanwhile.
        """
        while (tools := self._tools) is None:
            await self._ready.wait()
        try:
            yield tools
        except TraderError:
            raise
        except Exception as error:
            if self._tools is tools:
                self.lose()
            why = f"The tool server was lost during the run ({type(error).__name__}). It is being started again."
            raise Retryable(why) from error

    async def ready(self) -> None:
        """Wait for a connection, for as long as that may take to begin with."""
        with anyio.move_on_after(READY_S):
            async with self.tools():
                return

    def lose(self) -> None:
        """Connect anew: the server is another one, or was lost. Whoever asks for tools from now on waits for that."""
        self._lend_none()
        self._lost.set()

    def _lend_none(self) -> None:
        self._tools = None
        if self._ready.is_set():
            self._ready = anyio.Event()
