"""The candle files that people have most: each is read right, or refused with what is wrong and what to do."""

import gzip
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from mcp_server.errors import BadInput
from mcp_server.storage.candles.import_file import CandleFile, Dialect, read_candle_file

FAULTS = Path(__file__).parents[3] / "shared" / "faults"
HOUR = 3_600_000
START = 1_735_689_600_000  # 2025-01-01T00:00Z
ROWS = [
    (94000.0, 94159.32, 93581.87, 93725.04, 230.30705),
    (93725.04, 93809.3, 93599.48, 93721.62, 710.06229),
    (93721.62, 93726.93, 93260.96, 93417.11, 390.05759),
]
TIMES = [START + number * HOUR for number in range(3)]
HEAD = "timestamp,open,high,low,close,volume"


def lines(times: list[object], *more: object) -> list[str]:
    return [",".join(map(str, [at, *row, *more])) for at, row in zip(times, ROWS, strict=True)]


def microseconds(*more: object) -> list[str]:
    return lines([at * 1000 for at in TIMES], *more)


PLAIN = [HEAD, *lines(list(TIMES))]
BINANCE = microseconds(1735693199999999, 2158553.4, 100, 115.1, 107927.7, 0)
LINK = "https://www.CryptoDataDownload.com"
TWO_VOLUMES = [
    "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT",
    *(f"{at},2025-01-01 0{n}:00:00,BTCUSDT,{','.join(map(str, ROWS[n]))},21585537.4" for n, at in enumerate(TIMES)),
]
HALF_DAYS = [
    "Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USD",
    *(f"2025-01-01 {h}-AM,BTCUSD,{','.join(map(str, row))},9e-1" for h, row in zip(("12", "01", "02"), ROWS)),  # noqa: B905
]
TEXTS = {
    "Binance without a header": BINANCE,
    "Kraken without a header": lines([at // 1000 for at in TIMES], 3),
    "a link first, newest first, two volumes": [LINK, TWO_VOLUMES[0], *reversed(TWO_VOLUMES[1:])],
    "hours of half days": [LINK, *HALF_DAYS],
    "half days and a volume renamed": [LINK, HALF_DAYS[0].replace("Volume BTC", "volume"), *HALF_DAYS[1:]],
    "a header twice": [*PLAIN[:2], HEAD, *PLAIN[2:]],
    "a comment last": [*PLAIN, "# end of export"],
    "an index of numbers": [f",{HEAD}", *(f"{n},{line}" for n, line in enumerate(PLAIN[1:]))],
    "an index of times": [HEAD.replace("timestamp", ""), *lines([f"2025-01-01 0{n}:00" for n in range(3)])],
    "date and time apart": [f"Date,Time,{HEAD[10:]}", *lines([f"2025-01-01,0{n}:00:00" for n in range(3)])],
    "milliseconds, then microseconds": [HEAD, *lines([TIMES[0], TIMES[1] * 1000, TIMES[2] * 1000])],
    "a decimal comma": [line.replace(",", ";").replace(".", ",") for line in PLAIN],
}


def read(file: Path, timeframe: str = "1h", **dialect: str) -> CandleFile:
    return read_candle_file(file, timeframe, base="BTC", dialect=Dialect(**dialect), newest_year=2026)


def assert_right(read_file: CandleFile) -> None:
    candles = read_file.candles
    assert candles.open_time_ms.tolist() == TIMES
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == ROWS


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_common_text_file_is_read_right(tmp_path: Path, text: list[str]) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("\n".join(text) + "\n")
    assert_right(read(file))


@pytest.mark.parametrize("kind", ["utf-16", "utf-8-sig", "zip", "gzip", "json", "json objects"])
def test_a_common_wrapping_is_read_right(tmp_path: Path, kind: str) -> None:
    file, text = tmp_path / "candles", "\n".join(PLAIN)
    rows = [[at, *row] for at, row in zip(TIMES, ROWS, strict=True)]
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("candles.csv", text)
    elif kind.startswith("json"):
        names = HEAD.split(",")
        file.write_text(json.dumps(rows if kind == "json" else [dict(zip(names, row, strict=True)) for row in rows]))
    else:
        file.write_bytes(gzip.compress(text.encode()) if kind == "gzip" else text.encode(kind))
    assert_right(read(file))


def test_a_decimal_mark_that_json_never_has_is_refused_not_ignored(tmp_path: Path) -> None:
    file = tmp_path / "candles.json"
    file.write_text(json.dumps([[at, *row] for at, row in zip(TIMES, ROWS, strict=True)]))
    with pytest.raises(BadInput, match="JSON"):
        read_candle_file(file, "1h", dialect=Dialect(decimal_mark=","))
    assert_right(read_candle_file(file, "1h", dialect=Dialect(decimal_mark=".")))


@pytest.mark.parametrize("time", ["__index_level_0__", "date"])
@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_a_table_of_pandas_is_read_right(tmp_path: Path, suffix: str, time: str) -> None:
    names = HEAD.split(",")[1:]
    columns = {name: [row[number] for row in ROWS] for number, name in enumerate(names)}
    table = pa.table({**columns, time: pa.array(TIMES, pa.timestamp("ms", tz="UTC"))})
    file = tmp_path / f"candles.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, file)
    else:
        feather.write_feather(table, file)
    assert_right(read(file))


REFUSED = {
    "cut short": ([*PLAIN[:-1], PLAIN[-1].rpartition(",")[0]], r"line 4 has 5 values where 6 were expected.*cut short"),
    "a null": ([*PLAIN[:2], f"{TIMES[1]},null,null,null,null,1"], r"line 3, column 'open'.*missing.*drop the line"),
    "only quote volume": ([HEAD.replace("volume", "Volume USD"), *PLAIN[1:]], r"'Volume USD'.*--volume COLUMN"),
    "Yahoo": ([f"{HEAD},Adj Close", *(f"{line},1" for line in PLAIN[1:])], "Yahoo counts in quote.*--volume none"),
    "Yahoo, adjusted": ([f"{HEAD},Dividends,Stock Splits", *(f"{n},0,0" for n in PLAIN[1:])], "Yahoo counts in quote"),
    "CoinMarketCap": ([f"{HEAD},marketCap", *(f"{line},1" for line in PLAIN[1:])], "counts in dollars.*--volume none"),
    "OKX": ([f"{HEAD.replace('volume', 'vol')},volCcy", *(f"{line},1" for line in PLAIN[1:])], "OKX counts.*--volume"),
    "BitMEX": ([f"{HEAD},foreignNotional", *(f"{line},1" for line in PLAIN[1:])], "BitMEX counts contracts.*--volume"),
    "ticks": ([HEAD.replace("volume", "<TICKVOL>"), *PLAIN[1:]], "--volume none"),
    "closes above": ([HEAD, f"{START},1,2,1,3,1"], r"line 2, column 'close', value '3'.*close above its high"),
    "a price of 0": ([HEAD, f"{START},1,2,0,1,1"], r"line 2, column 'low', value '0'.*not above 0"),
    "all -1": ([HEAD, f"{START},-1,-1,-1,-1,-1"], r"line 2, column 'open', value '-1'.*not above 0"),
    "days of Excel": ([HEAD, "45292,1,2,1,1,1"], r"line 2: the time '45292' cannot be read"),
    "rounded by Excel": ([HEAD, "1.73569E+12,1,2,1,1,1"], r"line 2: the time '1.73569E\+12' cannot be read"),
    "a price rounded by Excel": (
        [HEAD, f"{START},9.4E+04,9.5E+04,9.3E+04,9.4E+04,1"],
        "'9.4E.04' is no number with all its digits.*without exponents",
    ),
    "Bitfinex's order": ([f"{at},{r[0]},{r[3]},{r[1]},{r[2]},1" for at, r in zip(TIMES, ROWS)], "name the columns"),  # noqa: B905
    "two markets": (
        [f"symbol,{HEAD}", *(f"{name},{line}" for name, line in zip(("BTC", "ETH", "BTC"), PLAIN[1:]))],  # noqa: B905
        "several markets: 'BTC', 'ETH'.*a file of each",
    ),
    "two closes": ([f"{HEAD},close", *(f"{line},1" for line in PLAIN[1:])], "'close' twice"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_cannot_be_right_is_refused_with_what_to_do(tmp_path: Path, text: list[str], reason: str) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("\n".join(text) + "\n")
    with pytest.raises(BadInput, match=reason):
        read(file)


def test_a_date_format_without_a_year_is_refused_not_taken_as_1900(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("\n".join([HEAD, *lines([f"01.12. 0{hour}:00" for hour in range(3)])]))
    with pytest.raises(BadInput, match=r"line 2: '01\.12\. 00:00'.*year 1900\. Nothing was imported.*--date-format"):
        read(file, date_format="%d.%m. %H:%M")


def test_a_file_without_volume_is_read_and_its_volume_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("\n".join(line.rpartition(",")[0] for line in PLAIN))
    opened = read(file)
    assert [str(volume) for volume in opened.candles.volume.tolist()] == ["nan"] * 3
    assert "volume" in opened.notes[0]


def test_the_caller_names_the_volume_or_says_that_it_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("\n".join([HEAD.replace("volume", "Volume USD"), *PLAIN[1:]]))
    assert_right(read(file, volume="Volume USD"))
    assert str(read(file, volume="none").candles.volume[0]) == "nan"


def test_an_hour_that_is_missing_where_clocks_change_is_worth_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("\n".join([HEAD, *lines([f"2025-03-30 0{hour}:00" for hour in (0, 1, 3)])]))
    assert "are they local times?" in read(file).notes[0]
    file.write_text("\n".join([HEAD, *lines([f"2025-03-30 0{hour}:00Z" for hour in (0, 1, 3)])]))
    assert read(file).notes == ()


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the collected files are not beside this checkout")
def test_each_collected_file_gives_its_candles_or_a_refusal_that_says_what_to_do() -> None:
    refused = set()
    for file in sorted(FAULTS.iterdir()):
        days = file.stem in ("yahoo_null", "yfinance_multi", "investing")
        if file.suffix == ".md":
            continue
        try:
            opened = read(file, "1d" if days else "1h")
        except BadInput as error:
            refused.add((file.stem, bool(error.remedy)))
            continue
        assert opened.candles.close[0] == pytest.approx(93725.04, rel=1e-6), file.name
    daily = {"yahoo_null", "yfinance_multi"}
    expected = {"daily_as_1h", "four_hour", "german_whole", "metatrader", "truncated", *daily}
    assert refused == {(name, True) for name in expected}
