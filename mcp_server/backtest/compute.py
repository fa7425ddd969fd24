"""Computes a backtest in a process of its own, which ends with the caller's patience."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from mcp_server import errors
from mcp_server.child_process import ChildEnding, command_of, run_child
from mcp_server.errors import NotSupported, TraderError, UpstreamRejected

if TYPE_CHECKING:
    from mcp_server.domain.backtest.run import BacktestTask

CHILD = command_of("mcp_server.backtest.child")

PROOF_S = 8.0
"""How long the proof may go on at most."""

REST_S = 6.0
"""What all but the proof takes at most, the start of the process included."""


async def compute(task: BacktestTask, within_s: float, command: str) -> dict[str, Any]:
    """Return what `child.result` made of a task.

    Args:
        task: what is to be backtested.
        within_s: how long it may take. The proof is what gets shorter where this is short.
        command: computes the same without a limit.

    Raises:
        NotSupported: it takes longer, or more memory; the remedy is the command.
        TraderError: what the process answers.
    """
    from mcp_server.backtest.child import as_bytes

    question = await anyio.to_thread.run_sync(as_bytes, task, min(PROOF_S, max(within_s - REST_S, 0)))
    ending = await run_child(CHILD, question, within_s)
    if ending.code is None or ending.out_of_processor_time:
        raise _too_much(command, "it took longer")
    if ending.out_of_memory:
        raise _too_much(command, "it takes too much memory")
    return _read(ending)


def _too_much(command: str, why: str) -> NotSupported:
    remedy = f"Run it in a terminal: {command}. Or choose a later start, or a longer timeframe."
    return NotSupported(f"This backtest takes more than a call may: {why}.", remedy)


def _read(ending: ChildEnding) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(ending.out)
    except ValueError:
        raise UpstreamRejected(f"The backtest was not computed: {ending.last_line}.") from None
    if "error" in result:
        kind = getattr(errors, result["error"], TraderError)
        raise kind(result["problem"], result["remedy"])
    return result
