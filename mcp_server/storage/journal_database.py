"""Where a home's journal is kept: in the home's file, which holds candles too, or in a Postgres that machines share."""

from typing import TYPE_CHECKING

from mcp_server.storage.database import Database
from mcp_server.storage.database_file import PATIENCE_S

if TYPE_CHECKING:
    from pydantic import SecretStr

    from mcp_server.storage.sql import JournalDatabase


def journal_database(file: Database, url: "SecretStr | None", *, patience_s: float | None = None) -> "JournalDatabase":
    """Return what keeps the journal of a home; nothing is opened yet.

    Args:
        file: the home's own.
        url: TRADER_DATABASE_URL; None: the journal is in the file.
        patience_s: how long a transaction waits for its turn; None: as long as usual.

    Raises:
        Misconfigured: the URL leads nowhere, or what reads it is not installed.
    """
    if url is None:
        return file
    from mcp_server.storage.postgres.address import PostgresAddress
    from mcp_server.storage.postgres.database import PostgresDatabase

    address = PostgresAddress.of(url.get_secret_value())
    return PostgresDatabase(address, patience_s=PATIENCE_S if patience_s is None else patience_s)
