"""What `claude-trader up` runs: the tool server and the scheduler, put together and ended together."""

import logging
from dataclasses import dataclass, field

import anyio

from mcp_server.storage.heartbeat import Heartbeat
from runner.clock import Clock, SystemClock
from runner.execute import Runner, Serving
from runner.parts import Parts
from runner.scheduler.aftermath import Aftermath
from runner.scheduler.child import WatchedServer
from runner.scheduler.connection import Connection
from runner.scheduler.outage import Outage
from runner.scheduler.rooms import Rooms
from runner.scheduler.roster import Roster
from runner.scheduler.scheduler import Scheduler
from runner.scheduler.slate import Slate
from runner.scheduler.slot_run import SlotRun
from runner.server import tool_server

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Up:
    """Everything that is up together.

    Args:
        parts: the home's.
        host: where the tool server listens, unless TRADER_SERVER_URL names another one.
        port: its port; 0 takes a free one.
        clock: the only one that slots go by.
        grace_s: how long runs may go on after a stop.
    """

    parts: Parts
    host: str = "127.0.0.1"
    port: int = 0
    clock: Clock = field(default_factory=SystemClock)
    grace_s: float = 30.0
    _scheduler: Scheduler | None = None

    def hurry(self) -> None:
        """End the runs that are left now, instead of after the grace."""
        if self._scheduler is not None:
            self._scheduler.hurry()

    async def serve(self, stop: anyio.Event) -> None:
        """Run what comes due until `stop` is set, then end everything.

        Raises:
            Misconfigured: the home cannot be written.
        """
        settings = self.parts.settings
        server = None
        serving: Serving = lambda: tool_server(settings)  # noqa: E731 (one of two ways)
        if settings.server_url is None:
            server = WatchedServer(settings, self.host, self.port, settings.token)
            serving = server.serving
        connection = Connection(serving)
        if server is not None:
            server.on_start = connection.lose
        self._scheduler = scheduler = self._make(serving, connection, server)
        async with anyio.create_task_group() as tasks:
            if server is not None:
                tasks.start_soon(server.keep)
            tasks.start_soon(connection.hold)
            await scheduler.serve(stop)
            tasks.cancel_scope.cancel()

    def _make(self, serving: Serving, connection: Connection, server: WatchedServer | None) -> Scheduler:
        parts, settings = self.parts, self.parts.settings
        rooms = Rooms(settings.exchange, settings.max_claude_runs)
        runner = Runner(settings, parts.journal, parts.book, clock=self.clock, connect=connection.tools)
        return Scheduler(
            clock=self.clock,
            journal=parts.journal,
            book=parts.book,
            roster=Roster(parts.home, parts.strategies),
            slate=Slate(parts.book, parts.strategies),
            run=SlotRun(runner, self.clock, serving, rooms.agent, Outage()),
            rooms=rooms,
            aftermath=Aftermath(parts.book, parts.strategies),
            heartbeat=Heartbeat(parts.home.heartbeat),
            troubles=lambda: [server.problem] if server is not None and server.problem else [],
            ready=connection.ready if server is None else server.ready,
            grace_s=self.grace_s,
        )
