"""The database's own record of what was committed when, and what must be true of it, whatever happened to the runners.

Triggers that no program of ours knows of note each change of a row of `executions`, and from when a strategy counts.
Postgres keeps the moment of each commit.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg

from mcp_server.domain.outcome import Status
from mcp_server.storage.journal.interrupted import KILLED

SETTINGS = {"track_commit_timestamp": "on"}

TRIGGERS = """
CREATE TABLE audit (id BIGSERIAL, execution_id BIGINT, run_key VARCHAR, op VARCHAR, before VARCHAR, status VARCHAR,
    why VARCHAR, reserved_usd DECIMAL, cost_usd DECIMAL, day DATE, changed BOOLEAN);
CREATE TABLE counted (name VARCHAR, since TIMESTAMP);
CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (execution_id, run_key, op, before, status, why, reserved_usd, cost_usd, day, changed) VALUES (
        coalesce(NEW.id, OLD.id), coalesce(NEW.run_key, OLD.run_key), TG_OP, OLD.status, NEW.status, NEW.error_message,
        NEW.reserved_usd, NEW.cost_usd, CAST(coalesce(NEW.reserved_at, NEW.started_at) AS DATE),
        to_jsonb(NEW) IS DISTINCT FROM to_jsonb(OLD));
    RETURN NULL; END $$;
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON executions FOR EACH ROW EXECUTE FUNCTION audited();
CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO counted VALUES (NEW.name, NEW.scheduled_since); RETURN NULL; END $$;
CREATE TRIGGER counted AFTER UPDATE OF scheduled_since ON strategies FOR EACH ROW EXECUTE FUNCTION counted();
"""

CHANGES = """
SELECT execution_id, run_key, op, before, status, why, reserved_usd, cost_usd, day, changed,
       CAST(extract(epoch FROM pg_xact_commit_timestamp(xmin)) AS DOUBLE PRECISION) FROM audit ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a row. `at_s`: the Unix time of its commit; `day`: the one whose budget it counts for."""

    execution_id: int
    key: str
    op: str
    before: str | None
    status: str | None
    why: str | None
    reserved_usd: Decimal | None
    cost_usd: Decimal | None
    day: Any
    changed: bool
    at_s: float

    @property
    def runner(self) -> str:
        """The key of the runner whose row it is."""
        return self.key.partition(".")[0]

    @property
    def interrupted(self) -> bool:
        """Whether it ends the row as interrupted."""
        return self.before == Status.RUNNING and self.status == Status.ERROR and self.why == KILLED


class Audit:
    """Asks the database, by no code of ours; `url` leads there."""

    def __init__(self, url: str) -> None:
        self._url = url

    def prepare(self) -> None:
        """Begin to note what is committed; the tables of the journal are there."""
        with psycopg.connect(self._url) as connection:
            connection.execute(TRIGGERS)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of an answer."""
        with psycopg.connect(self._url) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql.encode()).fetchall()

    def changes(self) -> list[Change]:
        """Return what was committed, in order."""
        return [Change(*row) for row in self.ask(CHANGES)]

    def since(self) -> dict[str, datetime]:
        """Return from when each strategy's slots count: the first moment that any runner has noted."""
        rows = self.ask("SELECT name, min(since) FROM counted WHERE since IS NOT NULL GROUP BY name")
        return {name: since.replace(tzinfo=UTC) for name, since in rows}


def overwritten(changes: Sequence[Change]) -> Iterator[str]:
    """Say which rows changed after their end, or are gone."""
    for change in changes:
        if change.op == "DELETE":
            yield f"overwritten: row {change.execution_id} was removed"
        elif change.op == "UPDATE" and change.before != Status.RUNNING and change.changed:
            yield f"overwritten: row {change.execution_id} had ended as {change.before}, and became {change.status}"


def over_budget(changes: Sequence[Change], most: Decimal) -> tuple[Mapping[Any, Decimal], list[str]]:
    """Follow what counts as spent on each day of the schedule; return the most of each, and where it was too much."""
    counted: dict[int, tuple[Any, Decimal]] = {}
    highest: dict[Any, Decimal] = defaultdict(Decimal)
    problems = list[str]()
    for change in changes:
        counts = change.cost_usd if change.status != Status.RUNNING and change.cost_usd is not None else None
        counted[change.execution_id] = change.day, counts if counts is not None else change.reserved_usd or Decimal(0)
        if not counted[change.execution_id][1]:
            del counted[change.execution_id]
            continue
        spent = sum((usd for day, usd in counted.values() if day == change.day), Decimal(0))
        highest[change.day] = max(highest[change.day], spent)
        if spent > most:
            problems.append(f"over budget: {spent} of {most} USD on {change.day} with row {change.execution_id}")
    return highest, problems


def run_twice(lines: Sequence[str]) -> Iterator[str]:
    """Say which slots were begun more than once, by what the engines noted."""
    begun = Counter(tuple(line.split(maxsplit=4)[3:]) for line in lines if line.startswith("ran "))
    for slot, times in begun.items():
        if times > 1:
            yield f"run twice: {slot[1]} {slot[0]}, {times} times"
