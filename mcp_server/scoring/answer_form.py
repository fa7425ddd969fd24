"""Scores in the form that the tool sends: one strategy as an object, several records as the rows of a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp_server.domain.text import significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.domain.scoring.keys import Score

MOST_BYTES = 2_950
"""Of one strategy's answer."""

MOST_NOTES, MOST_NOTE = 3, 350
"""So many sentences, and characters of all of them, stand in a note."""

DIGITS = 4
"""Significant digits in the table."""

COLUMNS = (
    "strategy_name", "runs", "signals", "coverage_pct", "judged", "pending", "void", "right", "hit_rate",
    "hit_rate_ci95", "base_rate", "mean_net_pct", "mean_net_ci95", "brier_skill", "e_value", "evidence", "hold_pct",
    "cost_usd", "cost_unknown",
)  # fmt: skip


def object_of(score: Score, note: str | None) -> dict[str, Any]:
    """Return the answer about one strategy. Where it has many sub-agents, those with the fewest judged are left out."""
    values: dict[str, Any] = {**score, "note": note, **({"simulated": True} if _is_invented(score) else {})}
    agents = sorted((score["agents"] or {}).items(), key=lambda item: -item[1]["judged"])
    left_out = 0
    while agents and _size(values) > MOST_BYTES:
        agents.pop()
        left_out += 1
        values |= {"agents": dict(agents), "agents_left_out": left_out}
    return values


def table_of(scores: Sequence[Score], runs: str) -> dict[str, Any]:
    """Return a table with a row for each record; with runs of several kinds, each kind has its own row."""
    several = runs == "all" or any(score["kind"] != runs for score in scores)
    columns = ["strategy_name", "kind", *COLUMNS[1:]] if several else [*COLUMNS]
    return {"kind": runs, "columns": columns, "rows": [[_cell(score, name) for name in columns] for score in scores]}


def invented(scores: Sequence[Score]) -> list[str]:
    """Return the note of a table that some of its records are of the simulated market."""
    count = sum(map(_is_invented, scores))
    which = "All" if count == len(scores) else f"{count} of {len(scores)}"
    return [f"{which} records are of the simulated market, which is invented."] if count else []


def _is_invented(score: Score) -> bool:
    return score["exchange"] == "simulated"


def note(sentences: Sequence[str]) -> str | None:
    """Join the first sentences of a note, and say how many more there are."""
    kept = list(sentences[:MOST_NOTES])
    while len(" ".join(kept)) > MOST_NOTE and len(kept) > 1:
        kept.pop()
    more = len(sentences) - len(kept)
    return " ".join([*kept, *([f"And {more} more of this kind."] if more else [])]) or None


def _cell(score: Score, name: str) -> Any:
    value: Any = dict(score)[name]
    if name == "signals":
        return sum(value.values())
    return _short(value)


def _short(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return significant(value, DIGITS) if isinstance(value, float) else value


def _size(values: dict[str, Any]) -> int:
    """Return the bytes of the longer of the two forms that are sent; in the text each quotation mark takes two."""
    text = "\n".join(f"{name}: {value if isinstance(value, str) else _json(value)}" for name, value in values.items())
    return max(len(_json(form).encode()) for form in (values, text))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
