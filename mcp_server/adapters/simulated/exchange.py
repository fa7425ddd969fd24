"""The simulated exchange: an invented market for any symbol, timeframe and moment, the same for everyone."""

import re
import sys
from collections.abc import Iterator, Sequence

import anyio.to_thread

from mcp_server.adapters.simulated import book, path, perpetuals
from mcp_server.adapters.simulated.path import GENESIS_MS, USD, SimulatedMarket, market_of
from mcp_server.domain.exchange import ALIASES, Fetched, Funding, Listing, Listings, OrderBook, PerpetualState, Ticker
from mcp_server.domain.symbols import dated, perpetual, without_exchange
from mcp_server.domain.text import significant
from mcp_server.domain.timeframes import DAY_MS, TIMEFRAMES, iso, to_ms
from mcp_server.errors import NotFound, NotSupported
from mcp_server.moment import Clock

QUOTES = ("ETH", "BTC", "EUR", "GBP", "DAI", "USDC", "USDT", "USD", "JPY")
"""Quote currencies. Between two of these the earlier is the base: `ETH/BTC`, `EUR/USD`."""


class SimulatedExchange:
    """An `Exchange` of invented prices, marked as `simulated`. Any symbol that reads as a base and a quote exists.

    A present before the market's first moment raises `NotSupported`.

    Nothing later than the clock's present is ever answered. `seed` selects one of the possible markets; by default
    everyone has the same.
    """

    id = "simulated"
    simulated = True

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self._clock = clock
        self._seed = seed

    async def symbol(self, text: str) -> str:
        """Return the unified symbol that `text` means; any plausible one exists."""
        return unified(text)

    async def swap_symbol(self, text: str) -> str:
        """Return the swap that `text` means: the one settled in its quote, unless another is named."""
        return _swap(unified(text))

    async def timeframes(self) -> Sequence[str]:
        """All of them."""
        return list(TIMEFRAMES)

    async def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Fetched:
        """Make the candles whose open time is in [start_ms, end_ms); the last may be forming."""
        market, now_ms = self._market(symbol), to_ms(self._clock())
        made = await anyio.to_thread.run_sync(path.candles, market, timeframe, start_ms, end_ms, now_ms)
        return Fetched(made)

    async def candles_a_request(self, symbol: str) -> int:
        """Return more than anybody asks for: none takes a request."""
        return sys.maxsize

    async def ticker(self, symbol: str) -> Ticker:
        """Make the present snapshot."""
        return await anyio.to_thread.run_sync(_ticker, self._market(symbol), self._now_ms())

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        """Make the present order book, around the ticker's last price."""
        return await anyio.to_thread.run_sync(book.order_book, self._market(symbol), self._now_ms(), depth)

    async def perpetual_state(self, symbol: str) -> PerpetualState:
        """Return the present funding rate, mark price and open interest of a swap."""
        _refuse_spot(symbol)
        return await anyio.to_thread.run_sync(perpetuals.perpetual_state, self._market(symbol), self._now_ms())

    async def fundings(self, symbol: str, end_ms: int, count: int) -> Sequence[Funding]:
        """Return the last `count` fundings of a swap that were settled by `end_ms`, oldest first."""
        _refuse_spot(symbol)
        settled_ms = min(end_ms, to_ms(self._clock()))
        return await anyio.to_thread.run_sync(perpetuals.fundings, self._market(symbol), settled_ms, count)

    async def fundings_between(self, symbol: str, start_ms: int, end_ms: int) -> Sequence[Funding]:
        """Return the fundings of a swap that were settled from `start_ms` to `end_ms`, oldest first."""
        count = max(end_ms - start_ms, 0) // perpetuals.FUNDING_MS + 1
        latest = await self.fundings(symbol, end_ms, count)
        return [funding for funding in latest if funding.time_ms >= start_ms]

    async def listings(self) -> Listings:
        """List the markets of well-known assets; any other symbol exists as well."""
        return Listings(self._now_ms(), list(_listed()))

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _now_ms(self) -> int:
        now_ms = to_ms(self._clock())
        if now_ms < GENESIS_MS:
            raise NotSupported(f"The simulated market begins at {iso(GENESIS_MS)}.", "Ask for a later moment.")
        return now_ms

    def _market(self, symbol: str) -> SimulatedMarket:
        return market_of(symbol, self._seed)


def unified(text: str) -> str:
    """Read a symbol however it is spelt: `btcusdt`, `BTC-USDT` and `XBT/USDT` are `BTC/USDT`."""
    spelt = without_exchange(text.strip(), "simulated").upper()
    if day := dated(spelt):
        raise NotFound(f"Unknown symbol {text!r} on 'simulated': it has no futures.", f"Did you mean {day[0]!r}?")
    if of := perpetual(spelt):
        return _swap(unified(of))
    if match := re.fullmatch(r"([A-Z0-9]{1,15})[/_-]([A-Z0-9]{1,15})(:[A-Z0-9]{1,15})?", spelt):
        base, quote, settle = match[1], match[2], match[3] or ""
    elif match := re.fullmatch(rf"([A-Z0-9]{{2,15}}?)({'|'.join(QUOTES)})", spelt):
        base, quote, settle = match[1], match[2], ""
    else:
        raise NotFound(f"Unknown symbol {text!r} on 'simulated'.", _nearest(spelt))
    base, quote = ALIASES.get(base, base), ALIASES.get(quote, quote)
    if settle and settle[1:] not in (base, quote):
        raise NotFound(f"Unknown symbol {text!r} on 'simulated'.", f"Did you mean {f'{base}/{quote}:{quote}'!r}?")
    if base == quote:
        raise NotFound(f"Unknown symbol {text!r} on 'simulated': base and quote are the same.", "Try 'BTC/USDT'.")
    return f"{base}/{quote}{settle}"


def _nearest(asset: str) -> str:
    asset = ALIASES.get(asset, asset)
    plausible = re.fullmatch(r"[A-Z0-9]{2,15}", asset)
    return f"Did you mean {f'{asset}/USDT'!r}?" if plausible else "Write base and quote, like 'BTC/USDT'."


def _swap(symbol: str) -> str:
    return symbol if ":" in symbol else f"{symbol}:{symbol.partition('/')[2]}"


def _refuse_spot(symbol: str) -> None:
    if ":" not in symbol:
        raise NotSupported(f"{symbol!r} on 'simulated' is a spot market.", f"Ask for {_swap(symbol)!r}.")


def _listed() -> Iterator[Listing]:
    for base in USD:
        quotes = QUOTES[QUOTES.index(base) + 1 :] if base in QUOTES else QUOTES
        for quote in quotes:
            yield Listing(f"{base}/{quote}", "spot", base, quote, active=True)
        if "USDT" in quotes:
            yield Listing(f"{base}/USDT:USDT", "swap", base, "USDT", active=True, settle="USDT")


def _ticker(market: SimulatedMarket, now_ms: int) -> Ticker:
    day = path.candles(market, "1m", now_ms - DAY_MS, now_ms + 1, now_ms)
    last = float(day.close[-1])
    return Ticker(
        observed_at_ms=now_ms,
        last=last,
        bid=book.best(market, last, -1),
        ask=book.best(market, last, 1),
        volume_24h_base=significant(day.volume.sum()),
        change_24h_pct=round((last / float(day.open[0]) - 1) * 100, 3),
    )
