"""Loads an exchange's markets in a thread of its own, which nothing has to wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio

CLOSING_S = 1.0
"""How long a cancelled load may take to close its connections."""


async def load_markets(make: Callable[[], Any]) -> Any:
    """Return a closed ccxt client with its markets, for another client of the same exchange to take over.

    Parsing thousands of markets takes half a second, in which the event loop would answer nobody. Cancelling this
    cancels the work; a part that cannot be cancelled (a DNS look-up that hangs) ends by itself and holds up neither
    this process nor its event loop.
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
            self._deliver(self.loaded.set_exception, error)
        else:
            self._deliver(self.loaded.set_result, client)

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

    def _deliver(self, how: Callable[[Any], None], result: Any) -> None:
        _call(self._asking, lambda: None if self.loaded.done() else how(result))


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    """Call a function in another thread's event loop, if that still runs."""
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:  # it is closed: nobody waits any more
        return
