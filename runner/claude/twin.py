"""The twin of a run by Claude: what the strategy's own rules say at the same moment, for nothing.

Claude's signals are compared with it, so no agent may see it. Whatever becomes of it, the run goes on.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import datetime

import anyio

from mcp_server.domain.outcome import Outcome, Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.strategy.twin import Twin, twin_of, undecided_twin
from mcp_server.errors import TraderError, UpstreamRejected
from runner.claude.trace import without
from runner.rules import by_rules
from runner.tool_server.client import Connecting

AFTER_S, AFTER_REPLAY_S = 5, 60
"""How long the twin may still take once Claude has answered, in seconds; a replay waits longer, as nobody waits for it
and its rerun has to say the same on a machine that is busy."""

logger = logging.getLogger(__name__)


async def with_twin(
    ask: Callable[[], Awaitable[Outcome]],
    connect: Connecting,
    strategy: Strategy,
    exchange: str,
    as_of: datetime,
    secrets: Collection[str],
    after_s: float | None = None,
) -> Outcome:
    """Let Claude decide, and the strategy's rules at the same time; what they say stands beside Claude's signal.

    Args:
        ask: lets Claude decide.
        connect: gives a connection to the tool server.
        strategy: whose rules are evaluated; without rules there is no twin.
        exchange: the run's exchange.
        as_of: the run's moment.
        secrets: what no text of the run may contain.
        after_s: how long the twin may still take once Claude has answered, in seconds; None: `AFTER_S`.
    """
    after_s = AFTER_S if after_s is None else after_s
    if strategy.config.rules is None:
        return await ask()
    twin = _undecided("error", f"The rules were not evaluated within {after_s} s after Claude had answered.")
    ended = anyio.Event()

    async def evaluate() -> None:
        nonlocal twin
        twin = await _evaluated(connect, strategy, exchange, as_of, secrets)
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(evaluate)
        outcome = await ask()
        if outcome.signal is not None:
            with anyio.move_on_after(after_s):
                await ended.wait()
        group.cancel_scope.cancel()
    if outcome.signal is None:
        return outcome
    return replace(outcome, signal=replace(outcome.signal, data={**outcome.signal.data, "twin": twin}))


async def _evaluated(
    connect: Connecting, strategy: Strategy, exchange: str, as_of: datetime, secrets: Collection[str]
) -> Twin:
    try:
        async with connect() as tools:
            outcome = await by_rules(tools, strategy, as_of)
        return _twin(outcome, exchange, secrets)
    except TraderError as error:
        return _undecided("error", str(error), secrets)
    except Exception as error:  # nothing that happens to the twin may end the run
        logger.exception("the twin of %s", strategy.name)
        return _undecided("error", f"unexpected {type(error).__name__}; the log on standard error says more")


def _twin(outcome: Outcome, exchange: str, secrets: Collection[str]) -> Twin:
    """Return what the rules said, once it is sure that they looked at the run's exchange.

    Raises:
        UpstreamRejected: they looked at another one.
    """
    evidence = outcome.trace or {}
    if evidence.get("exchange", exchange) != exchange:
        raise UpstreamRejected(
            f"The tool server evaluated the rules on {evidence['exchange']}, but the run is on {exchange}.",
            "Name the 'exchange' in config.json, or set the server's TRADER_EXCHANGE as the runner's.",
        )
    if (signal := outcome.signal) is None:
        key = "reasoning" if outcome.status is Status.ABSTAINED else "error"
        return _undecided(key, outcome.error or "", secrets)
    return twin_of(signal, outcome)


def _undecided(key: str, why: str, secrets: Collection[str] = ()) -> Twin:
    return undecided_twin(key, without(why, secrets))
