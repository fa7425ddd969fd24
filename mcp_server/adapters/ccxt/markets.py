"""Loads an exchange's markets beside the event loop, in a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio

CLOSING_S = 1.0
"""How long a cancelled load may take to close its connections."""


async def load_markets(make: Callable[[], Any]) -> Any:
    """Give a ccxt object with its markets, closed: another of the same kind takes them over.

    Reading thousands of markets takes half a second of computing, in which the event loop would answer nobody. When
    this is cancelled, so is the work; what of it cannot be cancelled (a look-up of a name that hangs) ends by itself
    and keeps neither this process nor its event loop.
    """
    load = _Load(make)
    threading.Thread(target=load.run, name="loads markets", daemon=True).start()
    try:
        return await load.loaded
    except asyncio.CancelledError:
        load.cancel()
        raise


class _Load:
    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._asking = asyncio.get_running_loop()
        self.loaded: asyncio.Future[Any] = self._asking.create_future()
        self._begun: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._unwanted = False

    def run(self) -> None:
        """Do the work, in the thread."""
        try:
            client = asyncio.run(self._work())
        except asyncio.CancelledError:
            return
        except BaseException as error:
            self._tell(self.loaded.set_exception, error)
        else:
            self._tell(self.loaded.set_result, client)

    def cancel(self) -> None:
        """End the work, from the event loop that asked for it."""
        self._unwanted = True
        if self._begun is not None:
            loop, task = self._begun
            _call(loop, task.cancel)

    async def _work(self) -> Any:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (this is one)
        self._begun = asyncio.get_running_loop(), task
        if self._unwanted:
            raise asyncio.CancelledError
        client = self._make()
        try:
            await client.load_markets()
        finally:
            with anyio.move_on_after(CLOSING_S, shield=True):  # what cancels the work must not leave its session open
                await client.close()
        return client

    def _tell(self, how: Callable[[Any], None], what: Any) -> None:
        _call(self._asking, lambda: None if self.loaded.done() else how(what))


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
    """Call something in another thread's event loop, if that still runs."""
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:  # it is closed: nobody is there who waits
        return
