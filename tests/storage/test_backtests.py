"""Backtests in the journal: a row each, and trials that are counted once, however often they are repeated."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_server.errors import NotFound, Retryable
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.backtests import BacktestRow, Backtests, Family, TriedVariant
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.queries.child import answer
from mcp_server.storage.queries.question import Question
from tests.rigs.journal_databases import ON_A_FILE, away, journal_database

pytestmark = pytest.mark.usefixtures("kept_in")

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
FAMILY = Family("coinbase", "BTC/USD", "dip")
ROW = BacktestRow(
    family=FAMILY,
    decision_version="aaaaaaaaaaaa",
    config={"interval": "1h", "rules": {"timeframe": "4h", "buy": "close > 1"}},
    start=NOON - timedelta(days=365),
    end=NOON,
    side="long",
    fee_bps=10.0,
    slippage_bps=5.0,
    stake_pct=None,
    sharpe_per_period=0.0123456789012345,
    figures={"return_pct": 12.5, "sharpe": None},
    created_at=NOON,
)


@pytest.fixture
def database(home: Path) -> Database:
    database: Database = journal_database(home, patience_s=0.2)
    return database


@pytest.fixture
def backtests(database: Database) -> Backtests:
    return Backtests(database)


def days(count: float) -> dict[str, Any]:
    """Name a range of so many days."""
    return {"start": NOON - timedelta(days=count), "end": NOON}


def sharpes(trials: Sequence[TriedVariant]) -> list[float | None]:
    return [trial.sharpe_per_period for trial in trials]


def test_a_backtest_is_read_back_as_it_was_recorded(home: Path, database: Database) -> None:
    row = replace(ROW, side="both", fee_bps=7.5, slippage_bps=0.0, stake_pct=12.5)
    journal = Journal(database, Home(home))
    (recorded,) = journal.backtests.record([row])
    assert journal.backtests.read(recorded.id, NOON) == row
    drawn = replace(ROW, family=Family("simulated", "BTC/USDT:USDT"), sharpe_per_period=None)
    (second,) = journal.backtests.record([drawn])
    assert second.id > recorded.id
    assert journal.backtests.read(second.id, NOON) == drawn
    assert str(drawn.family) == "simulated BTC/USDT:USDT draft"


def test_long_texts_that_decide_nothing_are_not_recorded(backtests: Backtests) -> None:
    texts = {"description": "d" * 20_000, "synthesis_logic": "s" * 20_000}
    (recorded,) = backtests.record([replace(ROW, config={**texts, **ROW.config})])
    assert backtests.read(recorded.id, NOON) == ROW


def test_the_first_backtest_of_a_family_is_its_only_trial(backtests: Backtests) -> None:
    (recorded,) = backtests.record([ROW])
    trial = TriedVariant(ROW.sharpe_per_period, "4h", "aaaaaaaaaaaa", "long", 10.0, 5.0)
    assert recorded.trials == (trial,)
    assert backtests.trials(FAMILY) == (trial,)


def test_repeats_and_other_ranges_are_no_trials(backtests: Backtests) -> None:
    others = {"figures": {}, "stake_pct": 50.0, "created_at": NOON + timedelta(days=9)}
    changes: list[dict[str, Any]] = [{}, days(30), days(800), others]
    for change in changes:
        (recorded,) = backtests.record([replace(ROW, **change)])
        assert len(recorded.trials) == 1


@pytest.mark.parametrize(
    "change",
    [{"decision_version": "bbbbbbbbbbbb"}, {"side": "both"}, {"fee_bps": 10.5}, {"slippage_bps": 0.0}],
)
def test_another_decision_side_or_cost_is_another_trial(backtests: Backtests, change: dict[str, Any]) -> None:
    backtests.record([ROW])
    other = replace(ROW, **change)
    (recorded,) = backtests.record([other])
    assert len(recorded.trials) == 2
    assert [trial.is_of(ROW) for trial in recorded.trials] == [not trial.is_of(other) for trial in recorded.trials]


@pytest.mark.parametrize(
    "family", [Family("kraken", "BTC/USD", "dip"), Family("coinbase", "ETH/USD", "dip"), Family("coinbase", "BTC/USD")]
)
def test_another_family_has_trials_of_its_own(backtests: Backtests, family: Family) -> None:
    backtests.record([ROW])
    (recorded,) = backtests.record([replace(ROW, family=family)])
    assert len(recorded.trials) == len(backtests.trials(FAMILY)) == 1


def test_a_trial_has_the_sharpe_ratio_of_its_longest_range_and_of_equal_ones_the_latest(backtests: Backtests) -> None:
    backtests.record([replace(ROW, **days(100), sharpe_per_period=0.1)])
    backtests.record([replace(ROW, **days(300), sharpe_per_period=0.3)])
    (recorded,) = backtests.record([replace(ROW, **days(200), sharpe_per_period=0.2)])
    assert sharpes(recorded.trials) == [0.3]
    later = NOON + timedelta(seconds=1)
    backtests.record([replace(ROW, **days(300), sharpe_per_period=0.4, created_at=later)])
    backtests.record([replace(ROW, **days(300), sharpe_per_period=0.5)])
    assert sharpes(backtests.trials(FAMILY)) == [0.4]
    backtests.record([replace(ROW, **days(300), sharpe_per_period=0.6, created_at=later)])
    assert sharpes(backtests.trials(FAMILY)) == [0.6], "made in the same moment, the one recorded last"


def test_a_backtest_without_a_sharpe_ratio_counts_as_a_trial(backtests: Backtests) -> None:
    backtests.record([replace(ROW, sharpe_per_period=None)])
    (recorded,) = backtests.record([replace(ROW, decision_version="bbbbbbbbbbbb")])
    assert sharpes(recorded.trials) == [None, ROW.sharpe_per_period]


@pytest.mark.parametrize(
    ("config", "timeframe"),
    [
        ({"interval": "1h", "rules": {"timeframe": "15m", "buy": "close > 1"}}, "15m"),
        ({"interval": "1h", "rules": {"buy": "close > 1"}}, "1h"),
        ({"cron": "0 9 * * *", "rules": {"timeframe": "1d", "buy": "close > 1"}}, "1d"),
    ],
)
def test_a_trial_has_the_timeframe_of_its_rules(
    backtests: Backtests, config: Mapping[str, Any], timeframe: str
) -> None:
    (recorded,) = backtests.record([replace(ROW, config=config)])
    assert [trial.timeframe for trial in recorded.trials] == [timeframe]
    assert backtests.trials(FAMILY) == recorded.trials


def test_a_sweep_is_recorded_at_once_and_each_of_its_rows_knows_all_trials(backtests: Backtests) -> None:
    backtests.record([replace(ROW, sharpe_per_period=0.5)])
    sweep = [replace(ROW, decision_version=f"{n:012x}", sharpe_per_period=n / 100) for n in range(30)]

    def figures(row: BacktestRow, trials: Sequence[TriedVariant]) -> Mapping[str, Any]:
        return {**row.figures, "trials": len(trials)}

    recorded = backtests.record([*sweep, ROW], figures)
    assert [len(row.trials) for row in recorded] == [31] * 31
    assert sorted({row.id for row in recorded}) == [row.id for row in recorded], "ids are in the order of the rows"
    kept = [backtests.read(row.id, NOON) for row in recorded]
    assert [row.figures["trials"] for row in kept] == [31] * 31
    assert [row.decision_version for row in kept] == [row.decision_version for row in (*sweep, ROW)]


def test_rows_whose_figures_cannot_be_kept_are_not_recorded(backtests: Backtests) -> None:
    def fails(row: BacktestRow, trials: Sequence[TriedVariant]) -> Mapping[str, Any]:
        return {"sharpe": float("nan")}

    with pytest.raises(ValueError, match="JSON"):
        backtests.record([ROW, ROW], fails)
    assert backtests.trials(FAMILY) == ()


@pytest.mark.parametrize("key", ["sharpe_per_period", "fee_bps", "slippage_bps", "stake_pct"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_row_with_a_number_that_is_not_finite_cannot_be_made(key: str, value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        replace(ROW, **dict[str, Any]({key: value}))


def test_of_many_who_record_at_once_each_counts_those_before_it(backtests: Backtests) -> None:
    counts: list[int] = []

    def record(number: int) -> None:
        (recorded,) = backtests.record([replace(ROW, decision_version=f"{number:012x}")])
        counts.append(len(recorded.trials))

    threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == list(range(1, 9))


def test_a_backtest_is_not_there_before_it_was_made(backtests: Backtests) -> None:
    (recorded,) = backtests.record([ROW])
    for backtest_id, until in ((recorded.id, NOON - timedelta(microseconds=1)), (recorded.id + 1, NOON)):
        with pytest.raises(NotFound, match=f"There is no backtest {backtest_id}"):
            backtests.read(backtest_id, until)


@ON_A_FILE
def test_a_query_sees_the_backtests_that_were_made_by_its_moment(home: Path, backtests: Backtests) -> None:
    backtests.record([ROW, replace(ROW, created_at=NOON + timedelta(days=1), side="both")])
    sql = "SELECT family, side, start, \"end\", sharpe_per_period, figures->>'return_pct' FROM backtests ORDER BY id"

    def rows(moment: datetime) -> list[list[Any]]:
        found: list[list[Any]] = answer(Question(home, sql, moment, 100, 200, 5.0))["rows"]
        return found

    (first,) = rows(NOON)
    assert first == ["coinbase BTC/USD dip", "long", "2025-05-01T12:00:00Z", "2026-05-01T12:00:00Z",
                     0.0123456789012345, "12.5"]  # fmt: skip
    assert rows(NOON - timedelta(seconds=1)) == []
    assert [row[1] for row in rows(NOON + timedelta(days=1))] == ["long", "both"]


def test_a_held_file_is_named_with_its_holder_and_nothing_is_recorded(backtests: Backtests, home: Path) -> None:
    backtests.record([ROW])
    with away(home) as who:
        with pytest.raises(Retryable, match=who):
            backtests.record([replace(ROW, side="both")])
        with pytest.raises(Retryable, match=who):
            backtests.trials(FAMILY)
    assert len(backtests.trials(FAMILY)) == 1


@pytest.mark.usefixtures("each_migrated")
def test_a_journal_from_before_there_were_backtests_takes_them(
    database: Database, backtests: Backtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcp_server.storage import schema

    known = {number: file for number, file in schema.migration_files().items() if number < 5}
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "migration_files", lambda: known)
        database.write(lambda connection: connection.execute("UPDATE strategies SET name = name"), anyway=True)
    assert backtests.trials(FAMILY) == ()
    (recorded,) = backtests.record([ROW])
    assert backtests.read(recorded.id, NOON) == ROW
