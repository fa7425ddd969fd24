"""A database of its own for each test, on the Postgres that the tests of this process share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.storage.postgres.database import PostgresDatabase
from tests.rigs.journal_databases import journal_database, kept_in

__all__ = ["kept_in"]


@pytest.fixture
def database(home: Path) -> Iterator[PostgresDatabase]:
    """Return an empty journal in Postgres; the marks of a module say `IN_POSTGRES`."""
    made: PostgresDatabase = journal_database(home, patience_s=0.5)
    yield made
    made.close()
