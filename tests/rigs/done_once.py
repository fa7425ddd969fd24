"""What would be done again for each test with the same result is done once in each process.

A new database begins as a copy of one that was migrated; the DuckDB of one that was closed serves the next. A schema
that was found to be valid is not checked again, and in an answer no value that may be anything is looked at. What a
prompt or a resource takes is looked up once, and not for each server; what the simulated market answers follows from
the question, and is made up once. The trusted certificates are read once, and not for each client of HTTP, which takes
25 ms of a core. The agent CLI compiles and collects nothing in its second of life. The tests of databases themselves
migrate each (`migrating_each`).
"""

import atexit
import json
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any, cast

import duckdb
import httpx2._transports.default as http_transports
from jsonschema import Draft202012Validator, ValidationError
from mcp.server.mcpserver.prompts import base as prompts
from mcp.server.mcpserver.resources import templates
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata, func_metadata

from mcp_server import app
from mcp_server.adapters.simulated import path
from mcp_server.storage.database import Database
from mcp_server.storage.database_file import DatabaseFile
from runner.claude import session

_connect, _detach, _made = DatabaseFile.connect, DatabaseFile._detach, path._made
_check_schema = Draft202012Validator.check_schema
_create_ssl_context: Callable[..., ssl.SSLContext] = http_transports.create_ssl_context  # type: ignore[attr-defined]
_check_items = Draft202012Validator.VALIDATORS["items"]
_ANYTHING: tuple[Any, ...] = ({}, {"minLength": 0})
_valid: set[str] = set()
_taken: dict[CodeType, FuncMetadata] = {}
_left: list[tuple[int, duckdb.DuckDBPyConnection]] = []
"""Each was of a `DatabaseFile` that was closed, in the process of this id: to start one takes 16 ms of a core.

One that a forked process inherits lacks its threads, and would break that process.
"""

SHARED = "SHARED_BY_TESTS"
"""The environment variable with the folder that all processes of a run of the tests share."""

MOST_MADE = 64
"""So many answers of the simulated market are kept: with a present that stands still, most questions come again."""

CLI_OF_TESTS = {"BUN_JSC_useJIT": "0", "BUN_JSC_useGC": "0"}


@cache
def shared_folder() -> Path:
    """Return where what is made once is kept: a folder of this process, unless SHARED names one for all processes."""
    if shared := os.environ.get(SHARED):
        return Path(shared)
    folder = tempfile.TemporaryDirectory(prefix="shared-by-tests-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def do_once() -> None:
    """Let it be so in this process, and in those that are forked from it."""
    _migrated()
    DatabaseFile.connect, DatabaseFile._detach = _connect_to_copy, _detach_and_leave  # type: ignore[method-assign]
    Draft202012Validator.check_schema = _check_once
    for module in (prompts, templates):
        vars(module)["func_metadata"] = _look_up_once
    vars(app)["version"] = cache(version)  # it is read from a file
    vars(path)["_made"] = lru_cache(MOST_MADE)(_made)
    http_transports.create_ssl_context = _trust_once  # type: ignore[attr-defined]
    Draft202012Validator.VALIDATORS["items"] = _check_items_unless_any
    cast(dict[str, str], session.CLI_SETTINGS).update(CLI_OF_TESTS)


@contextmanager
def migrating_each() -> Iterator[None]:
    """Make new databases as the program does."""
    with _opening_by(_connect_by_another, _detach):
        yield


def starting_each() -> AbstractContextManager[None]:
    """Start DuckDB, and make new databases, as the program does."""
    return _opening_by(_connect, _detach)


@contextmanager
def _opening_by(connect: Any, detach: Any) -> Iterator[None]:
    before = DatabaseFile.connect, DatabaseFile._detach
    DatabaseFile.connect, DatabaseFile._detach = connect, detach  # type: ignore[method-assign]
    try:
        yield
    finally:
        DatabaseFile.connect, DatabaseFile._detach = before  # type: ignore[method-assign]


def _check_once(schema: Any, *arguments: Any, **options: Any) -> None:
    text = json.dumps(schema)
    if text not in _valid:
        _check_schema(schema, *arguments, **options)
        _valid.add(text)


def _look_up_once(function: Callable[..., Any], **options: Any) -> FuncMetadata:
    """Return what a function takes, and its schema: each server has functions of its own, by the same lines."""
    if function.__code__ not in _taken:
        taken = _taken[function.__code__] = func_metadata(function, **options)
        taken.arg_model.model_json_schema = cache(taken.arg_model.model_json_schema)  # type: ignore
    return _taken[function.__code__]


def _trust_once(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    others = trust_env and os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}
    return _create_ssl_context(verify, cert, trust_env) if verify is not True or cert or others else trusted()


@cache
def trusted() -> ssl.SSLContext:
    """Return what clients of HTTP trust that are told nothing else."""
    return _create_ssl_context()


def _check_items_unless_any(validator: Any, kind: Any, rows: Any, schema: Any) -> Iterator[ValidationError]:
    """Check the items of a list as jsonschema does, but what may be anything at once, and the rows of a table."""
    table = isinstance(kind, dict) and kind.keys() == {"type", "items"} and kind["items"] in _ANYTHING
    lists = table and kind["type"] == "array" and isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if kind not in _ANYTHING and not lists:
        yield from _check_items(validator, kind, rows, schema)


def _connect_to_copy(self: DatabaseFile, *, read_only: bool) -> Any:
    if not read_only and not os.path.lexists(self.path):
        with suppress(OSError):  # then the program meets what is in the way
            _place(self.path)
    return _connect_by_another(self, read_only=read_only)


def _connect_by_another(self: DatabaseFile, *, read_only: bool) -> Any:
    usual = self._duckdb is None and self._start is None
    if usual:
        self._duckdb = _another(f"{self.path}.tmp")
    return _connect(self, read_only=read_only)


def _detach_and_leave(self: DatabaseFile, connection: duckdb.DuckDBPyConnection) -> None:
    """Leave the DuckDB to whichever file is opened next. The program's own file would keep it for ten seconds."""
    usual = self._start is None
    self._resting = usual  # so nothing waits for these seconds
    _detach(self, connection)
    if usual and self._duckdb is not None:
        _left.append((os.getpid(), self._duckdb))
        self._duckdb = None


def _another(spill: str) -> duckdb.DuckDBPyConnection | None:
    """Return a DuckDB that is left, without anything of whom it served."""
    while True:
        try:
            of, left = _left.pop()
        except IndexError:
            return None
        if of != os.getpid():
            _left.append((of, left))  # kept, as it cannot even be closed here
            return None
        with suppress(duckdb.Error):  # it was closed, or has written a temporary file
            if left.execute("SELECT count(*) FROM duckdb_databases() WHERE NOT internal").fetchone() == (1,):
                left.execute("SET temp_directory = ?", [spill])
                return left
        left.close()


def _place(path: Path) -> None:
    """Make the file at once and whole, whoever is killed meanwhile."""
    nameless = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    try:
        os.write(nameless, _migrated())
        os.link(f"/proc/self/fd/{nameless}", path, src_dir_fd=nameless)  # which makes it follow the link
    finally:
        os.close(nameless)


@cache
def _migrated() -> bytes:
    """Return the content of a new database that the program has made."""
    before = tempfile.tempdir
    try:
        with tempfile.TemporaryDirectory() as folder, _opening_by(_connect, _detach):  # what forks keeps no DuckDB
            database = Database(Path(folder) / "new.duckdb")
            database.write(lambda connection: connection.execute("SELECT 1"))
            return database.path.read_bytes()
    finally:
        tempfile.tempdir = before  # else what is forked from here would not heed its own TMPDIR
