"""Machines that share a journal: each has a home, a runner with a clock of its own, and a cable to the database.

The runner is `claude-trader up` with its tool server, forked and not started anew, under a clock on which a minute
takes a second. It follows the database's clock, as that of `up` does.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mcp_server.storage.postgres.address import VARIABLE
from tests.rigs.lossy_proxy import LossyProxy
from tests.rigs.running_up import RunningUp

SPEED = 60.0
ENGINE_S = 0.8
"""Rules take up to so long, in seconds: so a killed runner mostly leaves runs behind."""


@dataclass(slots=True)
class Life:
    """A runner from its start to its end. Times are Unix times of the machine that all are on."""

    pid: int
    started_s: float
    killed_s: float | None = None


@dataclass(slots=True)
class Shared:
    """What all machines share: where the database is, when the clock began, and how soon it is after a loss."""

    database: str
    start: datetime
    epoch_s: float
    restarted_s: int
    environment: Mapping[str, str]


@dataclass(slots=True)
class Machine:
    """One machine; `home` has its strategies, `offset_s` is how wrong its clock is."""

    home: Path
    offset_s: float
    shared: Shared
    proxy: LossyProxy
    lives: list[Life] = field(default_factory=list)
    up: RunningUp | None = None
    _ends: ExitStack = field(default_factory=ExitStack)

    @property
    def witness(self) -> Path:
        """What its runners write down outside of the database."""
        return self.home.parent / "witness"

    @property
    def url(self) -> str:
        """Where its runner finds the journal: behind the cable."""
        return f"postgresql://trader@127.0.0.1:{self.proxy.port}/{self.shared.database}"

    def start(self) -> None:
        """Start its runner."""
        own = {
            VARIABLE: self.url,
            "WITNESS": str(self.witness),
            "WALL_OFFSET_S": str(self.offset_s),
            "ENGINE_S": str(ENGINE_S),
            "RESTARTED_S": str(self.shared.restarted_s),
        }
        shared, started_s = self.shared, time.time()
        self.up = self._ends.enter_context(
            RunningUp(
                self.home,
                speed=SPEED,
                start=shared.start,
                epoch_s=shared.epoch_s,
                grace_s=5.0,
                environment={**shared.environment, **own},
                warm_server=True,
            )
        )
        self.lives.append(Life(self.up.process.pid, started_s))

    @property
    def ready(self) -> bool:
        """Whether its runner schedules."""
        return self.up is not None and " scheduled; next" in self.up.log

    def kill(self) -> None:
        """Kill its runner outright; its tool server ends by itself."""
        assert self.up is not None
        self.lives[-1].killed_s = time.time()
        self.up.process.kill()
        self.up.process.wait(10)
        self.up = None

    def stop(self) -> int:
        """End its runner in order, and return its exit code."""
        assert self.up is not None
        return self.up.stop(60.0)

    def keys(self) -> dict[str, Life]:
        """Return whose key is whose."""
        by_pid = {life.pid: life for life in self.lives}
        noted = [line.split() for line in self.noted() if line.startswith("key ")]
        return {key: by_pid[int(pid)] for _, key, pid in noted}

    def noted(self) -> list[str]:
        """Return the lines of its witness."""
        return self.witness.read_text().splitlines() if self.witness.exists() else []

    def late(self) -> set[str]:
        """Return the keys of the runs whose outcome came too late."""
        return {file.stem for file in (self.home / "outbox" / "late").glob("*.json")}

    def close(self) -> None:
        """End whatever of it still runs."""
        self._ends.close()
