"""The journal's rows of a run: what is known of it before it starts, and the SQL that writes it and how it ended."""

import json
from dataclasses import asdict, astuple, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mcp_server.domain.outcome import Ended, Outcome, RunEngine, SignalName, Status, Trigger
from mcp_server.domain.scoring.terms import Terms, terms_of
from mcp_server.domain.strategy.limits import DEFAULT_EXCHANGE
from mcp_server.domain.timeframes import naive
from mcp_server.errors import Retryable
from mcp_server.storage.journal.liveness import SignOfLife
from mcp_server.storage.sql import SqlConnection

if TYPE_CHECKING:
    from mcp_server.domain.strategy.strategy import Strategy


TERMS = tuple(field.name for field in fields(Terms))
"""The columns of `executions` in which the terms of a run are frozen, in the order of the fields of `Terms`."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of a run before it starts. `as_of` and `started_at` are aware.

    `default_exchange` is the one that a strategy without `exchange` asks. `replay_id`: it is one moment of a replay.
    `answer_by` (aware): a host's own model is to answer by then.
    """

    strategy: "Strategy"
    trigger: Trigger
    as_of: datetime
    engine: RunEngine
    started_at: datetime
    default_exchange: str = DEFAULT_EXCHANGE
    replay_id: str | None = None
    answer_by: datetime | None = None

    @property
    def terms(self) -> Terms:
        """By what its signal is to be judged."""
        return terms_of(self.strategy, self.engine, self.default_exchange)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that has its row, named by `key`.

    `liveness` shows other processes that it is still under way, and is closed after its end; None where one shows it
    for all slots of a runner. `start_deadline` (aware) is when the run must have begun; None: at any time. `payer` is
    the name under which the replies that it pays are kept on a cassette: its key, or that of an interrupted attempt of
    the same run, of which nobody knows what it cost.
    """

    execution_id: int
    run: Run
    key: str
    liveness: SignOfLife | None
    start_deadline: datetime | None = None
    earlier_payer: str | None = None

    @property
    def payer(self) -> str:
        """By whom the replies of this run are paid."""
        return self.earlier_payer or self.key

    def ended(
        self,
        outcome: Outcome,
        began_at: datetime | None,
        ended_at: datetime,
        waiting: str | None,
        before: SignalName | None = None,
    ) -> Ended:
        """Return how this run ended; `waiting` says why that is not in the database yet, `before` as `enter`."""
        run = self.run
        return Ended(self.execution_id, run.engine, run.as_of, outcome, began_at, ended_at, waiting, before)


def insert_run(connection: SqlConnection, run: Run, key: str) -> int:
    """Give a run its row, and its strategy the row that mirrors its folder; return the id of the run's row.

    Raises:
        Retryable: its moment has a row in its replay already.
    """
    payer = None
    if run.replay_id is not None:
        _require_free(connection, run.replay_id, run.as_of)
        payer = key
    strategy_id = mirror(connection, run.strategy, run.started_at, update=run.replay_id is None)
    row = connection.execute(
        'INSERT INTO executions (strategy_id, strategy_version, "trigger", as_of, engine, started_at, status, '  # noqa: S608 - ours
        f"run_key, replay_id, payer, answer_by, {', '.join(TERMS)}) VALUES ({', '.join('?' * (11 + len(TERMS)))}) "
        "RETURNING id",
        [
            *(strategy_id, run.strategy.version, run.trigger, naive(run.as_of)),
            *(run.engine, naive(run.started_at), Status.RUNNING, key, run.replay_id, payer),
            run.answer_by and naive(run.answer_by),
            *astuple(run.terms),
        ],
    ).fetchone()
    assert row is not None  # noqa: S101 (RETURNING gives the row that was inserted)
    return int(row[0])


def _require_free(connection: SqlConnection, replay_id: str, as_of: datetime) -> None:
    same = "SELECT id FROM executions WHERE replay_id = ? AND as_of = ?"
    if taken := connection.execute(same, [replay_id, naive(as_of)]).fetchall():
        raise Retryable(
            f"This moment of replay {replay_id} has its row already: run {taken[0][0]}.",
            "Read the rows of the replay anew: another process may have added it.",
        )


def mirror(connection: SqlConnection, strategy: "Strategy", now: datetime, *, update: bool = True) -> int:
    """Bring the row that mirrors a strategy's folder up to date, and return its id.

    Without `update` a row that is there stays as it is: a replay may leave sub-agents out, which no folder says.
    """
    content = [
        strategy.config.description,
        strategy.config.status,
        strategy.schedule,
        _json(strategy.config_json()),
        _json(strategy.agents_json()),
        strategy.version,
    ]
    row = connection.execute("SELECT id, version, status FROM strategies WHERE name = ?", [strategy.name]).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO strategies (description, status, interval, config, agents, version, name, created_at, "
            "updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            [*content, strategy.name, naive(now), naive(now)],
        ).fetchone()
        assert row is not None  # noqa: S101 (RETURNING gives the row that was inserted)
    elif update and row[1:] != (strategy.version, strategy.config.status):  # its folder may have gone, and come back
        connection.execute(
            "UPDATE strategies SET description = ?, status = ?, interval = ?, config = ?, agents = ?, version = ?, "
            "updated_at = ?, accounted_from = CASE WHEN ? THEN accounted_from ELSE accounted_until END WHERE id = ?",
            [*content, naive(now), row[1] == strategy.version, row[0]],
        )
    return int(row[0])


def ended_run(claimed: Claimed, outcome: Outcome, began_at: datetime | None, completed_at: datetime) -> dict[str, Any]:
    """Return everything that ends a run, as JSON values: the same whether it goes to the database or to the outbox."""
    signal = None
    if outcome.signal is not None:
        signal = {**asdict(outcome.signal), "data": _json(outcome.signal.data)}
        signal["confidence"] = None if signal["confidence"] is None else str(signal["confidence"])
    started_at = began_at or claimed.run.started_at
    return {
        "execution_id": claimed.execution_id,
        "run_key": claimed.key,
        "started_at": started_at.astimezone(UTC).isoformat(),
        "completed_at": completed_at.astimezone(UTC).isoformat(),
        "status": str(outcome.status),
        "error": outcome.error,
        "model": outcome.model,
        "tokens_used": outcome.tokens_used,
        "cost_usd": None if outcome.cost_usd is None else str(outcome.cost_usd),
        "recorded_usd": None if outcome.recorded_usd is None else str(outcome.recorded_usd),
        "knowledge_cutoff": outcome.knowledge_cutoff,
        "contaminated": outcome.contaminated,
        "trace": None if outcome.trace is None else _json(outcome.trace),
        "own_failure": _own_failure(outcome),
        "as_of": claimed.run.as_of.astimezone(UTC).isoformat(),
        "execution_time_ms": round((completed_at - started_at).total_seconds() * 1000),
        "signal": signal,
    }


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a claimed run ended and when; `began_at` is when it began, where it waited for its turn."""

    claimed: Claimed
    outcome: Outcome
    ended_at: datetime
    began_at: datetime | None = None

    def document(self) -> dict[str, Any]:
        """Return everything that ends it, as JSON values."""
        return ended_run(self.claimed, self.outcome, self.began_at, self.ended_at)


MOST_COST_USD = 10**9
"""A cost beyond this is a mistake, and its column could not hold much more."""


def unkept(outcome: Outcome, error: Exception) -> Outcome:
    """Return what is entered for an outcome that the database refuses: an error, and what it cost if that is known."""
    cost = outcome.cost_usd
    known = cost is not None and cost.is_finite() and 0 <= cost < MOST_COST_USD
    return Outcome(
        Status.ERROR,
        error=refusal(error),
        tokens_used=outcome.tokens_used,
        cost_usd=cost if known else None,
        contaminated=outcome.contaminated,
    )


def refusal(error: Exception) -> str:
    """Say why an outcome cannot be kept."""
    first_line = next(iter(str(error).splitlines()), "")
    return f"its outcome cannot be kept ({type(error).__name__}: {first_line[:200]!r})"


def _own_failure(outcome: Outcome) -> bool | None:
    """Return True for a failure that counts against the strategy, None where the run says nothing about it."""
    if outcome.blame is not None:
        return True if outcome.blame == "strategy" else None
    return False if outcome.decided else None


_OPEN_ENDED = (Status.ERROR, Status.TIMEOUT, Status.MISSED, Status.SKIPPED_BUDGET)
"""How a run ends that something else than its strategy may have ended; where it failed itself, its row says so."""


def open_ended(status: str, own_failure: bool | None) -> bool:
    """Return whether a run ended for a reason outside of its strategy, by a stop, or by a kill."""
    return own_failure is None and status in _OPEN_ENDED


def is_final(outcome: Outcome) -> bool:
    """Return whether a run with this outcome has ended for good, so that a replay never takes it up again."""
    return not open_ended(outcome.status, _own_failure(outcome))


def has_run(connection: SqlConnection, key: str) -> bool:
    """Return whether the run of this key has its row here."""
    return connection.execute("SELECT 1 FROM executions WHERE run_key = ?", [key]).fetchone() is not None


def _json(value: Any) -> str:
    """Write JSON; what is no number, or half a character, is a `ValueError` here, as not every database refuses it."""
    text = json.dumps(value, allow_nan=False, default=str)
    if "\\ud" in text:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    return text
