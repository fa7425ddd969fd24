"""The journal of a backup, where the home that it is restored into keeps its journal in Postgres."""

import hashlib
import os
from pathlib import Path
from uuid import uuid4

from mcp_server.domain.timeframes import naive
from mcp_server.storage.home import Home


def take_to_postgres(home: Path, fresh: Path, archive: Path) -> str | None:
    """Move an unpacked journal into the Postgres of TRADER_DATABASE_URL; return where it is, None if that is not set.

    Called again after it was stopped, it goes on: a journal of one archive is the same journal each time.

    Args:
        home: whose `.env` is read, too.
        fresh: the unpacked archive.
        archive: the archive itself.

    Raises:
        TraderError: the database is not empty, or cannot be used; nothing of the home has changed.
    """
    file = Home(fresh).database
    if not file.exists() or not _may_be_set(home):
        return None
    from mcp_server.storage.settings import HomeSettings

    if (url := HomeSettings.load(home).database_url) is None:
        return None
    from mcp_server.storage.database import Database
    from mcp_server.storage.journal.move import JournalMove
    from mcp_server.storage.journal.place import Place
    from mcp_server.storage.postgres.address import PostgresAddress
    from mcp_server.storage.postgres.database import PostgresDatabase

    database = PostgresDatabase(PostgresAddress.of(url.get_secret_value()))
    try:
        moving = JournalMove.of(Home(fresh), Database(file), database, "postgres")
        with archive.open("rb") as content:
            journal = hashlib.file_digest(content, "sha256").hexdigest()[:32]
        there = moving.target.place()
        arrived = there is not None and (there.journal, there.state) == (journal, "here")
        name, now = moving.target.name, naive(moving.source.database.now())
        moving.source.mark(Place(journal, uuid4().hex, "gone" if arrived else "here", "postgres", name, now))
        if not arrived:
            moving.move()
        return name
    finally:
        database.close()


def _may_be_set(home: Path) -> bool:
    """Return whether TRADER_DATABASE_URL is anywhere; most homes need no more imported than that."""
    file = home / ".env"
    written = file.read_text("utf-8", "replace") if file.is_file() else ""
    return "TRADER_DATABASE_URL" in "\n".join([*os.environ, written]).upper()
