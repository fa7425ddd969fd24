"""Text of models and outside systems in Markdown: shown as it is; nothing in it becomes a heading, link or image.

People open reports in viewers that fetch images and run HTML without asking. So everything that could begin an image,
a link or HTML is escaped, and addresses become code, which no viewer turns into a link.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mcp_server.domain.text import cleaned

_ADDRESS = re.compile(
    r"\b[A-Za-z][\w+.-]*://[^\s`]*|\bwww\.[^\s`]+|\b(?:data|file|javascript|mailto|xmpp):[^\s`]+|[^\s`]+@[^\s`]+\.[^\s`]+",
    re.IGNORECASE,
)
_ACTIVE = re.compile(r"[\\`*\[\]~$|]|(?<![^\W_])_|_(?![^\W_])")
_BEGINS = re.compile(r"[#+=:-]")
_BULLET = re.compile(r"^[-*•]\s+")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

MOST_LINES = 200
MOST_DEPTH = 4


def inline(text: object, most: int = 400) -> str:
    """Return text for the middle of a line, or for a cell of a table: one line, escaped."""
    return _escaped(cleaned(str(text), most))


def quoted(text: str, most: int = 8_000) -> str:
    """Return text as a quotation: its lines and simple lists are kept, the rest is escaped."""
    lines = [" ".join(line.split()) for line in cleaned(text, most, lines=True).splitlines()]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "…"]
    return "\n".join(f"> {_line(line)}".rstrip() for line in lines) or "> "


def code(text: str, most: int = 300) -> str:
    """Return text as code within a line, shown word for word."""
    line = cleaned(text, most)
    fence = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line.replace('|', '¦')}{pad}{fence}"  # a bar would end a cell, in code too


def findings(value: Any) -> list[str]:
    """Return an agent's results as the lines of a nested list, however they are nested."""
    lines = list(_items(value, 0))
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], "- …"]


def _items(value: Any, depth: int) -> Iterator[str]:
    pairs = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for name, item in pairs:
        text = f"{inline(name, 80)}: " if name is not None else ""
        nested = isinstance(item, Mapping | list) and bool(item) and depth < MOST_DEPTH
        if not nested:
            text += inline(item, 1_000) if isinstance(item, str) else inline(json.dumps(item, default=str), 200)
        yield f"{'  ' * depth}- {_guarded(text)}".rstrip()
        if nested:
            yield from _items(item, depth + 1)


def _line(text: str) -> str:
    if bullet := _BULLET.match(text):
        return f"- {_guarded(_escaped(text[bullet.end() :]))}"
    return _guarded(_escaped(text))


def _guarded(escaped: str) -> str:
    """Escape what would make the beginning of a line a heading, a list or a rule."""
    if number := re.match(r"\d+(?=[.)])", escaped):
        return f"{number[0]}\\{escaped[number.end() :]}"
    return f"\\{escaped}" if _BEGINS.match(escaped) else escaped


def _escaped(text: str) -> str:
    parts, at = [], 0
    for address in _ADDRESS.finditer(text):
        parts += [_plain(text[at : address.start()]), code(address[0], 200)]
        at = address.end()
    return "".join([*parts, _plain(text[at:])])


def _plain(text: str) -> str:
    return _ACTIVE.sub(r"\\\g<0>", re.sub("[&<>]", lambda character: _ENTITIES[character[0]], text))
