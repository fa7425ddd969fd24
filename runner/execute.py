"""One run: claim a row, let the engine decide, record how it ended. Whatever happens, its row says so."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mcp_server.domain.outcome import NOTHING_SPENT, Ended, Engine, Outcome, Status, Trigger
from mcp_server.domain.strategy.checks.budget import usd_per_run
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.errors import TraderError
from mcp_server.storage.journal.budget import Admission, SpendingLimits, admit
from mcp_server.storage.journal.carry_out import carry_out, failed_early
from mcp_server.storage.journal.rows import Claimed, Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.sql import JournalDatabase
from runner.clock import Clock, SystemClock
from runner.evaluations import SharedEvaluations
from runner.rules import by_rules
from runner.settings import RunnerSettings
from runner.tool_server.client import Connecting, Tools, connected
from runner.tool_server.server import Address, Serving

if TYPE_CHECKING:
    from runner.claude.recorder import ModelRecorder

PREPARE_S = 60
"""How long the tool server may take before a Claude run begins, in seconds."""

_NO_ANSWER = Outcome(
    Status.TIMEOUT, error=f"The tool server did not answer within {PREPARE_S} s.", blame="outside", **NOTHING_SPENT
)

ADMISSION_S = 600
"""How long a run waits for others to end, where a budget has room for it only then, in seconds."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs strategies against one tool server and records them in one journal.

    Args:
        settings: the operator's settings.
        journal: where each run has its row.
        database: where the money spent is added up.
        serving: gives the tool server's address. It is entered after the claim, so that a server that does not start
            is an outcome too.
        connect: gives the connection that runs share; None: each run makes its own.
        progress: called with one line for a person at each step of a run.
        clock: the clock that runs go by.
        recorder: how a replay's runs by Claude go through the recording proxy; None: each run that needs the proxy has
            its own.
        admit: reserves what a run by Claude may cost, and returns None, or the outcome of one that there is no room
            for; None: the budgets of the day decide.
        rules_of: the strategy whose rules are the twin of a run by Claude, as the tool server has it; None: the run's.
        shared: asks for what rules decide together with other runs; None: each run asks alone.
    """

    settings: RunnerSettings
    journal: Journal
    database: JournalDatabase
    serving: Serving
    connect: Connecting | None = None
    progress: Callable[[str], None] = lambda _: None
    clock: Clock = field(default_factory=SystemClock)
    recorder: "ModelRecorder | None" = None
    admit: Callable[[Claimed], Awaitable[Outcome | None]] | None = None
    rules_of: Strategy | None = None
    shared: SharedEvaluations | None = None

    async def run(
        self,
        strategy: Strategy,
        *,
        engine: Engine | None = None,
        trigger: Trigger = "manual",
        as_of: datetime | None = None,
    ) -> Ended:
        """Run one strategy to its end, by its own engine and as of now unless the arguments say otherwise.

        Raises:
            Retryable: the run could not be given a row; nothing was run.
            Misconfigured: so too, or its outcome could be recorded nowhere.
        """
        started_at = self.clock.now()
        as_of = min(moment for moment in (started_at, as_of, self.settings.as_of) if moment is not None)
        run = Run(strategy, trigger, as_of, engine or strategy.engine, started_at, self.settings.exchange)
        claimed = await anyio.to_thread.run_sync(self.journal.claim, run)

        async def finish(outcome: Outcome, began_at: datetime | None) -> Ended:
            entering = partial(self.journal.finish, claimed, outcome, self.clock.now(), began_at=began_at)
            return await anyio.to_thread.run_sync(entering)

        return await carry_out(claimed, lambda _: self.decide(claimed), finish, self.clock.now, began_at=started_at)

    async def decide(self, claimed: Claimed) -> Outcome:
        """Let the engine decide; a failure that we can explain becomes an outcome."""
        try:
            return await (self._by_claude(claimed) if claimed.run.engine == "claude" else self._by_rules(claimed.run))
        except TraderError as error:  # raised before a model was asked anything
            return failed_early(error, str(error))

    @asynccontextmanager
    async def tools(self) -> AsyncIterator[Tools]:
        """Give the tools of the server: by the shared connection, or by one for this block."""
        if self.connect is not None:
            async with self.connect() as tools:
                yield tools
        else:
            async with self.serving() as address, connected(address) as tools:
                yield tools

    async def _by_rules(self, run: Run) -> Outcome:
        limit_s, reached = run.strategy.config.timeout_s, False
        try:
            with anyio.fail_after(limit_s):
                async with self.tools() as tools:
                    reached = True
                    return await by_rules(tools, run.strategy, run.as_of, self.shared)
        except TimeoutError:
            if not reached:
                why = f"The tool server could not be reached within {limit_s} s."
                return Outcome(Status.TIMEOUT, error=why, blame="outside", **NOTHING_SPENT)
            why = f"The rules took longer than {limit_s} s. Raise 'timeout_s' in config.json."
            return Outcome(Status.TIMEOUT, error=why, **NOTHING_SPENT)

    async def _by_claude(self, claimed: Claimed) -> Outcome:
        from runner.claude.preflight import without_claude
        from runner.claude.recorder import recorder_for
        from runner.claude.session import bundled_cli, require_claude

        strategy = claimed.run.strategy
        environment = self.settings.claude_environment
        if self.recorder is not None and self.recorder.mode == "rerun":
            bundled_cli(without_claude(strategy))
        else:
            require_claude(environment, without_claude(strategy))
        own = (
            nullcontext(self.recorder)
            if self.recorder
            else recorder_for(claimed.run, self.clock.now(), self.settings.home, environment)
        )
        async with own as recorder, self.serving() as address:
            return await self._asked(claimed, address, environment, recorder)

    async def _asked(
        self, claimed: Claimed, address: Address, environment: Mapping[str, str], recorder: "ModelRecorder | None"
    ) -> Outcome:
        """Let Claude decide, once the tool server has listed its tools and a budget has room.

        The price is asked for while the agent CLI starts.
        """
        from runner.claude.engine import ClaudeTask, run_claude
        from runner.claude.twin import AFTER_REPLAY_S, with_twin

        strategy, as_of = claimed.run.strategy, claimed.run.as_of
        exchange, pair = strategy.config.exchange or self.settings.exchange, strategy.config.trading_pair
        connect = self.connect or partial(connected, address)
        try:
            with anyio.fail_after(PREPARE_S):
                async with connect() as tools:
                    offered, of_markets = await tools.listed()
        except TimeoutError:
            return _NO_ANSWER
        if (refused := await (self.admit or self._no_room)(claimed)) is not None:
            return refused
        price: float | None = None
        late = False

        async def names() -> frozenset[str] | None:
            nonlocal price, late
            with anyio.move_on_after(PREPARE_S):
                price, symbol = await _price(connect, pair, exchange, as_of)
                return frozenset((pair, symbol))
            late = True
            return None

        task = ClaudeTask(
            strategy=strategy,
            exchange=exchange,
            names=names,
            as_of=as_of,
            server_url=address.url,
            server_token=address.token,
            tools=offered,
            market_tools=of_markets,
            environment=environment,
            on_event=self.progress,
            recorder=recorder,
            run_key=claimed.payer,
        )
        rules_of = self.rules_of or strategy
        after_s = None if self.recorder is None else AFTER_REPLAY_S
        ask = partial(run_claude, task)
        outcome = await with_twin(ask, connect, rules_of, exchange, as_of, task.secrets, after_s)
        if late:
            return _NO_ANSWER
        if outcome.signal is None:
            return outcome
        return replace(outcome, signal=replace(outcome.signal, price=price))

    async def _no_room(self, claimed: Claimed) -> Outcome | None:
        """Reserve what a run may cost; return None, or the outcome of one that no budget has room for."""
        strategy = claimed.run.strategy
        per_day = strategy.config.budget.usd_per_day
        limits = SpendingLimits(usd_per_run(strategy), per_day, self.settings.budget_usd_per_day)
        ask = partial(admit, self.database, claimed.execution_id, strategy.name, limits)
        admission, waiting = Admission("wait"), False
        for _ in range(ADMISSION_S):
            admission = await anyio.to_thread.run_sync(ask, self.clock.now())
            if admission.answer != "wait":
                break
            if not waiting:
                self.progress(f"waiting for other runs to end: {admission.why}")
            waiting = True
            await self.clock.sleep(1)
        if admission.answer == "yes":
            return None
        return Outcome(Status.SKIPPED_BUDGET, error=admission.why, budget=admission.budget, **NOTHING_SPENT)


async def _price(connect: Connecting, symbol: str, exchange: str, as_of: datetime) -> tuple[float | None, str]:
    """Return the price to record with a signal, and the market's own name.

    Without a price it is None, and the name is the one that was given: that alone is no reason not to run.
    """
    arguments = {"symbol": symbol, "exchange": exchange, "as_of": iso(to_ms(as_of))}
    try:
        async with connect() as tools:
            answer = await tools.call("get_price", arguments)
        return float(answer["price"]), str(answer["symbol"])
    except TraderError:
        return None, symbol
