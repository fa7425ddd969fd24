"""What there was of runs at a moment, as SQL over `executions e`: no answer is told before it was given."""

from mcp_server.domain.run_status import Status

RAN = tuple(map(str, (Status.SUCCESS, Status.ABSTAINED, Status.ERROR, Status.TIMEOUT)))
"""How a run ends that was asked for a signal; `JournalRecord.status` has positions in it."""


def _answered(ended: str) -> str:
    return f"CASE WHEN e.\"trigger\" = 'schedule' THEN {ended} ELSE e.as_of + ({ended} - e.started_at) END"


ANSWERED = _answered("e.completed_at")
"""When a run's answer was there: by hand and in a replay, its as-of and as long as it took; NULL while it runs."""

DECIDED = f"CASE WHEN e.engine = 'host' THEN {ANSWERED} ELSE e.as_of END"
"""The moment after which a run's signal is entered: a host's own model can see how the price moves until it answers."""

_ANSWERED_OR_BEGAN = _answered("coalesce(e.completed_at, e.started_at)")
_BEGUN = "CASE WHEN e.\"trigger\" = 'schedule' THEN e.started_at ELSE e.as_of END"

AT_ITS_TIME = (
    "(e.\"trigger\" = 'schedule' OR e.\"trigger\" = 'manual' AND e.started_at <= e.as_of + INTERVAL '1' MINUTE)"
)
"""The condition that a run was made at its moment, and not later as of it, as those of replays are.

A sub-agent is told of no others. It would read what was guessed with hindsight, or by itself in an earlier replay, and
the same run would see something else when it is repeated.
"""

KNOWN_AT_THE_END = (
    *("completed_at", "error_message", "tokens_used", "cost_usd", "recorded_usd", "own_failure", "model"),
    *("knowledge_cutoff", "contaminated", "trace"),
)
"""The columns of a run that say nothing while it runs; its status is `running` then."""


def answered_by(moment: str) -> str:
    """Return the condition that the end of a run was known at a moment, or that it runs now and had begun by then."""
    return f"e.as_of <= {moment} AND {_ANSWERED_OR_BEGAN} <= {moment}"


def there_by(moment: str) -> str:
    """Return the condition that there was a row: that its end was known, or that it was under way.

    A slot that did not run has its row since that was noticed; one that waited for a budget was under way until then.
    """
    return f"({answered_by(moment)} OR e.as_of <= {moment} AND {_BEGUN} <= {moment})"
