"""Which runs may show skill, as SQL over `executions e`: not those that may have known, nor what is only repeated."""

from mcp_server.storage.journal.by_then import ANSWERED

DECIDES = "coalesce(e.decision_version, e.strategy_version || ' ' || e.engine)"
"""What the runs of a record have in common; those of earlier versions have no decision_version until it is frozen."""

_UNKNOWN = (
    "e.contaminated IS NULL AND e.\"trigger\" <> 'schedule' AND e.started_at - e.as_of > INTERVAL '1' DAY "
    "AND (e.replay_id IS NULL OR e.status = 'success')"
)
"""A run at a past moment that nobody judged, as earlier versions made them, is not taken for a clean one.

No model knows the last day, and a slot is about the present however late it starts. A moment of a replay that ended
without a signal is not judged where no model was asked.
"""

LEFT_OUT = f"(e.engine <> 'rules' AND (coalesce(e.contaminated, FALSE) OR {_UNKNOWN}))"
"""The model may know what came next. Rules know nothing."""

_REPLAYED = (
    "SELECT first.id FROM (SELECT e.id, row_number() OVER (PARTITION BY e.strategy_id, "  # noqa: S608 - ours
    f"{DECIDES}, e.as_of ORDER BY {LEFT_OUT}, e.status NOT IN ('success', 'abstained'), e.id) AS place "
    f"FROM executions e WHERE e.\"trigger\" = 'replay' AND e.status <> 'running' AND {ANSWERED} <= $1 "
    "AND (e.replay_id IS NULL OR e.replay_id NOT IN "
    "(SELECT id FROM replays WHERE rerun OR CAST(without AS VARCHAR) <> '[]'))) AS first WHERE first.place = 1"
)
"""Of each moment that was replayed by $1, the first run that decided: a later one could be chosen by what came of it.

Reruns repeat what is there, and a strategy without some of its sub-agents is another one: neither is among them.
"""

COUNTED = (
    f"(CASE WHEN CAST($5 AS VARCHAR) IS NULL THEN e.\"trigger\" <> 'replay' OR e.id IN ({_REPLAYED}) "
    "ELSE e.replay_id = $5 END)"
)
"""The runs that are asked for: those of one replay ($5) as they are, or of all of them each moment once."""
