"""A grid of variants judged together: none is shown without all the others that were tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import TYPE_CHECKING, Any

from mcp_server.domain.backtest.summary import LIKELY, gained_or_lost, probability
from mcp_server.domain.text import counted, share
from mcp_server.domain.timeframes import iso

if TYPE_CHECKING:
    from mcp_server.domain.backtest.vary import Variant
    from mcp_server.domain.backtest.walk_forward import WalkForward

_SHARED = (
    "strategy_name", "exchange", "symbol", "timeframe", "start", "end", "candles", "missing", "missing_fundings",
    "side", "fee_bps", "slippage_bps", "stake_pct", "buy_and_hold_pct", "trials",
)  # fmt: skip
"""What the answers of all variants have in common."""

_FIGURES = (
    "backtest_id", "version", "return_pct", "max_drawdown_pct", "trades", "win_rate_pct", "sharpe",
    "sharpe_probabilistic", "sharpe_deflated", "controls", "look_ahead",
)  # fmt: skip

_RANKED_BY = ("sharpe_deflated", "sharpe", "return_pct")


@dataclass(frozen=True, slots=True)
class TriedRow:
    """A variant with the answer of its backtest, deflated by all that was tried, or with why there is none."""

    variant: Variant
    answer: Mapping[str, Any] | None
    error: str | None = None

    def figures(self) -> dict[str, Any]:
        """Return its row of the answer; a figure that is undefined, or of a variant that failed, is None."""
        named = {"variant": self.variant.label, "changes": dict(self.variant.changes), "error": self.error}
        return named | {name: self.answer[name] if self.answer else None for name in _FIGURES}


def grid_answer(rows: Sequence[TriedRow], walk: WalkForward | None, pbo: float | None) -> dict[str, Any]:
    """Return the answer of a sweep as JSON values; the variants in the order of the grid.

    Args:
        rows: at least one of them with an answer.
        walk: what choosing anew in each part of the time would have brought; None where the time is too short.
        pbo: the probability (0 to 1) that choosing the best of these is overfitting; None for fewer than ten variants.
    """
    answers = [row.answer for row in rows if row.answer is not None]
    return {
        **{name: answers[0][name] for name in _SHARED},
        "variants": [row.figures() for row in rows],
        "pbo": pbo,
        "walk_forward": None if walk is None else _walk(rows, walk),
        "summary": list(_sentences(rows, answers, walk, pbo)),
    }


def _walk(rows: Sequence[TriedRow], walk: WalkForward) -> dict[str, Any]:
    """Return the walk-forward with times and the names of variants; its positions are among those with an answer."""
    labels = [row.variant.label for row in rows if row.answer is not None]
    folds = [
        {
            "start": iso(fold.start_ms),
            "end": iso(fold.end_ms),
            "variant": None if fold.chosen is None else labels[fold.chosen],
            "return_pct": fold.return_pct,
            "buy_and_hold_pct": fold.buy_and_hold_pct,
        }
        for fold in walk.folds
    ]
    return {"return_pct": walk.return_pct, "buy_and_hold_pct": walk.buy_and_hold_pct, "folds": folds}


def _sentences(
    rows: Sequence[TriedRow], answers: Sequence[Mapping[str, Any]], walk: WalkForward | None, pbo: float | None
) -> Iterator[str]:
    if leaking := [row.variant.label for row in rows if row.answer and row.answer["look_ahead"]["changed"]]:
        yield f"These variants look into the future, so their figures mean nothing: {'; '.join(leaking)}."
    returns = [answer["return_pct"] for answer in answers]
    gained = sum(value > 0 for value in returns)
    held = answers[0]["buy_and_hold_pct"]
    holding = "" if held is None else f"; holding {gained_or_lost(held)}"
    yield (
        f"{gained:,} of {counted(len(answers), 'variant')} gained; a typical one (the median) "
        f"{gained_or_lost(median(returns))}{holding}."
    )
    yield from _best(rows)
    if walk is not None:
        own, held_then = gained_or_lost(walk.return_pct), gained_or_lost(walk.buy_and_hold_pct)
        yield (
            f"Choosing the best variant anew in each of {counted(len(walk.folds), 'part')} of the time, by what was "
            f"known before it, {own}, while holding {held_then}."
        )
    if pbo is not None:
        verdict = "choosing the best here is overfitting"
        if pbo < 0.5:
            verdict = "what was best once is often one of the better ones again"
        yield (
            f"In {share(pbo)} of the ways to split the time in two, the variant that was best in one half was "
            f"not above the middle in the other: {verdict}."
        )
    if failed := [row.variant.label for row in rows if row.answer is None]:
        yield f"{counted(len(failed), 'variant')} failed, each for the error in its row: {'; '.join(failed[:3])}."
    if lacking := _lacking(answers[0]):
        yield f"Keep in mind: {lacking}."
    if not leaking:
        checked = min(answer["look_ahead"]["checked"] for answer in answers)
        yield (
            f"No look-ahead was found: replacing what comes after {counted(checked, 'moment')} or more of each variant "
            "changed nothing earlier."
        )


def _lacking(answer: Mapping[str, Any]) -> str:
    """Say what is not known of the time, for any of the variants."""
    numbers = {"candle": answer["missing"], "funding": answer["missing_fundings"] or 0}
    notes = {"candle": "missing", "funding": "not known, and so not paid"}
    return "; ".join(f"{counted(number, thing)} {notes[thing]}" for thing, number in numbers.items() if number)


def _best(rows: Sequence[TriedRow]) -> Iterator[str]:
    """Say what the best variant is worth, which is the less, the more were tried. One that looks ahead is none."""
    sound = [row for row in rows if row.answer and not row.answer["look_ahead"]["changed"]]
    if not sound:
        return
    best = max(sound, key=_rank)
    answer = best.answer or {}
    start = f"The best one, '{best.variant.label}', {gained_or_lost(answer['return_pct'])}"
    if (deflated := answer["sharpe_deflated"]) is None:
        yield f"{start}; the record is too short, or moves too little, to say what that is worth."
        return
    bar = "above" if deflated >= LIKELY else "below"
    yield (
        f"{start}; after {counted(answer['trials'], 'variant')} tried, the probability that it beats the best of that "
        f"many by luck is {probability(deflated)}, {bar} the usual bar of {LIKELY * 100:.0f} %."
    )


def _rank(row: TriedRow) -> list[float]:
    figures = row.answer or {}
    return [-inf if figures[name] is None else figures[name] for name in _RANKED_BY]
