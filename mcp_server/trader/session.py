"""What the parts of a `Trader` share: the tools' own parts in this process, and the loop that they run in."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mcp_server.domain.timeframes import from_ms, iso, parse_moment, to_ms
from mcp_server.trader.background_loop import BackgroundLoop

if TYPE_CHECKING:
    from mcp_server.toolkit import Call

T = TypeVar("T")

Moment = str | datetime | None
"""A moment: ISO 8601 or a datetime, in UTC where it has no zone; None: now."""

TIMEOUT_S = 300.0

ASKED = ("backtest_strategy", "get_news", "get_performance")
"""The tools whose answers a `Trader` makes its tables of."""


def _now() -> datetime:
    return datetime.now(UTC)


class TraderSession:
    """Puts the parts of the tools together, and calls them; the arguments are those of `Trader`."""

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        exchange: str | None = None,
        as_of: Moment = None,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        from mcp_server.app import make_kit, tool_files
        from mcp_server.settings import ServerSettings
        from mcp_server.strict_tool import StrictTool

        settings = ServerSettings.load(None if home is None else Path(home))
        at_ms = ms_of(as_of, "as_of")
        held = None if at_ms is None else from_ms(at_ms)
        limits = [limit for limit in (settings.as_of, held) if limit is not None]
        changed = {"as_of": min(limits, default=None), **({} if exchange is None else {"exchange": exchange})}
        files = tool_files()
        self._kit = make_kit(settings.model_copy(update=changed), files, clock=clock, deadline_s=timeout_s)
        self._tools = {name: StrictTool.of(files[name], self._kit) for name in ASKED}
        self._timeout_s = timeout_s
        self._loop = BackgroundLoop(self._kit.close)
        weakref.finalize(self, self._loop.stop).atexit = False  # at exit, the loop closes itself

    def close(self) -> None:
        """Write what is not stored yet, and close what is open; a second call changes nothing."""
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._loop.call(work)

    async def _ask(self, tool: str, arguments: dict[str, Any], as_of: Moment) -> dict[str, Any]:
        answer = await self._tools[tool].answer(arguments, _headers(as_of), self._timeout_s)
        return answer.structured()

    def _call(self, as_of: Moment) -> Call:
        """Return a call of a tool, which says what moment and which exchange are meant."""
        from mcp_server.toolkit import Call

        return Call(self._kit, _headers(as_of))


def _headers(as_of: Moment) -> dict[str, str]:
    """Return the header by which every tool is held at a moment, also one without an argument for it."""
    from mcp_server.toolkit import AS_OF_HEADER

    at_ms = ms_of(as_of, "as_of")
    return {} if at_ms is None else {AS_OF_HEADER: iso(at_ms)}


def text_of(moment: Moment) -> str | None:
    """Return a moment as the tools take it."""
    return None if moment is None else str(moment)


def ms_of(moment: Moment, name: str) -> int | None:
    """Return a moment in Unix ms, None for now.

    Raises:
        BadInput: it is none; `name` says which argument it was.
    """
    text = text_of(moment)
    return None if text is None or text.strip().lower() == "now" else to_ms(parse_moment(text, name=name))
