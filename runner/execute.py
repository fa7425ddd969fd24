"""One run: claim a row, let the engine decide, enter how it ended. Whatever happens, the row is there and says so."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypedDict

import anyio
import anyio.to_thread

from mcp_server.domain.outcome import Ended, Engine, Outcome, Signal, Status, Trigger
from mcp_server.domain.strategy.checks.budget import usd_per_run
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso, parse_moment, to_ms
from mcp_server.errors import Retryable, TraderError
from mcp_server.storage.database import Database
from mcp_server.storage.journal.budget import Admission, SpendingLimits, admit
from mcp_server.storage.journal.runs import Journal, Run
from runner.clock import Clock, SystemClock
from runner.settings import Settings
from runner.tool_server.client import Address, Tools, connected

Progress = Callable[[str], None]
Serving = Callable[[], AbstractAsyncContextManager[Address]]
Connecting = Callable[[], AbstractAsyncContextManager[Tools]]

PREPARE_S = 60
"""How long the tool server may take before a Claude run begins, in seconds."""

ADMISSION_S = 600
"""How long a run waits for others to end, where a budget has room for it only then, in seconds."""


class Usage(TypedDict):
    """What a run has used, as an outcome takes it."""

    tokens_used: int
    cost_usd: Decimal


CLOCKS_DIFFER_S = 60
"""A tool server on another machine may be so much behind; its now is then the earlier one."""

NOTHING_SPENT: Usage = {"tokens_used": 0, "cost_usd": Decimal(0)}
"""Known to be free, which is not the same as unknown: rules cost nothing, nor does a model that was never asked."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be run. `as_of` is aware; None is the moment at which the run starts."""

    strategy: Strategy
    engine: Engine
    trigger: Trigger = "manual"
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be decided, by which engine, in which row of the journal. `as_of` is aware."""

    execution_id: int
    strategy: Strategy
    engine: Engine
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs strategies against one tool server and records them in one journal.

    Args:
        settings: what the operator decided.
        journal: where each run has its row.
        database: has what was spent.
        progress: is told what a run does.
        clock: the only one that runs go by.
        connect: connects to the tool server; the scheduler's runs share one connection.
    """

    settings: Settings
    journal: Journal
    database: Database
    progress: Progress = lambda _: None
    clock: Clock = field(default_factory=SystemClock)
    connect: Connecting | None = None

    async def run(self, request: Request, address: Serving) -> Ended:
        """Run one strategy to its end.

        Args:
            request: what to run.
            address: gives an async context manager with the tool server's `Address`; entered after the claim, so that
                a server that does not start is an outcome too.

        Raises:
            Retryable, Misconfigured: the run could not be given a row; nothing was run.
        """
        started_at = self.clock.now()
        as_of = min(moment for moment in (started_at, request.as_of, self.settings.as_of) if moment is not None)
        run = Run(request.strategy, request.trigger, as_of, request.engine, started_at)
        claimed = await anyio.to_thread.run_sync(self.journal.claim, run)
        outcome = Outcome(Status.ERROR, error="interrupted: it was stopped before it could end")
        try:
            outcome = await self.decide(
                Decision(claimed.execution_id, request.strategy, request.engine, as_of), address
            )
        finally:
            with anyio.CancelScope(shield=True):
                ended_at = self.clock.now()
                waiting = await anyio.to_thread.run_sync(self.journal.finish, claimed, outcome, ended_at)
        return Ended(claimed.execution_id, request.engine, as_of, outcome, started_at, ended_at, waiting)

    async def decide(self, what: Decision, address: Serving) -> Outcome:
        """Let the engine decide; every failure becomes an outcome that says what it was."""
        try:
            if what.engine == "claude":
                return await self._by_claude(what, address)
            return await self._by_rules(what, address)
        except TraderError as error:  # raised before a model was asked anything
            lost = isinstance(error, Retryable)
            return Outcome(Status.ERROR, error=str(error), not_its_own=lost, **NOTHING_SPENT)
        except Exception as error:
            logger.exception("run of %s", what.strategy.name)
            return Outcome(
                Status.ERROR, error=f"unexpected {type(error).__name__}; the log on standard error says more"
            )

    @asynccontextmanager
    async def tools(self, address: Serving) -> AsyncIterator[Tools]:
        """Give the tools of the server: by the shared connection, or by one for this block."""
        if self.connect is not None:
            async with self.connect() as tools:
                yield tools
        else:
            async with address() as where, connected(where) as tools:
                yield tools

    async def _by_rules(self, what: Decision, address: Serving) -> Outcome:
        limit_s, reached = what.strategy.config.timeout_s, False
        try:
            with anyio.fail_after(limit_s):
                async with self.tools(address) as tools:
                    reached = True
                    return await by_rules(tools, what.strategy, what.as_of)
        except TimeoutError:
            if not reached:
                why = f"the tool server could not be reached within {limit_s} s"
                return Outcome(Status.TIMEOUT, error=why, not_its_own=True, **NOTHING_SPENT)
            why = f"it took longer than {limit_s} s (timeout_s in config.json)"
            return Outcome(Status.TIMEOUT, error=why, **NOTHING_SPENT)

    async def _by_claude(self, what: Decision, address: Serving) -> Outcome:
        from runner.claude.engine import ClaudeTask, check_ready, run_claude

        strategy, config = what.strategy, what.strategy.config
        environment = {name: value.get_secret_value() for name, value in self.settings.credentials.items()}
        check_ready(environment, has_rules=config.rules is not None)
        async with address() as where:
            exchange = config.exchange or self.settings.exchange
            try:
                with anyio.fail_after(PREPARE_S):
                    async with self.tools(address) as tools:
                        offered = await tools.offered()
                        price = await _price(tools, config.trading_pair, exchange, what.as_of)
            except TimeoutError:
                why = f"the tool server did not answer within {PREPARE_S} s"
                return Outcome(Status.TIMEOUT, error=why, not_its_own=True, **NOTHING_SPENT)
            refused = await self._admitted(what)
            if refused is not None:
                return refused
            task = ClaudeTask(
                strategy=strategy,
                exchange=exchange,
                as_of=what.as_of,
                server_url=where.url,
                server_token=where.token,
                tools=offered,
                environment=environment,
                on_event=self.progress,
            )
            outcome = await run_claude(task)
        if outcome.signal is None:
            return outcome
        return replace(outcome, signal=replace(outcome.signal, price=price))

    async def _admitted(self, what: Decision) -> Outcome | None:
        """Reserve what a run may cost; give None, or the outcome of one that no budget has room for."""
        budget = what.strategy.config.budget
        limits = SpendingLimits(usd_per_run(what.strategy), budget.usd_per_day, self.settings.budget_usd_per_day)
        ask = partial(admit, self.database, what.execution_id, what.strategy.name, limits)
        said, waiting = Admission("wait"), False
        for _ in range(ADMISSION_S):
            said = await anyio.to_thread.run_sync(ask, self.clock.now())
            if said.answer != "wait":
                break
            if not waiting:
                self.progress(f"waiting for other runs to end: {said.why}")
            waiting = True
            await self.clock.sleep(1)
        if said.answer == "yes":
            return None
        return Outcome(Status.SKIPPED_BUDGET, error=said.why, budget=said.budget, **NOTHING_SPENT)


async def by_rules(tools: Tools, strategy: Strategy, as_of: datetime) -> Outcome:
    """Let a strategy's rules decide, through the tool server.

    Raises:
        UpstreamRejected: the tool server answered with an error.
    """
    asked = {"strategy_name": strategy.name, "as_of": as_of.isoformat(), "version": strategy.version}
    said = await tools.call("evaluate_strategy", asked)
    if mismatch := _mismatch(said, strategy, as_of):
        return Outcome(Status.ERROR, error=mismatch, **NOTHING_SPENT)
    kept = ("conditions", "open_time", "candles_used", "exchange", "symbol", "timeframe", "note", "simulated")
    evidence = {key: said[key] for key in kept if key in said}
    if said["signal"] is None:
        return Outcome(Status.ABSTAINED, error=said["reasoning"], trace=evidence, **NOTHING_SPENT)
    signal = Signal(
        signal=said["signal"],
        confidence=None if said["confidence"] is None else Decimal(str(said["confidence"])),
        reasoning=said["reasoning"],
        price=said["price"],
        data={"sub_agent_results": {}, "evidence": evidence},
    )
    return Outcome(Status.SUCCESS, signal, trace=evidence, **NOTHING_SPENT)


def _mismatch(said: Mapping[str, Any], strategy: Strategy, as_of: datetime) -> str | None:
    """Say why an evaluation does not answer what was asked, or None where it does."""
    if said["version"] != strategy.version:
        return (
            f"the tool server has version {said['version']} of {strategy.name!r}, this run began with "
            f"{strategy.version}. It was edited in the meantime, or TRADER_HOME is not the same: run it again."
        )
    if not 0 <= (as_of - parse_moment(said["as_of"])).total_seconds() <= CLOCKS_DIFFER_S:
        return (
            f"the tool server answered as of {said['as_of']}, and was asked as of {iso(to_ms(as_of))}. "
            "Check its TRADER_AS_OF and its clock."
        )
    return None


async def _price(tools: Tools, symbol: str, exchange: str, as_of: datetime) -> float | None:
    """Give the price to record with a signal; None where there is none: that alone is no reason not to run."""
    try:
        said = await tools.call("get_price", {"symbol": symbol, "exchange": exchange, "as_of": iso(to_ms(as_of))})
    except TraderError:
        return None
    return float(said["price"])
