"""Turns checked rule trees into the SQL that runs: nothing of it is copied from the source text.

Windows don't nest in one SELECT, so it is built in stages: each stage is a subquery that adds columns to those of the
stage under it. What is undefined (a division by zero, a root of a negative number) becomes NULL on the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.domain.rules.engine import TABLE
from mcp_server.domain.rules.tree import ARITHMETIC, MAX_STAGES, WINDOWS, Node
from mcp_server.errors import BadInput

ROW = "_row"
STRETCH = "_stretch"
_ORDER = f'ORDER BY "{ROW}"'
_IN_STRETCH = f'PARTITION BY "{STRETCH}" {_ORDER}'
_MAY_BE_UNDEFINED = (*ARITHMETIC, "ln", "sqrt")


@dataclass(frozen=True, slots=True)
class _Sql:
    """An expression over the columns of stage `stage` and those under it. `defined`: it is finite or NULL."""

    text: str
    stage: int
    defined: bool = True
    simple: bool = False


class Stages:
    """Collects expressions, and builds the one query that selects them.

    Args:
        by_stretch: rows of another `STRETCH` are of other candles: none is looked back to.
    """

    def __init__(self, *, by_stretch: bool = False) -> None:
        self._over = f"OVER ({_IN_STRETCH if by_stretch else _ORDER}"
        self._stages: list[dict[str, str]] = []
        self._names = 0

    def want(self, node: Node) -> str:
        """Return the SQL of a node, to be selected from the last stage."""
        return self._value(node).text

    def query(self, wanted: Sequence[str], tail: str = "") -> str:
        """Return the query of these expressions, one row per candle in no certain order, with `tail` at its end."""
        source = TABLE
        for stage in self._stages:
            added = "".join(f', {sql} AS "{name}"' for sql, name in stage.items())
            source = f"(SELECT *{added} FROM {source})"  # noqa: S608 - from checked trees, see above
        return f"SELECT {', '.join(wanted)} FROM {source}{tail}"  # noqa: S608 - from checked trees, see above

    def _value(self, node: Node) -> _Sql:
        """Return an operand that is finite or NULL."""
        sql = self._render(node)
        if sql.defined:
            return sql
        column = self._column(sql)
        return _Sql(f"(CASE WHEN isfinite({column.text}) THEN {column.text} END)", column.stage, simple=True)

    def _simple(self, node: Node) -> _Sql:
        """Return an operand that may be repeated, or stand inside a window."""
        sql = self._value(node)
        return sql if sql.simple else self._column(sql)

    def _column(self, sql: _Sql) -> _Sql:
        """Make an expression a column of the stage above it."""
        if sql.stage == len(self._stages):
            if sql.stage == MAX_STAGES:
                raise BadInput(f"it nests more than {MAX_STAGES} calculations in each other.", "Make it flatter.")
            self._stages.append({})
        stage = self._stages[sql.stage]
        if sql.text not in stage:
            self._names += 1
            stage[sql.text] = f"_{self._names}"
        return _Sql(_quoted(stage[sql.text]), sql.stage + 1, simple=True)

    def _render(self, node: Node) -> _Sql:
        if node.op == "column":
            return _Sql(_quoted(str(node.value)), 0, simple=True)
        if node.op == "number":
            return _Sql(f"CAST('{float(node.value or 0)!r}' AS DOUBLE)", 0, simple=True)
        if node.op == "truth":
            return _Sql("TRUE" if node.value else "FALSE", 0, simple=True)
        if node.op in WINDOWS:
            return self._window(node)
        if node.op in ("greatest", "least", "/", "%"):
            return self._guarded(node)
        parts = [self._inner(argument, node.op) for argument in node.arguments]
        defined = node.op not in _MAY_BE_UNDEFINED and all(part.defined for part in parts)
        return _Sql(_written(node, [part.text for part in parts]), _highest_stage(parts), defined)

    def _inner(self, node: Node, op: str) -> _Sql:
        """Let what is undefined pass through arithmetic, which keeps it undefined; stop it everywhere else."""
        passes = op in _MAY_BE_UNDEFINED or op in ("abs", "round", "floor", "ceil")
        return self._render(node) if passes else self._value(node)

    def _guarded(self, node: Node) -> _Sql:
        """Write what would hide an undefined operand: a division by infinity is 0, `greatest` skips NULL."""
        parts = [self._simple(argument) for argument in node.arguments]
        texts = [part.text for part in parts]
        if node.op in ("/", "%"):
            text = f"(CASE WHEN {texts[1]} <> 0 THEN {texts[0]} {node.op} {texts[1]} END)"
            return _Sql(text, _highest_stage(parts), defined=False)
        known = " AND ".join(f"{text} IS NOT NULL" for text in texts)
        return _Sql(f"(CASE WHEN {known} THEN {node.op}({', '.join(texts)}) END)", _highest_stage(parts))

    def _window(self, node: Node) -> _Sql:
        parts = [self._simple(argument) for argument in node.arguments]
        texts = [part.text for part in parts]
        if node.op == "prev":
            text = _lag(texts[0], int(node.value or 1), self._over)
        elif node.op in ("highest", "lowest"):
            text = _extreme("max" if node.op == "highest" else "min", texts[0], int(node.value or 1), self._over)
        else:
            now, before = (">", "<=") if node.op == "crosses_above" else ("<", ">=")
            earlier = [_lag(text, 1, self._over) for text in texts]
            text = f"({texts[0]} {now} {texts[1]} AND {earlier[0]} {before} {earlier[1]})"
        return self._column(_Sql(text, _highest_stage(parts)))


def filled(sql: str, node: Node) -> str:
    """Write a value that is never NULL: of a condition 1, 0, or -1 where it has none, of a number NaN there."""
    if node.kind == "condition":
        return f"ifnull(CAST({sql} AS TINYINT), -1)"
    return f"ifnull(CAST({sql} AS DOUBLE), CAST('nan' AS DOUBLE))"


def _lag(text: str, n: int, over: str) -> str:
    return f"lag({text}, {n}) {over})"


def _extreme(function: str, text: str, n: int, over: str) -> str:
    frame = f"{over} ROWS BETWEEN {n - 1} PRECEDING AND CURRENT ROW)"
    return f"(CASE WHEN count({text}) {frame} = {n} THEN {function}({text}) {frame} END)"


def _written(node: Node, parts: Sequence[str]) -> str:
    first, *rest = parts
    match node.op:
        case "and" | "or":
            written = f" {node.op.upper()} ".join(parts)
        case "is null" | "is not null":
            written = f"{first} {node.op.upper()}"
        case "between":
            written = f"{first} BETWEEN {rest[0]} AND {rest[1]}"
        case "in":
            written = f"{first} IN ({', '.join(rest)})"
        case "abs" | "round" | "floor" | "ceil" | "ln" | "sqrt":
            written = f"{node.op}({first}{'' if node.value is None else f', {node.value}'})"
        case _:
            written = f"{first} {node.op} {rest[0]}" if rest else f"{node.op} {first}"
    return f"({written})"


def _highest_stage(parts: Sequence[_Sql]) -> int:
    return max(part.stage for part in parts)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
