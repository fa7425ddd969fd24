"""Tests of the journal run on a file and on Postgres: a file of them uses `kept_in`, or is here with the reason."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILES = sorted(file for folder in ("scheduler", "storage") for file in (TESTS / folder).rglob("test_*.py"))

OPEN_A_JOURNAL = {
    *("Database", "DatabaseFile", "Journal", "NewsStore", "PostgresDatabase", "SlotStore", "journal_database"),
    *("Machine", "OutcomeHome", "RunningUp", "crash", "database_of", "enter_runs"),
    *("asked", "desk", "recorded"),
}
"""Classes, functions and fixtures by which a test has one."""

KEPT_IN = {"kept_in", "kept_for_file", "IN_POSTGRES"}

ON_ONE_ALONE = {
    "candles, which stay in the file": {
        "storage/test_candle_files.py", "storage/test_candle_index.py", "storage/test_candles.py",
    },
    "the file itself, or DuckDB; of Postgres: storage/postgres/test_database.py": {
        "storage/test_database.py", "storage/test_database_rest.py", "storage/test_full_disk.py",
        "storage/test_program_end.py", "storage/test_turns.py",
    },
    "the copy in DuckDB that every question is asked of; questions to Postgres: storage/postgres/test_chosen.py": {
        "storage/queries/test_attacks.py", "storage/queries/test_needed.py", "storage/queries/test_order.py",
        "storage/queries/test_questions.py", "storage/queries/test_tables.py", "storage/queries/test_waiting.py",
    },
    "a server of Postgres of its own, with roles or TLS": {
        "storage/postgres/test_roles.py", "storage/postgres/test_tls.py",
    },
    "storms, of which each database has its own": {
        "scheduler/test_crash_harness.py", "scheduler/test_crash_shared.py",
    },
    "what enters nothing: imports, folders, the tool server": {
        "scheduler/test_at_rest.py", "scheduler/test_strategy_watch.py", "scheduler/test_supervisor.py",
        "storage/test_strategies.py",
    },
}  # fmt: skip


def names(file: Path) -> set[str]:
    """Return what a file names: imported, used, or as an argument; and what it gives to marks as text."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.alias(name=name) | ast.Name(id=name) | ast.arg(arg=name) | ast.Constant(value=str(name)):
                found.add(name)
    return found


def test_a_file_of_tests_that_opens_a_journal_runs_on_both_databases_or_says_why_not() -> None:
    alone = {
        file.relative_to(TESTS).as_posix()
        for file in FILES
        if (named := names(file)) & OPEN_A_JOURNAL and not named & KEPT_IN
    }
    listed = set().union(*ON_ONE_ALONE.values())
    assert alone - listed == set(), "let the fixture `kept_in` say where its journals are, or add it here"
    assert listed - alone == set(), "is to go from the list"
