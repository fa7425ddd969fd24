"""How a run stands, in one word. Who reads the journal needs no more of `outcome`."""

from enum import StrEnum


class Status(StrEnum):
    """The outcome of a run. Only `success` carries a signal; none of the others is ever a HOLD.

    `drift`: a rerun from a cassette needed a reply that is not on it. It says nothing about the strategy.
    """

    RUNNING = "running"
    SUCCESS = "success"
    ABSTAINED = "abstained"
    ERROR = "error"
    TIMEOUT = "timeout"
    SKIPPED_OVERLAP = "skipped_overlap"
    SKIPPED_STALE = "skipped_stale"
    SKIPPED_BUDGET = "skipped_budget"
    SKIPPED_GATE = "skipped_gate"
    MISSED = "missed"
    DRIFT = "drift"
