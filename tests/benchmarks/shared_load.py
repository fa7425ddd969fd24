"""Strategies that two runners share by one Postgres: `python -m tests.benchmarks.shared_load STRATEGIES MINUTES`.

Two real `up`, each with a home and a tool server of its own, and a Postgres that waits for the disk; rules strategies
that come due every minute, on the simulated exchange. It ends by itself, prints a table, and ends with 1 where a slot
was lost, doubled or skipped, or the last one began too late. The first minute is not counted.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
import psycopg

from mcp_server.storage.home import Home
from mcp_server.storage.postgres.address import PostgresAddress
from mcp_server.storage.postgres.database import PostgresDatabase
from tests.benchmarks.scheduler_load import WARM_UP_MINUTES, Seconds, by_slot, processor_s, started
from tests.rigs.postgres import Postgres

RUNNERS = 2
MOST_LATE_S = 30.0
"""How late the last one may begin on a machine that does other things too; on quiet cores, half of that."""

LEAST_SHARE = 0.25
"""What each runner runs at least, where both are there."""

AS_USUAL = {
    "fsync": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}

_ROWS = (
    "SELECT scheduled_at, CAST(extract(epoch FROM started_at - scheduled_at) AS DOUBLE PRECISION), "
    "CAST(extract(epoch FROM completed_at - scheduled_at) AS DOUBLE PRECISION), status, split_part(run_key, '.', 1), "
    "id, slots FROM executions WHERE scheduled_at > (SELECT min(scheduled_at) FROM executions) ORDER BY id"
)
_WRITTEN = (
    "SELECT CAST(sum(n_tup_ins + n_tup_upd) AS BIGINT), CAST(sum(n_tup_upd) AS BIGINT), "
    "CAST(sum(n_tup_hot_upd) AS BIGINT) FROM pg_stat_user_tables"
)
_COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@dataclass(frozen=True)
class Moment:
    """What had been used and written at a moment: processor time in seconds, of runners, servers and Postgres."""

    cpu_s: tuple[float, float, float]
    commits: int
    written: tuple[int, int, int]
    sessions: int
    megabytes: tuple[float, ...]


@dataclass(frozen=True)
class SharedLoad:
    """What was measured: by minute, how many seconds after they were due runs began and ended."""

    late_s: list[Seconds]
    ended_s: list[Seconds]
    statuses: Counter[str]
    shares: list[float]
    wrong: list[str]
    moments: list[Moment]


def measure(strategies: int, minutes: int) -> SharedLoad:
    """Run so many strategies for so many minutes, the first one not counted."""
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        server = ends.enter_context(Postgres(**AS_USUAL))
        url = server.new_database()
        said = [ends.enter_context(tempfile.TemporaryFile()) for _ in range(RUNNERS)]
        began = time.time()
        runners = [
            started(Home(folder / str(number)), strategies, began, said[number], TRADER_DATABASE_URL=url)
            for number in range(RUNNERS)
        ]
        moments = []
        try:
            for minute in range(1, minutes + WARM_UP_MINUTES + 1):
                time.sleep(max(began + 60 * minute - time.time(), 0))
                moments.append(_moment(runners, server, url))
            _until_ended(url, strategies * (minutes + WARM_UP_MINUTES), began + 60 * (minutes + WARM_UP_MINUTES + 1))
        finally:
            for runner in runners:
                runner.terminate()
            for runner in runners:
                runner.wait(60)
        database = PostgresDatabase(PostgresAddress.of(url))
        rows = database.read(lambda connection: connection.execute(_ROWS).fetchall())
        database.close()
        return _measured(strategies, minutes, rows, [number for file in said for number in _ran(file)], moments)


def _until_ended(url: str, rows: int, latest: float) -> None:
    """Wait until so many slots have ended, and no longer than until a Unix time."""
    with psycopg.connect(url, autocommit=True) as connection:
        while time.time() < latest:
            ended = connection.execute("SELECT count(*) FROM executions WHERE status <> 'running'").fetchone()
            if ended is not None and ended[0] >= rows:
                return
            time.sleep(1)


def _moment(runners: Sequence["subprocess.Popen[bytes]"], server: Postgres, url: str) -> Moment:
    processes = [psutil.Process(runner.pid) for runner in runners]
    servers = [child for process in processes for child in process.children()]
    postgres = psutil.Process(server.pid)
    times = postgres.cpu_times()
    gone_s = float(times.children_user + times.children_system)
    postgres_s = sum(map(processor_s, [postgres, *postgres.children()])) + gone_s
    with psycopg.connect(url, autocommit=True) as connection:
        (commits,), written, (sessions,) = (
            connection.execute(query).fetchone() or () for query in (_COMMITS, _WRITTEN, _SESSIONS)
        )
    memory = tuple(process.memory_info().rss / 1e6 for process in processes)
    return Moment(
        (sum(map(processor_s, processes)), sum(map(processor_s, servers)), postgres_s),
        commits,
        written,
        sessions,
        memory,
    )


def _ran(said: IO[bytes]) -> list[int]:
    """Return the ids of the executions that a runner says it has ended, from its log."""
    said.seek(0)
    lines = (json.loads(line) for line in said if line.startswith(b"{"))
    return [line["execution_id"] for line in lines if line.get("event") == "slot ended"]


def _measured(
    strategies: int, minutes: int, rows: Sequence[tuple[Any, ...]], ran: Sequence[int], moments: list[Moment]
) -> SharedLoad:
    slots = sorted({row[0] for row in rows})[:minutes]
    rows = [row for row in rows if row[0] in slots]
    late_s, ended_s = (by_slot(rows, slots, at) for at in (1, 2))
    statuses, keys = Counter(row[3] for row in rows), Counter(row[4] for row in rows)
    counted = {row[5] for row in rows if row[3] in ("success", "error")}
    twice = [execution for execution, times in Counter(ran).items() if times > 1]
    wrong = [
        f"minute {slot:%H:%M} has {len(late)} rows"
        for slot, late in zip(slots, late_s, strict=True)
        if len(late) != strategies
    ]
    wrong += [f"{len(twice)} slots were run twice"] if twice else []
    wrong += [f"{len(counted - {*ran})} rows tell of a run that nobody says to have ended"] if counted - {*ran} else []
    wrong += [f"{count} slots ended as {status}" for status, count in statuses.items() if status != "success"]
    shares = sorted((keys[key] / len(rows) for key in keys), reverse=True)
    return SharedLoad(late_s, ended_s, statuses, shares + [0.0] * (RUNNERS - len(shares)), wrong, moments)


def table(strategies: int, minutes: int, load: SharedLoad) -> str:
    """Return what was measured, for people."""
    late_s = np.concatenate(load.late_s)
    p50, p95, most = (float(np.percentile(late_s, q)) for q in (50, 95, 100))
    first, last = load.moments[0], load.moments[-1]
    counted = strategies * (len(load.moments) - 1)
    of_a_run = [1_000 * (after - before) / counted for before, after in zip(first.cpu_s, last.cpu_s, strict=True)]
    written, updated, hot = (after - before for before, after in zip(first.written, last.written, strict=True))
    minute: Callable[[float], float] = lambda total: total / (len(load.moments) - 1)  # noqa: E731 (a unit)
    per_s = float(np.median([len(ended) / ended.max() for ended in load.ended_s]))
    return (
        f"{strategies} strategies every minute over {RUNNERS} runners, {minutes} minutes: {dict(load.statuses)}\n"
        f"began late by: p50 {p50:.2f} s, p95 {p95:.2f} s, last {most:.2f} s; last of each minute: "
        f"{', '.join(f'{late.max():.1f}' for late in load.late_s)} s\n"
        f"run by each runner: {' '.join(f'{share:.0%}' for share in load.shares)}; "
        f"{per_s:.0f} runs a second until the last one ended\n"
        f"processor time of a run: runners {of_a_run[0]:.2f} ms, tool servers {of_a_run[1]:.2f} ms, "
        f"Postgres {of_a_run[2]:.2f} ms\n"
        f"Postgres: {max(moment.sessions for moment in load.moments)} connections, "
        f"{minute(last.commits - first.commits):.0f} transactions and {minute(written):.0f} rows written a minute, "
        f"{hot / max(updated, 1):.0%} of {minute(updated):.0f} updates in place\n"
        f"memory of runners: {' '.join(f'{size:.0f}' for size in last.megabytes)} MB\n"
    )


def main(strategies: int, minutes: int) -> None:
    """Measure, print the table, and raise where slots were lost, doubled, skipped, late, or all one runner's."""
    load = measure(strategies, minutes)
    sys.stdout.write(table(strategies, minutes, load))
    assert not load.wrong, "; ".join(load.wrong)
    assert max(late.max() for late in load.late_s) <= MOST_LATE_S, "the last one began too late"
    assert min(load.shares) >= LEAST_SHARE, "one runner leaves the work to the other"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
