"""Reads a rule: its text goes through DuckDB's parser, and only what is on the allow-list comes out as a tree."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.rules.engine import Engine
from mcp_server.domain.rules.text import balanced, check_text, only_expression, span
from mcp_server.domain.rules.tree import (
    ALLOWED,
    ARITHMETIC,
    CROSSINGS,
    FUNCTIONS,
    MAX_DEPTH,
    MAX_N,
    MAX_NODES,
    MAX_REACH,
    WINDOWS,
    Kind,
    Node,
    reach_of,
)
from mcp_server.errors import BadInput


class UnknownColumn(BadInput):
    """A rule uses a column that neither the candles nor its indicators have."""


_COMPARISONS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_OPERATORS = {"OPERATOR_NOT": "not", "OPERATOR_IS_NULL": "is null", "OPERATOR_IS_NOT_NULL": "is not null"}
_CONJUNCTIONS = {"CONJUNCTION_AND": "and", "CONJUNCTION_OR": "or"}
_ARITY: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("abs", "floor", "ceil", "ln", "sqrt"), (1, 1)),
    **dict.fromkeys(("prev", "highest", "lowest", "crosses_above", "crosses_below"), (2, 2)),
    **dict.fromkeys(("greatest", "least"), (2, MAX_NODES)),
    **dict.fromkeys(("+", "-"), (1, 2)),
    **dict.fromkeys(("*", "/", "%"), (2, 2)),
    "round": (1, 2),
}


def read_rule(engine: Engine, text: str, columns: Iterable[str]) -> Node:
    """Check a rule and give its tree: a condition over `columns`.

    Raises:
        UnknownColumn: it uses a column that is not among these; the remedy names the nearest.
        BadInput: anything else is wrong. Nothing of the text is ever run.
    """
    check_text(text)
    tree = read_expression(engine, text, columns)
    if tree.kind != "condition":
        raise BadInput(
            f"{text.strip()!r} is a number, not a condition.", "Compare it with something, as in 'close > 0'."
        )
    return tree


def read_expression(engine: Engine, text: str, columns: Iterable[str]) -> Node:
    """Check the parse tree of any text, without the check of its characters that `read_rule` makes first."""
    expression = only_expression(engine, text)
    node = _TreeReader(text, frozenset(columns)).read(expression, 0)
    deepest = reach_of(node)
    if deepest > MAX_REACH:
        problem = f"it reaches back {deepest} candles in all; at most {MAX_REACH} are allowed."
        raise BadInput(problem, "Look back fewer candles.")
    return node


class _TreeReader:
    """Turns parse nodes into tree nodes; what it has no method for is refused."""

    def __init__(self, text: str, columns: frozenset[str]) -> None:
        self._text = text
        self._columns = columns
        self._count = 0
        self._methods: dict[str, Callable[[Mapping[str, Any], int], Node]] = {
            "COLUMN_REF": self._column,
            "CONSTANT": self._constant,
            "COMPARISON": self._comparison,
            "CONJUNCTION": self._conjunction,
            "OPERATOR": self._operator,
            "BETWEEN": self._between,
            "FUNCTION": self._function,
        }

    def read(self, raw: Mapping[str, Any], depth: int) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise BadInput(f"it has more than {MAX_NODES} parts.", "Shorten it.")
        if depth > MAX_DEPTH:
            raise BadInput(f"it nests more than {MAX_DEPTH} deep.", "Split it, or drop signs and parentheses.")
        if raw["alias"]:
            raise BadInput(f"names with AS are not allowed (found {raw['alias']!r}).", ALLOWED)
        method = self._methods.get(raw["class"])
        if method is None:
            raise self._refused(raw)
        return method(raw, depth + 1)

    def _column(self, raw: Mapping[str, Any], _depth: int) -> Node:
        name = ".".join(raw["column_names"])
        if name.lower() not in self._columns:
            raise UnknownColumn(f"unknown column {name!r}.", nearest(name.lower(), self._columns))
        return self._node(raw, "column", "number", (), name.lower())

    def _constant(self, raw: Mapping[str, Any], _depth: int) -> Node:
        kind, written = raw["literal"]["kind"], raw["literal"]["text"]
        if kind == "BOOLEAN":
            return self._node(raw, "truth", "condition", (), int(written == "true"))
        if kind == "NULL_LITERAL":
            raise BadInput("nothing ever equals NULL.", "Use IS NULL or IS NOT NULL.")
        if kind not in ("INTEGER", "NUMERIC"):
            raise BadInput(f"{self._slice(raw)!r} is not a number.", "Compare columns with numbers only.")
        value = float(written)
        if not math.isfinite(value):
            raise BadInput(f"{written} is too large a number.", "Write a smaller one.")
        return self._node(raw, "number", "number", (), value)

    def _comparison(self, raw: Mapping[str, Any], depth: int) -> Node:
        if raw["type"] not in _COMPARISONS:
            raise self._refused(raw)
        sides = (self._number(raw["left"], depth), self._number(raw["right"], depth))
        return self._node(raw, _COMPARISONS[raw["type"]], "condition", sides)

    def _conjunction(self, raw: Mapping[str, Any], depth: int) -> Node:
        parts = tuple(self._condition(child, depth) for child in raw["children"])
        return self._node(raw, _CONJUNCTIONS[raw["type"]], "condition", parts)

    def _operator(self, raw: Mapping[str, Any], depth: int) -> Node:
        children = raw["children"]
        if raw["type"] == "COMPARE_IN":
            return self._node(raw, "in", "condition", tuple(self._number(child, depth) for child in children))
        if raw["type"] not in _OPERATORS:
            raise self._refused(raw)
        op = _OPERATORS[raw["type"]]
        child = self._condition(children[0], depth) if op == "not" else self.read(children[0], depth)
        return self._node(raw, op, "condition", (child,))

    def _between(self, raw: Mapping[str, Any], depth: int) -> Node:
        parts = tuple(self._number(raw[key], depth) for key in ("input", "lower", "upper"))
        return self._node(raw, "between", "condition", parts)

    def _function(self, raw: Mapping[str, Any], depth: int) -> Node:
        name = raw["function_name"]
        if name not in _ARITY or raw["is_operator"] != (name in ARITHMETIC) or raw["schema"] or raw["catalog"]:
            raise self._unknown_function(raw)
        expressions = self._plain_arguments(raw)
        least, most = _ARITY[name]
        if not least <= len(expressions) <= most:
            raise BadInput(
                f"{self._slice(raw)!r} has {len(expressions)} arguments.", f"Write {FUNCTIONS.get(name, 'a - b')}."
            )
        value: int | None = None
        if name in ("prev", "highest", "lowest"):
            value = self._literal(expressions.pop(), name, 1, MAX_N)
        elif name == "round" and len(expressions) == 2:
            value = self._literal(expressions.pop(), name, 0, 15)
        if name == "prev":
            child = self.read(expressions[0], depth)
            return self._node(raw, name, child.kind, (child,), value)
        operands = tuple(self._number(item, depth) for item in expressions)
        if name in ("/", "%") and operands[1].op == "number" and not operands[1].value:
            raise BadInput(f"{self._slice(raw)!r} divides by zero.", "Divide by something else.")
        return self._node(raw, name, "condition" if name in CROSSINGS else "number", operands, value)

    def _plain_arguments(self, raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        if raw["filter"] or raw["order_bys"]["orders"] or raw["distinct"] or raw["export_state"]:
            problem = f"{raw['function_name']!r} takes no DISTINCT, ORDER BY or FILTER."
            raise BadInput(problem, "Give plain arguments.")
        if any(argument["name"] for argument in raw["arguments"]):
            raise BadInput(f"{raw['function_name']!r} takes no named arguments.", "Give plain ones.")
        return [argument["expression"] for argument in raw["arguments"]]

    def _literal(self, raw: Mapping[str, Any], name: str, low: int, high: int) -> int:
        literal = raw.get("literal", {})
        value = int(literal["text"]) if literal.get("kind") == "INTEGER" else None
        if raw["class"] != "CONSTANT" or raw["alias"] or value is None or not low <= value <= high:
            raise BadInput(
                f"the last argument of {name!r} is {self._slice(raw)!r}.",
                f"Write a whole number from {low} to {high} "
                f"there{': a rule sees no later candle' if name in WINDOWS else ''}.",
            )
        return value

    def _number(self, raw: Mapping[str, Any], depth: int) -> Node:
        node = self.read(raw, depth)
        if node.kind != "number":
            text = self._text[node.start : node.stop]
            raise BadInput(
                f"{text!r} is a condition where a number is needed.", "Join conditions with AND, OR and NOT."
            )
        return node

    def _condition(self, raw: Mapping[str, Any], depth: int) -> Node:
        node = self.read(raw, depth)
        if node.kind != "condition":
            text = self._text[node.start : node.stop]
            raise BadInput(f"{text!r} is a number where a condition is needed.", f"Compare it, as in '{text} > 0'.")
        return node

    def _unknown_function(self, raw: Mapping[str, Any]) -> BadInput:
        path = [part for part in (raw["catalog"], raw["schema"], raw["function_name"]) if part]
        if raw["is_operator"]:
            return BadInput(f"the operator {path[-1]!r} is not allowed.", ALLOWED)
        return BadInput(f"unknown function {'.'.join(path)!r}.", nearest(path[-1], FUNCTIONS))

    def _refused(self, raw: Mapping[str, Any]) -> BadInput:
        node_type = str(raw["type"]).removeprefix("OPERATOR_").removeprefix("VALUE_").removeprefix("COMPARE_")
        return BadInput(f"{node_type.replace('_', ' ')} is not allowed (in {self._slice(raw)!r}).", ALLOWED)

    def _slice(self, raw: Mapping[str, Any]) -> str:
        start, stop = balanced(self._text, *span(raw))
        return self._text[start:stop] or self._text.strip()

    def _node(
        self,
        raw: Mapping[str, Any],
        op: str,
        kind: Kind,
        arguments: tuple[Node, ...],
        value: str | float | int | None = None,
    ) -> Node:
        return Node(op, kind, arguments, value, *balanced(self._text, *span(raw)))
