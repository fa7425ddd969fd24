"""The runners of a journal in Postgres: a row for each, which counts as long as its sign of life is shown."""

import json
from functools import partial
from typing import TYPE_CHECKING

from mcp_server.storage.journal.runner_note import RunnerNote

if TYPE_CHECKING:
    from mcp_server.storage.sql import JournalDatabase, SqlConnection

_OTHERS = (
    "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid() "
    "AND ((CAST(classid AS BIGINT) << 32) | CAST(objid AS BIGINT)) <> ?"
)


def exchanged(database: "JournalDatabase", own: RunnerNote, alive: str) -> list[RunnerNote]:
    """Note what a runner has, where that is not noted yet; return the same of all runners that are alive.

    Args:
        database: where the journal is.
        own: of the runner that asks. What others are to see of it, they see from now on.
        alive: SQL that tells of the column `key` whether that sign of life is shown now.
    """
    notes = database.read(partial(_living, alive))
    if own not in notes:
        database.write(partial(_note, own, alive))
    return [own, *(note for note in notes if note.key != own.key)]


def _living(alive: str, connection: "SqlConnection") -> list[RunnerNote]:
    query = f"SELECT key, place, program, strategies FROM runners WHERE {alive} ORDER BY place, key"  # noqa: S608 - ours
    return [
        RunnerNote(key, place, program, {name: (version, status) for name, (version, status) in _read(strategies)})
        for key, place, program, strategies in connection.execute(query).fetchall()
    ]


def _read(strategies: str) -> list[tuple[str, tuple[str, str]]]:
    return [*json.loads(strategies).items()]


def _note(own: RunnerNote, alive: str, connection: "SqlConnection") -> None:
    """Write a runner's row anew, and remove those of runners that are gone."""
    connection.execute(f"DELETE FROM runners WHERE key = ? OR NOT ({alive})", [own.key])  # noqa: S608 - ours
    connection.execute(
        "INSERT INTO runners (key, place, program, strategies) VALUES (?, ?, ?, CAST(? AS JSON))",
        [own.key, own.place, own.program, json.dumps(own.strategies)],
    )


def others_alive(but: int, connection: "SqlConnection") -> int:
    """Return how many other sessions show that their process is alive: they hold a lock, `but` for this one."""
    row = connection.execute(_OTHERS, [but]).fetchone()
    return int(row[0]) if row else 0
