"""Health of the server: whether it is alive, and whether what it works with is ready, with the reason if not."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from mcp_server.domain.text import cleaned_values
from mcp_server.errors import TraderError
from mcp_server.market.live import LiveCache
from mcp_server.moment import Clock
from mcp_server.storage.home import Home, no_space
from mcp_server.storage.sql import JournalDatabase
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.storage.strategies.unchanged import UnchangedFolders

PATIENCE_S = 0.5
"""How long it waits for a database that another process holds."""

LOOK_S = 2.0
"""How long a check may take before it counts as failed."""

FRESH_S = 1.0
"""How long an answer is repeated, so that asking often costs nothing."""

MOST_WHY = 4_000

Check = dict[str, Any]


class Health:
    """Looks at the database (as the tools use it), the strategies and the runner's heartbeat of one home.

    `news` tells how collecting stands, where this server does so.
    """

    def __init__(
        self,
        home: Home,
        examples: Path,
        database: JournalDatabase,
        clock: Clock,
        news: Callable[[], Check] | None = None,
    ) -> None:
        folders = StrategyFolders(home, examples)
        self._valid = UnchangedFolders(folders, partial(_is_valid, folders), lasts=lambda valid: valid is not False)
        self._home = home
        self._database = database
        self._clock = clock
        self._news = news
        self._reports = LiveCache()

    async def report(self) -> dict[str, Any]:
        """Return `status`, `ready`, and for each check whether it is `ok`, with `why` where it is not."""
        return await self._reports.get("report", self._look, FRESH_S)

    async def _look(self) -> dict[str, Any]:
        looks = {
            "database": self._look_at_database,
            "strategies": self._look_at_strategies,
            "runner": self._look_at_runner,
        }
        if self._news is not None:
            looks["news"] = self._news
        checks: dict[str, Check] = {name: {"ok": False, "why": f"No answer within {LOOK_S:g} s."} for name in looks}
        async with anyio.create_task_group() as group:
            for name, look in looks.items():
                group.start_soon(_bounded, checks, name, look)
        ready = all(check["ok"] for check in checks.values())
        seen: dict[str, Check] = cleaned_values(checks, MOST_WHY)  # problems quote exchanges, files and models
        return {"status": "ready" if ready else "not ready", "live": True, "ready": ready, "checks": seen}

    def _look_at_database(self) -> Check:
        if (full := no_space(self._home.root)) is not None:
            raise full
        self._database.read(lambda connection: connection.execute("SELECT 1").fetchone(), patience_s=PATIENCE_S)
        return {"ok": True}

    def _look_at_strategies(self) -> Check:
        """Count the strategies; name the broken ones, which are no reason not to be ready."""
        valid = self._valid.all()
        broken = [name for name, is_valid in valid.items() if is_valid is False]
        return {"ok": True, "valid": sum(map(bool, valid.values())), **({"broken": broken} if broken else {})}

    def _look_at_runner(self) -> Check:
        """See whether a runner that was started is still alive; a home that never had one is ready too."""
        from mcp_server.overview import runner_state

        runner = runner_state(self._home, self._clock())
        if runner.no_space is not None:  # what to do about the disk, the database's check says
            return {"ok": False, "why": "On a full disk no runner can report that it is alive."}
        if runner.beat is None:
            return {"ok": True, "running": False}
        age_s = round((runner.now - runner.beat.beat_at).total_seconds())
        if runner.alive is None:
            why = f"The runner (process {runner.beat.pid}) has not reported for {age_s} s. Start it again."
            return {"ok": False, "why": why}
        if runner.alive.problems:
            return {"ok": False, "why": " ".join(runner.alive.problems)}
        return {"ok": True, "running": True, "runs": runner.alive.running, "age_s": age_s}


def _is_valid(folders: StrategyFolders, name: str, example: bool) -> bool | None:
    """Return whether a strategy of the home is valid; None for an example."""
    return None if example else folders.one(name, example=False).strategy is not None


async def _bounded(checks: dict[str, Check], name: str, look: Callable[[], Check]) -> None:
    with anyio.move_on_after(LOOK_S):
        try:
            checks[name] = await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
        except (TraderError, OSError) as error:
            checks[name] = {"ok": False, "why": str(error)}
