"""What a server begins once its list of tools is out: imports that calls will need, while the host reads the list."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

ANSWERED_S = 0.05
"""The answer is on its way by then: what begins takes no time from it."""


def prepare() -> None:
    """Import what most first calls need."""
    import numpy  # noqa: F401


class OnceListed:
    """A middleware that begins some work, once, when the list of tools or a first call was answered.

    It runs in a thread of its own, which never holds up an answer or the end of the process.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._begun = False

    async def __call__(self, ctx: ServerRequestContext[object, object], call_next: CallNext) -> HandlerResult:
        """Handle one request, and begin the work after it."""
        try:
            return await call_next(ctx)
        finally:
            if ctx.method in ("tools/list", "tools/call") and not self._begun:
                self._begun = True
                timer = threading.Timer(ANSWERED_S, self._work)
                timer.daemon = True
                timer.start()
