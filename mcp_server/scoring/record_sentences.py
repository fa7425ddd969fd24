"""What each strategy's live record shows: the first sentence of `get_performance`, from what is settled and stored.

No exchange is asked and nothing is settled, so nobody waits. Where that is not enough to say what `get_performance`
would say, the sentence says less, never something else.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.to_thread

from mcp_server.domain.text import counted
from mcp_server.domain.timeframes import to_ms

if TYPE_CHECKING:
    from datetime import datetime

    from mcp_server.domain.scoring.record import Record
    from mcp_server.domain.strategy.format import StopRule
    from mcp_server.market.candle_cache import CandleCache
    from mcp_server.market.market import Market
    from mcp_server.scoring.controls import MarketControl
    from mcp_server.storage.journal.outcomes import Outcomes

LOOK_S = 5.0
"""Stored candles are read for no longer than this."""

FEW_CHANGED = 4
"""Of so many strategies the runs are read one by one; of more, all at once."""


class KnownSentence(NamedTuple):
    """A sentence, and what it was made from."""

    mark: Hashable
    candles: Hashable
    series: tuple[str, str] | None
    text: str | None


class RecordSentences:
    """Keeps the sentences of one home, each until something that it rests on changes.

    Args:
        stored: the market as far as it is stored; it asks no exchange.
        candle_cache: tells when candles of a record's market were added before it, or replaced.
        outcomes: the journal's.
    """

    def __init__(self, stored: Market, candle_cache: CandleCache, outcomes: Outcomes) -> None:
        self._stored = stored
        self._candle_cache = candle_cache
        self._outcomes = outcomes
        self._kept: dict[str, KnownSentence] = {}
        self._turn = anyio.Lock()

    async def now(
        self, moment: datetime, marks: Mapping[str, Hashable], stops: Mapping[str, StopRule | None]
    ) -> Mapping[str, str | None]:
        """Return the sentence of each strategy that has a mark.

        Args:
            moment: the present.
            marks: changes whenever runs or outcomes of the strategy do, or its `stop`.
            stops: the `stop` of each strategy, if it has one.
        """
        async with self._turn:
            changed = [name for name, mark in marks.items() if not await self._holds(name, mark)]
            asked = [*changed] if len(changed) <= FEW_CHANGED else [None]
            for name in asked:
                made = await self._made(moment, name, stops)
                for one in changed if name is None else [name]:
                    series, text = made.get(one, (None, None))
                    self._kept[one] = KnownSentence(marks[one], await self._candles(series), series, text)
            self._kept = {name: known for name, known in self._kept.items() if name in marks}
            return {name: known.text for name, known in self._kept.items()}

    async def then(self, moment: datetime, stops: Mapping[str, StopRule | None]) -> Mapping[str, str | None]:
        """Return the sentence of each strategy as of a past moment."""
        return {name: text for name, (_, text) in (await self._made(moment, None, stops)).items()}

    async def _holds(self, name: str, mark: Hashable) -> bool:
        known = self._kept.get(name)
        return known is not None and known.mark == mark and known.candles == await self._candles(known.series)

    async def _candles(self, series: tuple[str, str] | None) -> Hashable:
        """Return a mark that changes with the candles of a market, but for those that are added at the end."""
        if series is None:
            return None
        stored = await self._candle_cache.known(*series)
        return tuple((one.timeframe, known.revision, *(start for start, _ in known.ranges)) for one, known in stored)

    async def _made(
        self, moment: datetime, name: str | None, stops: Mapping[str, StopRule | None]
    ) -> dict[str, tuple[tuple[str, str], str]]:
        """Return the market and the sentence of each live record, or of one."""
        from mcp_server.scoring.controls import market_controls
        from mcp_server.scoring.series import Allowance

        records = await anyio.to_thread.run_sync(self._records, moment, name)
        allowance = Allowance(anyio.current_time() + LOOK_S, requests=0)
        controls = await market_controls(self._stored, records, to_ms(moment), allowance)
        pairs = list(zip(records, controls, strict=True))
        return await anyio.to_thread.run_sync(
            lambda: {
                record.strategy_name: (
                    (record.terms.exchange, record.terms.symbol),
                    _sentence(record, control, stops.get(record.strategy_name)),
                )
                for record, control in pairs
            }
        )

    def _records(self, moment: datetime, name: str | None) -> list[Record]:
        from mcp_server.scoring.records import latest_records

        return latest_records(self._outcomes.records(moment, strategy=name, kind="live"), to_ms(moment))


def _sentence(record: Record, control: MarketControl, stop: StopRule | None) -> str:
    from mcp_server.domain.scoring.record import RecordControls
    from mcp_server.domain.scoring.score import score

    known = score(record, RecordControls(control.candles, control.fundings, stop=stop), brief=True)
    if control.why is None or not known["judged"] or known["evidence"] == "no_skill":
        return known["summary"][0]
    judged = counted(known["judged"], "judged signal")  # with the exchange's candles the evidence may be another
    return f"There {'is' if known['judged'] == 1 else 'are'} {judged}; get_performance tells what they show."
