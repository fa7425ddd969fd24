"""A run's transcript as the journal keeps it: plain JSON of bounded size, without secrets."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from mcp_server.domain.strategy.evidence import SubAgent
from runner.claude.transcript import Transcript

MAX_CHARACTERS = 500_000
MAX_DEPTH = 40
HIDDEN = "[hidden]"

_TEXT_LIMITS = (8000, 1000, 100)
_ITEM_LIMITS = (200, 50, 10)
_COUNTED = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")


def trace_of(transcript: Transcript, names: Iterable[str], secrets: Iterable[str]) -> dict[str, Any]:
    """Return what a reader needs to follow a run; `names` are the sub-agents that were to report."""
    whole = _whole(transcript, names)
    hidden = sorted(secrets, key=len, reverse=True)
    for text_limit, item_limit in zip(_TEXT_LIMITS, _ITEM_LIMITS, strict=True):
        trace: dict[str, Any] = _plain(whole, hidden, text_limit, item_limit)
        if len(json.dumps(trace)) <= MAX_CHARACTERS:
            return trace
    return {"cut": f"this trace is longer than {MAX_CHARACTERS} characters even when shortened"}


def without(text: str, secrets: Iterable[str]) -> str:
    """Hide every secret in a text, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def tokens_used(model_usage: Mapping[str, Mapping[str, Any]]) -> int | None:
    """Add up the tokens of all models, cached ones included; None when none are reported."""
    counts = [usage.get(name) for usage in model_usage.values() for name in _COUNTED]
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if known else None


def _whole(transcript: Transcript, names: Iterable[str]) -> dict[str, Any]:
    ending = transcript.ending
    started = [_sub_agent(transcript, key, agent) for key, agent in transcript.starts.items()]
    known = {agent.name for agent in transcript.starts.values()}
    absent = [{"name": name, "started": False, "reported": False} for name in names if name not in known]
    orchestrator = {"model": transcript.model, "tokens": transcript.tokens(None), "raw_answer": transcript.raw_answer}
    trace: dict[str, Any] = {"orchestrator": orchestrator, "sub_agents": [*started, *absent]}
    if ending is not None:
        trace["orchestrator"]["turns"] = ending.turns
        trace |= {
            "ended": ending.subtype,
            "duration_ms": ending.duration_ms,
            "model_usage": ending.model_usage,
            "permission_denials": ending.permission_denials,
        }
        if ending.is_error:
            trace["errors"] = [text for text in (*ending.errors, ending.text) if text]
    if transcript.failure is not None:
        trace["failure"] = transcript.failure
    if ending is None or ending.is_error:
        trace["stderr"] = list(transcript.stderr)
    return trace


def _sub_agent(transcript: Transcript, key: str, agent: SubAgent) -> dict[str, Any]:
    calls = [
        {"tool": call.tool, "arguments": call.arguments, "result": call.result, "is_error": call.is_error}
        | ({} if call.whole else {"whole": False})
        for call in agent.calls
    ]
    return {
        "name": agent.name,
        "model": agent.model,
        "started": True,
        "reported": agent.missing is None,
        "missing": agent.missing,
        "tokens": transcript.tokens(key),
        "calls": calls,
        "report": agent.report,
    }


def _plain(value: Any, secrets: list[str], text_limit: int, item_limit: int, depth: int = MAX_DEPTH) -> Any:
    """Turn a value into plain JSON that says where something was cut."""
    if depth == 0 and isinstance(value, Mapping | list | tuple):
        return f"… cut: nested deeper than {MAX_DEPTH} levels"
    if isinstance(value, Mapping):
        items = [(without(str(key), secrets), item) for key, item in value.items()]
        shown = {key: _plain(item, secrets, text_limit, item_limit, depth - 1) for key, item in items[:item_limit]}
        return shown if len(items) <= item_limit else {**shown, "…": f"cut: {len(items)} entries in all"}
    if isinstance(value, list | tuple):
        listed = [_plain(item, secrets, text_limit, item_limit, depth - 1) for item in value[:item_limit]]
        return listed if len(value) <= item_limit else [*listed, f"… cut: {len(value)} entries in all"]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = without(str(value), secrets)
    return text if len(text) <= text_limit else f"{text[:text_limit]}… cut: {len(text)} characters in all"
