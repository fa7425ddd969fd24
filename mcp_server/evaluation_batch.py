"""How rules of strategies of one market are evaluated together: candles and rules that they share are computed once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from mcp_server.answers import MOST_BYTES, error_result, size_of
from mcp_server.errors import TraderError
from mcp_server.evaluation import ReadyRules, ready_rules, whole
from mcp_server.toolkit import Call, check_patience

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mcp_server.domain.candles import Candles
    from mcp_server.evaluations import AskedEvaluation
    from mcp_server.market.history import History

DECIDE_S = 1.0
"""What is not decided so soon after the candles have come is left to be asked for alone."""

MOST_HISTORY = 1_000
"""Rules that need more candles are left to be asked for alone: others need not wait for these."""


@dataclass(slots=True)
class _Decision:
    """What is left to do for one strategy once its candles are there."""

    place: int
    ready: ReadyRules
    history: History
    candles: Candles


class Batch:
    """Strategies of one market. `answers` has what is known of each, by its place among those that were asked for."""

    def __init__(self, call: Call, asked: Sequence[AskedEvaluation]) -> None:
        self._call = call
        self._asked = asked
        self.answers: dict[int, Mapping[str, Any]] = {}

    async def evaluate(self) -> None:
        """Evaluate each strategy. What fails unexpectedly or takes too long has no answer: it fails anew, and alone."""
        of_moment: dict[datetime, dict[int, ReadyRules]] = defaultdict(dict)
        for place, ready in (await self._call.bounded(self._read)).items():
            with self._noted(place):
                of_moment[self._call.moment(self._asked[place].as_of)][place] = ready
        async with anyio.create_task_group() as tasks:
            for moment, rules in of_moment.items():
                tasks.start_soon(self._at, moment, rules)

    def _read(self) -> dict[int, ReadyRules]:
        """Read and compile the rules of each strategy that has some."""
        rules = {}
        for place, asked in enumerate(self._asked):
            check_patience()
            with self._noted(place):
                strategy = self._call.kit.strategies.read_version(asked.strategy_name, asked.version)
                rules[place] = ready_rules(strategy)
        return rules

    async def _at(self, moment: datetime, rules: Mapping[int, ReadyRules]) -> None:
        """Evaluate what is asked for one moment: candles are asked for once, and decided on in one thread."""
        usual = {place: ready for place, ready in rules.items() if ready.history <= MOST_HISTORY}
        if not usual:
            return
        longest = max(usual, key=lambda place: usual[place].history)
        shared: History | None = None
        with self._noted(longest):
            news = [one for ready in usual.values() for one in ready.compiled.news]
            shared = await usual[longest].candles(self._call, moment, usual[longest].history, news)
        if shared is None:
            return
        decisions = []
        for place, ready in usual.items():
            with self._noted(place):
                history = shared.last(ready.history) or await ready.candles(self._call, moment, ready.history)
                decisions.append(_Decision(place, ready, history, await whole(self._call, ready, history, moment)))
        with anyio.move_on_after(DECIDE_S):
            await anyio.to_thread.run_sync(self._decide, decisions, abandon_on_cancel=True)

    def _decide(self, decisions: Sequence[_Decision]) -> None:
        for decision in decisions:
            check_patience()
            with self._noted(decision.place):
                answer = decision.ready.decided(decision.history, decision.candles).cleaned()
                if size_of(answer, "") <= MOST_BYTES // 2:
                    self.answers[decision.place] = {"answer": answer}

    def _noted(self, place: int) -> _Noted:
        return _Noted(self.answers, place)


class _Noted:
    """Notes an error as the answer of one strategy; an unexpected one leaves it without an answer."""

    def __init__(self, answers: dict[int, Mapping[str, Any]], place: int) -> None:
        self._answers = answers
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, TraderError):
            self._answers[self._place] = {"error": error_result(error).meta}
        return isinstance(error, Exception)
