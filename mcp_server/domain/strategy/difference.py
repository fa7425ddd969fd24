"""The difference between two versions of a strategy, one line for each key."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mcp_server.domain.strategy.strategy import Strategy

_SHORT = 100
_BEFORE = 20


def difference(then: Strategy, now: Strategy) -> list[str]:
    """List what changed from `then` to `now`: `config.json rules.buy: "…" → "…"`; a missing value is `-`."""
    lines = []
    for file, old, new in (
        ("config.json", then.config_json(), now.config_json()),
        ("agents.json", then.agents_json(), now.agents_json()),
    ):
        before, after = dict(_flat(old)), dict(_flat(new))
        for key in [*before, *(key for key in after if key not in before)]:
            if before.get(key) != after.get(key):
                shown = _shown(before.get(key), after.get(key))
                lines.append(f"{file} {key}: {shown[0]} → {shown[1]}")
    return lines


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        key_path = f"{path}{key}"
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{key_path}.")
        else:
            yield key_path, json.dumps(value, ensure_ascii=False)


def _shown(old: str | None, new: str | None) -> tuple[str, str]:
    """Return both sides; long ones begin shortly before the place where they differ."""
    if old is None or new is None:
        return _cut(old, 0), _cut(new, 0)
    if max(len(old), len(new)) <= _SHORT:
        return old, new
    differ = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(differ - _BEFORE, 0)
    return _cut(old, start), _cut(new, start)


def _cut(text: str | None, start: int) -> str:
    if text is None:
        return "-"
    part = text[start : start + _SHORT]
    return f"{'…' if start else ''}{part}{'…' if start + _SHORT < len(text) else ''}"
