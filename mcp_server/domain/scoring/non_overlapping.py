"""Outcomes whose times do not overlap: what one of them shows, no other one shows again."""

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Mask
from mcp_server.domain.scoring.signals import JudgedSignals

Positions = npt.NDArray[np.int64]


def non_overlapping(judged: JudgedSignals, among: Mask) -> Positions:
    """Return the positions of signals, oldest first, each of which is entered at or after the exit of the one before.

    The earliest entry is always taken, so which ones are taken does not depend on how they turned out.

    Args:
        judged: the record.
        among: which signals may be taken.
    """
    candidates = np.flatnonzero(among)
    candidates = candidates[np.argsort(judged.entry_ms[candidates], kind="stable")]
    entries, exits = judged.entry_ms[candidates].tolist(), judged.exit_ms[candidates].tolist()
    taken, free_from = [], -(2**63)
    for position, (entry_ms, exit_ms) in enumerate(zip(entries, exits, strict=True)):
        if entry_ms >= free_from:
            taken.append(position)
            free_from = exit_ms
    return candidates[np.array(taken, dtype=np.int64)]
