"""The advisory locks that show who is alive: one number each, whose first 16 bits say that the lock is ours.

So another program's locks in the same database count for nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.storage.sql import SqlConnection

OURS = 0x4354
"""The first 16 bits of the number of each lock; those of the turn of writes are 0."""

_REST_BITS = 48
_FIRST, _REST = OURS << _REST_BITS, (1 << _REST_BITS) - 1
_DIGITS = _REST_BITS // 4

_LOCKS = (
    "(SELECT pid, (CAST(classid AS BIGINT) << 32) | CAST(objid AS BIGINT) AS number FROM pg_locks "  # noqa: S608 - ours
    "WHERE locktype = 'advisory' AND objsubid = 1 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    f"AND CAST(classid AS BIGINT) >> 16 = {OURS})"
)

HELD = f"(SELECT number FROM {_LOCKS} AS locks)"  # noqa: S608 - ours
"""SQL: the numbers of the locks that somebody holds now."""

_OTHERS = f"SELECT count(DISTINCT pid) FROM {_LOCKS} AS locks WHERE pid <> pg_backend_pid()"  # noqa: S608 - ours
_NAMED = (
    f"SELECT {_FIRST} | ({_REST} & hashtextextended(coalesce(current_schema(), '') || '.' || CAST(? AS VARCHAR), 0))"
)


def lock_of(key: str) -> int:
    """Return the number of the lock that belongs to a key: to its first 12 hex digits."""
    return _FIRST | int(key[:_DIGITS], 16)


def number_in(column: str) -> str:
    """Return SQL of the number of the lock that belongs to the key in a column."""
    return f"({_FIRST} | CAST(CAST('x' || substr({column}, 1, {_DIGITS}) AS BIT({_REST_BITS})) AS BIGINT))"


def lock_of_name(connection: "SqlConnection", name: str) -> int:
    """Return the number of the lock of a name: another one in each schema, as each may have a journal."""
    row = connection.execute(_NAMED, [name]).fetchone()
    return int(row[0]) if row else 0


def others_alive(connection: "SqlConnection") -> int:
    """Return how many other sessions show that their process is alive."""
    row = connection.execute(_OTHERS).fetchone()
    return int(row[0]) if row else 0
