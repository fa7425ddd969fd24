"""Checks a query on its parse tree, and writes the SQL that runs from that tree: nothing of the text itself runs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.timeframes import naive
from mcp_server.errors import BadInput, NotFound
from mcp_server.storage.queries.functions import (
    ALLOWED,
    MOMENT,
    NO_COLUMNS,
    PRESENT_COLUMNS,
    TABLE_FUNCTIONS,
)
from mcp_server.storage.queries.tables import COLUMNS_TABLE, TABLES, listed

if TYPE_CHECKING:
    import duckdb

_CLASSES = """
BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA LAMBDA_REF OPERATOR
POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW
"""
_TYPES = """
ASCENDING BASE_TABLE CTE_NODE DESCENDING DISTINCT_MODIFIER EMPTY EXPRESSION_LIST JOIN LIMIT_MODIFIER
LIMIT_PERCENT_MODIFIER ORDER_DEFAULT ORDER_MODIFIER PIVOT RECURSIVE_CTE_NODE SELECT_NODE SET_OPERATION_NODE
SUBQUERY TABLE_FUNCTION
"""
_EXPRESSIONS, _NODES = frozenset(_CLASSES.split()), frozenset(_TYPES.split())


@dataclass(frozen=True, slots=True)
class CheckedQuery:
    """A query that may run: its SQL, the tables of the journal that it reads, and the columns that it mentions.

    `columns` is None where it may read every column, as with `*`.
    """

    sql: str
    tables: frozenset[str]
    columns: frozenset[str] | None


def check(connection: "duckdb.DuckDBPyConnection", text: str, moment: datetime) -> CheckedQuery:
    """Check a query: one SELECT over the described tables, with functions that only compute.

    Args:
        connection: a database, used to parse; nothing is run.
        text: the query.
        moment: what `now()` is.

    Raises:
        BadInput: with what was found and what is allowed.
    """
    try:
        tree = _parsed(connection, text)
        seen = _Seen(connection, moment, frozenset(_named(tree)))
        tree["statements"] = seen.rewritten(tree["statements"])
        rows = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchall()
    except RecursionError:
        raise BadInput("The query nests too deeply.", "Flatten it.") from None
    return CheckedQuery(str(rows[0][0]), frozenset(seen.tables), seen.columns)


def _parsed(connection: "duckdb.DuckDBPyConnection", text: str) -> dict[str, Any]:
    rows = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchall()
    tree: dict[str, Any] = json.loads(rows[0][0])
    if tree["error"]:
        message = str(tree["error_message"])
        if "Only SELECT" in message:
            problem = "Only SELECT is answered: nothing can be changed, set, loaded or attached."
            raise BadInput(problem, "Write one SELECT.")
        raise BadInput(f"The query cannot be parsed: {message.splitlines()[0]}.", "Write DuckDB's SQL.")
    if len(tree["statements"]) != 1:
        raise BadInput(f"Found {len(tree['statements'])} statements.", "Write one SELECT, and nothing after it.")
    if tree["statements"][0]["named_param_map"]:
        raise BadInput("Parameters are not allowed.", "Write the value itself.")
    return tree


def _named(raw: Any) -> Iterator[str]:
    """Yield the name of every common table expression, in lower case."""
    if isinstance(raw, Mapping):
        for entry in raw["map"] if isinstance(raw.get("map"), list) else ():
            yield str(entry["key"]).lower()
        if isinstance(raw.get("cte_name"), str):
            yield raw["cte_name"].lower()
    for child in raw.values() if isinstance(raw, Mapping) else raw if isinstance(raw, list) else ():
        yield from _named(child)


class _Seen:
    """Walks through a parse tree: refuses what is not allowed, and writes the moment in the place of `now()`."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", moment: datetime, named: frozenset[str]) -> None:
        self._named = named
        self._present = {kind: _literal(connection, kind, naive(moment)) for kind in {*MOMENT.values()}}
        self.tables: set[str] = set()
        self._names: set[str] = set()
        self._unqualified: set[str] = set()
        self._table_names: set[str] = set()
        self._all_columns = False

    @property
    def columns(self) -> frozenset[str] | None:
        """The names of columns that are mentioned, or None where every column may be read."""
        whole_rows = self._unqualified & self._table_names  # as in `SELECT e FROM executions e`
        return None if self._all_columns or whole_rows else frozenset(self._names)

    def rewritten(self, raw: Any) -> Any:
        """Return a part of the tree as it may run."""
        if isinstance(raw, list):
            return [self.rewritten(item) for item in raw]
        if not isinstance(raw, dict):
            return raw
        if present := self._moment(raw):
            return {**present, "alias": raw["alias"] or self._called(raw)}
        self._check(raw)
        if raw.get("type") == "TABLE_FUNCTION":
            called = {**raw["function"], "arguments": self.rewritten(raw["function"]["arguments"])}
            rest = {key: value for key, value in raw.items() if key != "function"}
            return {**self.rewritten({**rest, "type": "EMPTY"}), "type": "TABLE_FUNCTION", "function": called}
        return {key: self.rewritten(value) for key, value in raw.items()}

    def _check(self, raw: dict[str, Any]) -> None:
        if kind := raw.get("class"):
            if kind not in _EXPRESSIONS:
                raise BadInput(f"{str(kind).replace('_', ' ')} is not allowed in a query of the journal.")
            self._check_expression(raw, kind)
        elif isinstance(kind := raw.get("type"), str):
            if kind not in _NODES:
                raise _no_node(kind)
            if kind == "BASE_TABLE":
                self._check_table(raw)
            elif kind == "TABLE_FUNCTION":
                self._check_function(raw["function"], TABLE_FUNCTIONS)
            elif kind == "PIVOT" or raw.get("ref_type") == "NATURAL":  # by columns that it does not mention
                self._all_columns = True
        self._names.update(str(name).lower() for name in raw.get("using_columns") or ())

    def _check_expression(self, raw: dict[str, Any], kind: str) -> None:
        if kind in ("FUNCTION", "WINDOW"):
            self._check_function(raw, ALLOWED)
        elif kind in ("STAR", "POSITIONAL_REFERENCE"):
            self._all_columns = True
        elif kind == "COLUMN_REF":
            names = [str(name).lower() for name in raw["column_names"]]
            if len(names) == 1 and names[0] in NO_COLUMNS:
                raise BadInput(
                    f"{names[0]} is not allowed: it is not in the journal.", "now() is the moment asked for."
                )
            self._names.update(names)
            self._unqualified.update(names[1:] or names)
        elif kind == "TYPE" and (raw["schema"] or raw["catalog"]):
            raise BadInput("A type has a schema before it.", "Write the type alone.")

    def _check_table(self, raw: dict[str, Any]) -> None:
        name = str(raw["table_name"]).lower()
        if raw["schema_name"] or raw["catalog_name"] or len(raw["qualified_name"]["path"]) != 1:
            raise BadInput(
                f"The table {name!r} has a schema before it.", f"Write its name alone. The tables are:\n{listed()}"
            )
        if raw["at_clause"]:
            raise BadInput("AT is not allowed: the journal keeps no earlier versions of itself.", "Leave AT out.")
        self._table_names |= {name, str(raw["alias"]).lower()}
        self._all_columns |= bool(raw["column_name_alias"])  # new names, by their places
        if name in TABLES or name == COLUMNS_TABLE:
            self.tables.add(name)
        elif name not in self._named:
            raise NotFound(
                f"Unknown table {name!r}.", f"{nearest(name, [*TABLES, *self._named])} They are:\n{listed()}"
            )

    def _check_function(self, raw: dict[str, Any], allowed: frozenset[str]) -> None:
        name = str(raw["function_name"]).lower()
        if raw["schema"] or raw["catalog"] or name not in allowed:
            hint = nearest(name, allowed)
            where = "in FROM" if allowed is TABLE_FUNCTIONS else "in a query of the journal"
            raise BadInput(
                f"Function {name!r} is not allowed {where}: only functions that compute are.",
                hint if len(hint) < 99 else "",
            )

    def _moment(self, raw: dict[str, Any]) -> dict[str, Any] | None:
        name = self._called(raw)
        if raw.get("class") == "COLUMN_REF":
            return self._present[MOMENT[name]] if name in PRESENT_COLUMNS else None
        if raw.get("class") != "FUNCTION" or name not in MOMENT or raw["schema"] or raw["arguments"]:
            return None
        return self._present[MOMENT[name]]

    @staticmethod
    def _called(raw: dict[str, Any]) -> str:
        """Return what an expression calls or names, where that is one word."""
        names = raw.get("column_names", [raw.get("function_name")])
        return str(names[0]).lower() if len(names) == 1 else ""


def _literal(connection: "duckdb.DuckDBPyConnection", kind: str, moment: datetime) -> dict[str, Any]:
    tree = _parsed(connection, f"SELECT CAST('{moment.isoformat(' ')}' AS {kind})")
    expression: dict[str, Any] = tree["statements"][0]["node"]["select_list"][0]
    return expression


def _no_node(kind: str) -> BadInput:
    if kind == "SHOW_REF":
        return BadInput(
            "DESCRIBE, SHOW and SUMMARIZE are not answered.", f"The table {COLUMNS_TABLE} explains all columns."
        )
    return BadInput(f"{kind.replace('_', ' ')} is not allowed in a query of the journal.")
