"""What `claude-trader up` runs: the tool server and the scheduler, started and stopped together."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.to_thread

from mcp_server.domain.outcome import Ended
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.heartbeat import Heartbeat
from mcp_server.storage.news.standing import news_counts
from runner.cli.context import Context
from runner.clock import Clock, SystemClock
from runner.evaluations import SharedEvaluations
from runner.execute import Runner
from runner.metrics import Metrics, StoredNews, served
from runner.notify.notices import Notices
from runner.notify.weekly import weekly_summary
from runner.report import report
from runner.scheduler.after_run import AfterRun, Report
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.fellow_runners import FellowRunners
from runner.scheduler.outage import Outage
from runner.scheduler.recorder import Recorder
from runner.scheduler.records import Ask, Follow, Record, Records
from runner.scheduler.scheduler import Scheduler
from runner.scheduler.schedules import Schedules
from runner.scheduler.share import Share
from runner.scheduler.skill_stop import SkillStop
from runner.scheduler.slot_run import SlotRun
from runner.scheduler.strategy_watch import StrategyWatch
from runner.scheduler.troubles import Troubles, watch
from runner.tool_server.connection import Connection
from runner.tool_server.server import Serving, tool_server
from runner.tool_server.supervisor import WatchedServer

logger = logging.getLogger(__name__)

TELL_S = 3.0
"""How long the delivery of the last notices may take after everything else has ended."""


@dataclass(slots=True)
class Up:
    """Everything that runs together.

    Args:
        context: the home and the settings.
        host: where the tool server listens, unless TRADER_SERVER_URL names another one.
        port: its port; 0 takes a free one.
        clock: the only one that slots go by.
        grace_s: how long runs may go on after a stop.
        metrics_port: where `/metrics` answers, on the same host; None: nowhere.
    """

    context: Context
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
        context, settings = self.context, self.context.settings
        server = None
        serving: Serving = lambda: tool_server(settings)  # noqa: E731 (one of two ways)
        if settings.server_url is None:
            server = WatchedServer(settings, self.host, self.port, settings.token)
            serving = server.serving
        connection = Connection(serving, logs=server is None)
        if server is not None:
            server.on_change = connection.lose
        metrics, troubles = Metrics(), Troubles()
        concurrency = Concurrency(settings.exchange, settings.max_claude_runs)
        notices = Notices(context.home, settings.notify, clock=self.clock.now)
        records = Records(
            connection.tools,
            self.clock,
            context.journal_database,
            settings.exchange,
            busy=lambda: self._scheduler is None or self._scheduler.busy,
            troubles=troubles,
            tell=notices.tell,
            follow=self._following(notices),
        )
        watching = StrategyWatch(context.home, context.strategies)
        share = Share(concurrency, alone=context.journal_database.path is not None)
        schedules = Schedules(context.slot_store, context.strategies, watching, share)
        fellows = FellowRunners(context.slot_store, schedules.adopted, self.clock, notices.tell)
        shared = SharedEvaluations()
        connecting = (serving, connection.tools)
        runner = Runner(
            settings, context.journal, context.journal_database, *connecting, clock=self.clock, shared=shared
        )

        def server_problem() -> str | None:
            return (server or connection).problem

        self._scheduler = scheduler = Scheduler(
            clock=self.clock,
            slot_store=context.slot_store,
            schedules=schedules,
            run=SlotRun(runner, self.clock, concurrency, Outage(troubles)),
            recorder=Recorder(context.journal, self.clock),
            concurrency=concurrency,
            after_run=AfterRun(
                context.journal_database,
                context.strategies,
                settings.exchange,
                troubles,
                tell=notices.tell,
                report=self._reporting(serving, records),
                count=metrics.count,
                record=records.sentence,
            ),
            heartbeat=Heartbeat(context.home.heartbeat),
            troubles=troubles,
            more_problems=lambda: [
                *filter(None, [server_problem(), context.journal_database.problem()]),
                *notices.problems(),
                *records.problems(),
                *fellows.problems(),
            ],
            ready=connection.ready if server is None else server.ready,
            beside=records.keep,
            page=lambda: server.page if server is not None else "",
            grace_s=self.grace_s,
        )
        metrics.gauge("running", "Runs under way.", lambda: scheduler.running)
        metrics.gauge("scheduled", "Strategies on the schedule.", lambda: len(scheduler.schedules.by_name))
        metrics.gauge("problems", "What is wrong now, as `status` lists it.", lambda: len(scheduler.problems()))
        if settings.news == "on":
            metrics.registry.register(StoredNews(partial(news_counts, context.journal_database)))
        port = self.metrics_port
        metrics_server = nullcontext() if port is None else served(metrics, self.host, port)
        async with metrics_server, anyio.create_task_group() as tasks:
            if server is not None:
                tasks.start_soon(server.keep)
            tasks.start_soon(connection.hold)
            tasks.start_soon(shared.keep)
            tasks.start_soon(fellows.watch)
            tasks.start_soon(_tell_what_was_left, context)
            tasks.start_soon(watch, troubles, self.clock, server_problem, notices.tell)
            async with anyio.create_task_group() as telling:
                done = anyio.Event()
                telling.start_soon(notices.deliver, done)
                await scheduler.serve(stop)
                done.set()
                telling.cancel_scope.deadline = anyio.current_time() + TELL_S
            tasks.cancel_scope.cancel()

    def _following(self, notices: Notices) -> list[Follow]:
        """Return what follows each look at the records."""
        context, settings = self.context, self.context.settings

        def scheduled() -> list[Strategy]:
            by_name = self._scheduler.schedules.by_name if self._scheduler else {}
            return [schedule.strategy for schedule in by_name.values()]

        async def tell_weekly(records: Mapping[str, Record], _: Ask) -> None:
            examples = await anyio.to_thread.run_sync(context.strategies.names)
            own = [record for name, record in records.items() if examples.get(name) is False]
            if (event := weekly_summary(own, self.clock.now())) is not None:
                notices.tell(event)

        stop = SkillStop(
            scheduled, context.journal_database, context.strategies, settings.exchange, self.clock.now, notices.tell
        )
        return [tell_weekly, stop] if settings.summary == "weekly" else [stop]

    def _reporting(self, serving: Serving, records: Records) -> Report:
        context, drawing = self.context, anyio.CapacityLimiter(1)
        home, default, database = context.home, context.settings.exchange, context.journal_database

        async def write(strategy: Strategy, ended: Ended) -> None:
            async with drawing:
                exchange = strategy.config.exchange or default
                await report(home, strategy, ended, exchange, serving, records.sentence(strategy), database)

        return write


async def _tell_what_was_left(context: Context) -> None:
    """Log that runs were left in the home's file, if they were: once, as `up` starts."""
    if (left := await anyio.to_thread.run_sync(context.left_in_file, abandon_on_cancel=True)) is not None:
        logger.warning("%s", left)
