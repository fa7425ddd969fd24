"""The audit of a journal: every slot of every strategy in exactly one row, and every row whole."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mcp_server.domain.strategy import Config
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from runner.schedule import overdue

Row = tuple[datetime, datetime, int, str, str | None, bool, bool]


@dataclass
class Audit:
    """What was found: slots that came due, and those without a row, with two, and rows that are not whole."""

    due: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.torn)


def audit(home: Home, configs: Mapping[str, Config]) -> Audit:
    """Compare the rows of each strategy with the enumeration of its slots, up to where it says that they are in."""
    rows = Database(home.database).read(
        lambda connection: connection.execute(
            "SELECT s.name, e.scheduled_at, e.scheduled_until, e.slots, e.status, e.error_message, "
            "e.completed_at IS NOT NULL, r.id IS NOT NULL, s.scheduled_since, s.accounted_until "
            "FROM executions e JOIN strategies s ON s.id = e.strategy_id "
            "LEFT JOIN analysis_results r ON r.execution_id = e.id "
            "WHERE e.\"trigger\" = 'schedule' ORDER BY e.scheduled_at, e.id"
        ).fetchall()
    )
    found, by_name, ranges = Audit(), defaultdict[str, list[Row]](list), dict[str, tuple[datetime, datetime]]()
    for name, first, last, *rest, since, until in rows:
        by_name[name].append((_aware(first), _aware(last), *rest))
        ranges[name] = _aware(since), _aware(until)
    for name, config in configs.items():
        if name in ranges:
            _look(found, name, config, by_name[name], *ranges[name])
    return found


def _look(found: Audit, name: str, config: Config, rows: list[Row], since: datetime, until: datetime) -> None:
    reached = since
    for first, last, slots, status, error, ended, signal in rows:
        found.outcomes[status] += slots
        where = f"{name} {first:%m-%d %H:%M}"
        if first <= reached and reached != since:
            found.doubled.append(where)
        between = _count(config, reached, first - timedelta(microseconds=1))
        if between:
            found.lost.append(f"{between} before {where}")
        if _count(config, first - timedelta(microseconds=1), last) != slots:
            found.lost.append(f"{where}: {slots} slots in one row are not as many as there are")
        if not ended or status == "running" or (status == "success") != signal or (status != "success") != bool(error):
            found.torn.append(f"{where} {status}")
        reached = max(reached, last)
    if missing := _count(config, reached, until):
        found.lost.append(f"{missing} after {name} {reached:%m-%d %H:%M}")
    found.due += _count(config, since, until)


def _count(config: Config, after: datetime, until: datetime) -> int:
    found = overdue(config, after, until + timedelta(seconds=config.offset_s))
    return 0 if found is None else found.count


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
