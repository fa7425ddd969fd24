"""The run of one slot: look whether it is worth asking, waiting for the candle that just closed, then decide."""

from dataclasses import dataclass

import anyio

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Status
from mcp_server.errors import TraderError
from mcp_server.storage.journal.carry_out import failed_early
from mcp_server.storage.journal.rows import Claimed, Run
from runner.clock import Clock
from runner.execute import PREPARE_S, Runner
from runner.gate import CandlePatience, kept_out
from runner.scheduler.concurrency import Concurrency
from runner.scheduler.outage import Outage

PAUSES_S = (2, 3, 5, 10, 10)
"""How long it waits, in seconds, after each time that a candle is asked for and not there yet."""


@dataclass(frozen=True, slots=True)
class SlotRun:
    """Runs slots. `concurrency` says when an agent may start; `outage` knows whether Claude is worth asking."""

    runner: Runner
    clock: Clock
    concurrency: Concurrency
    outage: Outage

    async def __call__(self, claimed: Claimed) -> Outcome:
        """Run a claimed slot to its end; every failure is an outcome."""
        if claimed.run.engine == "rules":
            return await self._patience.when_closed(lambda: self.runner.decide(claimed), _lacks_candle)
        return await self._by_claude(claimed)

    async def _by_claude(self, claimed: Claimed) -> Outcome:
        if (not_asked := await self._gate(claimed.run)) is not None:
            return not_asked
        if (why := self.outage.refusal(self.clock.now())) is not None:
            return Outcome(Status.ERROR, error=why, blame="outside", **NOTHING_SPENT)
        async with self.concurrency.agent():
            refused = self.concurrency.refusal(claimed, self.clock.now())
            outcome = refused or await self.runner.decide(claimed)
        if outcome.trace is not None:  # else it did not come so far: the tool server or the journal failed, not Claude
            self.outage.note(outcome, self.clock.now())
        return outcome

    async def _gate(self, run: Run) -> Outcome | None:
        """Look whether the candle is there and `wake` holds; return None, or the outcome that ends the run already."""
        try:
            with anyio.fail_after(PREPARE_S + sum(PAUSES_S)):
                async with self.runner.tools() as tools:
                    return await kept_out(tools, run.strategy, run.default_exchange, run.as_of, self._patience)
        except TimeoutError:
            why = "The tool server or the exchange did not answer in time; Claude was not asked."
            return Outcome(Status.TIMEOUT, error=why, blame="outside", **NOTHING_SPENT)
        except TraderError as error:
            return failed_early(error, f"Claude was not asked: {error}")

    @property
    def _patience(self) -> CandlePatience:
        return CandlePatience(self.clock, PAUSES_S)


def _lacks_candle(outcome: Outcome) -> bool:
    """True where the rules abstained because the candle to decide on was not there."""
    trace = outcome.trace
    return outcome.status is Status.ABSTAINED and trace is not None and trace.get("open_time", "") is None
