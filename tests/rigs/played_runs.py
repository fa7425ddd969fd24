"""Runs by Claude that are played: what the agent CLI and the proxy do with a run, without either.

A run asks as the CLI does: the orchestrator, then both sub-agents at once, then the orchestrator again. It ends once
its limit is spent; requests that are under way by then are paid all the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import anyio
import anyio.lowlevel

from mcp_server.domain.outcome import Outcome, Signal, Status
from mcp_server.domain.strategy.checks.budget import usd_per_run
from mcp_server.storage.journal.rows import Claimed
from runner.claude.cassette.cassettes import TokenCounts
from runner.claude.proxy.reply_cost import ReplyUse
from runner.claude.proxy.session import Session
from runner.execute import Runner

MODEL = "claude-sonnet-4-5"
USD_A_TOKEN = Decimal("0.000003")

Answer = Callable[[datetime, int], int | None]
"""Returns the status of the API's answer to the request of this number at a moment; None: it cannot be reached."""


@dataclass
class PlayedApi:
    """What replies cost, by chance or all the same, in tokens of input; and which answers fail.

    Nothing is answered before `together` runs are under way at once. `unkept` is why no reply can be kept.
    """

    seed: int = 0
    most_tokens: int = 20_000
    same_tokens: int | None = None
    answer: Answer = lambda moment, number: 200
    retry_after_s: float | None = None
    paid: dict[tuple[datetime, int], Decimal] = field(default_factory=dict)
    asked: list[tuple[datetime, int]] = field(default_factory=list)
    together: int = 1
    unkept: str | None = None
    all_here: anyio.Event = field(default_factory=anyio.Event)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def spent_usd(self) -> Decimal:
        """What all replies have cost."""
        return sum(self.paid.values(), Decimal(0))

    def tokens(self, moment: datetime, number: int) -> int:
        """Return the tokens of a reply, the same each time."""
        if self.same_tokens is not None:
            return self.same_tokens
        return Random(f"{self.seed} {moment} {number}").randrange(1_000, self.most_tokens)  # noqa: S311 (no secret)


_FIRST = (0, 1, 10)
"""An agent's first request states nothing of what is spent."""


class _Over(Exception):
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class PlayedRunner(Runner):
    """A runner whose runs ask a played API."""

    api: PlayedApi = field(default_factory=PlayedApi)

    async def decide(self, claimed: Claimed) -> Outcome:
        """Play a run."""
        recorder, moment = self.recorder, claimed.run.as_of
        assert recorder is not None
        session = Session(moment, Path(), None, claimed.payer)
        recorder.prepare(session)
        session.unkept = self.api.unkept
        limit = usd_per_run(claimed.run.strategy) if recorder.most_usd is None else recorder.most_usd
        run = _PlayedRun(self.api, session, limit, moment)
        self.api.at_once += 1
        if self.api.at_once >= self.api.together:
            self.api.all_here.set()
        await self.api.all_here.wait()
        self.api.most_at_once = max(self.api.most_at_once, self.api.at_once)
        try:
            return await run.outcome()
        finally:
            self.api.at_once -= 1


@dataclass
class _PlayedRun:
    api: PlayedApi
    session: Session
    limit: Decimal
    moment: datetime
    cost: Decimal = Decimal(0)
    tokens: int = 0
    turn: anyio.Lock = field(default_factory=anyio.Lock)

    async def outcome(self) -> Outcome:
        try:
            await self._ask(0)
            async with anyio.create_task_group() as both:
                both.start_soon(self._sub_agent, 1)
                both.start_soon(self._sub_agent, 10)
            await self._ask(20)
        except* _Over as over:
            outcome = over.exceptions[0]
            while isinstance(outcome, BaseExceptionGroup):
                outcome = outcome.exceptions[0]
            assert isinstance(outcome, _Over)
            ended = outcome.outcome
        else:
            ended = Outcome(Status.SUCCESS, Signal("BUY", Decimal(60), "It is cheap."))
        return replace(
            ended,
            model=MODEL,
            tokens_used=self.tokens,
            cost_usd=self.cost,
            recorded_usd=self.cost,
            trace={**(ended.trace or {}), "model_usage": self._account()},
        )

    async def _sub_agent(self, first: int) -> None:
        for number in range(first, first + 3):
            await self._ask(number)

    async def _ask(self, number: int) -> None:
        """Ask once; a request that was sent is paid even if the run is over before its reply has come."""
        if self.cost >= self.limit:
            raise _Over(Outcome(Status.ERROR, error="Its budget was spent.", trace={"ended": "error_max_budget_usd"}))
        if number not in _FIRST:  # as the CLI states it when it makes the request
            self.session.stated_usd = self.cost
        if self.session.one_at_a_time:
            async with self.turn:
                await self._forward(number)
        else:
            await self._forward(number)

    async def _forward(self, number: int) -> None:
        if (why := self.session.may_ask()) is not None:
            raise _Over(Outcome(Status.ERROR, error=why, blame="runner"))
        self.session.asked += 1
        self.api.asked.append((self.moment, number))
        status = self.api.answer(self.moment, number)
        self.session.answered(status, self.api.retry_after_s)
        if status != 200:
            raise _Over(Outcome(Status.ERROR, error=f"Claude's API answered {status}.", blame="outside"))
        tokens = self.api.tokens(self.moment, number)
        with anyio.CancelScope(shield=True):
            await anyio.sleep(tokens % 7 * 0.003)
            cost = tokens * USD_A_TOKEN
            self.api.paid[self.moment, number] = cost
            self.cost, self.tokens = self.cost + cost, self.tokens + tokens
            use = ReplyUse(MODEL, TokenCounts(input=tokens), own=True)
            self.session.usages.append(use)
        await anyio.lowlevel.checkpoint()

    def _account(self) -> Mapping[str, Mapping[str, float]]:
        return {MODEL: {"inputTokens": self.tokens, "costUSD": float(self.cost)}} if self.tokens else {}
