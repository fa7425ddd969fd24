"""What a run's trace keeps of a sub-agent's calls of `get_news`."""

import json
from collections.abc import Sequence
from typing import Any

COLUMNS = ["id", "published_at", "first_seen_at", "source", "headline", "also"]
AS_OF = "2026-05-20T12:00:01Z"


def news_answer(rows: Sequence[Sequence[Any]], columns: Sequence[str] = COLUMNS, **facts: Any) -> str:
    """Return an answer of `get_news` as a host is given it: the table last."""
    told = {"asset": "BTC", "as_of": AS_OF, "untrusted": "headline", **facts, "columns": columns, "rows": rows}
    return json.dumps(told, ensure_ascii=False)


def news_call(result: str, **more: Any) -> dict[str, Any]:
    """Return a call of `get_news` as a trace has it."""
    return {"tool": "get_news", "arguments": {"symbol": "BTC/USDT"}, "result": result, "is_error": False, **more}


def news_trace(*calls: dict[str, Any], agent: str = "news-agent") -> dict[str, Any]:
    """Return the trace of a run with one sub-agent that made these calls."""
    return {"sub_agents": [{"name": agent, "started": True, "reported": True, "missing": None, "calls": list(calls)}]}
