"""The part of a `Trader` that reads the journal: signals, outcomes, scores."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from mcp_server.errors import BadInput
from mcp_server.trader.frame import Frame, Kind
from mcp_server.trader.recorded import RecordedRuns
from mcp_server.trader.score_report import ScoreReport
from mcp_server.trader.session import Moment, TraderSession, text_of

Runs = Literal["live", "manual", "replay", "all"]

SCORES: dict[str, Kind] = {
    "strategy_name": "text", "kind": "text", "runs": "count", "signals": "count", "coverage_pct": "number",
    "judged": "count", "pending": "count", "void": "count", "right": "count", "hit_rate": "number",
    "hit_rate_ci95_low": "number", "hit_rate_ci95_high": "number", "base_rate": "number", "mean_net_pct": "number",
    "mean_net_ci95_low": "number", "mean_net_ci95_high": "number", "brier_skill": "number", "e_value": "number",
    "evidence": "text", "hold_pct": "number", "cost_usd": "number",
    "cost_unknown": "count",
}  # fmt: skip
CURVE: dict[str, Kind] = {"time": "time", "record_pct": "number", "holding_pct": "number"}


class RecordTables(TraderSession):
    """What a `Trader` says of the record of a home."""

    def signals(
        self,
        strategy_name: str | None = None,
        *,
        outcomes: Literal["signals", "all"] = "signals",
        replayed: bool = False,
        as_of: Moment = None,
    ) -> Frame:
        """Return what was recorded, oldest first, as it stood at a moment.

        Args:
            strategy_name: one strategy; None: all.
            outcomes: all: also runs without a signal and missed slots; `reasoning` says why.
            replayed: those of replays instead.
            as_of: a run that had not answered by then is running, or not there.

        Returns:
            One row per run. `confidence` is 0 to 100, `price` in quote, `cost_usd` NaN where unknown; `contaminated`:
            the model may know what came next.

        Raises:
            NotFound: there is no such strategy, and none was ever run.
        """
        if outcomes not in ("signals", "all"):
            raise BadInput(f"outcomes={outcomes!r} is unknown.", "Give 'signals' or 'all'.")

        async def work() -> Frame:
            import anyio.to_thread

            asked = RecordedRuns(self._kit, strategy_name, self._call(as_of).moment(None), replayed)
            return await anyio.to_thread.run_sync(asked.signals, outcomes)

        return self._do(work)

    def outcomes(self, strategy_name: str | None = None, *, replayed: bool = False, as_of: Moment = None) -> Frame:
        """Return each BUY and SELL with what became of it, oldest first; what is due is judged first.

        Args:
            strategy_name: one strategy; None: all.
            replayed: those of replays instead.
            as_of: what was not known by then is pending.

        Returns:
            One row per signal. `outcome` is right, wrong, pending or void; `net_pct` what it brought after costs, in
            per cent; prices are in quote, costs in basis points of the round trip. `exit_time` of a pending one is to
            come. `twin` is what the strategy's own rules said at the same moment. Rows that are `contaminated` prove
            nothing.

        Raises:
            NotFound: there is no such strategy, and none was ever run.
        """

        async def work() -> Frame:
            import anyio.to_thread

            from mcp_server.scoring.settle import settle_due

            kit, until, now = self._kit, self._call(as_of).moment(None), self._kit.clock()
            asked = RecordedRuns(kit, strategy_name, until, replayed)
            book = kit.journal.outcomes(kit.strategies, kit.default_exchange)
            terms = (self._timeout_s, until >= now, strategy_name)
            settlement = await settle_due(book, kit.market, until, now, terms[0], keep=terms[1], strategy=terms[2])
            return await anyio.to_thread.run_sync(asked.outcomes, settlement)

        return self._do(work)

    def score(
        self,
        strategy_name: str | None = None,
        *,
        since: Moment = None,
        runs: Runs | None = None,
        replay: str | None = None,
        as_of: Moment = None,
    ) -> ScoreReport:
        """Return whether the recorded signals of one strategy were right after costs, against their controls.

        Args:
            strategy_name: the strategy; or
            replay: the id of a replay, or two: 'a,b'.
            since: only runs from then on.
            runs: live (on schedule, the default), manual or replay.
            as_of: what was not known by then is pending.

        Returns:
            The figures of `get_performance`, by the same names. Read `summary` and `evidence` first; `twin` compares
            with the strategy's own rules.

        Raises:
            BadInput: neither a strategy nor a replay, or arguments that do not go together.
            NotFound: there is no such strategy, and none was ever run; or no such replay.
        """
        if (strategy_name is None and replay is None) or runs == "all":
            raise BadInput("A score is of one strategy and one kind of runs.", "Name them, or ask for scores().")
        asked = {"strategy_name": strategy_name, "since": text_of(since), "runs": runs, "replay": replay}
        return ScoreReport(self._performance(as_of, **asked))

    def scores(self, *, since: Moment = None, runs: Runs = "live", as_of: Moment = None) -> Frame:
        """Return the scores of all strategies: a row for each, and for each kind of its runs where there are several.

        The columns are those of `get_performance` without a name, to four digits; an interval has two.
        """
        answer = self._performance(as_of, since=text_of(since), runs=runs)
        records = [_with_bounds(dict(zip(answer["columns"], row, strict=True))) for row in answer["rows"]]
        kinds = {name: kind for name, kind in SCORES.items() if name != "kind" or name in answer["columns"]}
        about = {"kind": runs, "note": answer.get("note")}
        return Frame.of_rows(kinds, [[record[name] for name in kinds] for record in records], about)

    def score_curve(self, strategy_name: str, *, runs: Runs = "live", as_of: Moment = None) -> Frame:
        """Return the equity of a strategy's record beside holding: a row for each exit of a judged signal, up to 400.

        `record_pct` and `holding_pct` are the gain since the first entry, in per cent.
        """
        answer = self._performance(as_of, strategy_name=strategy_name, runs=runs, curve=True)
        about = {"strategy_name": strategy_name, "kind": runs, "parts": answer.get("parts"), "note": answer.get("note")}
        return Frame.of_rows(CURVE, answer["rows"], about)

    def _performance(self, as_of: Moment, **arguments: Any) -> dict[str, Any]:
        return self._do(partial(self._ask, "get_performance", arguments, as_of))


def _with_bounds(record: dict[str, Any]) -> dict[str, Any]:
    for name in ("hit_rate_ci95", "mean_net_ci95"):
        low, high = record[name] or (None, None)
        record |= {f"{name}_low": low, f"{name}_high": high}
    return record
