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
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp_types import ToolAnnotations
from pydantic import Field

from mcp_server.answers import Answer
from mcp_server.domain.strategy.limits import NAME_PATTERN
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import BadInput
from mcp_server.moment import WORK_S
from mcp_server.progress import Tell, unheard
from mcp_server.seen_calls import SeenCalls
from mcp_server.turns import Turns

if TYPE_CHECKING:
    from mcp_server.chains.chains import Chains
    from mcp_server.charts.artist import Artist
    from mcp_server.market.market import Market
    from mcp_server.news.news import News
    from mcp_server.overview_cache import OverviewCache
    from mcp_server.storage.home import Home
    from mcp_server.storage.journal.runs import Journal
    from mcp_server.storage.queries.ask import Queries
    from mcp_server.storage.strategies.folders import StrategyFolders

T = TypeVar("T")

ToolFunction = Callable[..., Awaitable[Answer]]

AS_OF_HEADER = "x-trader-as-of"
EXCHANGE_HEADER = "x-trader-exchange"

CLIENT_KEY = "trader.client"
"""The key in the ASGI scope where the gate puts who is calling; a caller cannot send it as a header."""

RUNNER = "the runner"
"""Who calls, where that is the runner that started this server."""

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
    """The parts of the program that tools work with, put together by `app.make_kit`.

    `files` has every tool of the program, `offered` are those of this server.
    """

    market: Market
    chains: Chains
    news: News
    strategies: StrategyFolders
    journal: Journal
    clock: Callable[[], datetime]
    default_exchange: str
    as_of: datetime | None
    files: Mapping[str, ToolFile]
    home: Home
    overviews: OverviewCache
    queries: Queries
    artist: Artist
    offered: frozenset[str] = frozenset()
    seen_calls: SeenCalls = field(default_factory=SeenCalls)

    @property
    def tool_names(self) -> dict[str, bool]:
        """Every tool of the program, name → whether it only looks. Their files are imported for this."""
        return {name: file.looks for name, file in self.files.items()}

    @property
    def market_tools(self) -> frozenset[str]:
        """The tools that look at the market that they are given."""
        return frozenset(name for name, file in self.files.items() if file.looks_at_a_market)

    async def close(self) -> None:
        """Write what is not stored yet, and close the exchanges, chains, processes and the journal."""
        await self.queries.close()
        self.artist.close()
        await self.market.close()
        await self.chains.close()
        await anyio.to_thread.run_sync(self.journal.close)  # it may wait for a transaction


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool: the kit, what the caller sent beside the arguments, and which of these were given at all.

    `caller` is whose call it is: of a token or an address, or "" of the process at the other end of standard input.
    """

    kit: Kit
    headers: Mapping[str, str] = field(default_factory=dict)
    turns: Turns = field(default_factory=partial(Turns, ""))
    client: str = ""
    caller: str = ""
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
    """What `@tool` leaves in a tool file for `tool_files` to find."""

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
    def looks_at_a_market(self) -> bool:
        """Whether it looks at the market that it is given."""
        return "symbol" in inspect.signature(self.function).parameters

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
