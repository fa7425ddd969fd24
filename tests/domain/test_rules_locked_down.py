"""Rules from a stranger: nothing hostile gets past the reader, and the engine under it could do nothing with it."""

import os
import signal
import threading
import time
from pathlib import Path
from threading import Timer

import duckdb
import numpy as np
import pytest

import mcp_server.domain.rules.engine as engine_module
from mcp_server.domain import memory_at_rest
from mcp_server.domain.candles import Floats, Times
from mcp_server.domain.rules.compiled import compile_rules
from mcp_server.domain.rules.engine import Engine
from mcp_server.domain.rules.reader import read_expression
from mcp_server.domain.rules.tree import Node
from mcp_server.domain.strategy.format import Rules
from mcp_server.errors import BadInput, Retryable

COLUMNS = ("open", "high", "low", "close", "volume")

HOSTILE = [
    # Files, settings, other databases
    "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0",
    "close > 1 FROM read_csv('/etc/passwd')",
    "close > 1 FROM '/etc/passwd'",
    "read_text('/etc/passwd') IS NULL",
    "glob('/*') IS NULL",
    "1); COPY (SELECT 1) TO '/tmp/stolen'; SELECT (1",
    "COPY (SELECT 1) TO '/tmp/stolen'",
    "ATTACH '/tmp/stolen.db'",
    "PRAGMA database_list",
    "SET lock_configuration = false",
    "INSTALL httpfs",
    "LOAD httpfs",
    "EXPORT DATABASE '/tmp/stolen'",
    "getenv('HOME') IS NULL",
    "getenv(close) IS NULL",
    "current_setting(close) IS NULL",
    "getvariable(close) IS NULL",
    "query(close)",
    "query_table(close)",
    "error(close)",
    "nextval(close) > 0",
    # More than one expression
    "close > 1; SELECT 2",
    "close > 1; DROP TABLE candles",
    "1) , (2",
    "(close > 1), (close > 2)",
    "close > 1, close > 2",
    "close > 1) OR (SELECT true",
    "close > 1 AS x",
    "close > 1 x",
    "x: close > 1",
    "DISTINCT close > 1",
    "close > 1 FROM candles",
    "close > 1 WHERE true",
    "close > 1 GROUP BY ALL",
    "close > 1 HAVING true",
    "close > 1 QUALIFY true",
    "close > 1 ORDER BY 1",
    "close > 1 LIMIT 1",
    "close > 1 USING SAMPLE 1",
    "close > 1 UNION SELECT true",
    "close > 1 INTO x",
    # Subqueries
    "close > (SELECT max(close) FROM candles)",
    "EXISTS (SELECT 1)",
    "close IN (SELECT 1)",
    "close = ANY (SELECT 1)",
    "close > (WITH x AS (SELECT 1) SELECT * FROM x)",
    "close > (VALUES (1))",
    "close > (TABLE candles)",
    # Looking ahead
    "lag(close, -1) OVER (ORDER BY open) > close",
    "lead(close, 1) OVER () > close",
    "lead(close) > close",
    "max(close) OVER () > close",
    "max(close) > close",
    "last_value(close) OVER () > close",
    "count(*) > 1",
    "prev(close, -1) > close",
    "prev(close, 0) > close",
    "prev(close, 1001) > close",
    "prev(close, 99999999999999999999) > close",
    "prev(close, 1.0) > close",
    "prev(close, 1e0) > close",
    "prev(close, - 1) > close",
    "prev(close, 0 - 1) > close",
    "prev(close, volume) > close",
    "prev(close, n) > close",
    "prev(close, NULL) > close",
    "prev(close, true) > close",
    "prev(close, n := 1) > close",
    "prev(close, n => 1) > close",
    "prev(close, 1, 2) > close",
    "prev(DISTINCT close, 1) > close",
    "prev(close, 1 ORDER BY open) > close",
    "prev(close, 1) FILTER (WHERE true) > close",
    "prev(close, 1) OVER () > close",
    "main.prev(close, 1) > close",
    "memory.main.prev(close, 1) > close",
    "highest(close, 0) > close",
    "lowest(close, -3) > close",
    # Other columns and names
    "rowid > 0",
    "_row > 0",
    "_1 > 0",
    "candles > 0",
    "candles.close > 0",
    "memory.main.candles.close > 0",
    "excluded.close > 0",
    '"_row" > 0',
    '"close; DROP TABLE candles" > 0',
    "* > 0",
    "candles.* > 0",
    "COLUMNS(*) > 0",
    "#1 > 0",
    "$1 > 0",
    "$name > 0",
    "? > 0",
    "current_date > close",
    "now() > close",
    "random() > 0.5",
    "DEFAULT",
    # Other types and forms
    "close::INTEGER > 0",
    "CAST(close AS VARCHAR) > 0",
    "TRY_CAST(close AS INTEGER) > 0",
    "close > 'x'",
    "close > x'AB'",
    "close > $$x$$",
    "close > 0x1F",
    "DATE '2020-01-01' > close",
    "INTERVAL 1 DAY > close",
    "INTERVAL (close) DAY IS NULL",
    "[close > 1]",
    "[x FOR x IN [close]] IS NULL",
    "{'a': close} IS NULL",
    "MAP {1: close} IS NULL",
    "close[1] > 0",
    "(close, open) > (1, 2)",
    "row(close) IS NULL",
    "x -> x > 1",
    "lambda x: x > 1",
    "list_filter(close, x -> true) IS NULL",
    "CASE WHEN close > 1 THEN true END",
    "if(close > 1, true, false)",
    "coalesce(close, 1) > 0",
    "close IS DISTINCT FROM 1",
    "(close > 1) IS NOT TRUE",
    "close ^ 2 > 1",
    "close ** 2 > 1",
    "close // 2 > 1",
    "close & 1 > 0",
    "close || open > 1",
    "close LIKE 1",
    "close SIMILAR TO 1",
    "close COLLATE nocase > 1",
    "close AT TIME ZONE close > 1",
    "@close > 1",
    "~close > 1",
    "close! > 1",
    "close NOTNULL NULL",
    "NOT",
    "",
    "   ",
    "()",
    # Letters, digits and signs that only look right
    "cl\u043ese > 1",
    "\uff43\uff4c\uff4f\uff53\uff45 > 1",
    "close \uff1e 1",
    "close > \u0661",
    "close > 1\x00",
    "close \u202e> 1",
    "close\x1b[31m > 1",
    # Sheer size
    ")" * 1900,
    "NOT " * 400 + "close > 1",
    "- " * 800 + "close > 1",
    "close > " + "1+" * 900 + "1",
    "close IN (" + ",".join("1" * 900) + ")",
    "abs(" * 300 + "close" + ")" * 300 + " > 1",
    "prev(" * 6 + "close" + ", 1000)" * 6 + " > 1",
    " AND ".join(["close > 1"] * 150),
    "CASE WHEN " * 150 + "close",
]
"""Refused by the parse tree alone, whatever the check of the characters before it makes of them."""

NOT_PLAIN = [
    "close > 1;",
    "close > 1 -- comment",
    "close > 1 /* comment */",
    "close--1 > 0",
    '"close" > 0',
    "close\u00a0> 1",
    "close\u200b > 1",
    "(" * 500 + "close > 1" + ")" * 500,
    "prev(" * 13 + "close" + ", 1)" * 13 + " > 1",
]
"""Refused though their parse tree is a harmless one."""

ONE_CANDLE = {"close": np.ones(1)}


@pytest.mark.parametrize("text", [text for text in [*HOSTILE, *NOT_PLAIN, "(" * 1900] if text.strip()])
def test_a_hostile_expression_is_refused_with_a_message_and_at_once(text: str) -> None:
    begun = time.process_time()  # what it costs, however busy the machine is

    with pytest.raises(BadInput) as refused:
        compile_rules(Rules(buy=text[:2000]), "1h")

    assert str(refused.value).startswith("buy: ")
    assert 15 < len(str(refused.value)) < 2_700
    assert time.process_time() - begun < 2
    assert not list(Path("/tmp").glob("stolen*"))  # noqa: S108 - where the expressions above would have written


def leaves(node: Node) -> list[Node]:
    return [leaf for argument in node.arguments for leaf in leaves(argument)] if node.arguments else [node]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def test_the_parse_tree_alone_refuses_each_where_characters_are_not_looked_at(engine: Engine) -> None:
    for text in HOSTILE:
        try:
            tree = read_expression(engine, text, COLUMNS)
        except BadInput:
            continue
        raise AssertionError(f"{text!r} is read as {tree}")


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_what_only_the_characters_give_away_is_a_harmless_tree(text: str, engine: Engine) -> None:
    assert {str(node.value) for node in leaves(read_expression(engine, text, COLUMNS))} <= {"close", "0.0", "1.0"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/stolen.db'",
        "EXPORT DATABASE '/tmp/stolen'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '/tmp/stolen.duckdb_extension'",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET lock_configuration",
        "SET memory_limit = '100GB'",
        "SET threads = 64",
        "SET temp_directory = '/tmp'",
        "SELECT getenv('HOME')",
    ],
)
def test_even_sql_that_got_past_the_reader_reaches_nothing(sql: str, engine: Engine) -> None:
    with pytest.raises(BadInput, match="can't be evaluated"):
        engine.query(sql, ONE_CANDLE)

    assert not list(Path("/tmp").glob("stolen*"))  # noqa: S108 - where the statements above would have written


def test_the_engine_is_locked_with_one_thread_little_memory_and_no_spill_files(engine: Engine) -> None:
    names = ["enable_external_access", "autoinstall_known_extensions", "autoload_known_extensions"]
    names += ["lock_configuration", "threads", "temp_directory", "memory_limit"]
    selected = ", ".join(f"current_setting('{name}')" for name in names)

    ((external, install, load, locked, threads, spill, memory),) = engine.query(f"SELECT {selected}", ONE_CANDLE)

    assert (external, install, load, locked, threads, spill) == (False, False, False, True, 1, "")
    assert memory.endswith("MiB")


def test_the_engine_sees_no_variable_of_the_program_around_it(engine: Engine) -> None:
    secret = np.arange(3.0)

    with pytest.raises(BadInput, match="can't be evaluated"):
        engine.query("SELECT * FROM secret", ONE_CANDLE)
    assert len(secret) == 3


def test_a_query_leaves_nothing_behind_for_the_next(engine: Engine) -> None:
    assert engine.query("SELECT x FROM candles", {"x": np.array([1.0, np.nan])}) == [(1.0,), (None,)]

    with pytest.raises(BadInput):
        engine.query("SELECT x FROM candles", ONE_CANDLE)


def test_an_engine_that_nobody_asks_rests_and_is_locked_again_when_it_is_asked() -> None:
    engine = Engine(time_limit_s=0.05)
    assert engine.query("SELECT 1", ONE_CANDLE) == [(1,)]
    until = time.monotonic() + 10
    while engine._database is not None and time.monotonic() < until:
        time.sleep(0.001)
    assert engine._database is None
    with pytest.raises(BadInput, match="can't be evaluated"):
        engine.query("SELECT * FROM read_text('/etc/passwd')", ONE_CANDLE)


def test_an_engine_that_has_ended_gives_back_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, given_back = Engine(), dict[int, bool]()  # by thread: engines of other tests may end meanwhile

    def give_back() -> None:
        given_back[threading.get_ident()] = engine._database is None

    monkeypatch.setattr(memory_at_rest, "give_back_memory", give_back)
    engine.query("SELECT 1", ONE_CANDLE)
    engine.close()
    assert given_back[threading.get_ident()]


def test_an_engine_that_rests_breaks_no_call_off(engine: Engine) -> None:
    under_way = engine._connection()
    engine.close()
    assert engine._database is None
    assert under_way.execute("SELECT 1").fetchall() == [(1,)]


def test_a_query_that_runs_too_long_is_stopped_and_may_be_tried_again() -> None:
    hasty = Engine(time_limit_s=0.2)
    begun = time.perf_counter()

    with pytest.raises(Retryable, match=r"longer than 0\.2 s"):
        hasty.query("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 3", ONE_CANDLE)

    assert time.perf_counter() - begun < 5
    assert hasty.query("SELECT 1", ONE_CANDLE) == [(1,)]


@pytest.mark.parametrize("turn", range(4))
def test_ctrl_c_in_the_middle_of_a_query_is_ctrl_c_and_no_error_of_the_rules(engine: Engine, turn: int) -> None:
    rows: dict[str, Floats | Times] = {"x": np.ones(200_000), "row": np.arange(200_000)}
    engine.parse("SELECT 1")  # its start is not in the middle of a query

    def work() -> None:
        pressed.start()
        while True:
            engine.columns("SELECT lag(x, 3) OVER (ORDER BY row) IS NULL AS a FROM candles", rows)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressed = Timer(0.1 + 0.017 * turn, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        pressed.join()
        signal.signal(signal.SIGINT, before)


def test_columns_are_asked_for_under_the_same_lock_and_limits(engine: Engine) -> None:
    hasty, endless = Engine(time_limit_s=0.2), "count(*) AS n FROM range(1000000) a, range(1000000) b"

    with pytest.raises(BadInput, match="can't be evaluated"):
        engine.columns("SELECT * FROM read_csv('/etc/passwd')", ONE_CANDLE)
    with pytest.raises(BadInput, match="too much memory"):
        engine.columns("SELECT list(range) FROM range(1000000000)", ONE_CANDLE)
    with pytest.raises(Retryable, match=r"longer than 0\.2 s"):
        hasty.columns(f"SELECT {endless} WHERE a.range + b.range = 3", ONE_CANDLE)
    assert engine.columns("SELECT close FROM candles", ONE_CANDLE)["close"].tolist() == [1.0]
    with pytest.raises(BadInput):
        engine.columns("SELECT close FROM candles", {"x": np.ones(1)})


def test_a_query_that_wants_too_much_memory_is_refused(engine: Engine) -> None:
    with pytest.raises(BadInput, match="too much memory"):
        engine.query("SELECT list(range) FROM range(1000000000)", ONE_CANDLE)


def test_what_runs_is_written_from_the_tree_and_not_from_the_text() -> None:
    rules = compile_rules(Rules(buy="Close  >\n 1.50 AND prev( HIGH ,1)>2"), "1h")

    assert "\"close\" > CAST('1.5' AS DOUBLE)" in rules._deciding
    assert "HIGH" not in rules._deciding
    assert "1.50" not in rules._deciding


def test_an_engine_that_was_started_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    locked_down = engine_module._locked_down

    def noting() -> duckdb.DuckDBPyConnection:
        started.append(threading.current_thread().name)
        return locked_down()

    monkeypatch.setattr(engine_module, "_locked_down", noting)
    engine = Engine()
    engine.start().join()
    assert engine.parse("SELECT 1")["error"] is False
    assert started == ["engine of rules"]


def test_an_engine_that_cannot_start_says_so_to_who_asks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> duckdb.DuckDBPyConnection:
        raise MemoryError("no room")

    monkeypatch.setattr(engine_module, "_locked_down", failing)
    engine = Engine()
    engine.start().join()
    with pytest.raises(MemoryError, match="no room"):
        engine.parse("SELECT 1")
