"""Metrics of the scheduler for a platform that collects them, in Prometheus' format on a port of their own.

They hold names of strategies and what they cost, no prices and no secrets. The port asks for no token: keep it on a
private network.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio import from_thread
from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, disable_created_metrics, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from mcp_server.domain.outcome import Ended
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Misconfigured, TraderError
from mcp_server.storage.news.standing import NewsCounts

logger = logging.getLogger(__name__)

ANSWER_S = 5.0
"""How long a client may take to send its request: each holds a thread until then."""

EVERY_S = 60.0
"""How old counts of the database may be: one that is not in use takes no memory."""


class Metrics:
    """Counts how slots end, and asks for the rest when somebody looks."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # else each counter has a second line: its start
        self.registry = CollectorRegistry()
        of = partial(Counter, registry=self.registry)
        each = ["strategy"]
        self._slots = of(
            "claude_trader_slots",
            "Slots that came to a run or its refusal, by outcome; those that were missed are in the journal.",
            [*each, "outcome"],
        )
        self._cost = of("claude_trader_cost_usd", "What runs have cost, where it is known.", each)
        self._unknown = of("claude_trader_cost_unknown", "Runs whose cost is not known.", each)
        self._late = Summary("claude_trader_late_seconds", "How late runs began.", each, registry=self.registry)
        self._took = Summary("claude_trader_run_seconds", "How long runs took.", each, registry=self.registry)

    def count(self, strategy: Strategy, ended: Ended, late_s: float | None) -> None:
        """Count a slot that has ended; `late_s` is how late its run began, None where it did not begin."""
        name, outcome = strategy.name, ended.outcome
        self._slots.labels(name, str(outcome.status)).inc()
        if outcome.cost_usd is None:
            self._unknown.labels(name).inc()
        else:
            self._cost.labels(name).inc(float(outcome.cost_usd))
        if late_s is not None:
            self._late.labels(name).observe(late_s)
            self._took.labels(name).observe(ended.took_s)

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Add a number that `read` returns; it is called in the event loop, which owns what it looks at."""
        loop = anyio.lowlevel.current_token()
        gauge = Gauge(f"claude_trader_{name}", meaning, registry=self.registry)
        gauge.set_function(lambda: from_thread.run_sync(read, token=loop))


class StoredNews(Collector):
    """Counts of the news that is stored, by the server that collects it. They are read at most once in `EVERY_S`.

    Args:
        read: reads them; where it cannot, the last ones stay.
        monotonic_s: a clock, in seconds.
    """

    def __init__(self, read: Callable[[], NewsCounts], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic_s = monotonic_s
        self._read_at = -EVERY_S
        self._counts = NewsCounts()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: else it would be read before anybody looks."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return the counts."""
        if self._monotonic_s() - self._read_at >= EVERY_S:
            self._read_at = self._monotonic_s()
            with suppress(TraderError):
                self._counts = self._read()
        items = CounterMetricFamily("claude_trader_news_items", "Headlines that are stored.", labels=["source"])
        for source, count in self._counts.items.items():
            items.add_metric([source], count)
        meaning = "Requests to feeds of news, by how they ended."
        fetches = CounterMetricFamily("claude_trader_news_fetches", meaning, labels=["source", "status"])
        for labels, count in self._counts.fetches.items():
            fetches.add_metric(labels, count)
        return (items, fetches)


@asynccontextmanager
async def served(metrics: Metrics, host: str, port: int) -> AsyncIterator[None]:
    """Answer `GET /metrics` as long as this block goes on.

    Raises:
        Misconfigured: the port cannot be listened on.
    """
    try:
        server, _ = await anyio.to_thread.run_sync(start_http_server, port, host, metrics.registry)
    except OSError as error:
        problem = f"Cannot listen on {host!r} port {port} for metrics: {error}."
        raise Misconfigured(problem, "Choose another --metrics-port.") from None
    server.RequestHandlerClass.timeout = ANSWER_S  # type: ignore[attr-defined]
    server.handle_error = _failed  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.shutdown)
        server.server_close()


def _failed(*_: object) -> None:
    """Log what went wrong with one client; the standard library would write it to standard error, past the logs."""
    logger.debug("metrics", exc_info=True)
