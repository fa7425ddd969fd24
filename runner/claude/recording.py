"""The recording proxy between the agent CLI and the Messages API, on loopback.

It rewrites the CLI's date to the as-of's, answers what is on the cassette for nothing, forwards the rest as it comes,
and keeps whole replies.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import anyio.to_thread

from runner.claude.cassette.cassettes import Cassette, Recorded, TokenCounts
from runner.claude.proxy.upstream import Upstream

LOOPBACK = "127.0.0.1"
NO_CREDENTIAL = "sk-ant-none-is-needed-for-a-rerun"
"""What a rerun gives to the CLI, which wants one: nobody but this program ever sees it."""

Mode = Literal["record", "rerun"]

logger = logging.getLogger(__name__)

_OUTPUT, _CREATION, _CREATION_1H = Decimal(5), Decimal("1.25"), Decimal(2)
"""What a token costs, as a multiple of one of input: the same for all models."""

_READS = (Decimal("0.1"), Decimal("0.05"), Decimal("0.025"))
"""The same of a token that is read from the cache; newer models have the lower ones."""


@dataclass(frozen=True, slots=True)
class ReplyUse:
    """One reply that a run was given. `hit`: from the cassette; `own`: this run has paid for it, now or before.

    `times` is how often it was asked for, and so paid: a reply that was under way when its run was killed is asked
    for again.
    """

    model: str
    usage: TokenCounts
    hit: bool
    own: bool
    paid_by: str
    times: int = 1


@dataclass(slots=True)
class Session:
    """One run of the CLI through the proxy: what its caller decides, and then what became of it.

    Args:
        as_of: the run's moment, whose date the model sees.
        folder: the folder of the run's CLI.
        cassette: where its replies lie; None: nothing is kept, requests are only rewritten.
        run_key: names the run as the one who pays.
        mode: `record` asks for what is not on the cassette; `rerun` never asks anything.
        allow: called with a model and its knowledge cutoff before its first request is forwarded; returns why not.
        reused: called with the key and the body of a request that is not on the cassette, before it is asked; returns a
            reply that was recorded elsewhere.
        may_ask: called right before each request that would cost is forwarded; returns why not.
        stop: ends the CLI at once; called with the reason.
        one_at_a_time: forward a request only when the reply to the one before it has ended, and is in `usages`.
        answered: called with the status of each answer of the API as soon as it is known, and with how many seconds
            it asks to wait (None: it does not say); the status is None where the API could not be reached.
    """

    as_of: datetime
    folder: Path
    cassette: Cassette | None
    run_key: str
    mode: Mode = "record"
    allow: Callable[[str, str | None], str | None] = lambda model, cutoff: None
    reused: Callable[[str, Mapping[str, Any]], Recorded | None] | None = None
    may_ask: Callable[[], str | None] = lambda: None
    stop: Callable[[str], None] = lambda why: None
    one_at_a_time: bool = False
    answered: Callable[[int | None, float | None], None] = lambda status, retry_after_s: None

    environment: dict[str, str] = field(default_factory=dict)
    """What to set for the CLI: the address to ask, and in a rerun a credential that is none."""
    hits: int = 0
    derived: int = 0
    """How many of the hits no model has given as they are: they lack the start of a sub-agent."""
    asked: int = 0
    cutoffs: dict[str, str | None] = field(default_factory=dict)
    drift: Mapping[str, Any] | None = None
    """The rewritten request that a rerun did not find on its cassette."""
    refused: str | None = None
    """Why `allow`, `may_ask` or the proxy itself did not let a request go out."""
    rate_limited: float | None = None
    """How many seconds the API asked to wait; 0 where it did not say."""
    usages: list[ReplyUse] = field(default_factory=list)
    unkept: str | None = None
    """Why a reply is not on the cassette although it is whole."""
    stated_usd: Decimal = Decimal(0)
    """What the CLI has said at most to have spent."""
    counted: set[str] = field(default_factory=set)
    """The keys of `usages`: the same reply is not paid for twice."""

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL is to be for the CLI."""
        return self.environment["ANTHROPIC_BASE_URL"]


class Proxy:
    """The proxy of a program; several runs may use it at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sessions: dict[str, Session] = {}
        """The sessions that are open, each by its secret."""

    @contextmanager
    def session(self, session: Session) -> Iterator[Session]:
        """Let one run use the proxy, under a secret path of its own, for the block."""
        secret = secrets.token_urlsafe(24)
        session.environment["ANTHROPIC_BASE_URL"] = f"http://{LOOPBACK}:{self._port}/{secret}"
        if session.mode == "rerun":
            session.environment[_credential(session)] = NO_CREDENTIAL
        self.sessions[secret] = session
        try:
            yield session
        finally:
            del self.sessions[secret]


@asynccontextmanager
async def recording_proxy(environment: Mapping[str, str]) -> AsyncIterator[Proxy]:
    """Serve a proxy to the API that `environment` names, else to Anthropic's own.

    It listens at once, and loads what it serves with while the CLI starts.

    Args:
        environment: the credentials of the runner and, where there is one, ANTHROPIC_BASE_URL.

    Raises:
        Misconfigured: the address of the API, or of a proxy on the way to it, is none.
    """
    upstream = Upstream.of(environment)
    with socket.create_server((LOOPBACK, 0), backlog=1024) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the end of an answer waits 40 ms
        proxy = Proxy(listener.getsockname()[1])
        serving = asyncio.create_task(_serve(proxy, upstream, listener))
        try:
            yield proxy
        finally:
            serving.cancel()
            with anyio.CancelScope(shield=True), suppress(asyncio.CancelledError):
                await serving  # a cancellation of this task would reach that one, in the middle of closing


async def _serve(proxy: Proxy, upstream: Upstream, listener: socket.socket) -> None:
    try:
        serve = await anyio.to_thread.run_sync(_loaded)
        await serve(proxy.sessions, upstream, listener)
    except Exception:
        logger.exception("the recording proxy")
        listener.close()  # so that nobody waits for it


def _loaded() -> "Callable[[Mapping[str, Session], Upstream, socket.socket], Coroutine[Any, Any, None]]":
    from runner.claude.proxy.server import serve

    return serve


def _credential(session: Session) -> str:
    """Return the variable that holds the credential when the moment was recorded: on it depends what the CLI asks."""
    recorded = session.cassette.at(session.as_of) if session.cassette else []
    return recorded[0].credential if recorded else "ANTHROPIC_API_KEY"


def live_share(model_usage: Mapping[str, Mapping[str, Any]], usages: Sequence[ReplyUse]) -> Decimal:
    """Return what the replies that a run has paid for cost in US dollars, by what the CLI counts for all of them.

    The CLI counts a reply from the cassette as spent too, and one that was asked for again once only. A model's cost is
    split by tokens, each weighted by what it costs. What the CLI counts for a model without any reply counts as paid.

    Args:
        model_usage: the CLI's own account: a model's name → its `costUSD`.
        usages: the replies that the run was given.
    """
    paid = Decimal(0)
    for model, account in model_usage.items():
        cost = Decimal(str(account.get("costUSD") or 0))
        of_model = [use for use in usages if plain_model(use.model) == plain_model(model)]
        read = _read_weight(cost, [use.usage for use in of_model])
        whole = sum(weighted(use.usage, read) for use in of_model)
        own = sum(weighted(use.usage, read) * use.times for use in of_model if use.own)
        paid += cost * own / whole if whole else cost
    return paid


def weighted(tokens: TokenCounts, read: Decimal = _READS[0]) -> Decimal:
    """Return the tokens of a reply as so many of input that cost the same; `read` is the weight of a cached one."""
    creation = _CREATION * (tokens.cache_creation - tokens.cache_creation_1h) + _CREATION_1H * tokens.cache_creation_1h
    return tokens.input + _OUTPUT * tokens.output + read * tokens.cache_read + creation


def _read_weight(cost: Decimal, replies: Sequence[TokenCounts]) -> Decimal:
    """Return the weight of a cached token with which a million tokens of input have a price in whole tenths of a cent.

    Prices are round, and the CLI counts exactly: with a wrong weight the price is not.
    """
    for read in _READS:
        whole = sum((weighted(tokens, read) for tokens in replies), Decimal(0))
        thousandths = cost * 10**9 / whole if whole else Decimal(0)
        if abs(thousandths - round(thousandths)) < Decimal("1e-6"):
            return read
    return _READS[0]


def plain_model(name: str) -> str:
    """Return a model's name without the mark that the CLI adds for a long context."""
    return name.partition("[")[0]
