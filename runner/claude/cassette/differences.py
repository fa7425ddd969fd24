"""Names what differs between two texts, two answers of a tool or two requests, in short lines for a person."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any

SHOWN = 60
"""So many characters of what was and of what is now are shown around the first one that differs."""

MOST_PARTS = 3
"""So many differences are named of one text or one answer."""

_BEFORE = 15


def in_text(before: str, after: str, *, begins: bool = False) -> str:
    """Say which lines of a text changed; nothing where none did.

    Args:
        before: the text that was.
        after: the text that is.
        begins: `after` is only how the text begins; what follows it in `before` is no difference.
    """
    old, new = before.splitlines(), after.splitlines()
    change = _joined(_changed_lines(old, new, begins=begins))
    return change or ("empty lines" if before != after and not begins else "")


def in_values(before: Any, after: Any) -> str:
    """Say which values of two answers differ, each by its keys or by the first cell of its row in a table."""
    return _joined(_changed_values(before, after, ""))


def parsed(content: Any) -> Any:
    """Return the content of a tool result: JSON as its values, all else as text."""
    text = text_of(content)
    try:
        return json.loads(text)
    except ValueError:
        return text


def text_of(content: Any) -> str:
    """Return the text of a message's or a tool result's content."""
    if isinstance(content, str):
        return content
    return "\n".join(_block_text(block) for block in content or ())


def _block_text(block: Any) -> str:
    if isinstance(block, Mapping) and isinstance(block.get("text"), str):
        return str(block["text"])
    return json.dumps(block, sort_keys=True)


def _changed_lines(old: Sequence[str], new: Sequence[str], *, begins: bool) -> Iterator[str]:
    for kind, first, last, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        paired = min(last - first, end - start)
        for offset in range(paired):
            yield f"line {start + offset + 1}: {_apart(old[first + offset], new[start + offset])}"
        for number in range(first + paired, first if begins and last == len(old) else last):
            if old[number].strip():
                yield f"line {number + 1} is gone: {_quoted(old[number])}"
        for number in range(start + paired, end):
            if new[number].strip():
                yield f"line {number + 1} is new: {_quoted(new[number])}"


def _changed_values(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _changed_keys(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _changed_items(before, after, path)
    elif type(before) is not type(after) or before != after:
        strings = isinstance(before, str) and isinstance(after, str)
        change = _apart(before, after) if strings else f"{_shown(before)} → {_shown(after)}"
        yield f"{path} {change}".strip()


def _changed_keys(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[str]:
    tables = [_rows(values) for values in (before, after)]
    if tables[0] is not None and tables[1] is not None:
        yield from _changed_keys(tables[0], tables[1], path)
        before, after = ({key: value for key, value in values.items() if key != "rows"} for values in (before, after))
    for key in dict.fromkeys((*before, *after)):
        inner = f"{path}.{key}" if path else str(key)
        if key not in after:
            yield f"{inner} is gone"
        elif key not in before:
            yield f"{inner} is new: {_shown(after[key])}"
        else:
            yield from _changed_values(before[key], after[key], inner)


def _changed_items(before: list[Any], after: list[Any], path: str) -> Iterator[str]:
    if len(before) != len(after):
        yield f"{path} has {len(after)} entries instead of {len(before)}".strip()
        return
    for number, (old, new) in enumerate(zip(before, after, strict=True), 1):
        yield from _changed_values(old, new, f"{path}[{number}]")


def _rows(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the rows of a table by their first cell, each as its columns; None where it is none."""
    columns, rows = values.get("columns"), values.get("rows")
    if not (isinstance(columns, list) and isinstance(rows, list) and rows):
        return None
    if not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        return None
    named = {str(row[0]): dict(zip(map(str, columns[1:]), row[1:], strict=True)) for row in rows if row}
    return named if len(named) == len(rows) else None


def _joined(parts: Iterator[str]) -> str:
    every = list(parts)
    more = len(every) - MOST_PARTS
    return "; ".join([*every[:MOST_PARTS], *([f"and {more} more"] if more > 0 else [])])


def _apart(old: str, new: str) -> str:
    """Return both texts, cut to what surrounds the first character that differs."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    begin = 0 if max(len(old), len(new)) <= SHOWN else max(0, common - _BEFORE)
    return f"{_quoted(old, begin)} → {_quoted(new, begin)}"


def _quoted(text: str, begin: int = 0) -> str:
    part = text[begin : begin + SHOWN]
    return f'"{"…" if begin else ""}{part}{"…" if begin + SHOWN < len(text) else ""}"'


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
