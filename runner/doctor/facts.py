"""Looks at this machine and the home, changing nothing: the facts that `judge` makes findings of."""

import os
import re
import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from mcp_server.errors import TraderError
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.liveness import is_alive
from mcp_server.storage.strategies.folders import ListedStrategy
from runner.doctor.findings import MIB, Diagnosis, HomeFacts
from runner.doctor.findings import home as judge_home
from runner.doctor.findings import versions as judge_versions

PATIENCE_S = 1.0
"""So long the check of the database waits for another process."""


def claude_strategies(found: Sequence[ListedStrategy]) -> list[str]:
    """Give the names of the home's strategies that Claude decides."""
    return [each.name for each in found if not each.example and each.strategy and each.strategy.engine == "claude"]


def versions(claude: Sequence[str]) -> list[Diagnosis]:
    """Compare what is installed with what this package asks for."""
    wanted = {}
    for line in metadata.requires("claude-trader") or ():
        if told := re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*[^;]*?>=\s*([\d.]+)", line):
            wanted[told[1]] = told[2]
    have = {name: _installed(name) for name in ("claude-trader", *wanted)}
    return judge_versions(sys.version_info[:3], wanted, have, claude)


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def home(where: Home) -> list[Diagnosis]:
    """Look at the folder, the locks of runs, and what waits in the outbox."""
    if not where.root.exists():
        return judge_home(HomeFacts(str(where.root), exists=False))
    runs = [file for file in _files(where.running) if not file.name.endswith(".lock")]
    alive = sum(is_alive(file) for file in runs)
    facts = HomeFacts(
        str(where.root),
        exists=True,
        writable=where.root.is_dir() and os.access(where.root, os.W_OK | os.X_OK),
        free_mib=shutil.disk_usage(where.root).free // MIB,
        under_way=alive,
        left=len(runs) - alive,
        waiting=sum(file.suffix == ".json" for file in _files(where.outbox)),
        readable_secrets=_others_read(where.root / ".env"),
    )
    return judge_home(facts)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []


def _others_read(file: Path) -> bool:
    return os.name == "posix" and file.is_file() and bool(file.stat().st_mode & 0o044)


def database(where: Home) -> list[Diagnosis]:
    """Open the database and read every block of it: DuckDB checks the sum of each that it reads."""
    if not where.database.exists():
        return [Diagnosis("database", "ok", "Not there yet; the first run makes it.")]
    import duckdb

    try:
        counts = Database(where.database).read(_read_everything, patience_s=PATIENCE_S)
    except duckdb.Error as error:
        said = f"It opens, but not all of it can be read: {str(error).splitlines()[0][:200]}."
        remedy = "Restore a backup, or move it aside: what was recorded is lost then, and strategies are not."
        return [Diagnosis("database", "error", said, remedy)]
    except TraderError as error:
        problem, _, remedy = str(error).rpartition(". ")
        return [Diagnosis("database", "error", f"{problem}." if problem else remedy, remedy)]
    size_mib = where.database.stat().st_size / MIB
    rows = f"{counts.get('executions', 0):,} executions, {counts.get('candles', 0):,} candles"
    return [Diagnosis("database", "ok", f"Opens and is intact: {rows}, {size_mib:.1f} MB.")]


def _read_everything(connection: object) -> dict[str, int]:
    execute = connection.execute  # type: ignore[attr-defined]
    names = [row[0] for row in execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()]
    counts = {}
    for name in names:
        row = execute(f'SELECT count(*), bit_xor(hash(t)) FROM "{name}" AS t').fetchone()  # noqa: S608 (our own names)
        counts[name] = int(row[0])
    return counts


def available_mib() -> int | None:
    """Give how much memory can still be had, within the limit of a container too; None where it is not told."""
    told = []
    if found := re.search(r"MemAvailable:\s+(\d+) kB", _text("/proc/meminfo")):
        told.append(int(found[1]) // 1024)
    most, used = _text("/sys/fs/cgroup/memory.max").strip(), _text("/sys/fs/cgroup/memory.current").strip()
    if most.isdecimal() and used.isdecimal():
        told.append(max(0, int(most) - int(used)) // MIB)
    return min(told, default=None)


def _text(path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:
        return ""
