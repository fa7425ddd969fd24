"""The twin of a run by a model: what the strategy's own rules say at the same moment, beside its signal."""

from typing import Any

from mcp_server.domain.outcome import Outcome, Signal
from mcp_server.domain.text import cleaned

MOST_TEXT = 400

Twin = dict[str, Any]
"""Its `signal`, `confidence`, `price` and `open_time`. Where it has no signal, `reasoning` says why the rules could not
decide, or `error` why they were not evaluated."""


def twin_of(signal: Signal, outcome: Outcome) -> Twin:
    """Return what the rules said: the signal of an outcome by rules, and the candle that it rests on."""
    return {
        "signal": signal.signal,
        "confidence": None if signal.confidence is None else float(signal.confidence),
        "price": signal.price,
        "open_time": (outcome.trace or {}).get("open_time"),
    }


def undecided_twin(key: str, why: str) -> Twin:
    """Return a twin without a signal, with the reason under `reasoning` or `error`."""
    return {"signal": None, "confidence": None, key: cleaned(why, MOST_TEXT, addresses=False)}
