"""What becomes of the answer of a host's own model: cleaned, held against its evidence, and given price and twin."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
from pydantic import ValidationError

from mcp_server.domain.error_hints import invalid_keys, nearest
from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.claude_answer import ClaudeAnswer
from mcp_server.domain.strategy.evidence import Subject
from mcp_server.domain.strategy.host_outcome import host_outcome
from mcp_server.domain.strategy.rules_outcome import rules_outcome
from mcp_server.domain.strategy.twin import Twin, twin_of, undecided_twin
from mcp_server.domain.text import cleaned_values
from mcp_server.errors import BadInput, TraderError
from mcp_server.evaluation import evaluate
from mcp_server.together import together

if TYPE_CHECKING:
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.storage.journal.host_runs import HostRun
    from mcp_server.toolkit import Call

MOST_TEXT, MOST_BYTES = 20_000, 200_000
"""Characters of each text in an answer, and bytes of all of it."""

JUST_NOW = timedelta(minutes=1)

LOOK_S = 10.0
"""What a look at the market, and one at the rules, may take: an answer counts without them."""


def readable(answer: ClaudeAnswer) -> ClaudeAnswer:
    """Return an answer without what cannot be seen in it.

    Raises:
        BadInput: it is too long, or holds a number that is none, or nothing of its reasoning can be seen.
    """
    values = answer.model_dump(mode="python")
    try:
        size = len(json.dumps(values, allow_nan=False).encode("utf-8", "replace"))
    except ValueError:
        raise BadInput("answer: a number in sub_agent_results is not finite.", "Use null for it.") from None
    if size > MOST_BYTES:
        raise BadInput(f"answer: it has {size:,} bytes, {MOST_BYTES:,} at most.", "Shorten sub_agent_results.")
    try:
        return ClaudeAnswer.model_validate(cleaned_values(values, MOST_TEXT))
    except ValidationError as error:
        raise BadInput(f"answer: {invalid_keys(error, ClaudeAnswer)[0]}") from None


async def concluded(call: Call, run: HostRun, strategy: Strategy, answer: ClaudeAnswer) -> Outcome:
    """Return the outcome of an answer: a signal only where each sub-agent's part rests on a call.

    Raises:
        BadInput: a part of it is of a sub-agent that there is not, and another one has none: a name was misspelt.
    """
    others = [name for name in answer.sub_agent_results if name not in strategy.agents]
    if others and any(name not in answer.sub_agent_results for name in strategy.agents):
        raise BadInput(
            f"answer: sub_agent_results has {others[0][:60]!r}, which is no sub-agent.",
            nearest(others[0][:60], strategy.agents),
        )
    calls = call.kit.seen_calls.of(run.execution_id, call.caller)
    (price, symbol), twin = await together(lambda: _last_close(call, run, strategy), lambda: _twin(call, run, strategy))
    symbols = frozenset((strategy.config.trading_pair, symbol))
    outcome = host_outcome(strategy, Subject(symbols, run.exchange, run.as_of, call.kit.market_tools), answer, calls)
    if run.started_at - run.as_of > JUST_NOW:  # held in the past, and a host's model can look at the present
        outcome = replace(outcome, contaminated=True)
    if outcome.signal is None:
        return outcome
    beside = {} if twin is None else {"twin": twin}
    signal = replace(outcome.signal, price=price, data={**outcome.signal.data, **beside})
    return replace(outcome, signal=signal)


async def _last_close(call: Call, run: HostRun, strategy: Strategy) -> tuple[float | None, str]:
    """Return the close of the last candle by the run's moment, and the market's own name."""
    pair = strategy.config.trading_pair
    with anyio.move_on_after(LOOK_S), suppress(TraderError):
        history = await call.kit.market.candles(run.exchange, pair, strategy.timeframe, 1, run.as_of)
        closes = history.candles.close
        return (float(closes[-1]) if len(closes) else None), history.symbol
    return None, pair


async def _twin(call: Call, run: HostRun, strategy: Strategy) -> Twin | None:
    """Return what the strategy's own rules say at the same moment; None: it has none."""
    if strategy.config.rules is None:
        return None
    evaluation = None
    try:
        with anyio.move_on_after(LOOK_S):
            evaluation = await evaluate(call, strategy, run.as_of)
    except TraderError as error:
        return undecided_twin("error", str(error))
    if evaluation is None:
        return undecided_twin("error", f"The rules took longer than {LOOK_S:g} s.")
    if evaluation.exchange != run.exchange:
        return undecided_twin("error", f"The rules looked at {evaluation.exchange}, the run at {run.exchange}.")
    outcome = rules_outcome(evaluation.structured())
    if (signal := outcome.signal) is None:
        return undecided_twin("reasoning" if outcome.status is Status.ABSTAINED else "error", outcome.error or "")
    return twin_of(signal, outcome)
