"""What happens to machines that share a journal, by chance and by plan: kills, and all else that can fail."""

import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mcp_server.domain.schedule.slots import overdue
from mcp_server.domain.strategy.format import Config
from tests.rigs.postgres import Postgres
from tests.scheduler.shared_audit import Audit
from tests.scheduler.shared_machines import Machine
from tests.scheduler.shared_verdict import NOTICED_S, Disturbance, Kill

LIMIT_S = 90.0
HANGS_S = 6.0
"""So long a runner stands still."""

DEAF_S = 40.0
"""So long Postgres takes to miss a machine that is cut off."""


@dataclass(slots=True)
class Storm:
    """What happens to the machines, by chance and by plan."""

    machines: list[Machine]
    server: Postgres
    audit: Audit
    chance: random.Random
    cut_s: float
    kills: list[Kill] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    _cut: tuple[Machine, Disturbance] | None = None
    _anchor: Machine | None = None

    def rage(self, kills: int, plan: "Sequence[Planned]") -> None:
        """Kill so many times; do what is planned after so many kills."""
        until_s = time.time() + self.machines[0].shared.restarted_s
        self.disturbances.append(Disturbance("Postgres started", time.time(), until_s))
        for machine in self.machines:
            machine.start()
        _until(lambda: all(machine.ready for machine in self.machines))
        planned = sorted(plan, key=lambda event: event[0])
        while len(self.kills) < kills:
            while planned and planned[0][0] <= len(self.kills):
                self._mend()  # what happens to a machine that is cut off, nothing else does
                planned.pop(0)[1](self)
            self._kill_one()
            self._mend_if_due()
        self._mend()

    def _kill_one(self) -> None:
        """Kill a runner, while another one that schedules outlives it by more than it takes to notice."""
        if self._anchor is None or self._anchor.up is None or len(self.kills) % 4 == 0:
            time.sleep(NOTICED_S + 0.2)
            self._anchor = self._some(lambda machine: machine.ready)
        soon = self._settles_s() > 0
        time.sleep(self.chance.uniform(2.0, 6.0) if soon else self.chance.uniform(0.1, 2.0))
        self._kill(self._some(lambda machine: machine is not self._anchor))

    def _settles_s(self) -> float:
        return max((disturbance.until_s for disturbance in self.disturbances), default=0.0) - time.time()

    def _some(self, good: Callable[[Machine], bool]) -> Machine:
        cut = self._cut[0] if self._cut else None
        found = list[Machine]()

        def look() -> bool:
            found[:] = [machine for machine in self.machines if machine is not cut and machine.up and good(machine)]
            return bool(found)

        _until(look)
        return self.chance.choice(found)

    def _kill(self, machine: Machine) -> None:
        machine.kill()
        self.kills.append(Kill(machine.lives[-1]))
        time.sleep(self.chance.uniform(0, 0.5))
        machine.start()

    def kill_all(self) -> None:
        """Kill every runner at once."""
        for machine in self.machines:
            machine.kill()
            self.kills.append(Kill(machine.lives[-1]))
        began_s = time.time()
        for machine in self.machines:
            machine.start()
        _until(lambda: any(machine.ready for machine in self.machines))
        self.disturbances.append(Disturbance("all killed at once", began_s, time.time()))
        self._anchor = None

    def restart(self, *, at_once: bool) -> None:
        """Restart Postgres, in immediate or in fast mode."""
        began_s = time.time()
        (self.server.kill if at_once else self.server.stop)()
        self.server.start()
        kind = f"Postgres restarted ({'immediate' if at_once else 'fast'})"
        self.disturbances.append(Disturbance(kind, began_s, time.time() + self.machines[0].shared.restarted_s))

    def crash(self) -> None:
        """Let a process of Postgres be killed: all sessions end, and its start time stays as it is."""
        began_s = time.time()
        self.server.crash()
        until_s = time.time() + self.machines[0].shared.restarted_s
        self.disturbances.append(Disturbance("Postgres recovered from a crash", began_s, until_s))

    def away(self, away_s: float) -> None:
        """Do without Postgres for a while; runners are killed meanwhile too."""
        began_s = time.time()
        self.server.stop()
        while (left_s := began_s + away_s - time.time()) > 0:
            time.sleep(min(left_s, self.chance.uniform(5, 15)))
            self._kill(self._some(lambda machine: True))
        self.server.start()
        until_s = time.time() + self.machines[0].shared.restarted_s
        self.disturbances.append(Disturbance(f"Postgres away for {away_s:.0f} s", began_s, until_s))
        self._anchor = None

    def hang(self) -> None:
        """Let a runner stand still, and go on."""
        machine, began_s = self._some(lambda machine: machine.ready), time.time()
        assert machine.up is not None
        machine.up.signal(signal.SIGSTOP)
        time.sleep(HANGS_S)
        machine.up.signal(signal.SIGCONT)
        self.disturbances.append(Disturbance("a runner stood still", began_s, time.time()))

    def cut(self) -> None:
        """Cut a machine off; the others are killed meanwhile as before."""
        machine = self._some(lambda machine: machine.ready and self._runs(machine) > 2)
        self._cut = machine, Disturbance("a machine cut off", time.time(), time.time() + DEAF_S, machine.lives[-1])
        machine.proxy.cut()
        self.disturbances.append(self._cut[1])
        self._anchor = None

    def _runs(self, machine: Machine) -> int:
        """Return how many runs a machine has under way."""
        own = " OR ".join(
            f"starts_with(run_key, '{key}')" for key, life in machine.keys().items() if life.killed_s is None
        )
        return len(self.audit.ask(f"SELECT 1 FROM executions WHERE status = 'running' AND ({own})"))

    def _mend(self) -> None:
        """Wait until no machine is cut off."""
        while self._cut is not None:
            time.sleep(0.1)
            self._mend_if_due()

    def _mend_if_due(self) -> None:
        if self._cut is None or time.time() < self._cut[1].began_s + self.cut_s:
            return
        machine, disturbance = self._cut
        disturbance.mended_s = time.time()
        machine.proxy.mend()
        self._cut = None

    def settle(self, configs: dict[str, Config], until: datetime) -> list[str]:
        """Let the runners account for everything, and stop them in order; return what was wrong with that."""

        def accounted() -> bool:
            if self.audit.ask(f"SELECT 1 FROM executions WHERE status = 'running' AND started_at <= '{until:%F %T}'"):
                return False
            known = self.audit.ask("SELECT name, accounted_until FROM strategies")
            return all(overdue(configs[name], at.replace(tzinfo=UTC), until) is None for name, at in known)

        _until(accounted, self.machines[0].shared.restarted_s + LIMIT_S)
        return [f"a stop in order ended with {code}" for machine in self.machines if (code := machine.stop())]


Planned = tuple[int, Callable[[Storm], None]]
"""After how many kills, and what happens."""


def _until(good: Callable[[], bool], within_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + within_s
    while not good():
        assert time.monotonic() < deadline, f"never came to be within {within_s} s"
        time.sleep(0.05)
