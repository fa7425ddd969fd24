"""What a server begins once its list of tools is out: imports that calls will need, while the host reads the list."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

ANSWERED_S = 0.05
"""The answer is on its way by then: what begins takes no time from it."""


def first_imports(exchange_id: str) -> Iterator[None]:
    """Import what most first calls need, a step at a time: the default exchange's client, then numpy for candles."""
    if exchange_id != "simulated":
        from mcp_server.adapters.ccxt.client import import_exchange

        yield from import_exchange(exchange_id)
    import numpy  # noqa: F401

    yield


class OnceListed:
    """A middleware that begins some work, once, when the list of tools or a first call was answered.

    The work runs in a thread of its own. Each of its steps begins only while no request is being answered, and none
    begins after `end`.
    """

    def __init__(self, steps: Iterable[object]) -> None:
        self._steps = steps
        self._requests = 0
        self._idle = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="imports ahead", daemon=True)

    async def __call__(self, ctx: ServerRequestContext[object, object], call_next: CallNext) -> HandlerResult:
        """Handle one request, and begin the work after it."""
        self._requests += 1
        self._idle.clear()
        try:
            return await call_next(ctx)
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()
            if ctx.method in ("tools/list", "tools/call") and self._thread.ident is None and not self._ended.is_set():
                self._thread.start()

    def end(self) -> None:
        """Wait for the step that is being done, if any, and do no more: Python must not end in the middle of one."""
        self._ended.set()
        self._idle.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        self._ended.wait(ANSWERED_S)
        steps = iter(self._steps)
        while True:
            self._idle.wait()
            if self._ended.is_set() or next(steps, self) is self:
                return
