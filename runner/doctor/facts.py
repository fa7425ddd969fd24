"""The facts: what this machine and the home look like. Nothing is changed; `findings` says what they mean."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from urllib.request import getproxies

from packaging.requirements import Requirement

from mcp_server.domain.text import cleaned, counted
from mcp_server.errors import TraderError
from mcp_server.news.feed_list import FeedList
from mcp_server.storage.database import Database
from mcp_server.storage.heartbeat import Heartbeat
from mcp_server.storage.home import Home
from mcp_server.storage.journal.liveness import is_alive
from mcp_server.storage.journal.place import left_in_file, refuse_if_moved
from mcp_server.storage.journal_database import journal_database
from mcp_server.storage.news.standing import news_standing
from mcp_server.storage.strategies.folders import ListedStrategy
from runner.doctor import findings
from runner.doctor.findings import MB, Diagnosis, HomeFacts
from runner.memory import free_mb
from runner.settings import RunnerSettings

PATIENCE_S = 1.0
"""How long the check of the database waits for another process."""

MOST_RIGHTS = 3
"""How many rights are named."""

AGENT_S = 10.0
"""How long the agent CLI may take to say its version."""


def claude_strategies(listed: Sequence[ListedStrategy]) -> list[str]:
    """Return the names of the home's strategies that Claude decides."""
    return [
        entry.name for entry in listed if not entry.example and entry.strategy and entry.strategy.engine == "claude"
    ]


def versions(claude: Sequence[str]) -> list[Diagnosis]:
    """Compare what is installed with what this package asks for."""
    requirements = [Requirement(text) for text in metadata.requires("claude-trader") or ()]
    wanted = {
        requirement.name: str(requirement.specifier)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": "claude"})
    }
    have = {name: _installed(name) for name in ("claude-trader", *wanted)}
    return findings.versions(sys.version_info[:3], wanted, have, claude)


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def home(home: Home) -> list[Diagnosis]:
    """Look at the folder, the locks of runs, and what waits in the outbox."""
    if not home.root.exists():
        return findings.home(HomeFacts(str(home.root), exists=False))
    locks = [file for file in _files(home.running) if not file.name.endswith(".lock")]
    alive = sum(is_alive(file) for file in locks)
    facts = HomeFacts(
        str(home.root),
        exists=True,
        writable=home.root.is_dir() and os.access(home.root, os.W_OK | os.X_OK),
        free_mb=shutil.disk_usage(home.root).free // MB,
        running=alive,
        killed=len(locks) - alive,
        waiting=sum(file.suffix == ".json" for file in _files(home.outbox)),
        readable_secrets=_others_can_read(home.root / ".env"),
    )
    return findings.home(facts)


def memory(*, claude: bool, root: Path = Path("/")) -> list[Diagnosis]:
    """Look how much memory is free; `claude` where a strategy needs what Claude takes."""
    free = free_mb(root)
    return findings.memory(None if free is None else int(free), claude=claude)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []


def _others_can_read(file: Path) -> bool:
    return os.name == "posix" and file.is_file() and bool(file.stat().st_mode & 0o044)


def database(home: Home, *, journal_elsewhere: bool = False) -> list[Diagnosis]:
    """Open the database and read every block of it: DuckDB verifies the checksum of each block that it reads."""
    if not home.database.exists():
        first = "candles that are fetched make" if journal_elsewhere else "run makes"
        return [Diagnosis("database", "ok", f"Not there yet; the first {first} it.")]
    import duckdb

    try:
        counts = Database(home.database).read(_read_everything, patience_s=PATIENCE_S, anyway=True)
    except duckdb.Error as error:
        problem = f"It opens, but not all of it can be read: {cleaned(str(error), 200)}"
        remedy = "Restore a backup. Or move the file aside: you lose what was recorded, and keep your strategies."
        return [Diagnosis("database", "error", problem, remedy)]
    except TraderError as error:
        return [Diagnosis("database", "error", error.problem, error.remedy)]
    size_mb = home.database.stat().st_size / MB
    runs = "" if journal_elsewhere else f"{counted(counts.get('executions', 0), 'run')}, "
    rows = f"{runs}{counted(counts.get('candles', 0), 'candle')}"
    return [Diagnosis("database", "ok", f"Opens and is intact: {rows}, {size_mb:.1f} MB.")]


def _read_everything(connection: object) -> dict[str, int]:
    execute = connection.execute  # type: ignore[attr-defined]
    names = [row[0] for row in execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()]
    counts = {}
    for name in names:
        row = execute(f'SELECT count(*), bit_xor(hash(t)) FROM "{name}" AS t').fetchone()  # noqa: S608 (our own names)
        counts[name] = int(row[0])
    return counts


def journal(home: Home, settings: RunnerSettings) -> list[Diagnosis]:
    """Ask the Postgres that has the journal, and compare its clock with this machine's; or whether the file has it."""
    if settings.database_url is None:
        if home.database.exists():
            refuse_if_moved(Database(home.database), PATIENCE_S)
        return []
    file = Database(home.database, patience_s=PATIENCE_S)
    with closing(journal_database(file, settings.database_url, patience_s=PATIENCE_S)) as kept:
        from mcp_server.storage.postgres.rights import lacking_rights

        query = "SELECT count(*) FROM executions"
        row = kept.read(lambda connection: connection.execute(query).fetchone())
        if (wrong := kept.problem()) is not None:
            return [Diagnosis("journal", "warning", wrong)]
        runs = int(row[0]) if row else 0
        left = None if runs else left_in_file(kept, file)
        return judged_journal(runs, kept.read(lacking_rights), left)


def judged_journal(runs: int, lacking: Sequence[str], left: TraderError | None) -> list[Diagnosis]:
    """Judge a journal in Postgres.

    Args:
        runs: how many it has.
        lacking: rights that a runner needs and the role has not.
        left: tells of runs that were left in the home's file.
    """
    problems = [Diagnosis("journal", "warning", left.problem, left.remedy)] if left else []
    if lacking:
        more = f" and {len(lacking) - MOST_RIGHTS} more" if len(lacking) > MOST_RIGHTS else ""
        rights = f"{', '.join(lacking[:MOST_RIGHTS])}{more}"
        problem = f"The role of TRADER_DATABASE_URL can read it, and `run` and `up` cannot record: it lacks {rights}."
        remedy = "Grant it to that role: docs/guides/scaling.md lists what a runner needs. To look, it is enough."
        problems.append(Diagnosis("journal", "warning", problem, remedy))
    fine = f"The Postgres of TRADER_DATABASE_URL has it: {runs:,} runs."
    return problems or [Diagnosis("journal", "ok", fine)]


def news(home: Home, settings: RunnerSettings) -> list[Diagnosis]:
    """Look how news is collected, as the database tells it, and whether `feeds.json` is valid; no feed is asked."""
    feeds = FeedList(home.root)
    feeds.feeds()
    if settings.news == "on" and (trouble := feeds.trouble) is not None:
        return [Diagnosis("news", "warning", trouble.problem, trouble.remedy)]
    file = Database(home.database, patience_s=PATIENCE_S)
    with closing(journal_database(file, settings.database_url, patience_s=PATIENCE_S)) as kept:
        standing = news_standing(home, kept, datetime.now(UTC))
    beat = Heartbeat(home.heartbeat).read()
    return findings.news(
        standing,
        on=settings.news == "on",
        up=beat is not None and beat.is_fresh(datetime.now(UTC)),
        elsewhere=settings.server_url is not None,
        proxy="https" in getproxies(),
    )


def agent(claude: Sequence[str]) -> list[Diagnosis]:
    """Start the agent CLI as a run does, to see that it starts; nothing is asked of a model."""
    from runner.claude.cli_folder import LAUNCHER, cli_folder
    from runner.claude.session import bundled_cli

    if not claude and _installed("claude-agent-sdk") is None:
        return [Diagnosis("agent", "skipped", "claude-agent-sdk is not installed, and no strategy needs it.")]
    try:
        cli = bundled_cli("set 'engine' of the strategies to 'rules'.")
        with cli_folder() as folder:
            environment = {**os.environ, **folder.environment, **folder.launch(cli, folder.environment)}
            done = subprocess.run(  # noqa: S603 (our own program)
                [LAUNCHER, "--version"],
                env=environment,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=AGENT_S,
            )
    except subprocess.TimeoutExpired:
        return findings.agent(f"it did not answer within {AGENT_S:g} s.", "", claude)
    except OSError as error:
        return findings.agent(f"{error.strerror}: {error.filename}", "", claude)
    except TraderError as error:
        return findings.agent(error.problem, error.remedy, claude)
    if done.returncode:
        return findings.agent(done.stderr or f"it ended with code {done.returncode}", "", claude)
    return [Diagnosis("agent", "ok", f"The agent CLI starts: {cleaned(done.stdout, 60)}.")]
