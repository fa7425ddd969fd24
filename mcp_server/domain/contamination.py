"""Whether a model may know what came after a moment: by its knowledge cutoff, which the agent CLI writes as a month.

What a model says of such a moment shows no skill, as it may remember the sequel.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from mcp_server.domain.text import minute
from mcp_server.errors import BadInput

MARGIN = timedelta(days=30)
"""How long after its month of cutoff a model may still know something: texts are dated late, and months are rough."""


def first_clean(cutoff: str) -> datetime:
    """Return the first moment that a model with this cutoff ("2026-06") knows nothing of: `MARGIN` after its month.

    Raises:
        ValueError: it is not a month.
    """
    month = datetime.strptime(cutoff, "%Y-%m").replace(tzinfo=UTC)
    return (month + timedelta(days=32)).replace(day=1) + MARGIN


def contaminated(as_of: datetime, cutoff: str | None) -> bool:
    """Return whether a model with this cutoff may know what came after a moment; an unknown cutoff counts as if so."""
    return cutoff is None or as_of < first_clean(cutoff)


def may_know(as_of: datetime, model: str, cutoff: str | None) -> str:
    """Say why a model may know what came after a moment; `model` is its name, or what it is."""
    sequel = f"so it may know what came after {minute(as_of)} UTC."
    if cutoff is None:
        return f"The knowledge cutoff of {model} is not known, {sequel}"
    return f"{model} knows what happened until {cutoff}, {sequel}"


def refusal(as_of: datetime, model: str, cutoff: str | None) -> BadInput | None:
    """Return why a model is not to be asked as of a moment, with the first one that is clean; None: it may be asked."""
    if not contaminated(as_of, cutoff):
        return None
    begin = "Use a model whose cutoff the agent CLI states"
    if cutoff is not None:
        begin = f"The first clean moment is {minute(first_clean(cutoff))} UTC: begin there"
    anyway = "pass --contaminated: then each run is labelled, and stays out of every figure of skill."
    return BadInput(may_know(as_of, model, cutoff), f"{begin}, or {anyway}")


def latest(cutoffs: Iterable[str | None]) -> str | None:
    """Return the cutoff that counts where several models were used: the latest, or None where one is unknown."""
    known: list[str] = []
    for cutoff in cutoffs:
        if cutoff is None:
            return None
        known.append(cutoff)
    return max(known, key=first_clean, default=None)
