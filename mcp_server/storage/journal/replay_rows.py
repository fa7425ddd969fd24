"""The rows of a replay: one for each moment. One that was interrupted is taken up again, one that is final never."""

from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from decimal import Decimal

from mcp_server.domain.outcome import Status
from mcp_server.domain.timeframes import naive
from mcp_server.errors import Retryable
from mcp_server.storage.journal.budget import Spent
from mcp_server.storage.journal.rows import TERMS, Run, open_ended
from mcp_server.storage.sql import SqlConnection

_ROWS = (
    "SELECT e.as_of, e.id, e.status, e.own_failure, a.signal, e.error_message, e.cost_usd, e.recorded_usd, "
    "e.tokens_used, e.contaminated, e.started_at, e.completed_at "
    "FROM executions e LEFT JOIN analysis_results a ON a.execution_id = e.id "
    "WHERE e.replay_id = ? ORDER BY e.as_of"
)

_SPENT = (
    "SELECT coalesce(sum(CASE WHEN e.status = 'running' THEN coalesce(e.earlier_usd, 0) "
    "ELSE coalesce(e.cost_usd, coalesce(e.reserved_usd, 0) + coalesce(e.earlier_usd, 0)) END), 0), "
    "coalesce(sum(CASE WHEN e.status = 'running' AND e.id <> $2 THEN e.reserved_usd END), 0) "
    "FROM executions e WHERE e.replay_id = $1"
)
"""What earlier attempts of a run under way have cost is spent; what it may cost itself is reserved."""


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One moment of a replay, as its row stands, without what the model said."""

    as_of: datetime
    execution_id: int
    status: str
    own_failure: bool | None
    signal: str | None
    error: str | None
    cost_usd: Decimal | None
    recorded_usd: Decimal | None
    tokens_used: int | None
    contaminated: bool | None
    started_at: datetime
    completed_at: datetime | None

    @property
    def is_final(self) -> bool:
        """Whether it has ended for good."""
        return self.status != Status.RUNNING and not self.is_open

    @property
    def cost_when_asked(self) -> Decimal | None:
        """What its replies cost when they were asked for, here or in an earlier replay; None where that is unknown."""
        return self.cost_usd if self.recorded_usd is None else self.recorded_usd

    @property
    def took_s(self) -> float:
        """How long its last attempt took, in seconds."""
        return (self.completed_at - self.started_at).total_seconds() if self.completed_at else 0.0

    @property
    def is_open(self) -> bool:
        """Whether it ended for a reason outside of the strategy, or by a stop: then it is to be taken up again."""
        return open_ended(self.status, self.own_failure)


def replay_rows(connection: SqlConnection, replay_id: str) -> dict[datetime, ReplayRow]:
    """Return the rows of a replay by their moments, in order of time."""
    rows = connection.execute(_ROWS, [replay_id]).fetchall()
    return {row.as_of: row for row in (ReplayRow(as_of.replace(tzinfo=UTC), *rest) for as_of, *rest in rows)}


def spent_by(connection: SqlConnection, replay_id: str, beside: int = 0) -> Spent:
    """Return what a replay has spent, and what its runs under way may spend, `beside` one of them."""
    row = connection.execute(_SPENT, [replay_id, beside]).fetchone()
    assert row is not None  # noqa: S101 (an aggregate always gives a row)
    return Spent(*row)


def take_up(connection: SqlConnection, execution_id: int, run: Run, key: str) -> str:
    """Set the row of an interrupted run of a replay back to running; return the payer of this attempt.

    What its earlier attempts cost is kept. Where that is unknown their limit stays reserved, and this attempt goes on
    under their payer: so it knows which of the replies on the cassette they have paid.

    Raises:
        Retryable: the row is not of this replay and moment, or has ended for good.
    """
    rows = connection.execute(
        "SELECT status, own_failure FROM executions WHERE id = ? AND replay_id = ? AND as_of = ?",
        [execution_id, run.replay_id, naive(run.as_of)],
    ).fetchall()
    if not rows or not open_ended(*rows[0]):
        raise Retryable(
            f"Run {execution_id} of replay {run.replay_id} cannot be taken up again.",
            "Read the rows of the replay anew: another process may have ended it.",
        )
    ((payer,),) = connection.execute(
        "UPDATE executions SET payer = CASE WHEN cost_usd IS NULL THEN payer ELSE $1 END, "  # noqa: S608 - ours
        "reserved_usd = CASE WHEN cost_usd IS NULL THEN reserved_usd END, "
        "earlier_usd = coalesce(cost_usd, earlier_usd), cost_usd = NULL, recorded_usd = NULL, tokens_used = NULL, "
        "model = NULL, knowledge_cutoff = NULL, contaminated = NULL, trace = NULL, own_failure = NULL, "
        "error_message = NULL, completed_at = NULL, run_key = $1, status = $2, started_at = $3, "
        f"strategy_version = $4, {', '.join(f'{name} = ${at}' for at, name in enumerate(TERMS, 6))} "
        "WHERE id = $5 RETURNING payer",
        [key, Status.RUNNING, naive(run.started_at), run.strategy.version, execution_id, *astuple(run.terms)],
    ).fetchall()
    return str(payer)
