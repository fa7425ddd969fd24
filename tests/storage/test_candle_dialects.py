"""Candle files in 300 dialects: the right candles come out, or a refusal, and never wrong ones without a word."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import BadInput
from mcp_server.storage.candles.import_file import Dialect, read_candle_file

Row = tuple[datetime, float, float, float, float, float]


def rows_of(chance: random.Random, first: datetime, count: int, step: timedelta, places: int) -> list[Row]:
    rows: list[Row] = []
    price = chance.choice([0.4, 7.0, 94_000.0])
    for number in range(count):
        opened, close = price, price * chance.uniform(0.98, 1.02)
        high, low = max(opened, close) * chance.uniform(1.001, 1.02), min(opened, close) * chance.uniform(0.98, 0.999)
        volume = chance.uniform(1, 2000)
        opened, high, low, close, volume = (round(value, places) for value in (opened, high, low, close, volume))
        rows.append((first + number * step, opened, high, low, close, volume))
        price = close or opened or 1.0
    return [row for row in rows if row[3] > 0]


def grouped(value: float, places: int, decimal: str, group: str) -> str:
    whole = f"{value:,.{places}f}".replace(",", "G").replace(".", decimal)
    return whole.replace("G", group)


NUMBERS = {
    "plain": lambda value, places: f"{value:.{places}f}",
    "american": lambda value, places: grouped(value, places, ".", ","),
    "german": lambda value, places: grouped(value, places, ",", "."),
    "french": lambda value, places: grouped(value, places, ",", "\u202f"),
    "swiss": lambda value, places: grouped(value, places, ".", "'"),
    "comma": lambda value, places: f"{value:.{places}f}".replace(".", ","),
    "dollars": lambda value, places: f"${value:.{places}f}",
}
DATES = {
    "iso": "%Y-%m-%dT%H:%M:%SZ",
    "spaced": "%Y-%m-%d %H:%M",
    "dotted": "%Y.%m.%d %H:%M:%S",
    "british": "%d/%m/%Y %H:%M",
    "american": "%m/%d/%Y %H:%M",
    "german": "%d.%m.%Y %H:%M",
    "short": "%d.%m.%y %H:%M",
    "short american": "%m/%d/%y %H:%M",
    "half": "%m/%d/%Y %I:%M %p",
    "named": "%d %b %Y %H:%M",
    "compact": "%Y%m%d %H%M%S",
}
UNIX = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
HEADERS = (
    ("timestamp", "open", "high", "low", "close", "volume"),
    ("Date", "Open", "High", "Low", "Close", "Volume BTC"),
    ("<TIME>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>"),
    ("open_time", "O", "H", "L", "C", "V"),
    ("unix", "open price", "high price", "low price", "Last", "base_volume"),
)


@dataclass
class Made:
    """A file of the generator, and what is true of it."""

    text: str
    rows: list[Row]
    dialect: str


def make(seed: int) -> Made:
    chance = random.Random(seed)  # noqa: S311 (a test)
    numbers, dates = chance.choice(list(NUMBERS)), chance.choice([*DATES, *UNIX])
    separator = chance.choice([";", "\t", "|"] if numbers in ("american", "german", "comma", "french") else ",;\t|")
    first = datetime(2024, chance.randint(1, 12), chance.randint(1, 28), chance.randint(0, 23), tzinfo=UTC)
    places = chance.choice([0, 1, 2, 3, 4, 6])
    rows = rows_of(chance, first, chance.choice([1, 2, 30, 500]), timedelta(hours=1), places)
    order = list(range(6))
    header = chance.choice(HEADERS) if chance.random() < 0.8 else None
    if header is not None:
        chance.shuffle(order)
    quote = '"' if chance.random() < 0.3 else ""
    lines = ["https://www.example.org"] if header and chance.random() < 0.2 else []
    if header is not None:
        lines.append(separator.join(header[at] for at in order))
    for row in chance.sample(rows, len(rows)) if chance.random() < 0.3 else rows:
        moment = str(int(row[0].timestamp()) * UNIX[dates]) if dates in UNIX else row[0].strftime(DATES[dates])
        cells = [moment, *(NUMBERS[numbers](value, places) for value in row[1:])]
        lines.append(separator.join(f"{quote}{cells[at]}{quote}" for at in order))
    if chance.random() < 0.2:
        lines.append("# end of export")
    return Made("\n".join(lines) + "\n", rows, f"{numbers}, {dates}, {separator!r}, {places} places, {header}")


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.long)])
def test_of_300_dialects_none_gives_wrong_candles(tmp_path: Path, count: int) -> None:
    file, right, unexplained = tmp_path / "candles.csv", 0, []
    for seed in range(count):
        made = make(seed)
        file.write_text(made.text, encoding="utf-8")
        try:
            candles = read_candle_file(file, "1h", base="BTC", newest_year=2026).candles
        except BadInput as error:
            if made.rows and not (error.remedy and error.problem.startswith(repr(str(file)))):
                unexplained.append((seed, made.dialect, error.problem))
            continue
        columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
        read = list(zip(candles.open_time_ms.tolist(), *(column.tolist() for column in columns), strict=True))
        assert read == [(to_ms(row[0]), *row[1:]) for row in made.rows], (seed, made.dialect)
        right += 1
    assert not unexplained
    assert right > count / 2  # the others have two readings, or a price that is rounded to nothing


@pytest.mark.parametrize(
    ("date", "readings"),
    [
        ("05/03/2024", ("2024-03-05T00:00Z", "2024-05-03T00:00Z")),
        ("01/12/24", ("2024-12-01T00:00Z", "2024-01-12T00:00Z")),
    ],
)
def test_a_date_with_two_readings_is_refused_with_both_unless_its_format_is_given(
    tmp_path: Path, date: str, readings: tuple[str, str]
) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(f"date,open,high,low,close,volume\n{date},9,10,8,9,1\n")
    with pytest.raises(BadInput, match=rf"line 2: '{date}' can be {readings[0]} or {readings[1]}.*--date-format"):
        read_candle_file(file, "1d", newest_year=2026)
    dialect = Dialect(date_format="%d/%m/%Y" if len(date) == 10 else "%d/%m/%y")
    candles = read_candle_file(file, "1d", dialect=dialect).candles
    assert candles.open_time_ms.tolist() == [to_ms(datetime.fromisoformat(readings[0]))]


def test_a_year_before_there_were_markets_or_after_now_is_no_reading(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("date,open,high,low,close,volume\n05/12/31,9,10,8,9,1\n")
    with pytest.raises(BadInput, match=r"fit no one order.*--date-format"):
        read_candle_file(file, "1d", newest_year=2026)


def test_one_date_that_has_one_reading_decides_for_the_file(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("date,open,high,low,close,volume\n12/01/2024,9,10,8,9,1\n13/01/2024,9,10,8,9,1\n")
    candles = read_candle_file(file, "1d").candles
    assert candles.open_time_ms.tolist() == [to_ms(datetime(2024, 1, day, tzinfo=UTC)) for day in (12, 13)]


def test_a_number_with_two_readings_is_refused_with_both_unless_the_mark_is_given(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("timestamp;open;high;low;close;volume\n1735689600;94.000;94.159;93.582;93.725;2.303\n")
    with pytest.raises(BadInput, match=r"line 2, column 'open': '94\.000' can be 94 or 94000.*--decimal-mark"):
        read_candle_file(file, "1h")
    assert read_candle_file(file, "1h", dialect=Dialect(decimal_mark=",")).candles.open.tolist() == [94_000.0]
    assert read_candle_file(file, "1h", dialect=Dialect(decimal_mark=".")).candles.open.tolist() == [94.0]
