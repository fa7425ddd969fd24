"""What would be done again for each test with the same result is done once in each process.

A new database begins as a copy of one that was migrated, and a schema that was found to be valid is not checked again.
The tests of the storage itself migrate each of theirs (`migrating_each`).
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from mcp_server.storage.database import Database
from mcp_server.storage.database_file import DatabaseFile

_connect, _check_schema = DatabaseFile.connect, Draft202012Validator.check_schema
_valid: set[str] = set()


def do_once() -> None:
    """Let it be so in this process, and in those that are forked from it."""
    _migrated()
    DatabaseFile.connect = _connect_to_copy  # type: ignore[method-assign]
    Draft202012Validator.check_schema = _check_once


@contextmanager
def migrating_each() -> Iterator[None]:
    """Make new databases as the program does."""
    before = DatabaseFile.connect
    DatabaseFile.connect = _connect  # type: ignore[method-assign]
    try:
        yield
    finally:
        DatabaseFile.connect = before  # type: ignore[method-assign]


def _check_once(schema: Any, *arguments: Any, **options: Any) -> None:
    text = json.dumps(schema)
    if text not in _valid:
        _check_schema(schema, *arguments, **options)
        _valid.add(text)


def _connect_to_copy(self: DatabaseFile, *, read_only: bool) -> Any:
    if not read_only and not os.path.lexists(self.path):
        with suppress(OSError):  # then the program meets what is in the way
            _place(self.path)
    return _connect(self, read_only=read_only)


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
        with tempfile.TemporaryDirectory() as folder, migrating_each():
            database = Database(Path(folder) / "new.duckdb")
            database.write(lambda connection: connection.execute("SELECT 1"))
            return database.path.read_bytes()
    finally:
        tempfile.tempdir = before  # else what is forked from here would not heed its own TMPDIR
