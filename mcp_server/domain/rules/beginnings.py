"""Which conditions depend on where a running total begins: its first candle is another one at each run."""

from collections.abc import Iterator, Mapping, Sequence
from math import isclose

from mcp_server.domain.indicators.spec import Spec
from mcp_server.domain.indicators.totals import Moves, moves
from mcp_server.domain.rules.tree import CROSSINGS, Node, columns_reached
from mcp_server.domain.rules.verdict import Rule

UNSOUND = "depends on where a running total begins, which is another candle at each run"

Columns = Mapping[str, Moves | None]
"""Column → how it answers to another beginning of the totals in it; the columns of candles are not there."""

_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=", "between", "in", *CROSSINGS)
_NOT_AT_ALL: Moves = {}


def unsound_conditions(rule: Rule, specs: Sequence[Spec]) -> list[str]:
    """Return the conditions of a rule that depend on where a running total begins, by their text."""
    used = {column for column, _ in columns_reached(rule.tree)}
    answers = {
        column: answer
        for spec in specs
        if spec.running and used & set(spec.columns)
        for column, answer in zip(spec.columns, moves(spec), strict=True)
    }
    return [rule.text_of(node) for node in depending(rule.tree, answers)] if answers else []


def depending(node: Node, columns: Columns) -> Iterator[Node]:
    """Return the comparisons of a rule that could come out otherwise if a running total began elsewhere."""
    if node.op in _COMPARISONS:
        if _shared(node.arguments, columns) is None:
            yield node
    elif node.op in ("is null", "is not null") and node.arguments[0].kind == "number":
        if _moves(node.arguments[0], columns) is None:
            yield node
    else:
        for argument in node.arguments:
            yield from depending(argument, columns)


def _moves(node: Node, columns: Columns) -> Moves | None:
    """Return how a number answers to other beginnings; None: in another way than `Moves` says."""
    match node.op:
        case "column":
            answer = columns.get(str(node.value), _NOT_AT_ALL)
        case "prev" | "highest" | "lowest":
            answer = _moves(node.arguments[0], columns)
        case "greatest" | "least":
            answer = _shared(node.arguments, columns)
        case "+" | "-":
            answer = _added(node, columns)
        case "*" | "/":
            answer = _multiplied(node, columns)
        case _:
            answer = _distorted(node, columns)
    return answer


def _distorted(node: Node, columns: Columns) -> Moves | None:
    """Return how a root, a rounding and the like answer; only the size of a product stays one."""
    parts = [_moves(argument, columns) for argument in node.arguments]
    if all(part is not None and not part for part in parts):
        return _NOT_AT_ALL
    only_products = parts[0] is not None and all(kind == "product" for _, kind in parts[0])
    return parts[0] if node.op == "abs" and only_products else None


def _shared(nodes: tuple[Node, ...], columns: Columns) -> Moves | None:
    """Return how all of them answer, if they answer alike: then their order stays the same.

    A zero is alike to any product: it stays zero when it is multiplied.
    """
    answers = [_moves(node, columns) for node in nodes]
    weighty = [answer for node, answer in zip(nodes, answers, strict=True) if not _is_zero(node)]
    first = weighty[0] if weighty else _NOT_AT_ALL
    if first is None or any(other is None or not _alike(first, other) for other in weighty):
        return None
    moved_sums = any(kind == "sum" for _, kind in first)
    return None if moved_sums and len(weighty) < len(nodes) else first


def _added(node: Node, columns: Columns) -> Moves | None:
    sign = -1.0 if node.op == "-" else 1.0
    parts = [_moves(argument, columns) for argument in node.arguments]
    if len(parts) == 1:
        (only,) = parts
        return None if only is None else {t: sign * m if t[1] == "sum" else m for t, m in only.items()}
    first, second = parts
    if first is None or second is None:
        return None
    products = [{t: m for t, m in part.items() if t[1] == "product"} for part in (first, second)]
    if not _alike(*products) and not any(map(_is_zero, node.arguments)):
        return None
    sums = {t for part in (first, second) for t in part if t[1] == "sum"}
    added = {t: first.get(t, 0.0) + sign * second.get(t, 0.0) for t in sums}
    return _without_nothing({**products[0], **products[1], **added})


def _multiplied(node: Node, columns: Columns) -> Moves | None:
    first, second = (_moves(argument, columns) for argument in node.arguments)
    if first is None or second is None:
        return None
    one, other = node.arguments
    if any(kind == "sum" for _, kind in (*first, *second)):  # only a number may stretch what is known up to a constant
        factor = _number(other)
        if node.op == "*" and factor is None:
            first, factor = second, _number(one)
        if factor is None:
            return None
        factor = factor if node.op == "*" else 1 / factor
        return _without_nothing({t: m * factor if t[1] == "sum" else m for t, m in first.items()})
    sign = 1.0 if node.op == "*" else -1.0
    return _without_nothing({t: first.get(t, 0.0) + sign * second.get(t, 0.0) for t in (*first, *second)})


def _alike(first: Moves, second: Moves) -> bool:
    return all(isclose(first.get(t, 0.0), second.get(t, 0.0), abs_tol=1e-9) for t in (*first, *second))


def _without_nothing(answer: Moves) -> Moves:
    return {total: move for total, move in answer.items() if abs(move) > 1e-9}


def _number(node: Node) -> float | None:
    """Return a number as it is written, with its sign."""
    if node.op == "-" and len(node.arguments) == 1 and node.arguments[0].op == "number":
        return -float(node.arguments[0].value or 0)
    return float(node.value or 0) if node.op == "number" else None


def _is_zero(node: Node) -> bool:
    return node.op == "number" and not node.value
