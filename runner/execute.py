"""One run: claim a row, let the engine decide, enter how it ended. Whatever happens, the row is there and says so."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypedDict

import anyio
import anyio.to_thread

from mcp_server.domain.outcome import Engine, Outcome, Signal, Status, Trigger
from mcp_server.domain.strategy import Strategy
from mcp_server.domain.timeframes import iso, parse_moment, to_ms
from mcp_server.errors import TraderError
from mcp_server.storage.journal import Journal, Run
from runner.server import Address, Tools, connected
from runner.settings import Settings

Progress = Callable[[str], None]
Serving = Callable[[], AbstractAsyncContextManager[Address]]

PREPARE_S = 60
"""How long the tool server may take before a Claude run begins, in seconds."""


class Spent(TypedDict):
    """What a run has used, as an outcome takes it."""

    tokens_used: int
    cost_usd: Decimal


CLOCKS_DIFFER_S = 60
"""A tool server on another machine may be so much behind; its now is then the earlier one."""

NOTHING_SPENT: Spent = {"tokens_used": 0, "cost_usd": Decimal(0)}
"""Known to be free, which is not the same as unknown: rules cost nothing, nor does a model that was never asked."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Executed:
    """A run that ended. `waiting` is None, or why its outcome could only be left in the outbox."""

    execution_id: int
    as_of: datetime
    engine: Engine
    outcome: Outcome
    took_s: float
    waiting: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be run. `as_of` is aware; None is the moment at which the run starts."""

    strategy: Strategy
    engine: Engine
    trigger: Trigger = "manual"
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs strategies against one tool server and records them in one journal."""

    settings: Settings
    journal: Journal
    progress: Progress = lambda _: None

    async def run(self, request: Request, address: Serving) -> Executed:
        """Run one strategy to its end.

        Args:
            request: what to run.
            address: gives an async context manager with the tool server's `Address`; entered after the claim, so that
                a server that does not start is an outcome too.

        Raises:
            Retryable, Misconfigured: the run could not be given a row; nothing was run.
        """
        started_at = datetime.now(UTC)
        as_of = min(moment for moment in (started_at, request.as_of, self.settings.as_of) if moment is not None)
        run = Run(request.strategy, request.trigger, as_of, request.engine, started_at)
        claimed = await anyio.to_thread.run_sync(self.journal.claim, run)
        outcome = Outcome(Status.ERROR, error="interrupted: it was stopped before it could end")
        try:
            outcome = await self._outcome(request, as_of, address)
        finally:
            with anyio.CancelScope(shield=True):
                ended_at = datetime.now(UTC)
                waiting = await anyio.to_thread.run_sync(self.journal.finish, claimed, outcome, ended_at)
        took_s = (ended_at - started_at).total_seconds()
        return Executed(claimed.execution_id, as_of, request.engine, outcome, took_s, waiting)

    async def _outcome(self, request: Request, as_of: datetime, address: Serving) -> Outcome:
        """Let the engine decide; every failure becomes an outcome that says what it was."""
        try:
            if request.engine == "claude":
                return await self._by_claude(request, as_of, address)
            return await self._by_rules(request, as_of, address)
        except TraderError as error:  # raised before a model was asked anything
            return Outcome(Status.ERROR, error=str(error), **NOTHING_SPENT)
        except Exception as error:
            logger.exception("run of %s", request.strategy.name)
            return Outcome(
                Status.ERROR, error=f"unexpected {type(error).__name__}; the log on standard error says more"
            )

    async def _by_rules(self, request: Request, as_of: datetime, address: Serving) -> Outcome:
        limit_s = request.strategy.config.timeout_s
        try:
            with anyio.fail_after(limit_s):
                async with address() as where, connected(where) as tools:
                    return await by_rules(tools, request.strategy, as_of)
        except TimeoutError:
            why = f"it took longer than {limit_s} s (timeout_s in config.json)"
            return Outcome(Status.TIMEOUT, error=why, **NOTHING_SPENT)

    async def _by_claude(self, request: Request, as_of: datetime, address: Serving) -> Outcome:
        from runner.claude.engine import ClaudeTask, check_ready, run_claude

        environment = {name: value.get_secret_value() for name, value in self.settings.credentials.items()}
        check_ready(environment, has_rules=request.strategy.config.rules is not None)
        async with address() as where:
            exchange = request.strategy.config.exchange or self.settings.exchange
            try:
                with anyio.fail_after(PREPARE_S):
                    async with connected(where) as tools:
                        offered = await tools.offered()
                        price = await _price(tools, request.strategy.config.trading_pair, exchange, as_of)
            except TimeoutError:
                why = f"the tool server did not answer within {PREPARE_S} s"
                return Outcome(Status.TIMEOUT, error=why, **NOTHING_SPENT)
            task = ClaudeTask(
                strategy=request.strategy,
                exchange=exchange,
                as_of=as_of,
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


async def by_rules(tools: Tools, strategy: Strategy, as_of: datetime) -> Outcome:
    """Let a strategy's rules decide, through the tool server.

    Raises:
        UpstreamRejected: the tool server answered with an error.
    """
    said = await tools.call("evaluate_strategy", {"strategy_name": strategy.name, "as_of": as_of.isoformat()})
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
