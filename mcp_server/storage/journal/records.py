"""What scoring reads of the journal: the runs of each strategy, kind and decision_version, as arrays."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mcp_server.domain.rules.series import Codes
from mcp_server.domain.scoring.terms import Terms

Kind = Literal["live", "manual", "host", "replay"]
"""Kinds of runs, which are never mixed: of a slot, by hand, decided by a host's own model, of past moments."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RAN = ("success", "abstained", "error", "timeout")
"""How a run ends that was asked for a signal; `JournalRecord.status` has positions in it."""

PENDING, JUDGED, VOID = 0, 1, 2
"""The codes of `JournalRecord.state`."""


@dataclass(frozen=True, slots=True, eq=False)
class JournalRecord:
    """The runs of one strategy, one kind and one decision_version that ended by a moment, oldest first.

    Arrays have one entry for each run that ended as one of `RAN`. Times are Unix ms; 0 where there is none. `terms` are
    those of the latest run. `status` and `state` have the codes above, `signal` those of `rules.series`: UNDECIDED
    where there is none. `confidence` is 0 to 1. Of floats, NaN is unknown. `missed` counts slots that did not run.
    """

    strategy: str
    kind: Kind
    terms: Terms
    missed: int
    execution_id: Integers
    decided_ms: Integers
    answered_ms: Integers
    status: Codes
    signal: Codes
    confidence: Floats
    cost_usd: Floats
    state: Codes
    entry_ms: Integers
    exit_ms: Integers
    r: Floats
    cost_bps: Floats
    funding_bps: Floats
