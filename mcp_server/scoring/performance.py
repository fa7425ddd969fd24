"""What signals were worth, as of a moment: settles what is due, gathers the controls, and scores each record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import numpy as np

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.rules.series import UNDECIDED
from mcp_server.domain.scoring.record import Record, RecordControls
from mcp_server.domain.scoring.score import score
from mcp_server.domain.scoring.terms import terms_of
from mcp_server.domain.text import counted
from mcp_server.domain.timeframes import iso, to_ms
from mcp_server.errors import BadInput, NotFound
from mcp_server.scoring import notes
from mcp_server.scoring.controls import codes_at, market_controls
from mcp_server.scoring.curve import curve_of
from mcp_server.scoring.records import latest_records
from mcp_server.scoring.series import Allowance
from mcp_server.scoring.settle import settle_due

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from mcp_server.domain.rules.series import Codes
    from mcp_server.domain.scoring.keys import Score
    from mcp_server.domain.strategy.strategy import Strategy
    from mcp_server.market.market import Market
    from mcp_server.scoring.controls import MarketControl
    from mcp_server.scoring.question import PerformanceQuestion
    from mcp_server.scoring.settle import Settlement
    from mcp_server.storage.journal.replays import Replay
    from mcp_server.storage.journal.runs import Journal
    from mcp_server.storage.strategies.folders import StrategyFolders

SETTLE_S, GATHER_S = 16.0, 7.0
"""Of a call's time, so much may go into settling what is due, and into the candles that records are compared with."""

SHORT_SETTLE_S, SHORT_GATHER_S = 3.0, 2.0
"""The same where a curve is asked for: somebody looks at a page, and what is due is settled on schedule too."""


@dataclass(frozen=True, slots=True)
class ScoredRecords:
    """The scores of the records that were asked for, by name and kind, and what a reader must know beside them.

    `curve` has the fields of the curve, where it is asked for, `replay` those of the replay.
    """

    scores: Sequence[Score]
    notes: Sequence[str]
    curve: Mapping[str, Any] = field(default_factory=dict)
    replay: Mapping[str, Any] = field(default_factory=dict)


class Scoring:
    """Answers what the signals of one home were worth."""

    def __init__(self, market: Market, journal: Journal, strategies: StrategyFolders, default_exchange: str) -> None:
        self._market = market
        self._journal = journal
        self._strategies = strategies
        self._default_exchange = default_exchange
        self._outcomes = journal.outcomes(strategies, default_exchange)

    async def answer(
        self, question: PerformanceQuestion, tell: Callable[[int, int, str], Awaitable[None]]
    ) -> ScoredRecords:
        """Settle what is due, and score the records that were asked for.

        Raises:
            NotFound: there is no such strategy, and none was ever run; or no such replay.
            BadInput: the replay is of another strategy, or the other one of another market.
            TraderError: the journal cannot be read. That it cannot be written, and a market that cannot be asked, are
                told in the notes.
        """
        replays = await anyio.to_thread.run_sync(self._replays, question)
        if question.replay is not None:
            question = replace(question, strategy_name=replays[0].terms.strategy, kind="replay")
        until, now = question.until, question.now
        await tell(0, 3, "Settling what is due")
        settle_s, gather_s = (SHORT_SETTLE_S, SHORT_GATHER_S) if question.curve else (SETTLE_S, GATHER_S)
        name = question.strategy_name  # nobody waits for the exchange of a strategy that was not asked for
        settlement = await settle_due(
            self._outcomes, self._market, until, now, settle_s, keep=until >= now, strategy=name
        )
        await tell(1, 3, "Reading the records")
        records = await anyio.to_thread.run_sync(self._records, question, settlement)
        asked = [record for record in records if question.wants(record.kind)]
        if question.strategy_name is not None and question.kind is not None:
            asked = asked[:1]  # by hand: those of a host's own model where there are no others
        if question.strategy_name is not None and not asked:
            asked = [await anyio.to_thread.run_sync(self._without_runs, question, records)]
        controls = await market_controls(self._market, asked, to_ms(until), Allowance.of(gather_s))
        await tell(2, 3, f"Scoring {counted(len(asked), 'record')}")
        alone = question.strategy_name is not None
        other = replays[1] if question.beside is not None else None
        scores = await anyio.to_thread.run_sync(self._scores, question, asked, controls, other)
        sentences = [
            *notes.chosen(question, scores),
            *(notes.left_out(asked) if question.kind is None or not alone else ()),
            *notes.hints(question, asked, records),
            *notes.of_replays(question, replays, scores),
            *notes.not_kept(settlement),
            *notes.unsettled(settlement, asked),
            *notes.unknown(asked, controls),
        ]
        curve = await anyio.to_thread.run_sync(self._curve, asked[0], settlement) if question.curve else {}
        return ScoredRecords(scores, sentences, curve, _terms(replays[0]) if question.replay is not None else {})

    def _replays(self, question: PerformanceQuestion) -> list[Replay]:
        """Return the replay that is asked for, or those of the strategy whose replayed runs are."""
        name, replays = question.strategy_name, self._journal.replays
        if question.replay is None:
            return replays.of(name) if name is not None and question.kind == "replay" else []
        asked = [replays.read(one) for one in (question.replay, question.beside) if one is not None]
        if name not in (None, asked[0].terms.strategy):
            raise BadInput(f"Replay {asked[0].id} is of {asked[0].terms.strategy!r}.", "Leave strategy_name out.")
        return asked

    def _records(self, question: PerformanceQuestion, settlement: Settlement) -> list[Record]:
        """Return the records that were asked for; of a single strategy those of every kind."""
        name = question.strategy_name
        kept = self._outcomes.records(
            question.until,
            strategy=name,
            kind=None if name or question.kind == "manual" else question.kind,
            since=question.since,
            replay=question.replay,
            computed=settlement.outcomes,
        )
        return latest_records(kept, to_ms(question.until))

    def _scores(
        self,
        question: PerformanceQuestion,
        records: Sequence[Record],
        controls: Sequence[MarketControl],
        other: Replay | None,
    ) -> list[Score]:
        """Return the scores of records, compared with another replay where there is one."""
        alone, scores = question.strategy_name is not None, []
        for record, control in zip(records, controls, strict=True):
            compared = self._controls(record, control, alone=alone)
            if other is not None:
                compared = replace(compared, beside=self._said_by(other, record, question))
            scores.append(score(record, compared, brief=not alone))
        return scores

    def _said_by(self, replay: Replay, record: Record, question: PerformanceQuestion) -> Codes:
        """Return what another replay of the same market said at each judged signal, in runs that may show skill."""
        kept = self._outcomes.records(question.until, strategy=replay.terms.strategy, replay=replay.id)
        if any((one.terms.exchange, one.terms.symbol) != (record.terms.exchange, record.terms.symbol) for one in kept):
            raise BadInput(f"Replay {replay.id} is of another market.", "Compare replays of one market.")
        pairs = [pair for one in kept for pair in zip(one.decided_ms.tolist(), one.signal.tolist(), strict=True)]
        said = dict(pairs)
        codes = [said.get(moment, UNDECIDED) for moment in record.judged.decided_ms.tolist()]
        return np.array(codes, dtype=np.int8)

    def _controls(self, record: Record, market: MarketControl, *, alone: bool) -> RecordControls:
        """Return what a record is compared with; its twin and sub-agents only where it is asked for alone."""
        strategy = self._strategy(record.strategy_name)
        stop = None if strategy is None else strategy.config.stop
        if not alone or not len(record.judged):
            return RecordControls(market.candles, market.fundings, stop=stop)
        stated = self._journal.statements(record.strategy_name)
        leans = {name: codes_at(record.judged, of_agent) for name, of_agent in stated.leans.items()}
        leans = {name: codes for name, codes in leans.items() if (codes != UNDECIDED).any()}  # others lean elsewhere
        twin = codes_at(record.judged, stated.twin) if stated.twin else None
        return RecordControls(market.candles, market.fundings, twin, leans, stop)

    def _curve(self, record: Record, settlement: Settlement) -> Mapping[str, Any]:
        return curve_of(record, self._outcomes, settlement.outcomes, self._as_it_ran(record))

    def _as_it_ran(self, record: Record) -> Strategy | None:
        """Return the strategy in the version that a record is of; None where that is not known."""
        if not len(record.judged):
            return None
        try:
            version = self._outcomes.version_of(int(record.judged.execution_id[-1]))
            return self._strategies.read_version(record.strategy_name, version)
        except BadInput:
            return None

    def _strategy(self, name: str) -> Strategy | None:
        """Return a strategy as it is now; None where its folder is gone or broken."""
        try:
            return self._strategies.read(name)
        except BadInput:
            return None

    def _without_runs(self, question: PerformanceQuestion, others: Sequence[Record]) -> Record:
        """Return the record of a strategy that has no run of this kind; `others` are of other kinds."""
        if others:
            name, terms = others[0].strategy_name, others[0].terms
        else:
            strategy = self._present(question.strategy_name or "", question.until)
            name, terms = strategy.name, terms_of(strategy, strategy.engine, self._default_exchange)
        return Record.empty(name, question.kind or "live", terms, to_ms(question.until))

    def _present(self, name: str, until: datetime) -> Strategy:
        """Return a strategy as it is now. Where there is none, what was meant may stand in the journal alone."""
        try:
            return self._strategies.read(name)
        except NotFound as error:
            known = {*self._strategies.names(), *self._outcomes.names(until)}
            raise NotFound(error.problem, nearest(name, known) if known else error.remedy) from None


def _terms(replay: Replay) -> dict[str, Any]:
    """Return what defines a replay as fields of an answer."""
    terms = replay.terms
    return {
        "replay": replay.id,
        "since": iso(to_ms(terms.since)),
        "until": iso(to_ms(terms.until)),
        "every": terms.every,
        "without": [*terms.without],
        "rerun": terms.rerun,
    }
