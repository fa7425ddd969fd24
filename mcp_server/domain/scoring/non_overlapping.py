"""Outcomes whose times do not overlap: what one of them shows, no other one shows again."""

import numpy as np
import numpy.typing as npt

from mcp_server.domain.candles import Mask, Times
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
    return candidates[apart(judged.entry_ms[candidates], judged.exit_ms[candidates])]


def apart(entry_ms: Times, exit_ms: Times) -> Positions:
    """Return the positions of times held that do not overlap, as `non_overlapping` takes them."""
    order = np.argsort(entry_ms, kind="stable")
    taken, free_from = [], -(2**63)
    for position, entry, exit_ in zip(order.tolist(), entry_ms[order].tolist(), exit_ms[order].tolist(), strict=True):
        if entry >= free_from:
            taken.append(position)
            free_from = exit_
    return np.array(taken, dtype=np.int64)
