"""What a tool file needs: the `@tool` decorator, the `Call` that a tool is given, and `Answer`, what it gives back.

A tool is one async function in one file of its own name. Its first argument is the `Call`; the others are its
interface, checked strictly before the function runs. It returns an `Answer` or raises a `TraderError`, whose text is
what the caller reads.
"""

from __future__ import annotations

import csv
import io
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from mcp_server.domain.error_hints import validation_lines
from mcp_server.domain.strategy.format import NAME_PATTERN, Timeframe
from mcp_server.domain.timeframes import iso, parse_moment
from mcp_server.errors import RETRYABLE, BadInput, Retryable, TraderError

if TYPE_CHECKING:
    from mcp_server.chains.chains import Chains
    from mcp_server.domain.candles import Floats
    from mcp_server.domain.indicators.spec import Spec
    from mcp_server.market.history import History
    from mcp_server.market.market import Market
    from mcp_server.storage.home import Home
    from mcp_server.storage.journal.runs import Journal
    from mcp_server.storage.strategies.folders import StrategyFolders

T = TypeVar("T")

AS_OF_HEADER = "x-trader-as-of"
EXCHANGE_HEADER = "x-trader-exchange"

WORK_S = 29.0
"""No call takes longer; its candles have 26 of these seconds to come."""

CUT_S = 0.5
"""What is to be computed by then and is not may say so itself first."""

Symbol = Annotated[str, Field(min_length=1, max_length=60, description="Market, like BTC/USD")]
ExchangeId = Annotated[str | None, Field(max_length=40, description="ccxt id or 'simulated'; default: the server's")]
AsOf = Annotated[str | None, Field(max_length=40, description="ISO 8601 moment to answer for; default: now")]
ChainName = Annotated[
    str | None, Field(max_length=40, description="ethereum, base, arbitrum, polygon, bnb, optimism, bitcoin")
]
CandleTimeframe = Annotated[Timeframe, Field(description="A candle's length")]
StrategyName = Annotated[str, Field(pattern=NAME_PATTERN, description="The strategy's name")]


@dataclass(frozen=True, slots=True)
class Kit:
    """The parts of the program that tools work with, put together by `app.build_server`."""

    market: Market
    chains: Chains
    strategies: StrategyFolders
    journal: Journal
    clock: Callable[[], datetime]
    default_exchange: str
    as_of: datetime | None
    tool_names: dict[str, bool]
    home: Home
    drawing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))
    """How many charts are drawn at a time: each takes a processor and some 30 MB while it lasts."""
    querying: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))
    """How many queries of the journal are answered at a time: each is a process of its own."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool: the kit, and what this caller said beside the arguments."""

    kit: Kit
    headers: Mapping[str, str] = field(default_factory=dict)
    until: float = field(default_factory=lambda: anyio.current_time() + WORK_S)

    def moment(self, as_of: str | None) -> datetime:
        """Give the moment to answer for: the earliest of now, the argument, the header and the setting.

        Raises:
            BadInput: the argument or the header is no moment.
        """
        said = [parse_moment(as_of)] if as_of is not None else []
        if header := self.headers.get(AS_OF_HEADER):
            said.append(parse_moment(header, name="the header X-Trader-As-Of"))
        if self.kit.as_of is not None:
            said.append(self.kit.as_of)
        return min([self.kit.clock(), *said])

    def exchange(self, exchange: str | None) -> str:
        """Give the exchange to ask: the argument, else the header's (a run's own), else the server's default."""
        return exchange or self.headers.get(EXCHANGE_HEADER) or self.kit.default_exchange

    async def bounded(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run what may take long in a thread; give it up when the caller does, or when the call's time is over.

        The thread ends at its next `check_patience`, or with its work.

        Raises:
            BadInput: the time is over.
        """
        with anyio.CancelScope(deadline=self.until):
            return await anyio.to_thread.run_sync(work, *arguments, abandon_on_cancel=True)
        raise BadInput(f"This takes longer than {WORK_S:g} s to compute. Ask for fewer indicators or shorter periods.")


class Answer(BaseModel):
    """What a tool gives back. A field that is None and optional is left out; undefined values are null."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    def structured(self) -> dict[str, Any]:
        """Give the answer as JSON values."""
        optional = {name for name, field in type(self).model_fields.items() if not field.is_required()}
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if value is not None or name not in optional}

    def text(self, values: dict[str, Any]) -> str:
        """Give the same facts as text, for hosts that show only text; `values` are the structured ones."""
        return _lines(values)

    def result(self) -> CallToolResult:
        """Give both forms, as they are sent."""
        values = self.structured()
        return CallToolResult(content=[TextContent(type="text", text=self.text(values))], structured_content=values)


MOST_MISTAKES = 3
"""So many wrong arguments are told at a time; mending these is enough for one call."""

ROWS = WithJsonSchema({"type": "array", "items": {"type": "array"}})
"""How the rows of a table are described to clients: many of them check each value against the schema, and 500 candles
described value by value cost a client 40 ms."""


class Table(Answer):
    """An answer whose main part is a table; the text has it as CSV."""

    columns: list[str] | None = None

    def structured(self) -> dict[str, Any]:
        """Give the answer as JSON values, the table last."""
        values = super().structured()
        return {**{name: values.pop(name) for name in list(values) if name not in ("columns", "rows")}, **values}

    def text(self, values: dict[str, Any]) -> str:
        """Give the facts beside the table as lines, then the table, where there is one, as CSV."""
        beside = {name: value for name, value in values.items() if name not in ("columns", "rows")}
        table = io.StringIO()
        if "columns" in values:
            csv.writer(table, lineterminator="\n").writerows([values["columns"], *values["rows"]])
        return "\n".join(part for part in [_lines(beside), table.getvalue()] if part)


class Picture(Answer):
    """An answer with an image beside its facts: clients show it, the facts say what it shows."""

    png: SkipJsonSchema[bytes] = Field(exclude=True, repr=False)

    def result(self) -> CallToolResult:
        """Give both forms and the image, as they are sent."""
        facts = super().result()
        image = ImageContent(type="image", data=b64encode(self.png).decode("ascii"), mime_type="image/png")
        return facts.model_copy(update={"content": [*facts.content, image]})


class HistoryAnswer(Answer):
    """An answer that rests on closed candles: which ones, as of when, and how old the last of them is."""

    symbol: str
    exchange: str
    timeframe: str
    as_of: str
    age_s: float | None = Field(description="Seconds from the last candle's close to as_of")
    note: str | None = None
    simulated: bool | None = Field(default=None, description="True: an invented market")


def about(history: History) -> dict[str, Any]:
    """Give the fields of a `HistoryAnswer` for the candles that it rests on."""
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
    """Say of which indicators the level, the last value or the past is not what it seems."""
    said = {
        "Running totals, which depend on the first candle used, so only their changes count: ": "running",
        "Not settled within the candles used, so it still depends on the first of them: ": "unsettled",
        "Later candles change past values, so no rule may use it: ": "repaints",
    }
    having = {
        "running": [spec.text for spec in specs if spec.running],
        "unsettled": [spec.text for spec in specs if not spec.settled],
        "repaints": [spec.text for spec in specs if spec.repaints],
    }
    return [f"{text}{', '.join(having[kind])}." for text, kind in said.items() if having[kind]]


def last_value(values: Floats) -> float | None:
    """Give the last of an indicator's values, or None where there is none or it is undefined."""
    return float(values[-1]) if len(values) and values[-1] == values[-1] else None


def check_patience() -> None:
    """End the work of this thread when nobody waits for it any more; called between its parts."""
    anyio.from_thread.check_cancelled()


ToolFunction = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True, slots=True, eq=False)
class ToolFile:
    """What `@tool` leaves in a tool file for `app` to find."""

    function: ToolFunction
    title: str
    annotations: ToolAnnotations


def tool(
    *, title: str, read_only: bool = True, destructive: bool = False, open_world: bool = True
) -> Callable[[ToolFunction], ToolFile]:
    """Make an async function a tool. Its docstring is the description that a model reads.

    Args:
        title: what people see.
        read_only: it changes nothing.
        destructive: it may replace or remove something.
        open_world: it asks systems outside of this project.
    """
    hints = ToolAnnotations(read_only_hint=read_only, destructive_hint=destructive, open_world_hint=open_world)
    return lambda function: ToolFile(function, title, hints)


class StrictTool(Tool):
    """A tool that refuses arguments it does not know, says how to mend them, and sends each fact once per form."""

    _kit: Kit = PrivateAttr()

    @classmethod
    def of(cls, file: ToolFile, kit: Kit) -> StrictTool:
        """Make the tool of a tool file, bound to the parts it works with."""
        made = cls._unbound(file).model_copy()
        made._kit = kit
        return made

    @classmethod
    @cache  # schemas take most of a server's composing, and a process may compose several
    def _unbound(cls, file: ToolFile) -> StrictTool:
        made = cast(
            StrictTool,
            cls.from_function(
                file.function,
                title=file.title,
                description=" ".join((file.function.__doc__ or "").split()),
                annotations=file.annotations,
                context_kwarg="call",
            ),
        )
        arguments = made.fn_metadata.arg_model
        arguments.model_config["extra"] = "forbid"
        arguments.model_rebuild(force=True)
        made.parameters = slim_schema(arguments.model_json_schema(by_alias=True))
        made.fn_metadata.output_schema = slim_schema(made.fn_metadata.output_schema or {})
        return made

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Check the arguments, call the function, and put its answer into both forms that hosts read.

        Raises:
            ToolError: the arguments are wrong, or the function raised a `TraderError`; the text says what to do.
        """
        try:
            checked = self.fn_metadata.validate_arguments(arguments)
        except ValidationError as error:
            lines = validation_lines(error, self.fn_metadata.arg_model, "argument")
            more = [f"And {len(lines) - MOST_MISTAKES} more like these."] if len(lines) > MOST_MISTAKES else []
            raise ToolError(f"{self.name}: " + "\n".join(lines[:MOST_MISTAKES] + more)) from error
        call = Call(self._kit, context.headers or {})
        answer: Any = None
        try:
            with anyio.CancelScope(deadline=call.until + CUT_S) as scope:
                answer = await self.fn(call=call, **checked)
            if scope.cancelled_caught:
                raise Retryable(f"{self.name} did not end within {WORK_S:g} seconds. Try again, or ask for less.")
        except TraderError as error:
            if convert_result and isinstance(error, Retryable):
                said = TextContent(type="text", text=str(error))
                return CallToolResult(content=[said], is_error=True, _meta={RETRYABLE: True})
            raise ToolError(str(error)) from error
        except Exception as error:
            raise UnexpectedToolError(f"{self.name} failed unexpectedly; the server's log says more") from error
        return await anyio.to_thread.run_sync(answer.result) if convert_result else answer


def slim_schema(schema: Any) -> Any:
    """Take out of a JSON schema what costs a reader and says nothing: generated titles, and null beside a type."""
    if isinstance(schema, list):
        return [slim_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    slim = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        named = key in ("properties", "$defs") and isinstance(value, dict)
        slim[key] = {name: slim_schema(part) for name, part in value.items()} if named else slim_schema(value)
    return _without_null(slim)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("anyOf", [])
    kept = [choice for choice in choices if choice != {"type": "null"}]
    if len(kept) != 1 or len(kept) == len(choices) or "default" not in schema or schema["default"] is not None:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**kept[0], **rest}


def _lines(values: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {_cell(value)}" for name, value in values.items())


def shortened(text: str, limit: int = 200) -> str:
    """Cut a text to `limit` characters, showing that it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
