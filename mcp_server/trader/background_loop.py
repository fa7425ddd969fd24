"""An event loop in a thread of its own: plain calls reach it from scripts, threads and notebooks alike.

A notebook's own thread runs an event loop already, so nothing asynchronous can be awaited there by a plain call.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from mcp_server.errors import BadInput

T = TypeVar("T")

INTERRUPTIBLE_S = 1.0
"""A wait without an end cannot be interrupted on Windows; so often it looks whether it was."""


class BackgroundLoop:
    """Runs coroutines for callers in any thread, each call as long as it takes.

    Args:
        at_end: awaited in the loop when it ends, after the calls that were under way are cancelled.
    """

    def __init__(self, at_end: Callable[[], Awaitable[None]]) -> None:
        self._at_end = at_end
        self._lock = threading.Lock()
        self._open = True
        self._process = os.getpid()
        self._ended: Future[None] = Future()
        begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        # A daemon: it must not keep a program alive whose last line has run. `atexit` closes it then.
        threading.Thread(target=self._run, args=[begun], name="claude-trader", daemon=True).start()
        self._loop, self._ending = begun.result()
        atexit.register(_close, weakref.ref(self))

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine and return its result; where the caller is interrupted, it is cancelled.

        Raises:
            BadInput: this is closed, or was closed meanwhile; or this process was forked from the one that made it.
        """
        if self._forked:
            raise BadInput("This Trader was made before this process was forked.", "Make one in this process.")
        with self._lock:
            if not self._open:
                raise _closed()
            future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            while not wait([future], INTERRUPTIBLE_S).done:
                pass
            return future.result()
        except BaseException:
            if future.cancelled() and not self._open:
                raise _closed() from None
            future.cancel()  # after a KeyboardInterrupt; what has ended stays as it is
            raise

    @property
    def _forked(self) -> bool:
        """Whether this is a copy in a forked process: no thread came along, so nobody would ever answer."""
        return os.getpid() != self._process

    def stop(self) -> None:
        """Let it end, without waiting: the garbage collector may call this in any thread."""
        if self._forked:
            return
        with self._lock:
            if self._open:
                self._open = False
                self._loop.call_soon_threadsafe(self._ending.set)

    def close(self) -> None:
        """Let it end, and wait for that; a second call changes nothing.

        Raises:
            TraderError: what `at_end` raises.
        """
        self.stop()
        if not self._forked:
            self._ended.result()

    def _run(self, begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        try:
            with asyncio.Runner() as runner:
                ending = asyncio.Event()
                begun.set_result((runner.get_loop(), ending))
                runner.run(self._until(ending))
        except BaseException as error:
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _until(self, ending: asyncio.Event) -> None:
        await ending.wait()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._at_end()


def _closed() -> BadInput:
    return BadInput("This Trader is closed.", "Make another one.")


def _close(reference: weakref.ref[BackgroundLoop]) -> None:
    if (loop := reference()) is not None:
        loop.close()
