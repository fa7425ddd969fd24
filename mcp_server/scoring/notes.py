"""What a reader must know beside the scores: what was chosen, what is not known, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.domain.scoring.keys import PROOF
from mcp_server.domain.text import cleaned, counted
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.scoring.controls import series_of
from mcp_server.storage.journal.replays import MOST_KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcp_server.domain.scoring.keys import Score
    from mcp_server.domain.scoring.record import Record
    from mcp_server.scoring.controls import MarketControl
    from mcp_server.scoring.question import PerformanceQuestion
    from mcp_server.scoring.settle import Settlement
    from mcp_server.storage.journal.replays import Replay


def chosen(question: PerformanceQuestion, scores: Sequence[Score]) -> Iterator[str]:
    """Say what a proof is worth where it was picked out of many, or where the time was chosen."""
    if not any(score["evidence"] == "skill" for score in scores):
        return
    if question.since is not None:
        yield "Evidence since a time counts only if that time was chosen before looking."
    if len(scores) > 1:
        yield (
            f"One in {PROOF} records without skill reaches an e-value of {PROOF} by luck, and these are {len(scores)}: "
            f"only {PROOF * len(scores):,} is proof for the best of them."
        )


def hints(question: PerformanceQuestion, asked: Sequence[Record], others: Sequence[Record]) -> Iterator[str]:
    """Say what to do next where there is nothing to score, and which other kinds of runs there are."""
    if not any(record.runs or record.left_out.runs for record in asked):
        yield _nothing_recorded(question)
        if question.kind and not question.strategy_name:
            yield f"Runs of other kinds are kept apart: {_shown_by('all')}."
    of_others = [record for record in others if all(record is not one for one in asked)] if question.kind else []
    if question.strategy_name and of_others:
        runs = [(record.runs + record.left_out.runs, record.kind) for record in of_others]
        counts = ", ".join(counted(number, f"{kind} run") for number, kind in runs)
        kinds = {"manual" if record.kind == "host" else record.kind for record in of_others} - {question.kind}
        yield f"Kept apart: {counts}; {_shown_by(kinds.pop() if len(kinds) == len(of_others) == 1 else 'all')}."


def _shown_by(runs: str) -> str:
    return f"runs='{runs}' (`--runs {runs}`) shows them"


def of_replays(question: PerformanceQuestion, replays: Sequence[Replay], scores: Sequence[Score]) -> Iterator[str]:
    """Say which replays there are where all are asked for, and what is no evidence of its own."""
    if question.replay is None:
        if replays:
            named = ", ".join(map(str, replays[:MOST_KNOWN]))
            yield f"A moment counts once, by its first run. replay=ID (`--replay ID`) shows one replay: {named}."
        return
    if replays[0].terms.rerun:
        yield "A rerun repeats what is recorded already: it adds no evidence."
    if len(replays) > 1 and scores[0]["beside"] is None and scores[0]["judged"]:
        yield f"Replay {replays[1].id} decided at none of the moments of {replays[0].id} that are judged."


def _nothing_recorded(question: PerformanceQuestion) -> str:
    if question.replay is not None:
        return "No run of this replay has ended yet. The same `claude-trader replay` goes on with it."
    kind = "" if question.kind is None else f"{question.kind} "
    of = f" of {question.strategy_name!r}" if question.strategy_name else ""
    if question.since is not None:
        return f"No {kind}run{of} as of {iso(to_ms(question.since))} or later is recorded."
    do = f"`claude-trader run {question.strategy_name or 'NAME'}` records a manual run"
    if question.kind in (None, "live"):
        do = f"`claude-trader up` runs active strategies on schedule; {do}"
    return f"No {kind}run{of} is recorded yet. {do}."


def left_out(records: Sequence[Record]) -> Iterator[str]:
    """Say of which of many records runs are left out; the answer about one record says so itself."""
    for record in records:
        if runs := record.left_out.runs:
            are = f"{counted(runs, 'run')} of {record.strategy_name} {'is' if runs == 1 else 'are'}"
            yield f"{are} left out of all figures: {record.left_out.why}."


def not_kept(settlement: Settlement) -> Iterator[str]:
    """Say that outcomes are not in the journal, and why. They are in the answer, and the next call judges them anew."""
    if settlement.not_kept is not None:
        yield f"What was judged now could not be kept: {cleaned(settlement.not_kept.problem, 200)}"


def unsettled(settlement: Settlement, asked: Sequence[Record]) -> Iterator[str]:
    """Say which signals of the markets in question cannot be judged yet, and why."""
    markets = {series_of(record) for record in asked}
    yield from (str(unsettled) for unsettled in settlement.unsettled if unsettled.series in markets)


def unknown(asked: Sequence[Record], controls: Sequence[MarketControl]) -> Iterator[str]:
    """Say of which markets the base rate is not known, or rests on few candles, and why."""
    sentences: dict[str, None] = {}
    for record, control in zip(asked, controls, strict=True):
        if control.why:
            of = cleaned(f"{record.terms.symbol} on {record.terms.exchange}", 110)
            lacks = f"The base rate of {of} is not known"
            if control.candles is not None:
                lacks = f"Of {of} too few candles before the first signal are known, so the evidence is weaker"
            sentences[f"{lacks}: {control.why}."] = None
    yield from sentences
