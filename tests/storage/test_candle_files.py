from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mcp_server.errors import BadInput
from mcp_server.storage.candles.import_file import import_candle_file, read_candle_file
from mcp_server.storage.candles.store import CandleStore, Series
from mcp_server.storage.database import Database
from tests.rigs.forked_script import ForkedScript

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SERIES = Series("coinbase", "BTC/USD", "1h")
HOUR = 3_600_000
HEAD = "timestamp,open,high,low,close,volume\n"
MS = "1498906800000,2505.56,2513.38,2495.12,2509.17,114.6\n1498910400000,2509.17,2512.87,2484.99,2488.43,157.36\n"
SAME = {
    "milliseconds": HEAD + MS,
    "iso": HEAD + MS.replace("1498906800000", "2017-07-01T11:00:00Z").replace("1498910400000", "2017-07-01T12:00:00Z"),
    "spaces": HEAD + MS.replace("1498906800000", "2017-07-01 11:00:00").replace("1498910400000", "2017-07-01 12:00:00"),
    "unsorted": HEAD + "\n".join(reversed(MS.splitlines())),
    "other columns": "Date,Open,High,Low,Close,Volume,Note\n" + MS.replace("\n", ",x\n"),
}
SAME["seconds"] = HEAD + MS.replace("1498906800000", "1498906800").replace("1498910400000", "1498910400")


@pytest.mark.parametrize("content", SAME.values(), ids=SAME.keys())
def test_candles_are_found_however_a_file_writes_them(tmp_path: Path, content: str) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(content)
    candles = read_candle_file(file, "1h").candles
    assert candles.open_time_ms.tolist() == [1498906800000, 1498910400000]
    assert candles.close.tolist() == [2509.17, 2488.43]
    assert candles.volume.tolist() == [114.6, 157.36]


def test_parquet_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "candles.parquet"
    columns = {"open_time": [1498906800000], "open": [1.0], "high": [2.0], "low": [0.5], "close": [1.5], "volume": [3]}
    pq.write_table(pa.table(columns), file)
    assert read_candle_file(file, "1h").candles.close.tolist() == [1.5]


WRONG = {
    "no time": ("moment,open,high,low,close,volume\n" + MS, "no time column"),
    "no close": ("timestamp,open,high,low,closes,volume\n" + MS, "no column 'close'.*Did you mean 'closes'"),
    "another timeframe": (HEAD + MS.replace("1498910400000", "1498908600000"), "where no 1h candle begins"),
    "a hole in a row": (HEAD + MS.replace(",2495.12", ","), "missing or not finite"),
    "twice": (HEAD + MS + MS, "not later than the one before"),
    "upside down": (HEAD + MS.replace("2513.38", "1"), "high below its low"),
    "words": (HEAD + MS.replace("2505.56", "many"), "line 2, column 'open': 'many' is no number"),
    "empty": (HEAD, "has no rows"),
    "nothing": ("", "has no header with open, high, low and close"),
}


@pytest.mark.parametrize(("content", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_is_named_and_nothing_is_imported(tmp_path: Path, home: Path, content: str, said: str) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(content)
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    with pytest.raises(BadInput, match=rf"candles\.csv.*({said})"):
        import_candle_file(store, file, SERIES, NOW)
    assert store.index(5) == {}


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no file"):
        read_candle_file(tmp_path / "none.csv", "1h")


def test_an_import_says_what_it_did(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(HEAD + MS + MS.splitlines()[1].replace("1498910400000", "1498921200000"))
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    said = import_candle_file(store, file, SERIES, NOW)
    assert said == (
        "3 candles of BTC/USD 1h on coinbase, 2017-07-01T11:00Z to 2017-07-01T15:00Z, 2 missing in between. "
        "The store has 3 now."
    )


def test_the_forming_candle_of_a_file_is_left_out_and_stays_unknown(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(HEAD + MS)
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    said = import_candle_file(store, file, SERIES, datetime(2017, 7, 1, 12, 43, tzinfo=UTC))
    assert said == (
        "1 candle of BTC/USD 1h on coinbase, 2017-07-01T11:00Z to 2017-07-01T11:00Z, 0 missing in between. "
        "Left out because not closed yet: 1. The store has 1 now."
    )
    stored = store.load(SERIES, (1498906800000, 1498906800000 + 2 * HOUR))
    assert stored.candles.open_time_ms.tolist() == [1498906800000]
    assert stored.missing == [(1498910400000, 1498910400000 + HOUR)]


def test_a_candle_that_closes_right_now_is_kept(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(HEAD + MS)
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    said = import_candle_file(store, file, SERIES, datetime(2017, 7, 1, 13, tzinfo=UTC))
    assert said.startswith("2 candles")
    assert "Left out" not in said


@pytest.mark.parametrize("now", [datetime(2017, 7, 1, 11, 59, tzinfo=UTC), datetime(2017, 1, 1, tzinfo=UTC)])
def test_a_file_without_a_closed_candle_is_refused(tmp_path: Path, home: Path, now: datetime) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(HEAD + MS)
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    with pytest.raises(BadInput, match=r"candles\.csv' has no closed 1h candle: the first opens at 2017-07-01T11:00Z"):
        import_candle_file(store, file, SERIES, now)
    assert store.index(5) == {}


READ = """
import sys
from pathlib import Path
from mcp_server.storage.candles.import_file import read_candle_file
for file in sys.argv[1:]:
    print(*read_candle_file(Path(file), "1h").candles.open_time_ms.tolist())
"""


def test_times_do_not_depend_on_the_zone_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("iso", "spaces"):
        (tmp_path / f"{name}.csv").write_text(SAME[name])
    (tmp_path / "offset.csv").write_text(SAME["iso"].replace("T11:00:00Z", "T13:00:00+02:00"))
    times = {
        "aware": pa.array([1498906800000, 1498910400000], pa.timestamp("ms", tz="UTC")),
        "elsewhere": pa.array([1498906800000, 1498910400000], pa.timestamp("us", tz="Asia/Tokyo")),
        "naive": pa.array([1498906800000, 1498910400000], pa.timestamp("ms")),
    }
    for name, moments in times.items():
        values = {column: [1.0, 1.0] for column in ("open", "high", "low", "close", "volume")}
        pq.write_table(pa.table({"timestamp": moments, **values}), tmp_path / f"{name}.parquet")
    files = sorted(str(file) for file in tmp_path.glob("*.*"))
    assert len(files) == 6
    monkeypatch.setenv("TZ", "America/New_York")
    with ForkedScript(READ, *files) as reader:
        assert reader.communicate().splitlines() == ["1498906800000 1498910400000"] * 6


@pytest.mark.parametrize("name", ["x[1]", "a*b", "q?", "[!a]", "**", "{a,b}"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_name_is_no_pattern(tmp_path: Path, name: str, suffix: str) -> None:
    closes = {name: 1.5, "x1": 1.1, "acb": 1.2, "qq": 1.3, "b": 1.4}
    for stem, close in closes.items():
        columns = {"time": [1498906800000], "open": [1.0], "high": [2.0], "low": [0.5], "close": [close], "volume": [3]}
        if suffix == ".parquet":
            pq.write_table(pa.table(columns), tmp_path / f"{stem}{suffix}")
        else:
            (tmp_path / f"{stem}{suffix}").write_text(f"{','.join(columns)}\n1498906800000,1,2,0.5,{close},3\n")
    assert read_candle_file(tmp_path / f"{name}{suffix}", "1h").candles.close.tolist() == [1.5]


def test_a_series_is_kept_under_the_name_that_runs_ask_for(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(HEAD + MS)
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    said = import_candle_file(store, file, Series("Coinbase", "btc/usd", "1h"), NOW)
    assert "BTC/USD 1h on coinbase," in said
    import_candle_file(store, file, Series("binance", "btc/usdt:usdt", "1h"), NOW)
    assert set(store.index(5)) == {Series("coinbase", "BTC/USD", "1h"), Series("binance", "BTC/USDT:USDT", "1h")}


@pytest.mark.parametrize(
    "symbol",
    [
        "btcusd",
        "",
        "BTC/",
        "/USD",
        "BTC-USD-EUR",
        "BTC/USD/EUR",
        "BTC/USD:",
        "BTC / USD",
        "'BTC/USD'",
        'BTC/"USD"',
        "BTC/`USD`",
    ],
)
def test_a_symbol_of_another_form_is_refused(tmp_path: Path, home: Path, symbol: str) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(HEAD + MS)
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    with pytest.raises(BadInput, match=r"is no symbol\. Write BASE/QUOTE or BASE/QUOTE:SETTLE, like 'BTC/USD'"):
        import_candle_file(store, file, Series("coinbase", symbol, "1h"), NOW)


@pytest.mark.parametrize("exchange", ["", "coin base", "coinbase!", "coinbase.com", "coinbase\n", "nope", "__init__"])
def test_an_exchange_that_there_is_not_is_refused(tmp_path: Path, home: Path, exchange: str) -> None:
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    with pytest.raises(BadInput, match=r"is no exchange\. Give a ccxt id, like 'coinbase'"):
        import_candle_file(store, tmp_path / "x.csv", Series(exchange, "BTC/USD", "1h"), NOW)


@pytest.mark.parametrize("exchange", ["simulated", "Simulated"])
def test_candles_for_the_simulated_exchange_are_refused(tmp_path: Path, home: Path, exchange: str) -> None:
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    with pytest.raises(BadInput, match="makes its own candles"):
        import_candle_file(store, tmp_path / "x.csv", Series(exchange, "BTC/USD", "1h"), NOW)


@pytest.mark.parametrize("symbol", ["XBT/USD", "xbt-usd", "BTC_USD"])
def test_a_series_is_kept_under_the_markets_own_name(tmp_path: Path, home: Path, symbol: str) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(HEAD + MS)
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    assert "BTC/USD 1h on kraken," in import_candle_file(store, file, Series("kraken", symbol, "1h"), NOW)
    assert set(store.index(5)) == {Series("kraken", "BTC/USD", "1h")}


def rows_of_every(step_ms: int, count: int) -> str:
    return "".join(f"{1498867200000 + number * step_ms},9,10,8,9,1\n" for number in range(count))


@pytest.mark.parametrize(("step", "timeframe"), [(24, "1d"), (4, "4h")])
def test_a_file_of_longer_candles_is_refused_and_stored_ones_stay(
    tmp_path: Path, home: Path, step: int, timeframe: str
) -> None:
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    hours, longer = tmp_path / "hours.csv", tmp_path / "longer.csv"
    hours.write_text(HEAD + rows_of_every(HOUR, 100))
    longer.write_text(HEAD + rows_of_every(step * HOUR, 4))
    import_candle_file(store, hours, SERIES, NOW)
    with pytest.raises(BadInput, match=f"looks like {timeframe}.*Give --timeframe {timeframe}"):
        import_candle_file(store, longer, SERIES, NOW, replace=True)
    assert len(store.load(SERIES, (0, 1598867200000)).candles) == 100


def test_stored_candles_that_a_file_lacks_stay_unless_it_is_to_replace_them(tmp_path: Path, home: Path) -> None:
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    whole, holed = tmp_path / "whole.csv", tmp_path / "holed.csv"
    lines = rows_of_every(HOUR, 10).splitlines(keepends=True)
    whole.write_text(HEAD + "".join(lines))
    holed.write_text(HEAD + "".join(line.replace(",9,1\n", ",8.5,1\n") for line in lines[:3] + lines[6:]))
    import_candle_file(store, whole, SERIES, NOW)
    done = import_candle_file(store, holed, SERIES, NOW)
    assert "Kept although the file lacks them: 3" in done
    closes = store.load(SERIES, (0, 1598867200000)).candles.close.tolist()
    assert closes == [8.5] * 3 + [9.0] * 3 + [8.5] * 4
    assert "Removed because the file lacks them: 3" in import_candle_file(store, holed, SERIES, NOW, replace=True)
    assert store.load(SERIES, (0, 1598867200000)).candles.close.tolist() == [8.5] * 7
