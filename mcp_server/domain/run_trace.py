"""What happened on the way of a run, read from what the journal keeps of it: conditions, twin, sub-agents' calls, news.

A trace may be of an earlier version, or of a person's own program: whatever shape it has, what can be read is told.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from mcp_server.domain.news.in_trace import Links, news_seen
from mcp_server.domain.text import cleaned

SIGNALS = ("BUY", "SELL", "HOLD")

MOST_TEXT, MOST_RESULT, MOST_REPORT = 400, 1_000, 8_000
"""Characters of a name or an argument, of what a tool answered, and of a report."""

_CANDLE = ("open_time", "candles_used", "exchange", "symbol", "timeframe", "note", "simulated")


def trace_facts(trace: Any, data: Any, links: Links | None = None) -> dict[str, Any]:
    """Return what a trace and the data of a signal tell, as JSON values; None where they say nothing of it.

    Args:
        trace: `executions.trace`, as JSON values.
        data: `analysis_results.data`, as JSON values.
        links: addresses of the news that its sub-agents saw.
    """
    evidence = _object(trace) if "conditions" in _object(trace) else _object(_object(data).get("evidence"))
    return {
        "conditions": [_condition(item) for item in _objects(evidence.get("conditions"))] or None,
        "candle": {name: _plain(evidence[name]) for name in _CANDLE if name in evidence} or None,
        "twin": _twin(_object(data).get("twin")),
        "sub_agents": [*_sub_agents(trace, _object(_object(data).get("sub_agent_results")))] or None,
        "news": [asdict(seen) for seen in news_seen(trace, links)] or None,
        "cut": _text(_object(trace).get("cut")),
    }


def signal_of(value: Any) -> str | None:
    """Return a value if it is a signal; a model or a person may have written anything."""
    return value if isinstance(value, str) and value in SIGNALS else None


def _condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    holds, values = condition.get("value"), _object(condition.get("values"))
    return {
        "rule": _text(condition.get("rule")),
        "text": _text(condition.get("text"), MOST_RESULT),
        "value": holds if isinstance(holds, bool) else None,
        "values": {cleaned(str(name), MOST_TEXT): _number(value) for name, value in values.items()},
    }


def _twin(twin: Any) -> dict[str, Any] | None:
    if not isinstance(twin, Mapping):
        return None
    numbers = {name: _number(twin.get(name)) for name in ("confidence", "price")}
    why = _text(twin.get("reasoning") or twin.get("error"), MOST_RESULT)
    return {"signal": signal_of(twin.get("signal")), **numbers, "open_time": _text(twin.get("open_time")), "why": why}


def _sub_agents(trace: Any, results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each start of a sub-agent, then those of which the signal alone tells."""
    started = _objects(_object(trace).get("sub_agents"))
    names = [_written(agent.get("name")) for agent in started]
    for name, agent in zip(names, started, strict=True):
        yield _sub_agent(agent, results.get(name))
    for name, result in results.items():
        if name not in names:
            yield _sub_agent({"name": name}, result)


def _sub_agent(agent: Mapping[str, Any], result: Any) -> dict[str, Any]:
    reported = agent.get("reported")
    counts = [count for count in map(_number, _object(agent.get("tokens")).values()) if count is not None]
    return {
        "name": _text(agent.get("name")),
        "model": _text(agent.get("model")),
        "reported": reported if isinstance(reported, bool) else None,
        "missing": _text(agent.get("missing")) or ("was never started" if agent.get("started") is False else None),
        "leans": signal_of(_object(result).get("leans")),
        "tokens": sum(counts) if counts else None,
        "result": None if result is None else _text(_written(result), MOST_RESULT),
        "report": _text(agent.get("report"), MOST_REPORT),
        "calls": [_call(call) for call in _objects(agent.get("calls"))],
    }


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return one call. `failed` None: it had no answer; `whole` False: the model saw only a part of it."""
    failed, arguments = call.get("is_error"), call.get("arguments")
    listed = [f"{name}={_written(value)}" for name, value in _object(arguments).items()]
    return {
        "tool": _text(call.get("tool")),
        "arguments": _text(", ".join(listed) if isinstance(arguments, Mapping) else arguments, MOST_TEXT),
        "result": _text(call.get("result"), MOST_RESULT),
        "failed": failed if isinstance(failed, bool) else None,
        "whole": call.get("whole") is not False,
    }


def _text(value: Any, most: int = MOST_TEXT) -> str | None:
    return None if value is None else cleaned(_written(value), most, lines=most > MOST_TEXT)


def _written(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return "nested too deeply"


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool) else _text(value) if _number(value) is None else _number(value)


def _number(value: Any) -> int | float | None:
    """Return a number that JSON can hold; None for anything else."""
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return value if whole or (isinstance(value, float) and isfinite(value)) else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in _list(value) if isinstance(item, Mapping)]
