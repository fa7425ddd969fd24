"""What `claude-trader up` runs: the tool server and the scheduler, put together and ended together."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, field

import anyio

from mcp_server.domain.outcome import Ended
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.heartbeat import Heartbeat
from runner.cli.context import Context
from runner.clock import Clock, SystemClock
from runner.execute import Runner
from runner.metrics import Metrics, served
from runner.notify.notices import Notices
from runner.report import report
from runner.scheduler.after_run import AfterRun
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.outage import Outage
from runner.scheduler.scheduler import Scheduler
from runner.scheduler.schedules import Schedules
from runner.scheduler.slot_run import SlotRun
from runner.scheduler.strategy_watch import StrategyWatch
from runner.scheduler.watch import watch
from runner.tool_server.connection import Connection
from runner.tool_server.server import Serving, tool_server
from runner.tool_server.supervisor import WatchedServer

logger = logging.getLogger(__name__)

TELL_S = 3.0
"""How long what is left to be told may take after everything else has ended."""


@dataclass(slots=True)
class Up:
    """Everything that is up together.

    Args:
        parts: the home's.
        host: where the tool server listens, unless TRADER_SERVER_URL names another one.
        port: its port; 0 takes a free one.
        clock: the only one that slots go by.
        grace_s: how long runs may go on after a stop.
        metrics_port: where `/metrics` answers, on the same host; None: nowhere.
    """

    parts: Context
    host: str = "127.0.0.1"
    port: int = 0
    clock: Clock = field(default_factory=SystemClock)
    grace_s: float = 30.0
    metrics_port: int | None = None
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
        connection, outage = Connection(serving, told=server is None), Outage()
        if server is not None:
            server.on_change = connection.lose
        rooms = Concurrency(settings.exchange, settings.max_claude_runs)
        metrics = Metrics()
        notices = Notices(self.parts.home, settings.notify, clock=self.clock.now)

        def server_problem() -> str | None:
            return (server or connection).problem

        self._scheduler = scheduler = Scheduler(
            clock=self.clock,
            journal=self.parts.journal,
            book=self.parts.book,
            roster=StrategyWatch(self.parts.home, self.parts.strategies),
            slate=Schedules(self.parts.book, self.parts.strategies),
            run=self._slot_run(serving, connection, rooms, outage),
            rooms=rooms,
            aftermath=self._aftermath(notices, serving, metrics),
            heartbeat=Heartbeat(self.parts.home.heartbeat),
            troubles=lambda: [*filter(None, [server_problem()]), *notices.problems()],
            ready=connection.ready if server is None else server.ready,
            grace_s=self.grace_s,
        )
        metrics.gauge("running", "Runs under way.", lambda: scheduler.running)
        metrics.gauge("scheduled", "Strategies on the schedule.", lambda: len(scheduler.slate.slated))
        metrics.gauge("problems", "What is wrong now, as `status` lists it.", lambda: len(scheduler.problems()))
        port = self.metrics_port
        metrics_server = nullcontext() if port is None else served(metrics, self.host, port)
        async with metrics_server, anyio.create_task_group() as tasks:
            if server is not None:
                tasks.start_soon(server.keep)
            tasks.start_soon(connection.hold)
            tasks.start_soon(watch, self.clock, server_problem, outage, notices.tell, self._scheduler.blocked)
            async with anyio.create_task_group() as telling:
                done = anyio.Event()
                telling.start_soon(notices.deliver, done)
                await self._scheduler.serve(stop)
                done.set()
                telling.cancel_scope.deadline = anyio.current_time() + TELL_S
            tasks.cancel_scope.cancel()

    def _slot_run(self, serving: Serving, connection: Connection, rooms: Concurrency, outage: Outage) -> SlotRun:
        parts = self.parts
        runner = Runner(parts.settings, parts.journal, parts.database, serving, connection.tools, clock=self.clock)
        return SlotRun(runner, self.clock, rooms.agent, outage)

    def _aftermath(self, notices: Notices, serving: Serving, metrics: Metrics) -> AfterRun:
        drawing = anyio.CapacityLimiter(1)

        async def write(strategy: Strategy, ended: Ended) -> None:
            exchange = strategy.config.exchange or self.parts.settings.exchange
            async with drawing:
                await report(self.parts.home, strategy, ended, exchange, serving)

        default = self.parts.settings.exchange
        return AfterRun(self.parts.database, self.parts.strategies, notices.tell, write, default, metrics.count)
