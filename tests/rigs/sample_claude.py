"""How runs by Claude end in a sample home: the runner's own verdict on transcripts that are made up."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mcp_server.domain.outcome import Outcome
from mcp_server.domain.strategy.evidence import Subject
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.domain.timeframes import iso, to_ms
from runner.claude.session import START_TOOL
from runner.claude.transcript import ANSWER_TOOL, Ending, Transcript
from runner.claude.verdict import conclude

MARKET_TOOLS = frozenset({"get_price", "get_ohlcv", "calculate_rsi", "calculate_macd"})
PRICE, MOMENTUM = "price-analyst", "momentum-analyst"


@dataclass(frozen=True)
class SampleAnswer:
    """What Claude answers. `subtype` is how the agent CLI ends, `cost` None where it does not say."""

    signal: str = "HOLD"
    confidence: int = 55
    reasoning: str = "Momentum has not turned."
    leans: Mapping[str, str] = ()  # type: ignore[assignment]
    decided: bool = True
    subtype: str = "success"
    cost: float | None = 0.0412
    twin: str | None = None


def by_claude(strategy: Strategy, as_of: datetime, close: float, rsi: float, answer: SampleAnswer) -> Outcome:
    """Return how a run with two sub-agents ends: one call fails, and one answer is seen in part."""
    transcript = _begun(strategy, as_of)
    market = {"symbol": strategy.config.trading_pair, "as_of": iso(to_ms(as_of))}
    _look(transcript, "1", PRICE, [
        ("get_price", {"symbol": "ETHUSDT/"}, "Unknown symbol 'ETHUSDT/' on 'simulated'. Did you mean 'ETH/USDT'?"),
        ("get_price", market, {**market, "exchange": "simulated", "price": close, "simulated": True}),
        ("get_ohlcv", {**market, "limit": 500}, "<persisted-output>Output too large (52.1KB). Preview: {\"symbol\""),
    ], f"The price is {close:.2f}, in the middle of its last day.")  # fmt: skip
    _look(transcript, "2", MOMENTUM, [
        ("calculate_rsi", {**market, "timeframe": "1h"}, {**market, "exchange": "simulated", "rsi": round(rsi, 2)}),
    ], f"RSI is {rsi:.1f}.")  # fmt: skip
    leans = dict(answer.leans)
    results = {
        PRICE: {"price": close, "leans": leans.get(PRICE, "HOLD"), "note": "In the middle of its last day."},
        MOMENTUM: {"rsi": round(rsi, 2), "leans": leans.get(MOMENTUM, answer.signal), "note": f"RSI is {rsi:.1f}."},
    }
    said = {
        "decided": answer.decided, "signal": answer.signal, "confidence": answer.confidence,
        "reasoning": answer.reasoning, "sub_agent_results": results,
    }  # fmt: skip
    return _ended(transcript, strategy, close, said, answer)


def without_answer(strategy: Strategy, as_of: datetime) -> Outcome:
    """Return how a run ends in which one sub-agent did not report in time; what it cost is not known."""
    transcript = _begun(strategy, as_of)
    market = {"symbol": strategy.config.trading_pair, "as_of": iso(to_ms(as_of))}
    transcript.called(None, "1", START_TOOL, {"subagent_type": PRICE})
    transcript.called("1", "1.0", "mcp__trader__get_price", market)
    return conclude(transcript, strategy, frozenset(), in_time=False)


def _begun(strategy: Strategy, as_of: datetime) -> Transcript:
    subject = Subject(frozenset({strategy.config.trading_pair}), "simulated", as_of, MARKET_TOOLS)
    transcript = Transcript(strategy, subject, lambda line: None)
    transcript.opened("claude-sonnet-5", "connected")
    usage = {"input_tokens": 2_310, "output_tokens": 412}
    transcript.spent(None, "message", "claude-sonnet-5", usage)
    return transcript


def _look(transcript: Transcript, id_: str, name: str, calls: list[tuple[str, Any, Any]], report: str) -> None:
    transcript.called(None, id_, START_TOOL, {"subagent_type": name})
    for number, (tool, arguments, result) in enumerate(calls):
        call_id = f"{id_}.{number}"
        transcript.called(id_, call_id, f"mcp__trader__{tool}", arguments)
        failed = isinstance(result, str) and result.startswith("Unknown")
        text = result if isinstance(result, str) else json.dumps(result)
        transcript.returned(call_id, text, is_error=failed, status=None)
    transcript.spent(id_, f"message-{id_}", "claude-haiku-5", {"input_tokens": 4_120, "output_tokens": 230})
    transcript.said(id_, report)
    transcript.returned(id_, report, is_error=False, status="completed")


def _ended(
    transcript: Transcript, strategy: Strategy, close: float, said: dict[str, Any], answer: SampleAnswer
) -> Outcome:
    transcript.called(None, "answer", ANSWER_TOOL, said)
    usage = {"claude-sonnet-5": {"inputTokens": 2_310, "outputTokens": 412}}
    transcript.ending = Ending(
        answer.subtype, answer.subtype != "success", None, None, said, (), 4, 21_400, answer.cost, usage, ()
    )
    outcome = conclude(transcript, strategy, frozenset(), in_time=True)
    if outcome.signal is None:
        return outcome
    twin = {"signal": answer.twin, "confidence": None, "price": close, "open_time": None}
    data = {**outcome.signal.data, **({"twin": twin} if answer.twin else {})}
    return replace(outcome, signal=replace(outcome.signal, price=close, data=data))
