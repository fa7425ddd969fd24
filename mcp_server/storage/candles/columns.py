"""Which column of a candle file is what: by its header, or by the order of files that have none."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.domain.error_hints import nearest
from mcp_server.domain.exchange import ALIASES
from mcp_server.errors import BadInput

TIME_NAMES = ("timestamp", "open time", "unix", "ts", "opentime", "time", "datetime", "date", "date time", "t")
_INDEX_NAMES = ("", "unnamed: 0", "index", "index level 0")
_PRICE_NAMES = {
    "open": ("open", "o", "open price", "opening price"),
    "high": ("high", "h", "high price"),
    "low": ("low", "l", "low price"),
    "close": ("close", "c", "last", "close last", "close price", "closing price", "price"),
}
_VOLUME_NAMES = ("volume", "vol", "v", "vol.", "volume base", "base volume", "volumefrom", "volume from")

_MARKET_NAMES = ("symbol", "ticker", "pair", "market", "instrument", "coin", "tic")

_OF_ANOTHER_UNIT = {
    "adj close": "Yahoo counts in quote",
    "dividends": "Yahoo counts in quote",
    "stock splits": "Yahoo counts in quote",
    "marketcap": "CoinMarketCap counts in dollars",
    "market cap": "CoinMarketCap counts in dollars",
    "tickvol": "MetaTrader counts ticks",
    "volccy": "OKX counts the contracts of swaps and futures",
    "foreignnotional": "BitMEX counts contracts",
}
"""Columns that tell who wrote a file whose plain volume may not be in base."""

_HEADERLESS = (6, 7, 12)
"""Columns of files without a header: ccxt's; Kraken's, with a count; Binance's, with a close time and more."""


@dataclass(frozen=True)
class ColumnLayout:
    """Where the columns are: role (time, clock, market, open, high, low, close, volume) → number of the column."""

    names: list[str]
    roles: dict[str, int]
    width: int
    note: str | None = None

    def is_label(self, cells: Sequence[str]) -> bool:
        """Return whether a row below the header names a second level of it, as yfinance writes."""
        return bool(self.names) and cells[0].lower() in ("ticker", "date", "datetime")


def find_layout(rows: Sequence[Sequence[str]], base: str | None, volume: str | None) -> ColumnLayout | None:
    """Find the header among the first rows, or know a file without one; None if it is neither.

    Args:
        rows: the first rows of the file.
        base: the market's base asset, which tells its volume from that in quote.
        volume: the column that the caller names as the volume; `none` for no volume.

    Raises:
        BadInput: there is a header that lacks a column or has it twice.
    """
    for position, row in enumerate(rows):
        names = [_plain(name) for name in row]
        if sum(any(name in accepted for name in names) for accepted in _PRICE_NAMES.values()) >= 3:
            return _named(list(row), names, rows[position + 1 :], base, volume)
    first = next((row for row in rows if len(row) in _HEADERLESS), None)
    if first is None or not all(re.fullmatch(r"-?[\d.,eE-]+", cell) for cell in first[1:6]):
        return None
    if any(len(row) != len(first) for row in rows if row is not rows[-1]):
        return None
    roles = dict(zip(("time", "open", "high", "low", "close", "volume"), range(6), strict=True))
    if volume is not None:
        raise BadInput("--volume names a column, and the file has no header.", "Leave --volume out.")
    return ColumnLayout([], roles, len(first))


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[<>_\-\"'()/\[\]]", " ", name.lower()).split())


def _named(
    written: list[str], names: list[str], below: Sequence[Sequence[str]], base: str | None, volume: str | None
) -> ColumnLayout:
    roles = {role: _price(role, accepted, names) for role, accepted in _PRICE_NAMES.items()}
    times = [names.index(name) for name in TIME_NAMES if name in names]
    labels = [row[0].lower() for row in below[:3] if row]
    clock = None
    if "date" in labels or "datetime" in labels:
        times = [0]
    elif not times and (unnamed := [at for at, name in enumerate(names) if name in _INDEX_NAMES]):
        times = unnamed[:1]
    if not times:
        named = ", ".join(repr(name[:40]) for name in written[:12])
        remedy = f"Name one timestamp, open_time, time, date, datetime, unix or ts. {nearest('timestamp', names)}"
        raise BadInput(f"It has no time column among {named}.", remedy)
    roles["time"] = times[0]
    sample = next((row for row in below if len(row) == len(names) and row[roles["open"]][:1].isdigit()), None)
    if "date" in names and "time" in names and sample and re.match(r"\d\d?:\d\d|\d\d?\s?[AP]M", sample[_at(names)]):
        roles["time"], clock = names.index("date"), _at(names)
    if clock is not None:
        roles["clock"] = clock
    market = next((at for at, name in enumerate(names) if name in _MARKET_NAMES), None)
    if market is not None:
        roles["market"] = market
    column, note = _volume(written, names, labels, base, volume)
    if column is not None:
        roles["volume"] = column
    return ColumnLayout(written, roles, len(written), note)


def _at(names: list[str]) -> int:
    return names.index("time")


def _price(role: str, accepted: Sequence[str], names: list[str]) -> int:
    for name in accepted:
        if names.count(name) > 1:
            raise BadInput(f"It has the column {name!r} twice.", "Keep one market's columns.")
        if name in names:
            return names.index(name)
    raise BadInput(f"It has no column {role!r}.", nearest(role, [name for name in names if "vol" not in name]))


def _volume(
    written: list[str], names: list[str], labels: list[str], base: str | None, volume: str | None
) -> tuple[int | None, str | None]:
    """Return the column of the volume in base, or None and a note where there is none."""
    if volume is not None and volume.lower() == "none":
        return None, "Volume is unknown, as --volume none says."
    if volume is not None:
        if _plain(volume) not in names:
            raise BadInput(f"It has no column {volume!r}.", nearest(_plain(volume), names))
        return names.index(_plain(volume)), None
    assets = {base.lower(), *(old.lower() for old, new in ALIASES.items() if new == base)} if base else set()
    likely = [at for at, name in enumerate(names) if "vol" in name or name == "v"]
    if not likely:
        return None, "The file has no volume: it is kept as unknown. TradingView exports it with the Volume indicator."
    in_base = [at for at in likely if len(names[at].split()) > 1 and assets & set(names[at].split())]
    in_base = [at for at in in_base if not {"taker", "quote"} & set(names[at].split())]
    plain = [at for at in likely if names[at] in _VOLUME_NAMES]
    other = next((why for name, why in _OF_ANOTHER_UNIT.items() if name in names), None)
    if other is None and "ticker" in labels:
        other = _OF_ANOTHER_UNIT["adj close"]
    if len(in_base) == 1:
        return in_base[0], None
    if not in_base and len(plain) == 1 and not other:
        return plain[0], None
    listed = ", ".join(repr(written[at]) for at in likely)
    raise BadInput(
        f"Which volume is in {base or 'base'} is not clear from {listed}: {other or 'it may be in quote'}.",
        "Name the column of the volume in base with --volume COLUMN, or leave it unknown with --volume none.",
    )
