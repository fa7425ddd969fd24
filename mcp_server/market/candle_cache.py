"""Candles that are known for good: in memory, else in the home's database, which is written in the background."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from mcp_server.errors import Retryable
from mcp_server.market.memory import MemoryCache
from mcp_server.single_flight import SingleFlight

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.storage.candles.ranges import Range
    from mcp_server.storage.candles.store import CandleStore, Index, Known, Series, Stored

T = TypeVar("T")

INDEX_PATIENCE_S = 0.5
"""How long an answer waits for the index while another process holds the file."""

AGAIN_S = 5.0
"""After a failure, the index is read again this much later."""

WRITING_S = 2.0
"""A question waits this long for what this process is writing of its series; then it reads the store as it is."""

GATHER_S = 0.25
"""A write waits this long for others, to share a transaction with them, and for the answer to be sent."""

_THREADS = 4  # the database is opened by one at a time anyway; the others' threads stay free

logger = logging.getLogger(__name__)


class CandleCache:
    """Candles that are known: recently used ones in memory, all others in the store, which other processes use too.

    The store's index (the ranges that it has) is kept in memory and read again after the database file has changed. So
    a series that is not stored is known to be missing without opening the file.
    """

    def __init__(self, store: CandleStore, memory: MemoryCache | None = None) -> None:
        self._store = store
        self._memory = MemoryCache() if memory is None else memory
        self._single_flight = SingleFlight()
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._index: Index | None = None
        self._seen: tuple[int, int] | None = None
        self._clock = time.monotonic
        self._again_s = 0.0
        self._unwritten: deque[tuple[Series, Candles, Range]] = deque()
        self._being_written: list[tuple[Series, Candles, Range]] = []
        self._stale: deque[Series] = deque()
        self._forgotten = 0
        self._writer: ThreadPoolExecutor | None = None
        self._writing: set[Future[None]] = set()
        self._hurry = Event()

    async def load(self, series: Series, wanted: Range) -> Stored:
        """Return the known candles of a range, oldest first, and the parts of the range that are missing."""
        await self._look()
        stored = self._memory.load(series, wanted)
        if not stored.missing or not self._may_have(series, stored.missing):
            return stored
        return await self._from_store(series, wanted, stored)

    async def timeframes(self, exchange_id: str, symbol: str) -> list[str]:
        """List the timeframes with stored candles of an exact symbol, shortest first."""
        from mcp_server.domain.timeframes import timeframe_ms

        await self._look()
        names = [s.timeframe for s in self._index or () if (s.exchange, s.symbol) == (exchange_id, symbol)]
        return sorted(names, key=timeframe_ms)

    async def known(self, exchange_id: str, symbol: str) -> list[tuple[Series, Known]]:
        """List the stored series of an exact symbol with what is known of each."""
        await self._look()
        asked = (exchange_id, symbol)
        return [
            (series, known)
            for series, known in (self._index or {}).items()
            if (series.exchange, series.symbol) == asked
        ]

    async def imported(self, exchange_id: str, symbol: str) -> list[tuple[Series, tuple[Range, ...]]]:
        """List the imported series of an exact symbol with the ranges that are known of them."""
        return [(series, known.ranges) for series, known in await self.known(exchange_id, symbol) if known.revision]

    def keep(self, series: Series, candles: Candles, known: Range) -> None:
        """Keep all candles of a range: in memory at once, in the database a moment later."""
        self._memory.keep(series, candles, known)
        if self._index is not None:
            self._index[series] = _with(self._index.get(series), known)
        self._unwritten.append((series, candles, known))
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, thread_name_prefix="candles")
        job = self._writer.submit(self._write)
        self._writing.add(job)
        job.add_done_callback(self._writing.discard)

    async def flush(self) -> None:
        """Wait until everything kept so far is in the database."""
        self._hurry.set()
        try:
            await anyio.to_thread.run_sync(wait, set(self._writing), abandon_on_cancel=True)
        finally:
            self._hurry.clear()

    async def close(self) -> None:
        """Write everything that is not written yet, also while being cancelled."""
        writer, self._writer = self._writer, None
        self._hurry.set()
        with anyio.CancelScope(shield=True):
            if writer is not None:
                await anyio.to_thread.run_sync(writer.shutdown)
        self._hurry.clear()

    def _on_its_way(self) -> list[tuple[Series, Candles, Range]]:
        """List what is not in the database yet; the writer moves it from the first to the second meanwhile."""
        return [*self._unwritten, *self._being_written]

    def _may_have(self, series: Series, missing: list[Range]) -> bool:
        known = (self._index or {}).get(series)
        ranges = known.ranges if known else ()
        return any(start < hole[1] and hole[0] < end for start, end in ranges for hole in missing)

    async def _from_store(self, series: Series, wanted: Range, hot: Stored) -> Stored:
        from mcp_server.domain.candles import merge
        from mcp_server.storage.candles.ranges import holes
        from mcp_server.storage.candles.store import Stored

        forgotten = self._forgotten
        if any(kept == series for kept, _, _ in self._on_its_way()):  # then the store may not have it all yet
            with anyio.move_on_after(WRITING_S):
                await self.flush()
        hull = (hot.missing[0][0], hot.missing[-1][1])
        loaded = await self._in_thread(partial(self._store.load, series, hull), None)
        if loaded is None:
            return hot
        if forgotten != self._forgotten:  # what is hot may have been replaced meanwhile
            return await self.load(series, wanted)
        candles = merge([hot.candles, *(loaded.candles.between(*hole) for hole in hot.missing)])
        missing = [
            (max(start, hole[0]), min(end, hole[1]))
            for hole in hot.missing
            for start, end in loaded.missing
            if start < hole[1] and hole[0] < end
        ]
        for known in holes(wanted, missing):
            self._memory.keep(series, candles.between(*known), known)
        return Stored(candles, missing)

    async def _look(self) -> None:
        """Read the index again if another process has written since."""
        while self._stale:
            self._forget(self._stale.popleft())
        mine = bool(self._writing)  # then it is this process that changes the file, and the index has it already
        stamp = self._store.stamp()
        new = self._index is None or (stamp != self._seen and not mine)
        if new and self._clock() >= self._again_s:
            await self._single_flight.share("index", partial(self._read_index, stamp))

    async def _read_index(self, stamp: tuple[int, int] | None) -> None:
        index: Index | None = {}
        if stamp is not None:
            index = await self._in_thread(partial(self._store.index, INDEX_PATIENCE_S), None, level=logging.INFO)
        if index is None:
            self._again_s = self._clock() + AGAIN_S
            return
        self._seen = stamp
        for series, known in index.items():
            before = (self._index or {}).get(series)
            if known.revision != (before.revision if before else 0):
                self._forget(series)
        self._index = index
        for series, _, unwritten in self._on_its_way():
            index[series] = _with(index.get(series), unwritten)

    def _forget(self, series: Series) -> None:
        self._memory.forget(series)
        self._forgotten += 1

    async def _in_thread(self, ask: Callable[[], T], otherwise: T, level: int = logging.WARNING) -> T:
        """Ask the store in a thread; if another process holds it, go on without it.

        An index that cannot be read within its short patience is no warning: it is read again soon, and loads and
        writes, which wait longer, name a process that holds the file for long.
        """
        try:
            return await anyio.to_thread.run_sync(ask, limiter=self._threads, abandon_on_cancel=True)
        except Retryable as error:
            logger.log(level, "Candles are answered without the store: %s", error)
            return otherwise

    def _write(self) -> None:
        if not self._unwritten:
            return
        self._hurry.wait(GATHER_S)
        while self._unwritten:
            self._being_written = [*self._being_written, self._unwritten[0]]
            self._unwritten.popleft()
        try:
            added = self._store.add(self._being_written)
        except Exception as error:  # it is in memory, and asked for again once it is not
            logger.warning("New candles were not stored: %s", error)
            return
        finally:
            self._being_written = []
        self._stale.extend(added.known_before)
        if added.stamp == self._seen:  # nobody else has written: the index knows it all
            self._seen = self._store.stamp()


def _with(before: Known | None, known: Range) -> Known:
    """Return what is known of a series with a range added."""
    from mcp_server.storage.candles.ranges import joined
    from mcp_server.storage.candles.store import Known

    return Known(before.revision if before else 0, joined(before.ranges if before else (), known))
