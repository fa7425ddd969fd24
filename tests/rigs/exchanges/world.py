"""What is true in the made-up markets, and how much of it the exchanges show."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple, TypeVar

LISTED_MS = 1_502_928_000_000
"""2017-08-17T00:00Z: no market has candles before it, unless a test says so."""

FUNDING_MS = 28_800_000
BOOK_LEVELS = 200

_PRICES_USD = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0, "DOGE": 0.12, "PEPE": 0.0000081, "HYPE": 40.0}

T = TypeVar("T")


class OrderBook(NamedTuple):
    """Levels of [price, size]; the best bid and the best ask come first."""

    bids: list[list[float]]
    asks: list[list[float]]


class World:
    """All of it is a function of the market and the time, so a test can say what must come out.

    `now_ms` is the present (Unix ms); it begins at the machine's and then stands still. `candle`, `candles`,
    `order_book`, `funding_rate` and the like are the truth; the switches change only what the exchanges make of it:

    * `missing`: open times (ms) of candles that the exchanges lack altogether;
    * `incomplete_ms`: open times (ms) of candles that come without a close;
    * `unpublished`: so many of the newest closed candles are not out yet, nor is the forming one;
    * `flat_for_ms`: a candle that closed less than this long ago comes flat, at its open and with volume 0;
    * `volume_factor`: all volumes are so many times what they were;
    * `shuffled`: candles come in no order of time; `duplicated`: every third comes twice;
    * `clock_skew_ms`: the exchanges' clock is so far ahead of `now_ms`, or behind it if negative;
    * `ignores_bounds`: Binance sends more than it was asked for: later candles and fundings, deeper books;
    * `odd_markets`: Binance has LUNA/USDT, which is halted, FLAT/USDT, and a future of Bitcoin of 2026-12-25;
    * `extra_markets`: so many more markets, X0001/USDT and so on, in each exchange's list of spot markets.
    """

    def __init__(self) -> None:
        self.now_ms = time.time_ns() // 1_000_000
        self.listed_ms = LISTED_MS
        self.heal()

    def heal(self) -> None:
        """Turn every switch off; the present and the listing stay as they are."""
        self.missing: set[int] = set()
        self.incomplete_ms: set[int] = set()
        self.unpublished = 0
        self.flat_for_ms = 0
        self.volume_factor = 1.0
        self.shuffled = False
        self.duplicated = False
        self.clock_skew_ms = 0
        self.extra_markets = 0
        self.odd_markets = False
        self.ignores_bounds = False

    @property
    def clock_ms(self) -> int:
        """The time by the exchanges' own clock, which decides all that depends on time."""
        return self.now_ms + self.clock_skew_ms

    @property
    def extra_bases(self) -> list[str]:
        """The bases of the additional markets; each costs about one dollar."""
        return [f"X{number:04}" for number in range(1, self.extra_markets + 1)]

    def candle(self, base: str, quote: str, open_ms: int, length_ms: int) -> list[float]:
        """Give one candle as (open time ms, open, high, low, close, volume): final, or as far as it has formed."""
        price = _PRICES_USD.get(base, 1.0) / _PRICES_USD.get(quote, 1.0)
        minutes = (open_ms // 60_000, (open_ms + length_ms) // 60_000)
        opened, closed = (price * (0.95 + (minute * 7919 % 1009) / 10_090) for minute in minutes)
        volume = (1 + open_ms // length_ms * 40_503 % 977 / 8) * self.volume_factor
        if open_ms + length_ms > self.clock_ms:
            closed, volume = (opened + closed) / 2, volume / 2
        high, low = max(opened, closed) * 1.001, min(opened, closed) * 0.999
        return [float(open_ms), *(_short(value) for value in (opened, high, low, closed)), volume]

    def candles(self, base: str, quote: str, start_ms: int, end_ms: int, length_ms: int) -> list[list[float]]:
        """Give the candles whose open time is in [start_ms, end_ms), none before the listing or after now."""
        return [self.candle(base, quote, opened, length_ms) for opened in self._opens(start_ms, end_ms, length_ms)]

    def published(self, base: str, quote: str, start_ms: int, end_ms: int, length_ms: int) -> Iterator[list[float]]:
        """Give those of the candles that the exchanges have, one by one in order of time."""
        if self.unpublished:
            end_ms = min(end_ms, (self.clock_ms // length_ms - self.unpublished) * length_ms)
        for opened in self._opens(start_ms, end_ms, length_ms):
            if opened not in self.missing:
                row = self.candle(base, quote, opened, length_ms)
                closed_for_ms = self.clock_ms - opened - length_ms
                yield [row[0], *[row[1]] * 4, 0.0] if 0 <= closed_for_ms < self.flat_for_ms else row

    def newest(self, base: str, quote: str, end_ms: int, length_ms: int, count: int) -> list[list[float]]:
        """Give the last `count` candles that the exchanges have and that open before `end_ms`."""
        end_ms = min(end_ms, self.clock_ms + 1)
        start_ms = end_ms - (count + len(self.missing) + self.unpublished + 1) * length_ms
        return list(self.published(base, quote, start_ms, end_ms, length_ms))[-count:]

    def as_sent(self, rows: list[T]) -> list[T]:
        """Put rows into the order, and the number, in which they are sent."""
        if self.shuffled:
            rows = rows[1::2] + rows[::2]
        if self.duplicated:
            rows = [row for place, row in enumerate(rows) for _ in range(1 if place % 3 else 2)]
        return rows

    def last(self, base: str, quote: str) -> float:
        """Give the price of the last trade, which is the close of the forming minute."""
        return self.candle(base, quote, self.clock_ms // 60_000 * 60_000, 60_000)[4]

    def order_book(self, base: str, quote: str, depth: int) -> OrderBook:
        """Give the best `depth` levels of each side, `BOOK_LEVELS` at most, each 0.01 % further from the last price."""
        last = self.last(base, quote)
        levels = [(step * 0.0001, 0.5 + step * 40_503 % 97 / 8) for step in range(1, min(depth, BOOK_LEVELS) + 1)]
        bids = [[_short(last * (1 - distance)), size] for distance, size in levels]
        return OrderBook(bids, [[_short(last * (1 + distance)), size] for distance, size in levels])

    def funding_rate(self, base: str, open_ms: int) -> float:
        """Give the ratio that is paid at `open_ms` (00, 08 or 16 o'clock in UTC): -0.0001 to 0.0003."""
        return round(0.0001 + ((open_ms // FUNDING_MS * 7919 + sum(base.encode())) % 401 - 200) / 1e6, 8)

    def mark_price(self, base: str, quote: str) -> float:
        """Give a swap's mark price, a little above the last."""
        return _short(self.last(base, quote) * 1.00005)

    def index_price(self, base: str, quote: str) -> float:
        """Give a swap's index price, a little below the last."""
        return _short(self.last(base, quote) * 0.9998)

    def open_interest(self, base: str) -> float:
        """Give a swap's open interest: in base, or in contracts where the swap is inverse."""
        return 10_000.0 + sum(base.encode())

    def _opens(self, start_ms: int, end_ms: int, length_ms: int) -> range:
        first = -(-max(start_ms, self.listed_ms) // length_ms) * length_ms
        return range(first, min(end_ms, self.clock_ms + 1), length_ms)


def in_full(value: float) -> str:
    """Write a number as the exchanges do: every digit, no exponent."""
    return f"{Decimal(repr(value)):f}"


def _short(value: float) -> float:
    return float(f"{value:.8g}")
