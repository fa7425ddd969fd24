"""Questions that people have about their journal, each answered by one query."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mcp_server.storage.queries import child
from mcp_server.storage.queries.answer import answer_of
from mcp_server.storage.queries.check import check
from mcp_server.storage.queries.child import started
from mcp_server.storage.queries.question import Question
from mcp_server.storage.queries.snapshot import lock
from mcp_server.storage.queries.tables import COLUMNS_TABLE, TABLES
from tests.storage.queries.conftest import LONG_PROMPT, NOW, START, Asked

OF_NAME = "JOIN strategies s ON s.id = e.strategy_id"

QUESTIONS: dict[str, tuple[str, Any]] = {
    "how many signals of each kind": (
        "SELECT signal, count(*) FROM analysis_results GROUP BY signal ORDER BY signal",
        [["BUY", 17], ["SELL", 10]],
    ),
    "how runs ended": (
        f"SELECT s.name, e.status, count(*) FROM executions e {OF_NAME} GROUP BY ALL ORDER BY ALL",
        [["analysts", "error", 3], ["analysts", "success", 7], ["dip", "success", 20]],
    ),
    "what each strategy costs": (
        f"SELECT s.name, sum(cost_usd) FROM executions e {OF_NAME} GROUP BY 1 ORDER BY 2 DESC",
        [["dip", 1.0], ["analysts", 0.38]],
    ),
    "what a day costs": (
        "SELECT date_trunc('day', as_of) AS day, sum(cost_usd) FROM executions GROUP BY day ORDER BY day LIMIT 2",
        [["2026-05-01T00:00:00Z", 0.15], ["2026-05-02T00:00:00Z", 0.15]],
    ),
    "how much is of unknown cost": ("SELECT count(*) FROM executions WHERE cost_usd IS NULL", [[0]]),
    "the last failures": (
        f"SELECT s.name, as_of, error_message FROM executions e {OF_NAME} WHERE e.status <> 'success' "
        "ORDER BY as_of DESC LIMIT 1",
        [["analysts", "2026-05-09T01:00:00Z", "the exchange was down on day 8"]],
    ),
    "why there was nothing last night": (
        "SELECT status, error_message FROM executions WHERE status <> 'success' AND as_of > now() - INTERVAL 2 DAY",
        [["error", "the exchange was down on day 8"]],
    ),
    "share of failures by strategy": (
        f"SELECT s.name, avg((e.status <> 'success')::INT) FROM executions e {OF_NAME} GROUP BY 1 ORDER BY 1",
        [["analysts", 0.3], ["dip", 0.0]],
    ),
    "the latest signal of each strategy": (
        "SELECT s.name, arg_max(signal, a.timestamp), max(a.timestamp) FROM analysis_results a "
        "JOIN strategies s ON s.id = a.strategy_id GROUP BY 1 ORDER BY 1",
        [["analysts", "BUY", "2026-05-10T01:00:00Z"], ["dip", "SELL", "2026-05-10T12:00:00Z"]],
    ),
    "how often a signal was followed by a change for the better within a day": (
        "SELECT s.name, count(*), avg((later.close > now.close)::INT) AS won FROM analysis_results a "
        "JOIN strategies s ON s.id = a.strategy_id AND s.name = 'dip' "
        "ASOF JOIN candles now ON now.symbol = s.config->>'trading_pair' AND now.timeframe = '1h' "
        "AND a.timestamp >= now.open_time "
        "ASOF JOIN candles later ON later.symbol = now.symbol AND later.timeframe = '1h' "
        "AND a.timestamp + INTERVAL 24 HOUR >= later.open_time WHERE a.signal = 'BUY' GROUP BY 1",
        [["dip", 10, 1.0]],
    ),
    "what came of signals, net of costs": (
        "SELECT s.name, a.signal, round(100 * (CASE a.signal WHEN 'BUY' THEN 1 ELSE -1 END * (o.r - o.funding_bps / "
        "10000) - o.cost_bps / 10000), 2) AS net_pct FROM outcomes o JOIN analysis_results a USING (execution_id) "
        "JOIN strategies s ON s.id = a.strategy_id WHERE o.state = 'judged' ORDER BY o.entry_time LIMIT 3",
        [["dip", "BUY", 0.65], ["analysts", "BUY", 0.65], ["dip", "SELL", -1.25]],
    ),
    "which signals are pending": (
        "SELECT count(*) FROM analysis_results LEFT JOIN outcomes o USING (execution_id) WHERE o.state IS NULL",
        [[23]],
    ),
    "what one would have made from BUY to SELL": (
        "SELECT count(*), round(sum(price - bought)) FROM (SELECT signal, price, lag(price) OVER (ORDER BY timestamp) "
        "AS bought FROM analysis_results JOIN strategies s ON s.id = strategy_id AND name = 'dip') "
        "WHERE signal = 'SELL'",
        [[10, 10.0]],
    ),
    "confidence of each kind": (
        "SELECT signal, avg(confidence), min(confidence) FROM analysis_results GROUP BY 1 ORDER BY 1",
        [["BUY", 70.0, 70.0], ["SELL", 40.0, 40.0]],
    ),
    "how long runs take": (
        "SELECT median(execution_time_ms), quantile_cont(execution_time_ms, 0.9) FROM analysis_results",
        [[7000.0, 7000.0]],
    ),
    "signals by hour of the day": (
        "SELECT hour(timestamp) AS hour, count(*) FROM analysis_results GROUP BY hour ORDER BY hour",
        [[0, 10], [1, 7], [12, 10]],
    ),
    "changes of mind": (
        "SELECT count(*) FROM (SELECT signal, lag(signal) OVER (PARTITION BY strategy_id ORDER BY timestamp) AS before "
        "FROM analysis_results) WHERE signal <> before",
        [[19]],
    ),
    "what a sub-agent found": (
        "SELECT data->'sub_agent_results'->'a'->>'rsi' AS rsi, count(*) FROM analysis_results GROUP BY 1",
        [["28.5", 27]],
    ),
    "what strategies trade": (
        "SELECT name, config->>'trading_pair', interval FROM strategies ORDER BY name",
        [["analysts", "ETH/USD", "1d"], ["dip", "BTC/USD", "4h"]],
    ),
    "which versions ran": ("SELECT count(DISTINCT strategy_version) FROM executions", [[2]]),
    "which candles are stored": (
        "SELECT exchange, symbol, timeframe, count(*), min(open_time), max(open_time) FROM candles GROUP BY ALL",
        [["coinbase", "BTC/USD", "1h", 240, "2026-05-01T00:00:00Z", "2026-05-10T23:00:00Z"]],
    ),
    "days without any run": (
        "SELECT count(*) FROM range(TIMESTAMP '2026-04-29', TIMESTAMP '2026-05-11', INTERVAL 1 DAY) d(day) "
        "WHERE day NOT IN (SELECT date_trunc('day', as_of) FROM executions)",
        [[2]],
    ),
    "tokens by model": ("SELECT model, sum(tokens_used) FROM executions GROUP BY 1 ORDER BY 1 NULLS LAST", None),
    "a column's meaning": (
        "SELECT meaning FROM journal_columns WHERE \"column\" = 'cost_usd'",
        [["US dollars; null is unknown, 0 is free"]],
    ),
    "a common table expression, a pivot and a set operation": (
        "WITH each AS (SELECT name, signal FROM analysis_results JOIN strategies s ON s.id = strategy_id), "
        "wide AS (SELECT * FROM (PIVOT each ON signal IN ('BUY', 'SELL') USING count(*))) "
        "(SELECT * FROM wide) UNION ALL (SELECT 'none', 0, 0) ORDER BY 1; -- done",
        [["analysts", 7, 0], ["dip", 10, 10], ["none", 0, 0]],
    ),
}


@pytest.fixture(scope="module")
def whole(recorded: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A process's database with every table copied into it: to make one for each question takes ten times as long."""
    with started() as ready:
        everything = check(ready, f"SELECT * FROM {', '.join((*TABLES, COLUMNS_TABLE))}", NOW)
        copied = child._copied(Question(recorded, everything.sql, NOW, 1, 200, 5.0), everything, ready)
        lock(copied)
        yield copied


@pytest.mark.parametrize(("sql", "expected"), QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_question_of_a_person_is_answered(whole: duckdb.DuckDBPyConnection, sql: str, expected: Any) -> None:
    said = answer_of(whole, check(whole, sql, NOW).sql, 100, 200)
    assert said["rows"]
    if expected is not None:
        assert said["rows"] == expected
    assert not said["more"]


def test_nothing_later_than_the_moment_is_seen(asked: Asked) -> None:
    moment = START + timedelta(days=1, hours=1, minutes=30)
    assert asked("SELECT count(*), max(as_of) FROM executions", moment)["rows"] == [[5, "2026-05-02T01:00:00Z"]]
    assert asked("SELECT max(timestamp) FROM analysis_results", moment)["rows"] == [["2026-05-02T01:00:00Z"]]
    outcomes = "SELECT count(*), max(exit_time) FROM outcomes"
    assert asked(outcomes, START + timedelta(days=1, minutes=10))["rows"] == [[1, "2026-05-02T00:00:00Z"]]
    assert asked(outcomes, START + timedelta(days=1, minutes=9, seconds=59))["rows"] == [[0, None]]
    assert asked("SELECT max(open_time) FROM candles", moment)["rows"] == [["2026-05-02T00:00:00Z"]], "it has closed"
    assert asked("SELECT name FROM strategies", START + timedelta(minutes=1))["rows"] == [["dip"]]
    assert asked("SELECT * FROM executions", START - timedelta(days=1))["rows"] == []


PRESENT = (
    "now()", "NOW()", "current_timestamp", "CURRENT_TIMESTAMP", "localtimestamp", "current_localtimestamp()",
    "get_current_timestamp()", "transaction_timestamp()",
)  # fmt: skip


def test_the_present_is_the_moment_of_the_question(asked: Asked) -> None:
    assert asked(f"SELECT {', '.join(PRESENT)}")["rows"] == [["2026-05-11T00:00:00Z"] * len(PRESENT)]
    recent = [f"(SELECT count(*) FROM executions WHERE as_of > {now} - INTERVAL 1 DAY)" for now in PRESENT]
    assert asked(f"SELECT {', '.join(recent)}")["rows"] == [[2] * len(PRESENT)]
    assert asked("SELECT today(), current_date")["rows"] == [["2026-05-11", "2026-05-11"]]


def test_values_are_json_that_any_client_reads(asked: Asked) -> None:
    said = asked(
        "SELECT TIMESTAMP '2026-01-02 03:04:05.678' AS time, DATE '2026-01-02', 1.50::DECIMAL(9,2), 'nan'::DOUBLE, "
        "'-inf'::FLOAT, true, NULL, [1, 2], {'a': 'b'}, INTERVAL 26 HOUR, 9007199254740993, 'x', "
        "'2026-01-02 03:04:05+02'::TIMESTAMPTZ, 'infinity'::TIMESTAMP, 12::HUGEINT, 1.0000000000000002::DOUBLE"
    )
    assert said["columns"][0] == "time"
    assert said["rows"] == [
        ["2026-01-02T03:04:05.678Z", "2026-01-02", 1.5, None, None, True, None, "[1,2]", '{"a":"b"}', "26:00:00",
         "9007199254740993", "x", "2026-01-02T01:04:05Z", "infinity", 12, 1.0000000000000002]
    ]  # fmt: skip


def test_cells_and_rows_are_cut_and_counted(asked: Asked) -> None:
    said = asked("SELECT i, repeat_text FROM (SELECT i, lpad('', 50, 'x') AS repeat_text FROM range(9) t(i))", limit=3,
                 characters=10)  # fmt: skip
    assert said == {"columns": ["i", "repeat_text"], "rows": [[i, "x" * 9 + "…"] for i in range(3)], "more": True}


def test_order_and_repeated_names_are_kept(asked: Asked) -> None:
    said = asked('SELECT id, id, -id AS "id" FROM executions e ORDER BY e.id % 7 DESC, e.id')
    ids = [row[0] for row in said["rows"]]
    assert said["columns"] == ["id", "id", "id"]
    assert ids == sorted(ids, key=lambda i: (-(i % 7), i))


def test_long_columns_are_there_where_they_are_asked_for(asked: Asked) -> None:
    assert LONG_PROMPT in asked("SELECT agents FROM strategies WHERE name = 'analysts'")["rows"][0][0]
    assert LONG_PROMPT in str(asked("SELECT * FROM strategies")["rows"])
    assert LONG_PROMPT in str(asked("SELECT COLUMNS('agen.*') FROM strategies")["rows"])
    assert LONG_PROMPT in str(asked("SELECT AGENTS FROM strategies")["rows"])
    assert asked("SELECT count(*) FROM executions JOIN executions e USING (trace)")["rows"][0][0] > 100
    assert LONG_PROMPT in str(asked("SELECT s.agents->'a'->>'prompt' FROM strategies s")["rows"])
