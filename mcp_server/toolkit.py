"""What a tool file needs: the `@tool` decorator, and the `Call` that a tool's function takes.

A tool is one async function in one file of its own name. Its first argument is the `Call`; the others, its interface,
are checked before it runs. It returns an `Answer` (see `answers`), or raises a `TraderError`, which the caller reads.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp_types import ToolAnnotations
from pydantic import Field, PrivateAttr, ValidationError, create_model

from mcp_server.answers import MOST_BYTES, Answer, Picture, error_result
from mcp_server.domain.error_hints import invalid_keys
from mcp_server.domain.strategy.agents import NOT_FOR_AGENTS
from mcp_server.domain.strategy.format import NAME_PATTERN
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput, Retryable, TraderError
from mcp_server.moment import WORK_S
from mcp_server.progress import Tell, unheard
from mcp_server.slim_schema import slim_input, slim_output
from mcp_server.turns import Turns

if TYPE_CHECKING:
    from mcp_server.chains.chains import Chains
    from mcp_server.market.market import Market
    from mcp_server.overview_cache import OverviewCache
    from mcp_server.storage.home import Home
    from mcp_server.storage.journal.runs import Journal
    from mcp_server.storage.strategies.folders import StrategyFolders

T = TypeVar("T")

ToolFunction = Callable[..., Awaitable[Answer]]

AS_OF_HEADER = "x-trader-as-of"
EXCHANGE_HEADER = "x-trader-exchange"

CLIENT_KEY = "trader.client"
"""The key in the ASGI scope where the gate puts who is calling; a caller cannot send it as a header."""

CUT_S = 0.5
"""What is to be computed by then and is not may say so itself first."""

Symbol = Annotated[str, Field(min_length=1, max_length=60, description="Like BTC/USD")]
ExchangeId = Annotated[str | None, Field(max_length=40, description="ccxt id or 'simulated'")]
AsOf = Annotated[str | None, Field(max_length=40, description="ISO 8601 or now")]
ChainName = Annotated[
    str | None, Field(max_length=40, description="ethereum, base, arbitrum, polygon, bnb, optimism, bitcoin")
]
StrategyName = Annotated[str, Field(pattern=NAME_PATTERN)]
NewStrategyName = Annotated[StrategyName, Field(description="Of a-z, 0-9 and -")]


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
    overviews: OverviewCache


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool: the kit, what the caller sent beside the arguments, and which of these were given at all."""

    kit: Kit
    headers: Mapping[str, str] = field(default_factory=dict)
    turns: Turns = field(default_factory=partial(Turns, ""))
    client: str = ""
    given: frozenset[str] = frozenset()
    until: float = field(default_factory=lambda: anyio.current_time() + WORK_S)
    tell: Tell = unheard

    @property
    def in_a_run(self) -> bool:
        """Whether a sub-agent calls: its run tells its moment and its exchange, which nobody else sends together."""
        return AS_OF_HEADER in self.headers and EXCHANGE_HEADER in self.headers

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for the caller's turn: with `@tool(at_a_time=N)`, N calls of different clients work at once.

        Raises:
            Retryable: it did not come in time.
        """
        return self.turns.turn(self.client, self.until)

    def moment(self, as_of: str | None) -> datetime:
        """Return the moment to answer for: the earliest of now, the argument, the header and the setting.

        Raises:
            BadInput: the argument or the header is no moment.
        """
        limits = [self.kit.clock()]
        if as_of is not None and as_of.strip().lower() != "now":  # where an argument must be a text, this one is sent
            limits.append(parse_moment(as_of))
        if header := self.headers.get(AS_OF_HEADER):
            limits.append(parse_moment(header, name="the header X-Trader-As-Of"))
        if self.kit.as_of is not None:
            limits.append(self.kit.as_of)
        return min(limits)

    def exchange(self, exchange: str | None) -> str:
        """Return the exchange to ask: the argument, else the header's (a run's own), else the server's default."""
        return exchange or self.headers.get(EXCHANGE_HEADER) or self.kit.default_exchange

    def left_s(self) -> float:
        """Return how many seconds this call has left."""
        return self.until - anyio.current_time()

    async def bounded(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run what may take long in a thread; give it up when the caller does, or when the call's time is over.

        The thread ends at its next `check_patience`, or with its work.

        Raises:
            BadInput: the time is over.
        """
        with anyio.CancelScope(deadline=self.until):
            return await anyio.to_thread.run_sync(work, *arguments, abandon_on_cancel=True)
        too_long = f"This takes longer than {WORK_S:g} s to compute."
        raise BadInput(too_long, "Ask for fewer indicators or shorter periods.")


def check_patience() -> None:
    """End the work of this thread when nobody waits for it any more; called between its parts."""
    anyio.from_thread.check_cancelled()


@dataclass(frozen=True, slots=True, eq=False)
class ToolFile:
    """What `@tool` leaves in a tool file for `app` to find."""

    function: ToolFunction
    title: str
    annotations: ToolAnnotations
    at_a_time: float
    example: Mapping[str, Any]
    for_agents: bool = True
    page: str | None = None

    @property
    def looks(self) -> bool:
        """Whether it only looks, so that a scheduled agent may have it."""
        return bool(self.annotations.read_only_hint) and self.for_agents

    @property
    def description(self) -> str:
        """What a model reads."""
        return " ".join((self.function.__doc__ or "").split())

    @property
    def summary(self) -> str:
        """The first sentence of the description."""
        return self.description.partition(". ")[0].rstrip(".") + "."


def tool(
    *,
    title: str,
    read_only: bool = True,
    destructive: bool = False,
    open_world: bool = True,
    for_agents: bool = True,
    at_a_time: float = math.inf,
    example: Mapping[str, Any] = MappingProxyType({}),
    page: str | None = None,
) -> Callable[[ToolFunction], ToolFile]:
    """Make an async function a tool. Its docstring is the description that a model reads.

    Args:
        title: what people see.
        read_only: it changes nothing, but for rows of the journal that follow from what is there.
        destructive: it may replace or remove something.
        open_world: it asks systems outside of this project.
        for_agents: False for one that adds such rows: no scheduled agent is ever offered it.
        at_a_time: how many calls may work under `call.turn()` at once, never two of the same client.
        example: arguments of a typical call, for the documentation and the tests.
        page: the name of the page in `prompts.apps` that a host may show for its answers.
    """
    hints = ToolAnnotations(read_only_hint=read_only, destructive_hint=destructive, open_world_hint=open_world)
    return lambda function: ToolFile(function, title, hints, at_a_time, example, for_agents, page)


MOST_MISTAKES = 3
"""So many wrong arguments are listed by an error."""


class StrictTool(Tool):
    """A tool that refuses arguments it does not know, says how to mend them, and sends each fact once per form."""

    _kit: Kit = PrivateAttr()
    _turns: Turns = PrivateAttr()

    @classmethod
    def of(cls, file: ToolFile, kit: Kit) -> StrictTool:
        """Make the tool of a tool file, bound to the parts it works with."""
        made = cls._unbound(file).model_copy()
        made._kit = kit
        made._turns = Turns(made.name, file.at_a_time)
        return made

    @classmethod
    @cache  # schemas take most of a server's composing, and a process may compose several
    def _unbound(cls, file: ToolFile) -> StrictTool:
        """Make it as `Tool.from_function` would, but each model and each schema once."""
        name, signature = file.function.__name__, inspect.signature(file.function, eval_str=True)
        _, *parameters = signature.parameters.values()
        fields: dict[str, Any] = {
            parameter.name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
            for parameter in parameters
        }
        strict = {"extra": "forbid"}
        arguments = create_model(f"{name}Arguments", __base__=ArgModelBase, __cls_kwargs__=strict, **fields)
        answer = signature.return_annotation
        meta: dict[str, Any] = {} if file.for_agents else {NOT_FOR_AGENTS: True}
        if file.page:  # the second key is that of older hosts
            uri = f"ui://claude-trader/{file.page}.html"
            meta |= {"ui": {"resourceUri": uri}, "ui/resourceUri": uri}
        if answer.large:
            meta["anthropic/maxResultSizeChars"] = 2 * MOST_BYTES  # hosts may write characters as longer ones
        schema = None if issubclass(answer, Picture) else slim_output(answer.model_json_schema())
        checks = FuncMetadata(arg_model=arguments, output_schema=schema, output_model=schema and answer)
        return cls(
            fn=file.function, name=name, title=file.title, description=file.description, annotations=file.annotations,
            parameters=slim_input(arguments.model_json_schema()), fn_metadata=checks, is_async=True,
            context_kwarg="call", meta=meta or None,
        )  # fmt: skip

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Check the arguments, call the function, and put its answer into both forms that hosts read.

        Raises:
            ToolError: the arguments are wrong, or the function raised a `TraderError`; the text says what to do.
        """
        try:
            checked = self.fn_metadata.validate_arguments(given := self._given(arguments))
        except ValidationError as error:
            lines = [str(key) for key in invalid_keys(error, self.fn_metadata.arg_model, noun="argument")]
            more = [f"And {len(lines) - MOST_MISTAKES} more like these."] if len(lines) > MOST_MISTAKES else []
            raise ToolError(f"{self.name}: " + "\n".join(lines[:MOST_MISTAKES] + more)) from error
        caller = (context.headers or {}, self._turns, _client(context), frozenset(given))
        call = Call(self._kit, *caller, tell=context.report_progress)
        try:
            with anyio.CancelScope(deadline=call.until + CUT_S) as scope:
                answer = await self.fn(call=call, **checked)
            if scope.cancelled_caught:
                raise Retryable(f"{self.name} did not end within {WORK_S:g} seconds.", "Try again, or ask for less.")
            return await anyio.to_thread.run_sync(answer.result) if convert_result else answer
        except TraderError as error:
            if convert_result:
                return error_result(error)
            raise ToolError(str(error)) from error
        except Exception as error:
            raise UnexpectedToolError(f"{self.name} failed unexpectedly; the server's log says more") from error

    def _given(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Leave out optional arguments that are null or blank: many hosts send these for what was not given."""
        fields = self.fn_metadata.arg_model.model_fields
        return {
            name: value
            for name, value in self.fn_metadata.pre_parse_json(arguments).items()
            if name not in fields or fields[name].is_required() or not _blank(value)
        }


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _client(context: Context[Any, Any]) -> str:
    """Tell clients apart: by the token or the address that the gate let in, and by the name of the program."""
    scope = getattr(context.request_context.request, "scope", None) or {}
    client = context.session.client_params
    return f"{scope.get(CLIENT_KEY, '')} {client.client_info.name if client else ''}"
