"""Settled fundings of the past: those that are kept, and the rest from the exchange, kept from then on."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import Retryable
from mcp_server.market.history import LATE_MS

if TYPE_CHECKING:
    from mcp_server.domain.exchange import Exchange, Funding
    from mcp_server.moment import Clock
    from mcp_server.storage.candles.fundings import FundingPart, FundingStore, StoredFundings
    from mcp_server.storage.candles.ranges import Range

PATIENCE_S = 0.5
"""How long an answer waits for the file while another process holds it."""

WRITING_S = 2.0
"""A question waits this long for what this process is writing; then it reads the store as it is."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FundingHistory:
    """The fundings of a swap that were settled from `start_ms` to `end_ms`, both included, oldest first."""

    exchange: str
    symbol: str
    start_ms: int
    end_ms: int
    simulated: bool
    fundings: Sequence[Funding]


class PastFundings:
    """Settled fundings, fetched once. Without a store nothing is kept.

    Known are only times between fundings that the exchange has given, and no more than the interval after the last: an
    exchange that forgets what is older, or has a gap, is asked again.
    """

    def __init__(self, store: FundingStore | None, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._writer: ThreadPoolExecutor | None = None
        self._writing: set[Future[None]] = set()
        self._unwritten: deque[FundingPart] = deque()

    async def last(self, exchange: Exchange, symbol: str, end_ms: int, count: int) -> Sequence[Funding]:
        """Return the last `count` fundings that were settled at `end_ms` or before, oldest first."""
        from mcp_server.domain.exchange import LONGEST_FUNDING_MS  # a server starts sooner without it

        wanted = (end_ms - (count + 1) * LONGEST_FUNDING_MS, end_ms + 1)
        stored = await self._load(exchange, symbol, wanted)
        known_from = stored.missing[-1][1] if stored.missing else wanted[0]
        known = [funding for funding in stored.fundings if funding.time_ms >= known_from]
        if known_from <= end_ms and (len(known) >= count or not stored.missing):
            return known[-count:]
        fetched = await exchange.fundings(symbol, end_ms, count + 1)  # by one more it touches what comes before
        self._keep(exchange, symbol, fetched, wanted)
        return fetched[-count:]

    async def between(self, exchange: Exchange, symbol: str, start_ms: int, end_ms: int) -> Sequence[Funding]:
        """Return the fundings that were settled from `start_ms` to `end_ms`, oldest first."""
        stored = await self._load(exchange, symbol, (start_ms, end_ms + 1))
        fundings = {funding.time_ms: funding for funding in stored.fundings}
        for start, end in reversed(stored.missing):
            until = end
            while until > start and (fetched := await exchange.fundings_between(symbol, start, until - 1)):
                known = self._keep(exchange, symbol, fetched, (start, until))
                fundings |= {funding.time_ms: funding for funding in fetched}
                until = min(known[0], fetched[0].time_ms)
        return [fundings[time_ms] for time_ms in sorted(fundings)]

    async def close(self) -> None:
        """Write everything that is not written yet, also while being cancelled."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(writer.shutdown)

    async def _load(self, exchange: Exchange, symbol: str, wanted: Range) -> StoredFundings:
        """Return what is kept; nothing where another process holds the file."""
        from mcp_server.storage.candles.fundings import StoredFundings

        if self._store is None or exchange.simulated:
            return StoredFundings((), [wanted])
        if self._writing:
            await anyio.to_thread.run_sync(partial(wait, set(self._writing), WRITING_S), abandon_on_cancel=True)
        load = partial(self._store.load, exchange.id, symbol, wanted, patience_s=PATIENCE_S)
        try:
            return await anyio.to_thread.run_sync(load, abandon_on_cancel=True)
        except Retryable as error:
            logger.info("Fundings are answered without the store: %s", error)
            return StoredFundings((), [wanted])

    def _keep(self, exchange: Exchange, symbol: str, fetched: Sequence[Funding], asked: Range) -> Range:
        """Keep what was fetched; return the range of which it is known to be everything."""
        from mcp_server.storage.candles.fundings import FundingPart

        known = known_range(fetched, asked, to_ms(self._clock()) - LATE_MS)
        if self._store is not None and not exchange.simulated and known[0] < known[1]:
            self._unwritten.append(FundingPart(exchange.id, symbol, fetched, known))
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, thread_name_prefix="fundings")
            job = self._writer.submit(self._write, self._store)
            self._writing.add(job)
            job.add_done_callback(self._writing.discard)
        return known

    def _write(self, store: FundingStore) -> None:
        """Write all that has gathered, in one transaction."""
        parts: list[FundingPart] = []
        while self._unwritten:
            parts.append(self._unwritten.popleft())
        if not parts:
            return
        try:
            store.add(parts)
        except Exception as error:  # it is asked for again
            logger.warning("Fundings were not stored: %s", error)


def known_range(fetched: Sequence[Funding], asked: Range, late_ms: int) -> Range:
    """Return the range in which an answer has every funding: from the first to the last, and the interval around them.

    Args:
        fetched: the answer, oldest first.
        asked: the range that it was asked for.
        late_ms: what was settled later than this may not be published yet.
    """
    if not fetched:
        return asked[0], asked[0]
    times = [funding.time_ms for funding in fetched]
    first_ms, last_ms = (later - earlier for earlier, later in (_interval(times[:2]), _interval(times[-2:])))
    start = asked[0] if times[0] - asked[0] < first_ms else times[0]
    end = asked[1] if asked[1] - times[-1] <= last_ms else times[-1] + 1
    return start, min(end, late_ms)


def _interval(times: Sequence[int]) -> tuple[int, int]:
    from mcp_server.domain.exchange import LONGEST_FUNDING_MS

    return (times[0], times[1]) if len(times) == 2 else (0, LONGEST_FUNDING_MS)
