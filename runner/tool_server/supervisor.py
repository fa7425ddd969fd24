"""The tool server of a scheduler: started, watched, and started again when it has ended or does not answer."""

import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
import httpx2
from pydantic import SecretStr

from mcp_server.errors import Retryable, TraderError
from runner.settings import RunnerSettings
from runner.tool_server.server import Address, local_server
from runner.tool_server.server_process import ServerProcess

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
LOOK_S = 10.0
"""How long a server may take to say that it is alive."""

WAIT_S = 60.0
"""How long a run waits for a server that is being started again: it holds a place that others may need."""

MOST_SILENCES = 3
"""How often in a row it may fail to answer before it is ended, and another started."""

FIRST_PAUSE_S, MOST_PAUSE_S = 0.5, 30.0
START_PATIENCE_S = 20.0
"""How long it tries to start the first server: a runner that is ending may still hold the port."""

HEALTHY_S = 60.0
"""A server that lived this long is started again without a pause."""


_NOTHING_WRONG = re.compile(r"\S+ \S+ INFO ")
"""How a line of the server's own log begins, if nothing is wrong."""


def log_line(line: str) -> None:
    """Log a line of the server's log: a warning, unless it says itself that it is none."""
    if line:
        logger.log(logging.INFO if _NOTHING_WRONG.match(line) else logging.WARNING, "tool server: %s", line)


@dataclass(slots=True)
class WatchedServer:
    """One local tool server at a time. `on_change` is called when it is up, and gone; `problem` says what is wrong now.

    It is asked every `look_every_s` whether it is alive, and has `look_s` to answer.
    """

    settings: RunnerSettings
    host: str = "127.0.0.1"
    port: int = 0
    token: SecretStr | None = None
    on_change: Callable[[], None] = lambda: None
    problem: str | None = "The tool server has not started yet."
    starts: int = 0
    look_every_s: float = LOOK_EVERY_S
    look_s: float = LOOK_S
    wait_s: float = WAIT_S
    start_patience_s: float = START_PATIENCE_S
    _address: Address | None = None
    _up: anyio.Event = field(default_factory=anyio.Event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Address]:
        """Return where the server answers, as soon as it does.

        Raises:
            Retryable: it does not, for `wait_s`.
        """
        with anyio.move_on_after(self.wait_s):
            await self.ready()
        if (address := self._address) is None:
            raise Retryable(f"There was no tool server for {self.wait_s:.0f} s. {self.problem}")
        yield address

    @property
    def page(self) -> str:
        """Tell a person where the page of the server is; empty while there is none."""
        return self._address.page if self._address else ""

    async def ready(self) -> None:
        """Wait until the server answers, for as long as that takes."""
        while self._address is None:
            await self._up.wait()

    async def keep(self) -> None:
        """Keep one server running until this is cancelled.

        Raises:
            Retryable: for a while none could be started at all: its port is taken, say. Once there was one, it is
                tried again and again.
        """
        first, pause_s = anyio.current_time(), FIRST_PAUSE_S
        while True:
            began = anyio.current_time()
            try:
                await self._one()
            except Exception as error:  # of the machine, say: it may have no room for one more process
                if not isinstance(error, TraderError):
                    logger.exception("the tool server")
                    error = Retryable(f"The tool server could not be kept up: unexpected {type(error).__name__}.")
                if not self.starts and anyio.current_time() - first > self.start_patience_s:
                    raise error from None
                self.problem = str(error)
            if anyio.current_time() - began > HEALTHY_S:
                pause_s = FIRST_PAUSE_S
            logger.warning("tool server: %s It is started again in %.1f s.", self.problem, pause_s)
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, MOST_PAUSE_S)

    async def _one(self) -> None:
        started = local_server(self.settings, self.host, self.port, self.token, log_line, collect_news=True)
        async with started as (address, process):
            self._address, self.problem = address, None
            self.starts += 1
            self._up.set()
            self.on_change()
            logger.info("tool server: it answers at %s", address.url)
            if address.page:
                logger.info("%s", address.page)
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._end_when_silent, address, process)
                    code = await process.wait()
                    tasks.cancel_scope.cancel()
                self.problem = self.problem or f"The tool server ended by itself (code {code})."
            finally:
                self._address, self._up = None, anyio.Event()
                self.on_change()  # who asks from now on waits for the next one

    async def _end_when_silent(self, address: Address, process: ServerProcess) -> None:
        silences = 0
        parts = urlsplit(address.url)
        async with httpx2.AsyncClient(timeout=self.look_s, trust_env=False) as client:
            while silences < MOST_SILENCES:
                await anyio.sleep(self.look_every_s)
                try:
                    await client.get(f"{parts.scheme}://{parts.netloc}/health?alive")
                    silences = 0
                except httpx2.HTTPError:
                    silences += 1
        self.problem = f"The tool server did not answer {MOST_SILENCES} times in a row, and was ended."
        process.kill()
