"""How a run stands, in one word, and what decides it. Who reads the journal needs no more of `outcome`."""

from enum import StrEnum
from typing import Literal

Engine = Literal["claude", "rules"]
RunEngine = Literal["claude", "rules", "host"]
"""What decided a run. `host`: the model of the program that a person talks to, which no strategy can name."""


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
