"""The runners of a journal in Postgres: a row for each, which counts as long as its sign of life is shown."""

import json
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mcp_server.storage.journal.runner_note import RunnerNote
from mcp_server.storage.postgres.locks import HELD, number_in

if TYPE_CHECKING:
    from mcp_server.storage.sql import JournalDatabase, SqlConnection

_ALIVE = f"{number_in('key')} IN {HELD}"


def exchanged(database: "JournalDatabase", own: RunnerNote) -> list[RunnerNote]:
    """Note what a runner has, where that is not noted yet; return the same of all runners that are alive.

    Args:
        database: where the journal is.
        own: of the runner that asks. What others are to see of it, they see from now on.
    """
    notes = database.read(_living)
    if own not in notes:
        database.write(partial(_note, own))
    return [own, *(note for note in notes if note.key != own.key)]


def scheduled_elsewhere(key: str, names: Collection[str], connection: "SqlConnection") -> frozenset[str]:
    """Note that the runner of a key lacks strategies; return those that another one, which is alive, has scheduled.

    Writes take turns: of runners that lose a strategy at once, the last one finds nobody who has it.
    """
    notes = {note.key: note for note in _living(connection)}
    if (own := notes.pop(key, None)) is not None:
        left = {name: state for name, state in own.strategies.items() if name not in names}
        _note(replace(own, strategies=left), connection)
    scheduled = ((name, status) for note in notes.values() for name, (_, status) in note.strategies.items())
    return frozenset(name for name, status in scheduled if status == "active" and name in names)


def _living(connection: "SqlConnection") -> list[RunnerNote]:
    query = f"SELECT key, place, program, strategies FROM runners WHERE {_ALIVE} ORDER BY place, key"  # noqa: S608 - ours
    return [
        RunnerNote(key, place, program, {name: (version, status) for name, (version, status) in _read(strategies)})
        for key, place, program, strategies in connection.execute(query).fetchall()
    ]


def _read(strategies: str) -> list[tuple[str, tuple[str, str]]]:
    return [*json.loads(strategies).items()]


def _note(own: RunnerNote, connection: "SqlConnection") -> None:
    """Write a runner's row anew, and remove those of runners that are gone."""
    connection.execute(f"DELETE FROM runners WHERE key = ? OR NOT ({_ALIVE})", [own.key])  # noqa: S608 - ours
    connection.execute(
        "INSERT INTO runners (key, place, program, strategies) VALUES (?, ?, ?, CAST(? AS JSON))",
        [own.key, own.place, own.program, json.dumps(own.strategies)],
    )
