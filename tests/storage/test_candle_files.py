from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mcp_server.errors import BadInput
from mcp_server.storage.candle_files import import_candle_file, read_candle_file
from mcp_server.storage.candles import CandleStore, Series
from mcp_server.storage.database import Database

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
    candles = read_candle_file(file, "1h")
    assert candles.open_time_ms.tolist() == [1498906800000, 1498910400000]
    assert candles.close.tolist() == [2509.17, 2488.43]
    assert candles.volume.tolist() == [114.6, 157.36]


def test_parquet_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "candles.parquet"
    columns = {"open_time": [1498906800000], "open": [1.0], "high": [2.0], "low": [0.5], "close": [1.5], "volume": [3]}
    pq.write_table(pa.table(columns), file)
    assert read_candle_file(file, "1h").close.tolist() == [1.5]


WRONG = {
    "no time": ("moment,open,high,low,close,volume\n" + MS, "has no time column"),
    "no close": ("timestamp,open,high,low,closes,volume\n" + MS, "no column 'close'. Did you mean 'closes'"),
    "another timeframe": (HEAD + MS.replace("1498910400000", "1498908600000"), "where no 1h candle begins"),
    "a hole in a row": (HEAD + MS.replace(",2495.12", ","), "missing or not finite"),
    "twice": (HEAD + MS + MS, "not later than the one before"),
    "upside down": (HEAD + MS.replace("2513.38", "1"), "high below its low"),
    "words": (HEAD + MS.replace("2505.56", "many"), "cannot be read as CSV"),
    "empty": (HEAD, "has no rows"),
    "nothing": ("", "cannot be read|has no time column"),
}


@pytest.mark.parametrize(("content", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_is_named_and_nothing_is_imported(tmp_path: Path, home: Path, content: str, said: str) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(content)
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    with pytest.raises(BadInput, match=rf"candles\.csv.*({said})"):
        import_candle_file(store, file, Series("coinbase", "BTC/USD", "1h"))
    assert store.timeframes("coinbase", "BTC/USD") == []


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no file"):
        read_candle_file(tmp_path / "none.csv", "1h")


def test_an_import_says_what_it_did(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(HEAD + MS + MS.splitlines()[1].replace("1498910400000", "1498921200000"))
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    said = import_candle_file(store, file, Series("coinbase", "BTC/USD", "1h"))
    assert said == (
        "3 candles of BTC/USD 1h on coinbase, 2017-07-01T11:00Z to 2017-07-01T15:00Z, 2 missing in between. "
        "The store has 3 now."
    )


def test_candles_for_the_simulated_exchange_are_refused(tmp_path: Path, home: Path) -> None:
    store = CandleStore(Database(home / "claude_trader.duckdb"))
    with pytest.raises(BadInput, match="makes its own candles"):
        import_candle_file(store, tmp_path / "x.csv", Series("simulated", "BTC/USD", "1h"))
