from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from mcp_server.answers import ROWS, HistoryAnswer, Table, about
from mcp_server.domain.text import significant, two_numbers
from mcp_server.domain.timeframes import Timeframe, iso, timeframe_ms
from mcp_server.toolkit import AsOf, Call, ExchangeId, Symbol, tool

if TYPE_CHECKING:
    from mcp_server.domain.candles import Candles
    from mcp_server.domain.divergence.find import Divergence
    from mcp_server.domain.divergence.judge import Judged
    from mcp_server.domain.divergence.search import Search
    from mcp_server.domain.indicators.spec import Spec


Pivot = tuple[str, float, float]
Row = list[str | int | float | None]

COLUMNS = ["divergence_type", "kind", "first_time", "first_price", "first_oscillator", "second_time", "second_price"]
COLUMNS += ["second_oscillator", "confirmed_at", "strength", "confidence", "sample", "came_true", "decided_at"]
COLUMNS += ["invalidated_at"]
MOST_ROWS = 8


class Divergences(HistoryAnswer, Table):
    """The newest that still holds, confidence in percent; rows: all, newest first."""

    oscillator: str
    divergence_type: Literal["bullish", "bearish", "none"] | None
    kind: Literal["regular", "hidden"] | None = None
    strength: float | None
    confidence: float | None
    sample: int | None = None
    came_true: bool | None = None
    description: str
    pivots: Annotated[list[Pivot], ROWS] | None = None
    confirmed_at: str | None = None
    candles_since_confirmed: int | None = None
    rows: Annotated[list[Row], ROWS] | None = None


@tool(title="Divergence", example={"symbol": "BTC/USDT"})
async def detect_divergence(
    call: Call,
    symbol: Symbol,
    lookback: Annotated[int, Field(ge=20, le=1000, description="Candles")] = 100,
    timeframe: Timeframe = "1h",
    oscillator: Annotated[str, Field(description="Indicator spec")] = "rsi(14)",
    pivot_candles: Annotated[int, Field(ge=1, le=50, description="On each side of a swing")] = 3,
    exchange: ExchangeId = None,
    as_of: AsOf = None,
) -> Divergences:
    """Detect divergences of price swings and an oscillator, regular and hidden. Confirmed ones never repaint."""
    from mcp_server.domain.divergence.search import candles_wanted, search
    from mcp_server.domain.indicators.parse import parse_spec

    spec = await call.bounded(parse_spec, oscillator)
    wanted = await call.bounded(candles_wanted, spec, timeframe, lookback, pivot_candles)
    history = await call.kit.market.candles(call.exchange(exchange), symbol, timeframe, wanted, call.moment(as_of))
    searched = await call.bounded(search, history.candles, spec, lookback, pivot_candles)
    notes = [history.note, *_notes(searched, spec, lookback - pivot_candles)]
    rows = [_row(searched, judged, timeframe) for judged in searched.divergences[:MOST_ROWS]]
    return Divergences(
        **{**about(history), "note": " ".join(filter(None, notes)) or None},
        oscillator=spec.columns[0],
        **_newest(searched, spec.columns[0], lookback, timeframe),
        rows=rows or None,
        columns=COLUMNS if rows else None,
    )


def _newest(searched: Search, oscillator: str, lookback: int, timeframe: str) -> dict[str, Any]:
    """Return the fields of the newest divergence that still holds."""
    judged = next((judged for judged in searched.divergences if judged.invalidated is None), None)
    if judged is None:
        return {
            "divergence_type": "none" if searched.decided else None,
            "strength": None,
            "confidence": None,
            "description": _none(searched, oscillator, lookback),
        }
    divergence = judged.divergence
    return {
        "divergence_type": divergence.direction,
        "kind": divergence.kind,
        "strength": round(divergence.strength, 1),
        "confidence": _percent(judged.confidence),
        "sample": judged.sample,
        "came_true": judged.outcome.came_true if judged.outcome else None,
        "description": _described(searched, judged, oscillator, timeframe),
        "pivots": [_pivot(searched, divergence, position) for position in (divergence.first, divergence.second)],
        "confirmed_at": _closed_at(searched.candles, divergence.confirmed, timeframe),
        "candles_since_confirmed": len(searched.candles) - 1 - divergence.confirmed,
    }


def _described(searched: Search, judged: Judged, oscillator: str, timeframe: str) -> str:
    divergence = judged.divergence
    bullish, regular = divergence.direction == "bullish", divergence.kind == "regular"
    swing, way = ("low", "up") if bullish else ("high", "down")
    price, other = ("lower", "higher") if bullish == regular else ("higher", "lower")
    (_, price_1, value_1), (_, price_2, value_2) = (
        _pivot(searched, divergence, at) for at in (divergence.first, divergence.second)
    )
    was, became = two_numbers(value_1, value_2)
    record = (
        f"{judged.came_true} of {judged.sample} earlier ones of its kind came true, moving one ATR {way} first."
        if judged.sample
        else "No earlier one of its kind says how often such come true."
    )
    return (
        f"{divergence.kind.capitalize()} {divergence.direction}: "
        f"price made a {price} {swing} ({price_1!r}, then {price_2!r}), "
        f"{oscillator} a {other} one ({was}, then {became}). No close beyond the second {swing} since"
        f"{_since(searched, judged, way, timeframe)}. {record}"
    )


def _since(searched: Search, judged: Judged, way: str, timeframe: str) -> str:
    """Describe what came of it, once that is decided."""
    if judged.outcome is None:
        return ", and no move of one ATR"
    moved = f"moved one ATR {way}" if judged.outcome.came_true else f"did not move one ATR {way} first"
    return f", and price {moved} ({_closed_at(searched.candles, judged.outcome.decided, timeframe)})"


def _none(searched: Search, oscillator: str, lookback: int) -> str:
    if not searched.decided:
        return f"Undefined: too few closed candles with a value of {oscillator} for two confirmed swings."
    compared = f"swing lows: {searched.swing_lows}, swing highs: {searched.swing_highs}, divergences: "
    count = (
        f"{len(searched.divergences)}, each invalidated by a close beyond its second swing"
        if searched.divergences
        else "0"
    )
    return f"No divergence of price and {oscillator} holds in the last {lookback} candles ({compared}{count})."


def _pivot(searched: Search, found: Divergence, position: int) -> Pivot:
    candles = searched.candles
    price = candles.low if found.direction == "bullish" else candles.high
    return iso(int(candles.open_time_ms[position])), float(price[position]), float(searched.values[position])


def _row(searched: Search, judged: Judged, timeframe: str) -> Row:
    found, broken, outcome = judged.divergence, judged.invalidated, judged.outcome
    row: Row = [found.direction, found.kind]
    for position in (found.first, found.second):
        time, price, value = _pivot(searched, found, position)
        row += [time, price, significant(value)]
    row += [_closed_at(searched.candles, found.confirmed, timeframe), round(found.strength, 1)]
    row += [_percent(judged.confidence), judged.sample]
    row += [outcome.came_true, _closed_at(searched.candles, outcome.decided, timeframe)] if outcome else [None, None]
    return [*row, None if broken is None else _closed_at(searched.candles, broken, timeframe)]


def _closed_at(candles: Candles, position: int, timeframe: str) -> str:
    return iso(int(candles.open_time_ms[position]) + timeframe_ms(timeframe))


def _percent(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _notes(searched: Search, oscillator: Spec, expected: int) -> list[str]:
    """List what a reader must know: which output was used, what was not searched, what is not shown."""
    notes, columns = [], oscillator.columns
    if len(columns) > 1:
        notes.append(
            f"{oscillator.text!r} has {', '.join(columns)}: the first is used; a dot picks another, "
            "as in 'macd(12,26,9).hist'."
        )
    if searched.searchable < expected:
        notes.append(
            f"Only {searched.searchable} of {expected} candles could be a swing: the others are missing, "
            f"have too few before them, or no value of {columns[0]}."
        )
    if len(searched.divergences) > MOST_ROWS:
        notes.append(f"{len(searched.divergences)} found; the rows are the newest {MOST_ROWS}.")
    return notes
