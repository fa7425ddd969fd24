"""What the page of a strategy is to show, found without the page: by the tools, and by SQL over the journal."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from mcp import Client

from mcp_server.domain.strategy.strategy import Strategy
from tests.page.conftest import Site
from tests.rigs.sample_runs import SampleRun, enter_runs

JUDGED = """
SELECT a.signal, o.r, o.cost_bps FROM executions e JOIN analysis_results a ON a.execution_id = e.id
JOIN outcomes o ON o.execution_id = e.id JOIN strategies s ON s.id = e.strategy_id
WHERE s.name = ? AND e."trigger" = 'schedule' AND o.state = 'judged' AND a.signal <> 'HOLD'
AND e.decision_version = (SELECT arg_max(decision_version, id) FROM executions WHERE strategy_id = s.id)
"""


def answer_of(site: Site, tool: str, **arguments: Any) -> dict[str, Any]:
    """Return what a tool answers, asked over the wire by another client; the browser has this thread's loop."""

    async def ask() -> dict[str, Any]:
        async with Client(site.server.url) as client:
            answer: dict[str, Any] | None = (await client.call_tool(tool, arguments)).structured_content
            assert answer is not None
            return answer

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(anyio.run, ask).result()


def row_of(site: Site, name: str) -> dict[str, Any]:
    """Return the strategy's row of list_strategies."""
    listed = answer_of(site, "list_strategies")
    rows = [dict(zip(listed["columns"], row, strict=True)) for row in listed["rows"]]
    return next(row for row in rows if row["name"] == name)


def selected(site: Site, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return rows of the journal."""
    return site.sample.database.read(lambda connection: connection.execute(sql, [*values]).fetchall())


@contextmanager
def with_strategy(site: Site, strategy: Strategy, runs: Sequence[SampleRun]) -> Iterator[list[int]]:
    """Let the home have one more strategy, with runs, until the block ends; give the ids of the runs."""
    site.sample.folders.write(strategy)
    ids = enter_runs(site.sample.database, strategy.name, runs)
    try:
        yield ids
    finally:
        forget(site, ids)
        shutil.rmtree(site.sample.root / "strategies" / strategy.name)


@contextmanager
def kept_as_it_was(site: Site, name: str) -> Iterator[None]:
    """Let a strategy be changed until the block ends; its folder and its earlier versions are then as before."""
    strategies = site.sample.root / "strategies"
    folders = [folder for folder in (strategies / name, strategies / ".versions" / name) if folder.exists()]
    with TemporaryDirectory() as saved:
        for number, folder in enumerate(folders):
            shutil.copytree(folder, Path(saved, str(number)))
        try:
            yield
        finally:
            for number, folder in enumerate(folders):
                shutil.rmtree(folder)
                shutil.copytree(Path(saved, str(number)), folder)


def forget(site: Site, run_ids: Sequence[int]) -> None:
    """Take runs out of the journal: other tests find it as it was, in whatever order they run."""

    def work(journal: Any) -> None:
        for table, column in (("analysis_results", "execution_id"), ("executions", "id")):
            journal.execute(f"DELETE FROM {table} WHERE list_contains(?, {column})", [[*run_ids]])

    site.sample.database.write(work)


def kinds_of_slots(site: Site, name: str) -> dict[str, int]:
    """Return how many slots came to each signal, or to each status without one."""
    sql = """
    SELECT coalesce(a.signal, e.status), sum(e.slots) FROM executions e JOIN strategies s ON s.id = e.strategy_id
    LEFT JOIN analysis_results a ON a.execution_id = e.id WHERE s.name = ? AND e."trigger" = 'schedule' GROUP BY 1
    """
    return {kind: int(count) for kind, count in selected(site, sql, name)}


def nets_of(site: Site, name: str) -> list[float]:
    """Return the net return, in per cent, of each judged BUY and SELL of the record that is in force."""
    side = {"BUY": 1, "SELL": -1}
    return [100 * side[signal] * r - cost_bps / 100 for signal, r, cost_bps in selected(site, JUDGED, name)]
