from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import anyio.to_thread
from pydantic import Field

from mcp_server.answers import ROWS, Table
from mcp_server.toolkit import Call, tool

if TYPE_CHECKING:
    from mcp_server.domain.indicators.indicator import Indicator, Parameter

COLUMNS = ["name", "meaning", "parameters", "computed_of", "columns", "warm_up", "library"]

_OTHERWISE = ("", " (or any series)", " (or any two)")


class Indicators(Table):
    """Best match first. Parameters are name=default [least..greatest]."""

    found: int
    note: str | None = None
    rows: Annotated[list[list[str | int]], ROWS]

    large: ClassVar[bool] = True
    less: ClassVar[str] = "Narrow the query."


@tool(title="Find indicators", open_world=False)
async def find_indicators(
    call: Call,
    query: Annotated[str, Field(max_length=100, description="Like 'trend strength'; empty: all")] = "",
    limit: Annotated[int, Field(ge=1, le=300)] = 8,
) -> Indicators:
    """Find indicators by meaning or name, with parameters, outputs and warm-up.

    Write a spec as name(parameters): bbands(20, nbdevup=2.5), ema(50) of volume, sma(9) of rsi(14), macd(12,26,9).hist.
    """
    from mcp_server.domain.indicators.search import search

    entries = await anyio.to_thread.run_sync(search, query)
    rows = await anyio.to_thread.run_sync(lambda: [_row(entry) for entry in entries[:limit]])
    return Indicators(found=len(entries), note=_note(query, len(entries), limit), columns=COLUMNS, rows=rows)


def _row(entry: Indicator) -> list[str | int]:
    from mcp_server.domain.indicators.parse import parse_spec

    spec = parse_spec(entry.name)
    return [
        entry.name,
        entry.meaning,
        ", ".join(map(_parameter, entry.parameters)),
        " ".join(entry.inputs) + _OTHERWISE[entry.sources],
        " ".join(spec.columns),
        spec.warm_up,
        entry.library,
    ]


def _parameter(parameter: Parameter) -> str:
    return f"{parameter.name}={parameter.default:g} [{parameter.low:g}..{parameter.high:g}]"


def _note(query: str, found: int, limit: int) -> str | None:
    from mcp_server.domain.indicators.extras import LEFT_OUT

    if reason := LEFT_OUT.get(query.split("(", maxsplit=1)[0].strip().lower()):
        return f"{query[:40]!r} is not in the catalogue. {reason}"
    if not found:
        return "Nothing fits. Use other words, or an empty query for all."
    return f"{limit} of {found}: narrow the query or raise limit." if found > limit else None
