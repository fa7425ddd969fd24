"""Which rights a runner's role lacks, as docs/guides/scaling.md lists them."""

from mcp_server.storage.postgres.schema import made_names
from mcp_server.storage.sql import SqlConnection

OWNERS = ("schema_migrations", "journal_place")
"""Tables that their owner alone changes."""

EMPTIED = ("executions", "runners")
"""Tables of which rows go."""

_LACKING = """
SELECT kind, relname FROM (
    SELECT kind, relname, CASE
        WHEN relkind = 'S' THEN kind = 'USAGE' AND NOT has_sequence_privilege(c.oid, 'USAGE')
        WHEN kind = 'USAGE' OR relname = ANY(CAST($2 AS VARCHAR[])) THEN false
        WHEN kind = 'DELETE' AND NOT relname = ANY(CAST($3 AS VARCHAR[])) THEN false
        ELSE NOT has_table_privilege(c.oid, kind) END AS lacks
    FROM pg_class c, unnest(CAST(ARRAY['INSERT', 'UPDATE', 'DELETE', 'USAGE'] AS TEXT[])) AS kinds (kind)
    WHERE relkind IN ('r', 'S') AND relname = ANY(CAST($1 AS VARCHAR[])) AND pg_table_is_visible(c.oid)
) AS rights WHERE lacks ORDER BY relname, kind
"""


def lacking_rights(connection: SqlConnection) -> list[str]:
    """Return what the role of this connection may not do, though a runner does: `INSERT on executions`."""
    asked = [sorted(made_names()), list(OWNERS), list(EMPTIED)]
    return [f"{kind} on {name}" for kind, name in connection.execute(_LACKING, asked).fetchall()]
