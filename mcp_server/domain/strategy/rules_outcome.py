"""How a run by rules ends: by what an evaluation of them says."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mcp_server.domain.outcome import NOTHING_SPENT, Outcome, Signal, Status

TOGETHER = "claude-trader/evaluations"
"""The extension of MCP, and its only method, by which a runner has rules of several strategies evaluated at once."""

KEPT = ("conditions", "open_time", "candles_used", "exchange", "symbol", "timeframe", "note", "simulated")
"""What the journal keeps of an evaluation, beside its signal."""


def rules_outcome(evaluation: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a run by rules, given the answer of `evaluate_strategy` as JSON values."""
    evidence = {key: evaluation[key] for key in KEPT if key in evaluation}
    if evaluation["signal"] is None:
        return Outcome(Status.ABSTAINED, error=evaluation["reasoning"], trace=evidence, **NOTHING_SPENT)
    signal = Signal(
        signal=evaluation["signal"],
        confidence=None if evaluation["confidence"] is None else Decimal(str(evaluation["confidence"])),
        reasoning=evaluation["reasoning"],
        price=evaluation["price"],
        data={"sub_agent_results": {}, "evidence": evidence},
    )
    return Outcome(Status.SUCCESS, signal, trace=evidence, **NOTHING_SPENT)
