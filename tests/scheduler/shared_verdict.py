"""What came of a storm over machines that share a journal: every slot, every budget, every end, and how soon it was."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from statistics import median
from types import TracebackType
from typing import Any, Protocol, Self

from mcp_server.domain.outcome import Status
from mcp_server.domain.schedule.slots import due_at
from mcp_server.domain.strategy.format import Config
from tests.rigs.running_up import marked
from tests.rigs.warm import forked_by
from tests.scheduler.accounts import account
from tests.scheduler.shared_audit import Audit, Change, over_budget, overwritten, run_twice
from tests.scheduler.shared_machines import SPEED, Life, Machine, Shared

NOTICED_S = 2.0
CUT_OFF_S = 60.0
BEGINS_S = 1.0
"""What was claimed just before a machine was cut off begins within so long."""

CALM = "nothing else"


@dataclass(slots=True)
class Kill:
    """A runner that was killed."""

    life: Life

    @property
    def at_s(self) -> float:
        assert self.life.killed_s is not None
        return self.life.killed_s


@dataclass(slots=True)
class Disturbance:
    """What keeps others from noticing a kill, up to `until_s`; `life`: whose machine was cut off, until `mended_s`."""

    kind: str
    began_s: float
    until_s: float
    life: Life | None = None
    mended_s: float = 0.0


class Happened(Protocol):
    """What happened to the machines."""

    kills: list[Kill]
    disturbances: list[Disturbance]


class Lateness:
    """Measures how late a thread is woken: by so much, a busy machine makes everything on it late."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._late: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def within(self, began_s: float, ended_s: float) -> float:
        """Return the seconds that it was late in all, between two Unix times."""
        return sum(late_s for at_s, late_s in self._late if began_s <= at_s <= ended_s)

    def _measure(self) -> None:
        before_s = time.monotonic()
        while not self._over.wait(0.05):
            now_s = time.monotonic()
            self._late.append((time.time(), max(0.0, now_s - before_s - 0.051)))
            before_s = now_s


@dataclass(slots=True)
class Verdict:
    """The figures, and what is wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    due: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    noticed_s: dict[str, list[float]] = field(default_factory=dict)
    lateness_s: float = 0.0
    cut_off_s: float | None = None
    late: int = 0
    spent: Mapping[Any, Decimal] = field(default_factory=dict)
    paid_usd: float = 0.0
    took_s: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Give it as Markdown."""
        kinds = (
            "lost",
            "doubled",
            "torn",
            "run twice",
            "early",
            "over budget",
            "falsely",
            "overwritten",
            "noticed",
            "left",
        )
        counts = {kind: sum(problem.startswith(kind) for problem in self.wrong) for kind in kinds}
        lines = [
            f"{self.kills.total()} kills, {self.took_s:.0f} s",
            "",
            "| what happened | times |",
            "| --- | ---: |",
            *(f"| {kind} | {times} |" for kind, times in self.events.items()),
            "",
            "| slots | |",
            "| --- | ---: |",
            f"| due | {self.due} |",
            *(f"| {status} | {count} |" for status, count in self.outcomes.most_common()),
            f"| begun, as the engines saw it | {self.runs} |",
            *(f"| **{kind}** | **{count}** |" for kind, count in counts.items()),
            f"| outcomes that came too late, and were kept | {self.late} |",
            *(f"| most that counted as spent on {day}, US dollars | {usd:.3f} |" for day, usd in self.spent.items()),
            f"| asked of the Messages API, US dollars | {self.paid_usd:.3f} |",
            "",
            "| from the kill to the end of its runs, s | kills | median | 95 % | worst |",
            "| --- | ---: | ---: | ---: | ---: |",
            *(_row(kind, seconds) for kind, seconds in sorted(self.noticed_s.items(), key=lambda of: len(of[1]))),
            "",
            f"A machine cut off: its runs had ended after {self.cut_off_s or 0:.1f} s. "
            f"This machine woke a thread late by up to {self.lateness_s:.2f} s in the 2 s after a kill.",
        ]
        return "\n".join(lines)


def _row(kind: str, seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    most = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return f"| {kind} | {len(ordered)} | {median(ordered):.2f} | {most:.2f} | {ordered[-1]:.2f} |"


def verdict(
    audit: Audit,
    machines: Sequence[Machine],
    configs: Mapping[str, Config],
    until: datetime,
    happened: Happened,
    lateness: Lateness,
    usd_per_day: str,
    paid_usd: float,
) -> Verdict:
    """Compare what was committed with what was due, and with what the engines and the API saw."""
    made, changes, disturbances = Verdict(), audit.changes(), happened.disturbances
    made.events = Counter(disturbance.kind for disturbance in disturbances)
    began, ask = audit.since(), cache(audit.ask)
    for name, config in configs.items():
        accounts = account(ask, name, config, until, since=began[name])
        made.due += accounts.due
        made.outcomes += accounts.outcomes
        made.wrong += accounts.wrong
    lines = [line for machine in machines for line in machine.noted()]
    made.runs = sum(line.startswith("ran ") for line in lines)
    made.spent, over = over_budget(changes, Decimal(usd_per_day))
    made.paid_usd = paid_usd
    if paid_usd > float(usd_per_day) * len(made.spent):
        over.append(f"over budget: {paid_usd:.3f} USD were asked of the API in {len(made.spent)} days")
    if any(name.startswith("asks") for name in configs) and not made.outcomes[Status.SKIPPED_BUDGET]:
        over.append("over budget: no run was kept out, so nothing is shown")
    lives = {key: life for machine in machines for key, life in machine.keys().items()}
    made.wrong += [
        *over,
        *overwritten(changes),
        *run_twice(lines),
        *_unseen(changes, lines),
        *_false(changes, lives, disturbances),
    ]
    made.wrong += _early(lines, configs, machines[0].shared)
    _noticed(made, changes, lives, happened, lateness)
    for machine in machines:
        made.late += len(machine.late())
        _cut_off(made, machine, changes, disturbances)
    made.wrong += _left(machines)
    return made


def _unseen(changes: Sequence[Change], lines: Sequence[str]) -> Iterator[str]:
    """Say which rows claim a run that no engine saw."""
    ran = {line.split()[1] for line in lines if line.startswith("ran ")}
    for change in changes:
        if change.status in (Status.SUCCESS, Status.ABSTAINED) and change.key not in ran:
            yield f"torn: row {change.execution_id} says {change.status}, and no engine ran it"


def _early(lines: Sequence[str], configs: Mapping[str, Config], shared: Shared) -> Iterator[str]:
    """Say which slots began before they were due, by the clock that all share."""
    for line in lines:
        if line.startswith("ran "):
            _, _, at_s, slot, name = line.split(maxsplit=4)
            began = shared.start + timedelta(seconds=(float(at_s) - shared.epoch_s) * SPEED)
            if began < due_at(configs[name], datetime.fromisoformat(slot)):
                yield f"early: {name} {slot} began at {began}"


def _false(changes: Sequence[Change], lives: Mapping[str, Life], disturbances: Sequence[Disturbance]) -> Iterator[str]:
    """Say which runs were ended as interrupted although their runner lived, and could be reached."""
    claimed_s = {change.execution_id: change.at_s for change in changes if change.op == "INSERT"}
    for change in changes:
        if not change.interrupted:
            continue
        life, at_s = lives[change.runner], change.at_s
        if life.killed_s is not None and at_s >= life.killed_s:
            continue
        cuts = [of for of in disturbances if of.life is life]
        if any(
            claimed_s[change.execution_id] <= of.began_s + BEGINS_S and of.began_s < at_s < of.mended_s for of in cuts
        ):
            continue
        after_s = at_s - claimed_s[change.execution_id]
        yield f"falsely interrupted: row {change.execution_id} of {change.key}, {after_s:.1f} s after its claim"


def _noticed(
    made: Verdict,
    changes: Sequence[Change],
    lives: Mapping[str, Life],
    happened: Happened,
    lateness: Lateness,
) -> None:
    ended: dict[int, float] = {}
    for change in changes:
        if change.interrupted:
            life = lives[change.runner]
            ended[id(life)] = max(ended.get(id(life), 0.0), change.at_s)
    for kill in happened.kills:
        during = [of for of in happened.disturbances if of.began_s < kill.at_s + NOTICED_S and kill.at_s < of.until_s]
        kind = during[-1].kind if during else CALM
        made.kills[kind] += 1
        if (at_s := ended.get(id(kill.life))) is None:
            continue
        until_s = kill.at_s
        for of in sorted(happened.disturbances, key=lambda of: of.began_s):
            if of.began_s < until_s + NOTICED_S and kill.at_s < of.until_s:
                until_s = max(until_s, of.until_s)
        took_s, busy_s = at_s - kill.at_s, lateness.within(kill.at_s, kill.at_s + 2 * NOTICED_S)
        made.noticed_s.setdefault(kind, []).append(took_s)
        made.lateness_s = max(made.lateness_s, lateness.within(kill.at_s, kill.at_s + NOTICED_S))
        most_s = until_s - kill.at_s + NOTICED_S
        if took_s > most_s + busy_s:
            made.wrong.append(f"noticed after {took_s:.2f} s, not {most_s:.2f} (late by {busy_s:.2f} s): {kind}")


def _cut_off(made: Verdict, machine: Machine, changes: Sequence[Change], disturbances: Sequence[Disturbance]) -> None:
    """Judge what became of the runs of a machine that was cut off, and of their outcomes."""
    for cut in disturbances:
        if cut.life not in machine.lives or cut.life is None:
            continue
        keys = {key for key, life in machine.keys().items() if life is cut.life}
        begun = {line.split()[1]: float(line.split()[2]) for line in machine.noted() if line.startswith("ran ")}
        ended = {change.key: change.at_s for change in changes if change.interrupted and change.runner in keys}
        ended = {key: at_s for key, at_s in ended.items() if at_s < cut.mended_s}
        if not ended:
            made.wrong.append("noticed never: the runs of a machine that was cut off")
            continue
        made.cut_off_s = max(at_s - cut.began_s for at_s in ended.values())
        if made.cut_off_s > CUT_OFF_S:
            made.wrong.append(f"noticed after {made.cut_off_s:.1f} s that a machine was cut off")
        made.wrong += [
            f"run twice: {key} began {at_s - cut.began_s:.1f} s after its machine was cut off"
            for key, at_s in begun.items()
            if key.partition(".")[0] in keys and cut.began_s + BEGINS_S < at_s < cut.mended_s
        ]
        made.wrong += [
            f"lost: the late outcome of {key} is not kept"
            for key in ended
            if key in begun and key not in machine.late()
        ]


def _left(machines: Sequence[Machine]) -> Iterator[str]:
    """Say which processes are left of all lives."""
    for machine in machines:
        left = forked_by(*(life.pid for life in machine.lives))
        for process in [*left, *marked(str(machine.home.parent / "scratch"))]:
            yield f"left: process {process.pid} {' '.join(process.cmdline())[:80]}"
