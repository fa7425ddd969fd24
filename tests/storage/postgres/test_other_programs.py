"""A journal in a database that other programs use, too: their tables stay as they are, and are not taken for ours."""

from contextlib import closing

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from mcp_server.errors import Misconfigured
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from tests.rigs.journal_databases import IN_POSTGRES, postgres_url

pytestmark = IN_POSTGRES

OTHERS = [
    "CREATE TABLE executions (customer INTEGER)",
    "CREATE TABLE schema_migrations (version VARCHAR); INSERT INTO schema_migrations VALUES ('20260102030405')",
    "CREATE TABLE schema_migrations (version BIGINT, dirty BOOLEAN); INSERT INTO schema_migrations VALUES (9, false)",
]


@pytest.mark.parametrize("tables", OTHERS)
def test_a_database_with_tables_of_another_program_is_left_as_it_is(tables: str) -> None:
    url = postgres_url(migrated=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(tables)
    database = PostgresDatabase(PostgresAddress.of(url))
    for use in (lambda: database.read(lambda c: None), database.untouched):
        with pytest.raises(Misconfigured, match=f"belongs to another program: it has '{tables.split()[2]}'") as raised:
            use()
        assert "an empty database" in raised.value.remedy
    with psycopg.connect(url) as connection:
        present = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert present == [(1,)]


@pytest.mark.parametrize("tables", OTHERS)
def test_a_journal_with_its_own_schema_minds_no_tables_further_down_the_search_path(tables: str) -> None:
    url = postgres_url(migrated=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA trader")  # the role's own name: Postgres looks there first
        connection.execute(f"SET search_path = public; {tables}")
    for _ in range(2):  # one makes it, another finds it
        with closing(PostgresDatabase(PostgresAddress.of(url))) as database:
            assert database.read(lambda c: c.execute("SELECT count(id) FROM executions").fetchone()) == (0,)
    with psycopg.connect(url) as connection:
        kept = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert kept == [(1,)]


def test_a_journal_is_found_further_down_the_search_path(database: PostgresDatabase) -> None:
    with psycopg.connect(make_conninfo("", **database.address.parameters), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA trader")
    with closing(PostgresDatabase(database.address)) as other:
        assert not other.untouched()
