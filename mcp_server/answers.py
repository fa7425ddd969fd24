"""What tools return: `Answer` and its kinds, each in the two forms that hosts read, text and structured values."""

from __future__ import annotations

import csv
import io
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from mcp_types import CallToolResult, ImageContent, TextContent
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticSerializationError, to_json

from mcp_server.domain.text import cleaned, cleaned_values
from mcp_server.domain.timeframes import iso
from mcp_server.errors import KIND, PROBLEM, REMEDY, RETRYABLE, BadInput, Retryable, TraderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.candles import Floats
    from mcp_server.domain.indicators.spec import Spec
    from mcp_server.market.history import History

TEXTS = WithJsonSchema({"type": "array", "items": {"type": "string"}})
NUMBERS = WithJsonSchema({"type": "array", "items": {"type": "number"}})
ROW = WithJsonSchema({"type": "array", "items": {"minLength": 0}})
ROWS = WithJsonSchema({"type": "array", "items": {"type": "array", "items": {"minLength": 0}}})
"""How lists, such as the rows of a table, are described to clients. Some hosts refuse an array without `items`. Many
check each value against the schema, and 500 candles described type by type cost a client 40 ms: so a cell may be
anything. It is not described by `{}`, which checkers of schemas take for a mistake."""

MOST_BYTES = 100_000
"""Of each form of an answer, as JSON: some 40,000 tokens of figures."""

MOST_ERROR = 8_000
"""So many characters has each part of an error; what it quotes may be longer."""

NOTE_BYTES = 1_000
"""Room for the sentence that says what was left out."""


class Answer(BaseModel):
    """What a tool returns. A field that is None and optional is left out; undefined values are null.

    What strangers wrote is cleaned, whichever field it stands in, and neither form is longer than `MOST_BYTES`.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    large: ClassVar[bool] = False
    """Whether it may have over 50,000 characters. Its tool states that, or Claude Code shows only how it begins."""

    less: ClassVar[str] = "Ask for less."
    """How to ask for what does not fit into an answer."""

    def structured(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        optional = {name for name, field in type(self).model_fields.items() if not field.is_required()}
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if value is not None or name not in optional}

    def text(self, values: dict[str, Any]) -> str:
        """Return the same facts as text, for hosts that show only text; `values` are the structured ones."""
        return _lines(values)

    def cleaned(self) -> dict[str, Any]:
        """Return the answer as JSON values, in which nothing is left that a stranger could deceive with."""
        values = self.structured()
        return values if _is_plain(values) else cleaned_values(values, MOST_BYTES)

    def result(self) -> CallToolResult:
        """Return both forms, as they are sent."""
        values = self.cleaned()
        text = self.text(values)
        if (size := size_of(values, text)) > MOST_BYTES:
            values = self.shortened(values, size)
            text = self.text(values)
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=values)

    def shortened(self, values: dict[str, Any], size: int) -> dict[str, Any]:
        """Return the part of the values that fits into an answer, with a note of what is missing.

        Raises:
            BadInput: no part of them can be left out.
        """
        raise BadInput(f"The answer has {size:,} bytes; an answer holds {MOST_BYTES:,}.", self.less)


class Table(Answer):
    """An answer whose main part is a table; the text has it as CSV."""

    columns: Annotated[list[str], TEXTS] | None = None

    keeps_last: ClassVar[bool] = False
    """If not all rows fit: the last ones stay, not the first."""

    unwritten: SkipJsonSchema[int] = Field(default=0, exclude=True, repr=False)
    """How many rows more there are, which were not even written, as the others fill an answer already."""

    def structured(self) -> dict[str, Any]:
        """Return the answer as JSON values, the table last."""
        values = super().structured()
        return {**{name: values.pop(name) for name in list(values) if name not in ("columns", "rows")}, **values}

    def text(self, values: dict[str, Any]) -> str:
        """Return the other facts as lines, then the table, if there is one, as CSV."""
        beside = {name: value for name, value in values.items() if name not in ("columns", "rows")}
        table = _csv([values["columns"], *values["rows"]]) if "columns" in values else ""
        return "\n".join(part for part in [_lines(beside), table] if part)

    def shortened(self, values: dict[str, Any], size: int) -> dict[str, Any]:
        """Leave out the rows that do not fit, and say so in the note.

        Raises:
            BadInput: not even one row fits.
        """
        rows = values.get("rows") or []
        room = MOST_BYTES - NOTE_BYTES - size_of(bare := {**values, "rows": []}, self.text(bare))
        count = 0
        for row in reversed(rows) if self.keeps_last else rows:
            if (room := room - size_of(row, _csv([row])) - 1) < 0:  # 1: the comma
                break
            count += 1
        if not count:
            return super().shortened(values, size)
        kept = rows[-count:] if self.keeps_last else rows[:count]
        which = "last" if self.keeps_last else "first"
        left_out = (
            f"Only the {which} {count:,} of {len(rows) + self.unwritten:,} rows fit into an answer. {self.rest(kept)}"
        )
        return {**values, "rows": kept, "note": " ".join(filter(None, [values.get("note"), left_out]))}

    def rest(self, kept: list[Any]) -> str:
        """Return how to ask for the rows that were left out, given those that were not."""
        return self.less


class Picture(Answer):
    """An answer with an image beside its facts: clients show it, the facts say what it shows.

    It has no structured values: where there are any, some hosts drop what stands beside them, the image too.
    """

    png: SkipJsonSchema[bytes] = Field(exclude=True, repr=False)

    def result(self) -> CallToolResult:
        """Return the facts as text and the image, as they are sent."""
        facts = super().result()
        image = ImageContent(type="image", data=b64encode(self.png).decode("ascii"), mime_type="image/png")
        return CallToolResult(content=[*facts.content, image])


class HistoryAnswer(Answer):
    """An answer that rests on closed candles: which ones, as of when, and how old the last of them is."""

    symbol: str
    exchange: str
    timeframe: str
    as_of: str
    age_s: float | None
    """Seconds from the last candle's close to as_of."""
    note: str | None = None
    simulated: bool | None = None


def about(history: History) -> dict[str, Any]:
    """Return the fields of a `HistoryAnswer` for the candles that it rests on."""
    return {
        "symbol": history.symbol,
        "exchange": history.exchange,
        "timeframe": history.timeframe,
        "as_of": iso(history.as_of_ms),
        "age_s": history.age_s,
        "note": history.note,
        "simulated": history.simulated or None,
    }


def caveats(specs: Sequence[Spec]) -> list[str]:
    """List the indicators whose level or last value may mislead a reader."""
    misleading = {
        "Running totals, which depend on the first candle used, so only their changes count": [
            s for s in specs if s.running
        ],
        "Not settled within the candles used, so they still depend on the first one": [
            s for s in specs if not s.settled
        ],
    }
    return [f"{text}: {', '.join(spec.text for spec in some)}." for text, some in misleading.items() if some]


def last_value(values: Floats) -> float | None:
    """Return the last of an indicator's values, or None if there is none or it is undefined."""
    return float(values[-1]) if len(values) and values[-1] == values[-1] else None


def _lines(values: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {_cell(value)}" for name, value in values.items())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    return table.getvalue()


def size_of(values: Any, text: str) -> int:
    """Return the bytes of the longer of two forms, as they are sent."""
    return max(len(to_json(values)), len(to_json(text)))


def _is_plain(values: dict[str, Any]) -> bool:
    """Return whether all texts are printable ASCII, as most are: then there is nothing to clean."""
    try:
        encoded = to_json(values)
    except PydanticSerializationError:  # half of a character
        return False
    return encoded.isascii() and b"\\" not in encoded and b"\x7f" not in encoded


def error_result(error: TraderError) -> CallToolResult:
    """Return an error as it is sent: the text for a model, and its parts for a program."""
    problem, remedy = (cleaned(part, MOST_ERROR, lines=True) for part in (error.problem, error.remedy))
    parts: dict[str, Any] = {KIND: type(error).__name__, PROBLEM: problem, REMEDY: remedy}
    if isinstance(error, Retryable):
        parts[RETRYABLE] = True
    text = TextContent(type="text", text=f"{problem} {remedy}".strip())
    return CallToolResult(content=[text], is_error=True, _meta=parts)
