"""The calls that succeeded while a host's own model decides a run, on which its answer may rest. Kept in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from mcp_server.domain.news.in_trace import TOOL as NEWS
from mcp_server.domain.strategy.evidence import ToolCall
from mcp_server.domain.text import cleaned_values, shortened

MOST_RUNS = 20
MOST_CALLERS = 20
MOST_CALLS = 200
"""Of each caller during one run; of more the latest are kept."""

MOST_TEXT, MOST_PART = 400, 1_000
"""Characters of a text in a call, and of what else stands under one name of its arguments or of its answer."""

MOST_NEWS = 6_000
"""Characters of the headlines of one answer: a run shows which its model saw."""


@dataclass(slots=True)
class _Watched:
    until: datetime
    calls: dict[str, deque[ToolCall]] = field(default_factory=dict)


class SeenCalls:
    """Remembers, for each open run, which calls succeeded since this process knows of it, and whose they were.

    A caller is the token that was sent, or the process at the other end of standard input.
    """

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}

    def watch(self, execution_id: int, until: datetime, now: datetime) -> None:
        """Remember calls from now on until a moment, unless that has begun already."""
        over = [known for known, watched in self._watched.items() if watched.until <= now]
        for known in over:
            self.forget(known)
        self._watched.setdefault(execution_id, _Watched(until))
        while len(self._watched) > MOST_RUNS:
            self.forget(next(iter(self._watched)))

    def watched(self) -> Sequence[int]:
        """Return the runs for which calls are remembered; a call counts for those that were so when it began."""
        return tuple(self._watched)

    def note(self, runs: Sequence[int], caller: str, call: ToolCall) -> None:
        """Remember a call that succeeded."""
        for execution_id in runs:
            if (watched := self._watched.get(execution_id)) is None:
                continue
            if caller not in watched.calls and len(watched.calls) >= MOST_CALLERS:
                watched.calls.pop(next(iter(watched.calls)))
            watched.calls.setdefault(caller, deque(maxlen=MOST_CALLS)).append(call)

    def of(self, execution_id: int, caller: str) -> Sequence[ToolCall] | None:
        """Return a caller's calls during a run, in their order; None: this process does not know of the run."""
        watched = self._watched.get(execution_id)
        return None if watched is None else tuple(watched.calls.get(caller, ()))

    def forget(self, execution_id: int) -> None:
        """Forget a run that is over."""
        self._watched.pop(execution_id, None)


def succeeded(tool: str, arguments: Mapping[str, Any], answer: Mapping[str, Any]) -> ToolCall:
    """Return a call that succeeded, as it is remembered: its facts, without the long tables."""
    brief = _brief(answer)
    if tool == NEWS and isinstance(rows := answer.get("rows"), list):
        brief["rows"] = _first(cleaned_values(rows, MOST_TEXT))
    return ToolCall(tool, _brief(arguments), to_json(brief).decode(), is_error=False)


def _brief(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _part(value) for name, value in cleaned_values(dict(values), MOST_PART).items()}


def _first(rows: list[Any]) -> list[Any]:
    """Return the rows that there is room for; if some are left out, a text comes last that says so."""
    room = MOST_NEWS
    for count, row in enumerate(rows):
        if (room := room - _size(row)) < 0:
            return [*rows[:count], f"… {len(rows)} rows in all"]
    return rows


def _size(value: Any) -> int:
    return len(to_json(value, inf_nan_mode="constants", fallback=str))


def _part(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(value, MOST_TEXT)
    size = _size(value)
    return value if size <= MOST_PART else f"… {size:,} bytes"
