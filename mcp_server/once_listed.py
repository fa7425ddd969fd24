"""What a server begins ahead, once its list of tools is out, or for a run at its start: imports that calls need."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from mcp_types.version import LATEST_MODERN_VERSION

from mcp_server.domain.strategy.rules_outcome import TOGETHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.mcpserver.tools import ToolManager

QUIET_S = 0.05
"""The last answer is on its way by then, and it is no series of calls: what begins takes no time from them."""

SWITCH_S = 0.0005
"""So soon does a step hand the interpreter over to a request that comes in the middle of it."""


def first_imports(exchange_id: str) -> Iterator[None]:
    """Import what most first calls need, a step at a time: the default exchange's client, then numpy for candles."""
    if exchange_id != "simulated":
        from mcp_server.adapters.ccxt.client import import_exchange

        yield from import_exchange(exchange_id)
    import numpy  # noqa: F401

    yield


RULES = (
    *("mcp_server.evaluation_batch", "numpy", "numpy.ma", "mcp_server.domain.duckdb_core"),
    *("mcp_server.domain.rules.compiled", "mcp_server.domain.shortfall", "mcp_server.adapters.simulated.exchange"),
)
"""Modules by which rules decide a run on the simulated market; others need more."""


def run_imports(tools: ToolManager, names: Iterable[str]) -> Iterator[None]:
    """Import what a run by rules needs, then make all tools, which a run by Claude lists; a step at a time."""
    for module in RULES:
        import_module(module)
        yield
    from mcp_server.domain.indicators import talib_functions

    talib_functions.names()  # which imports TA-Lib
    yield
    for name in names:
        tools.get_tool(name)
        yield
    # Last: of all steps this takes the longest, and a request that comes in the middle of one shares the interpreter.
    _build_what_checks_a_call()
    yield


def _build_what_checks_a_call() -> None:
    """Import the models of the protocol's version that a runner speaks, and build those of a call and its answer."""
    from mcp_types.methods import serialize_server_result, validate_client_request
    from pydantic import ValidationError

    for check in (validate_client_request, serialize_server_result):
        with suppress(ValidationError):  # which is how they answer to nothing
            check("tools/call", LATEST_MODERN_VERSION, {})


class OnceListed:
    """A middleware that begins some work, once, when the list of tools or a first call was answered.

    The work runs in a thread of its own. Each of its steps begins only when no request was being answered for
    `QUIET_S`, and none begins after `end`.
    """

    def __init__(self, steps: Iterable[object]) -> None:
        self._steps = steps
        self._begun = self._requests = 0
        self._quiet_s = QUIET_S
        self._idle = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="imports ahead", daemon=True)

    async def __call__(self, ctx: ServerRequestContext[object, object], call_next: CallNext) -> HandlerResult:
        """Handle one request, and begin the work after it; what was begun before any request ends with the first."""
        asks = ctx.method in ("tools/list", "tools/call", TOGETHER)
        if asks and self._thread.ident is not None and not self._quiet_s:
            self.end()  # the request imports what it needs; what is left would take the time of the next
        self._begun += 1
        self._requests += 1
        self._idle.clear()
        try:
            return await call_next(ctx)
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()
            if asks and self._thread.ident is None and not self._ended.is_set():
                self._thread.start()

    def begin(self) -> None:
        """Begin now, before any request, and begin no other step once the first asks for tools."""
        self._quiet_s = 0.0
        self._idle.set()
        self._thread.start()

    def end(self) -> None:
        """Begin no other step. The process need not wait for the one that is being done; see `__main__`."""
        self._ended.set()
        self._idle.set()

    def _work(self) -> None:
        steps, before_s = iter(self._steps), sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            while self._quiet() and next(steps, self) is not self:
                pass
        finally:
            sys.setswitchinterval(before_s)

    def _quiet(self) -> bool:
        """Wait until nobody has asked for a while; return False at the end."""
        begun = None
        while begun != self._begun and not self._ended.is_set():
            begun = self._begun
            self._idle.wait()
            self._ended.wait(self._quiet_s)
        return not self._ended.is_set()
