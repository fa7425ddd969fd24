"""The tree of a checked rule: the only form in which an expression is ever run or explained."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MAX_NODES = 300
MAX_DEPTH = 30
MAX_STAGES = 12
MAX_N = 1000
MAX_REACH = 5000
"""How many candles prev, highest, lowest and crosses_* may reach back, nested ones added up."""

Kind = Literal["number", "condition"]

CROSSINGS = ("crosses_above", "crosses_below")
WINDOWS = ("prev", "highest", "lowest", *CROSSINGS)
"""The functions that look at earlier candles."""

ARITHMETIC = ("+", "-", "*", "/", "%")

FUNCTIONS: dict[str, str] = {
    "abs": "abs(x)",
    "greatest": "greatest(x, y, …)",
    "least": "least(x, y, …)",
    "round": "round(x) or round(x, digits)",
    "floor": "floor(x)",
    "ceil": "ceil(x)",
    "ln": "ln(x)",
    "sqrt": "sqrt(x)",
    "prev": "prev(x, n)",
    "highest": "highest(x, n)",
    "lowest": "lowest(x, n)",
    "crosses_above": "crosses_above(a, b)",
    "crosses_below": "crosses_below(a, b)",
}
"""Function name → how it is called."""


ALLOWED = (
    "A rule may use columns, numbers, + - * / %, = <> < <= > >=, AND, OR, NOT, IN, BETWEEN, IS NULL, IS NOT NULL "
    f"and {', '.join(FUNCTIONS)}."
)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    `op` is `column`, `number`, `truth`, an operator in lower case or a function's name. `value` is a column's name, a
    literal's value, the `n` of a function that looks back, or the digits of `round`. `start` and `stop` bound its part
    of the source text.
    """

    op: str
    kind: Kind
    arguments: tuple["Node", ...] = ()
    value: str | float | int | None = None
    start: int = 0
    stop: int = 0


def columns_reached(node: Node, reach: int = 0) -> Iterator[tuple[str, int]]:
    """Return each use of a column with how many candles before the deciding one it reaches back."""
    if node.op == "column":
        yield str(node.value), reach
    for argument in node.arguments:
        yield from columns_reached(argument, reach + own_reach(node))


def reach_of(node: Node) -> int:
    """Return how many candles before the deciding one it looks back to; in literals too: all have a beginning."""
    return own_reach(node) + max(map(reach_of, node.arguments), default=0)


def own_reach(node: Node) -> int:
    """Count the candles that this operation alone reaches back."""
    if node.op == "prev":
        return int(node.value or 0)
    if node.op in ("highest", "lowest"):
        return int(node.value or 0) - 1
    return 1 if node.op in CROSSINGS else 0


def computed(node: Node) -> Iterator[Node]:
    """Return a node and all under it, but for columns and literals."""
    if node.arguments:
        yield node
        for argument in node.arguments:
            yield from computed(argument)
