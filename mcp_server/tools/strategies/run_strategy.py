from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import anyio.to_thread
from pydantic import BaseModel, Field, WithJsonSchema

from mcp_server.answers import TEXTS, Answer
from mcp_server.domain.outcome import NOTHING_SPENT, Ended, Outcome, Status
from mcp_server.domain.strategy.claude_answer import ClaudeAnswer
from mcp_server.domain.strategy.rules_outcome import rules_outcome
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.errors import BadInput, TraderError
from mcp_server.evaluation import evaluate
from mcp_server.json_argument import READ_JSON, TEXT
from mcp_server.storage.journal.carry_out import Begin, carry_out, failed_early
from mcp_server.storage.journal.rows import Run
from mcp_server.toolkit import Call, StrategyName, tool

if TYPE_CHECKING:
    from datetime import datetime

    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.storage.journal.host_runs import HostRun

MOST_TASKS_BYTES = 90_000
ROOM_S = 2.0
"""What the recording of a run by rules may take of the time of a call."""


class AgentTask(BaseModel):
    """What one sub-agent finds out, and with which tools."""

    name: str
    tools: Annotated[list[str], TEXTS]
    prompt: str


class StrategyRun(Answer):
    """status running: task and agents are yours, until answer_by. A cost that is not known is null."""

    strategy_name: str
    execution_id: int
    engine: str
    status: str
    as_of: str
    answer_by: str | None = None
    signal: str | None = None
    confidence: float | None = None
    reasoning: str | None = None
    price: float | None = None
    error: str | None = None
    cost_usd: float | None
    task: str | None = None
    agents: list[AgentTask] | None = None
    note: str | None = None

    large = True


@tool(title="Run a strategy", read_only=False, example={"strategy_name": "mine"})
async def run_strategy(
    call: Call,
    strategy_name: StrategyName,
    execution_id: Annotated[int | None, Field(ge=1, le=10**15), WithJsonSchema({"type": "integer"})] = None,
    answer: Annotated[
        ClaudeAnswer | None,
        READ_JSON,
        TEXT,
        Field(
            description="JSON {signal, confidence, reasoning, sub_agent_results: {agent: {…}}}; decided false if unable"
        ),
    ] = None,
) -> StrategyRun:
    """Run a strategy once, as of now, and record it; no order is placed.

    By rules it decides at once. By Claude, you decide: do the tasks that it returns, then give execution_id and
    answer, once.
    """
    if (execution_id is None) != (answer is None):
        raise BadInput("execution_id and answer belong together.", "Give both to end a run, neither to begin one.")
    if execution_id is not None and answer is not None:
        return await _answered(call, strategy_name, execution_id, answer)
    strategy = await anyio.to_thread.run_sync(call.kit.strategies.read, strategy_name)
    if (status := strategy.config.status) != "active":
        remedy = "Ask the person; then set_strategy_status with status active."
        raise BadInput(f"{strategy_name!r} is {status}, so it is not run.", remedy)
    return await (_by_rules if strategy.engine == "rules" else _begun)(call, strategy)


async def _by_rules(call: Call, strategy: Strategy) -> StrategyRun:
    kit, now = call.kit, call.kit.clock()
    run = Run(strategy, "manual", call.moment(None), "rules", now, call.exchange(None))
    claimed = await anyio.to_thread.run_sync(kit.journal.claim, run)
    limit_s = min(strategy.config.timeout_s, call.left_s() - ROOM_S)

    async def decide(_: Begin) -> Outcome:
        try:
            with anyio.fail_after(limit_s):
                evaluation = await evaluate(call, strategy, run.as_of)
        except TimeoutError:
            why = f"The rules took longer than {limit_s:.0f} s."
            return Outcome(Status.TIMEOUT, error=why, **NOTHING_SPENT)
        except TraderError as error:
            return failed_early(error, str(error))
        return rules_outcome(evaluation.structured())

    async def finish(outcome: Outcome, began_at: datetime | None) -> Ended:
        entering = partial(kit.journal.finish, claimed, outcome, kit.clock(), began_at=began_at)
        return await anyio.to_thread.run_sync(entering)

    return _ended(strategy, await carry_out(claimed, decide, finish, kit.clock, began_at=now))


async def _begun(call: Call, strategy: Strategy) -> StrategyRun:
    """Claim a run for the caller's own model, or return the one that is open, with its tasks."""
    from mcp_server.domain.strategy.run_prompts import host_agent_prompt, host_task

    kit, now = call.kit, call.kit.clock()
    declared = {tool for agent in strategy.agents.values() for tool in agent.tools}
    if missing := sorted(declared - kit.offered):
        raise BadInput(f"This server does not offer {', '.join(missing)}.", "Start it without --tools.")
    answer_by = now + timedelta(seconds=strategy.config.timeout_s)
    run = Run(strategy, "manual", call.moment(None), "host", now, call.exchange(None), answer_by=answer_by)
    if (size := sum(len(agent.prompt.encode()) for agent in strategy.agents.values())) > MOST_TASKS_BYTES:
        problem = f"The prompts of {strategy.name!r} have {size:,} bytes; an answer holds {MOST_TASKS_BYTES:,}."
        raise BadInput(problem, "Shorten them, or run it with `claude-trader run`.")
    if not kit.strategies.is_example(strategy.name):  # whatever becomes of its files, it can be answered
        await anyio.to_thread.run_sync(kit.strategies.versions.copy, strategy)
    claimed = await anyio.to_thread.run_sync(kit.journal.host_runs.claim, run)
    if claimed.version != strategy.version:  # it was edited since that run began
        strategy = await anyio.to_thread.run_sync(kit.strategies.read_version, strategy.name, claimed.version)
    kit.seen_calls.watch(claimed.execution_id, claimed.answer_by, now)
    return StrategyRun(
        strategy_name=strategy.name,
        execution_id=claimed.execution_id,
        engine="host",
        status=claimed.status,
        as_of=iso(to_ms(claimed.as_of)),
        answer_by=iso(to_ms(claimed.answer_by)),
        cost_usd=None,
        task=host_task(strategy, claimed.exchange, claimed.as_of),
        agents=[
            AgentTask(name=name, tools=[*agent.tools], prompt=host_agent_prompt(agent))
            for name, agent in strategy.agents.items()
        ],
    )


async def _answered(call: Call, name: str, execution_id: int, answer: ClaudeAnswer) -> StrategyRun:
    """End an open run by the answer of the caller's own model."""
    from mcp_server.host_answer import concluded, readable

    kit, now = call.kit, call.kit.clock()
    host_runs, answer = kit.journal.host_runs, readable(answer)
    run = await anyio.to_thread.run_sync(host_runs.read, execution_id, name)
    if run.open and run.answer_by > now:
        strategy = await anyio.to_thread.run_sync(kit.strategies.read_version, name, run.version)
        outcome = await concluded(call, run, strategy, answer)
        ended = await anyio.to_thread.run_sync(host_runs.end, run, strategy, outcome, now)
        kit.seen_calls.forget(execution_id)
        if ended is not None:
            return _ended(strategy, ended)
    raise await anyio.to_thread.run_sync(_over, call, run, now)


def _over(call: Call, run: HostRun, now: datetime) -> BadInput:
    """Return the refusal of an answer to a run that is over, with what is recorded of it."""
    host_runs = call.kit.journal.host_runs
    host_runs.end_unanswered(now)
    recorded = host_runs.read(run.execution_id, run.strategy)
    problem = f"Run {run.execution_id} of {run.strategy!r} is over, and this answer does not count: {recorded.result}."
    return BadInput(problem, "That is the result. run_strategy without execution_id begins another run.")


def _ended(strategy: Strategy, ended: Ended) -> StrategyRun:
    outcome, signal = ended.outcome, ended.outcome.signal
    facts: dict[str, Any] = {}
    if signal is not None:
        facts = {"signal": signal.signal, "reasoning": signal.reasoning, "price": signal.price}
        facts["confidence"] = None if signal.confidence is None else float(signal.confidence)
    note = "A signal, not an order. get_performance with runs 'manual' judges it after its horizon."
    return StrategyRun(
        strategy_name=strategy.name,
        execution_id=ended.execution_id,
        engine=ended.engine,
        status=outcome.status,
        as_of=iso(to_ms(ended.as_of)),
        error=outcome.error,
        cost_usd=None if outcome.cost_usd is None else float(outcome.cost_usd),
        note=f"It is not in the journal yet: {ended.waiting}" if ended.waiting else note if signal else None,
        **facts,
    )
