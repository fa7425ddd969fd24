"""The text of a rule: what is refused before and right after parsing, and which part of it a parse node has."""

import re
from collections.abc import Mapping
from typing import Any

from mcp_server.domain.rules.engine import Engine
from mcp_server.domain.rules.tree import ALLOWED, MAX_DEPTH
from mcp_server.errors import BadInput

_SELECT = "SELECT "
_STRANGE = re.compile(r"[^A-Za-z0-9_\s()<>=!+\-*/%.,]", re.ASCII)
_STRANGE_HINTS = {
    "'": "Columns hold numbers only: there is no text to compare with.",
    '"': "Write names of columns without quotes.",
    ";": "Write one expression, and nothing after it.",
    ":": "Casts and named arguments are not allowed.",
    "$": "Parameters are not allowed: write the number itself.",
    "?": "Parameters are not allowed: write the number itself.",
    "#": "Columns are used by name only.",
}
_CLAUSES = {
    "from_table": "FROM",
    "where_clause": "WHERE",
    "group_expressions": "GROUP BY",
    "having": "HAVING",
    "modifiers": "DISTINCT, ORDER BY or LIMIT",
    "cte_map": "WITH",
}
_NO_LOCATION = 2**63


def check_text(text: str) -> None:
    """Refuse what no rule needs, before a parser reads it: odd characters, comments, deep or unmatched parentheses.

    Raises:
        BadInput: it holds one of these.
    """
    if strange := _STRANGE.search(text):
        hint = _STRANGE_HINTS.get(strange[0], ALLOWED)
        raise BadInput(f"unexpected {strange[0]!r} at position {strange.start() + 1}.", hint)
    if "--" in text or "/*" in text:
        raise BadInput(
            "comments are not allowed, and '--' begins one.", "Leave it out, or write 'a - -b' with a space."
        )
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth > MAX_DEPTH:
            raise BadInput(f"it nests more than {MAX_DEPTH} deep.", "Drop parentheses.")
        if depth < 0:
            break
    if depth:
        raise BadInput("its parentheses don't match.", "Close each that is opened.")


def only_expression(engine: Engine, text: str) -> dict[str, Any]:
    """Return the parse node of the one expression that the text is: all around it must be as in `SELECT 1`.

    Raises:
        BadInput: it can't be parsed, or is more than one expression.
    """
    statements = engine.parse(_SELECT + text)["statements"]
    plain = engine.parse(_SELECT + "1")["statements"][0]
    if len(statements) != 1:
        raise BadInput(f"found {len(statements)} statements.", "Write one expression, and nothing after it.")
    statement = statements[0]
    if statement["node"].keys() != plain["node"].keys() or statement["node"]["type"] != plain["node"]["type"]:
        raise BadInput("found a set operation or another statement, not one expression.", ALLOWED)
    for key, value in statement["node"].items():
        if key != "select_list" and value != plain["node"][key]:
            raise BadInput(f"{_CLAUSES.get(key, key)} is not allowed.", ALLOWED)
    expressions: list[dict[str, Any]] = statement["node"]["select_list"]
    if len(expressions) != 1 or statement["named_param_map"]:
        raise BadInput(f"found {len(expressions)} expressions.", "Write one; join conditions with AND or OR.")
    return expressions[0]


def span(raw: Any) -> tuple[int, int]:
    """Return the part of the text that a parse node and all in it have, as (start, stop); (0, 0) where it isn't known.

    The parser gives `a + b` no length and `a IN (1, 2)` only its list: what they consist of says more.
    """
    children = raw.values() if isinstance(raw, Mapping) else raw if isinstance(raw, list) else ()
    spans = [span(child) for child in children]
    if isinstance(raw, Mapping) and raw.get("query_location", _NO_LOCATION) < _NO_LOCATION:
        start = raw["query_location"] - len(_SELECT)
        spans.append((start, start + raw["query_location_length"]))
    known = [(start, stop) for start, stop in spans if stop > start]
    return (min(start for start, _ in known), max(stop for _, stop in known)) if known else (0, 0)


def balanced(text: str, start: int, stop: int) -> tuple[int, int]:
    """Widen a part of the text until each parenthesis in it has its partner."""
    depth = lowest = 0
    for character in text[start:stop]:
        depth += (character == "(") - (character == ")")
        lowest = min(lowest, depth)
    for _ in range(-lowest):
        start = max(text.rfind("(", 0, start), 0)
    for _ in range(depth - lowest):
        closing = text.find(")", stop)
        stop = len(text) if closing < 0 else closing + 1
    return start, stop
