"""Values go to a database as parameters: whatever a statement is composed of stands in the code.

The first argument of each `execute` is followed back to constants, which are made before there are values. What cannot
be is listed here, with what makes it safe, so that a new place is looked at.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [file for package in ("mcp_server", "runner") for file in sorted((ROOT / package).rglob("*.py"))]
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
NUMBERS = {"len", "round", "int", "float"}
ITS_ARGUMENTS = {"enumerate", "sorted", "list", "unnested", "answered_by", "encode", "join", "format", "items"}
"""A call of one of these is safe where its arguments are, and the object of a method is."""

LOOKED_AT = {
    "mcp_server/domain/rules/engine.py": "rules are built anew from a checked tree, in a database in memory",
    "mcp_server/storage/queries/answer.py": "questions are built anew from a checked tree, in a database in memory",
    "mcp_server/storage/queries/snapshot.py": "names of tables and columns that a checked tree has, which we know",
    "mcp_server/storage/journal/copying.py": "names of tables and columns that the schema has",
    "mcp_server/storage/rewritten.py": "quoted names of tables that the file has, and the quoted path of ours",
    "mcp_server/storage/database_file.py": "the quoted path of the file; DuckDB has no parameter for it",
    "mcp_server/storage/candles/sheet.py": "quoted names of columns, of which each is read as text, in memory",
    "mcp_server/storage/schema.py": "migrations, which are files of the package",
    "mcp_server/storage/postgres/schema.py": "migrations, which are files of the package",
    "mcp_server/storage/postgres/database.py": "numbers of ours: SET takes no parameter",
    "mcp_server/storage/postgres/connection.py": "hands on what it is given",
    "runner/doctor/facts.py": "names of tables that we know",
}

Values = Mapping[str, list[ast.expr | None]]


class Module:
    """What the statements of a module are made of. In a function, its own names count before the module's."""

    def __init__(self, file: Path) -> None:
        tree = ast.parse(file.read_text("utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        self._calls = {  # an inner function comes later, and takes its calls from the one that it is in
            node: scope for scope in [tree, *functions] for node in ast.walk(scope) if isinstance(node, ast.Call)
        }
        self._callers: dict[ast.expr | None, ast.AST] = {}
        of_module = self._values(tree, set(functions))
        own = [(function, self._values(function, set())) for function in functions]
        self._scopes: list[tuple[ast.AST, Values]] = [(function, {**of_module, **values}) for function, values in own]
        self._scopes.append((tree, of_module))
        self._by_scope = {id(scope): values for scope, values in self._scopes}
        self._scope: ast.AST = tree
        self._under_way: set[tuple[int, str]] = set()

    def composed(self) -> list[str]:
        """Return what is executed and may have a value in it."""
        executed: dict[ast.expr, ast.AST] = {}
        for scope, _ in self._scopes:
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and _called(node) in ("execute", "executemany") and node.args:
                    executed.setdefault(node.args[0], scope)  # an outer function comes first, and knows all names
        found = []
        for statement, self._scope in executed.items():
            if not self.is_ours(statement):
                found.append(ast.unparse(statement))
        return found

    def _values(self, scope: ast.AST, but: Collection[ast.AST]) -> Values:  # noqa: C901 - a case for each kind of node
        """By name, what is assigned to it, or gone through by it; None: something that is not known."""
        values: dict[str, list[ast.expr | None]] = defaultdict(list)
        for node in _within(scope, but):
            match node:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        _add(values, target, value)
                case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                    _add(values, target, value)
                case ast.AnnAssign(target=target, value=value) if value is not None:
                    _add(values, target, value)
                case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
                    _add(values, target, value)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    for at, argument in enumerate(node.args.args):
                        values[argument.arg] += self._given(node.name, at, argument)
                case ast.Lambda():
                    for argument in node.args.args:
                        values[argument.arg].append(None)
        return dict(values)

    def _given(self, function: str, at: int, argument: ast.arg) -> list[ast.expr | None]:
        """Return what is given for an argument: of a private function, by the calls in this module."""
        if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "int":
            return [ast.Constant(0)]
        given: list[ast.expr | None] = []
        for call, caller in self._calls.items():
            of_partial = _called(call) == "partial" and _name(call.args[0]) == function
            if function.startswith("_") and (_called(call) == function or of_partial):
                arguments = call.args[1:] if of_partial else call.args
                place = at - isinstance(call.func, ast.Attribute)  # `self` is not among them
                by_name = [keyword.value for keyword in call.keywords if keyword.arg == argument.arg]
                values = by_name or arguments[place : place + 1] if place >= 0 else []
                self._callers |= dict.fromkeys(values, caller)
                given += values or [None]
        return given or [None]

    def is_ours(self, node: ast.AST | None) -> bool:  # noqa: C901, PLR0911, PLR0912 - a case for each kind of node
        """Return whether nothing but what stands in the code can be in it, or a number."""
        match node:
            case None:
                return False
            case ast.Constant():
                return True
            case ast.Name(id=name):
                return self._name_is_ours(name)
            case ast.Attribute(attr=name):
                return CONSTANT.fullmatch(name) is not None
            case ast.BinOp(op=ast.Mult(), left=ast.Constant()):
                return True
            case ast.Call(func=ast.Name(id=name)) if name in NUMBERS:
                return True
            case ast.Call(func=ast.Name(id=name), args=args) if name in ITS_ARGUMENTS:
                return all(map(self.is_ours, args))
            case ast.Call(func=ast.Attribute(attr=name, value=value), args=args, keywords=keywords):
                parts = [value, *args, *(keyword.value for keyword in keywords)]
                return name in ITS_ARGUMENTS and all(map(self.is_ours, parts))
            case ast.GeneratorExp(elt=part) | ast.ListComp(elt=part) | ast.SetComp(elt=part):
                return self.is_ours(part)
            case ast.DictComp(value=part):
                return self.is_ours(part)
            case ast.IfExp(body=one, orelse=other):
                return self.is_ours(one) and self.is_ours(other)
            case ast.Dict(keys=keys, values=values):
                return all(map(self.is_ours, [*keys, *values]))
            case ast.Subscript(value=value) | ast.Starred(value=value) | ast.FormattedValue(value=value):
                return self.is_ours(value)
            case ast.JoinedStr(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return all(map(self.is_ours, parts))
            case ast.BinOp(left=left, right=right):
                return self.is_ours(left) and self.is_ours(right)
            case _:
                return False

    def _name_is_ours(self, name: str) -> bool:
        scope, key = self._scope, (id(self._scope), name)
        if CONSTANT.fullmatch(name) or key in self._under_way:
            return True
        self._under_way.add(key)
        try:
            return all(map(self._is_ours_where_it_stands, self._by_scope[id(scope)].get(name, [None])))
        finally:
            self._under_way.discard(key)
            self._scope = scope

    def _is_ours_where_it_stands(self, node: ast.expr | None) -> bool:
        """Return whether a value is ours: what a caller gives has the names of the caller."""
        scope = self._scope
        self._scope = self._callers.get(node, scope)
        try:
            return self.is_ours(node)
        finally:
            self._scope = scope


def _within(scope: ast.AST, but: Collection[ast.AST]) -> Iterator[ast.AST]:
    yield scope
    for node in ast.iter_child_nodes(scope):
        if node not in but:
            yield from _within(node, but)


def _add(values: dict[str, list[ast.expr | None]], target: ast.expr, value: ast.expr) -> None:
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            values[node.id].append(value)


def _called(call: ast.Call) -> str:
    return _name(call.func)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def composed(file: Path) -> list[str]:
    """Return the statements of a file that may have a value in them."""
    return Module(file).composed() if "execute" in file.read_text("utf-8") else []


def test_no_statement_is_composed_of_values() -> None:
    found = {str(file.relative_to(ROOT)): statements for file in FILES if (statements := composed(file))}
    new = {file: statements for file, statements in found.items() if file not in LOOKED_AT}
    assert not new, "give values as parameters, or say in LOOKED_AT what makes them safe"
    assert found.keys() == LOOKED_AT.keys(), "what is in LOOKED_AT and composes nothing is to go"


COMPOSED = [
    '_g(c, name)\ndef _g(c, name):\n    c.execute(f"SELECT {name}")',
    'c.execute(f"SELECT 1 WHERE name = {name}")',
    'c.execute("SELECT 1 WHERE name = \'" + name + "\'")',
    'c.execute("SELECT 1 WHERE name = %s" % name)',
    'c.execute("SELECT 1 WHERE name = {}".format(name))',
    'query = f"SELECT {self.name}"; c.execute(query)',
    'c.execute("SELECT " + ", ".join(f"\'{row}\'" for row in rows(name)))',
    "c.execute(name)",
]


@pytest.mark.parametrize("code", COMPOSED)
def test_a_composed_statement_is_noticed(code: str, tmp_path: Path) -> None:
    file = tmp_path / "composes.py"
    file.write_text(f"def f(self, c, name):\n    {code}\n")
    assert composed(file)


def test_names_of_the_code_and_places_of_parameters_are_no_values(tmp_path: Path) -> None:
    file = tmp_path / "ours.py"
    file.write_text(
        "_COLUMNS = ('a', 'b')\n"
        "def f(c, rows, limit: int):\n"
        "    places = ', '.join(['(?, ?)'] * len(rows)) if rows else '(1, 2)'\n"
        "    query = f\"INSERT INTO t ({', '.join(_COLUMNS)}) VALUES {places} LIMIT {limit}\"\n"
        "    c.execute(query, rows)\n"
    )
    assert composed(file) == []


def test_which_locks_are_held_in_postgres_is_asked_in_one_place() -> None:
    asking = [file.relative_to(ROOT).as_posix() for file in FILES if "pg_locks" in file.read_text("utf-8")]
    assert asking == ["mcp_server/storage/postgres/locks.py"]
