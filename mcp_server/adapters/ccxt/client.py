"""ccxt's clients of exchanges, and what ccxt knows of each exchange without a request."""

from __future__ import annotations

import importlib
import importlib.util
import ssl
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcp_server.adapters.ccxt.pages import served_timeframes
from mcp_server.domain.exchange import ExchangeInfo
from mcp_server.domain.loopback import is_loopback
from mcp_server.domain.timeframes import TIMEFRAMES
from mcp_server.errors import Misconfigured, UnknownExchange

REQUEST_TIMEOUT_MS = 10_000


@cache
def known_exchanges() -> tuple[str, ...]:
    """List ccxt's ids, sorted, without importing ccxt, which takes a second."""
    package = importlib.util.find_spec("ccxt")
    folders = (package.submodule_search_locations if package else None) or ()
    files = [file.stem for folder in folders for file in (Path(folder) / "async_support").glob("*.py")]
    return tuple(sorted(name for name in files if not name.startswith("_")))


def check_exchange(exchange_id: str) -> None:
    """Raise `UnknownExchange` for an id that ccxt does not know; the remedy names the nearest."""
    if exchange_id in known_exchanges():
        return
    near = get_close_matches(exchange_id.lower(), [*known_exchanges(), "simulated"], n=3)
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "Use a ccxt id, like 'kraken' or 'coinbase'."
    raise UnknownExchange(f"Unknown exchange {exchange_id[:40]!r}.", hint)


def import_exchange(exchange_id: str) -> Iterator[None]:
    """Import what the first client of an exchange takes, in steps of at most a tenth of a second each."""
    if exchange_id not in known_exchanges():
        return
    for name in (
        "aiohttp",
        "requests",
        "stamina",
        *(f"mcp_server.adapters.ccxt.{name}" for name in ("errors", "answers")),
    ):
        importlib.import_module(name)
        yield
    make_client(exchange_id, None)
    yield


def make_client(exchange_id: str, base_url: str | None) -> Any:
    """Import ccxt's module of an exchange and make its client: a third of a second the first time, so in a thread."""
    ccxt = importlib.import_module("mcp_server.adapters.ccxt.package").async_support
    answers = importlib.import_module("mcp_server.adapters.ccxt.answers")
    client = type(exchange_id, (answers.WholeAnswers, getattr(ccxt, exchange_id)), {})(
        {"enableRateLimit": True, "rateLimiterAlgorithm": "rollingWindow", "timeout": REQUEST_TIMEOUT_MS}
    )
    client.ssl_context = _trusted(client.cafile)
    if base_url is not None:
        client.urls["api"] = _moved(client.urls["api"], base_url)
        client.timeout_on_exit = 0  # ms; without TLS there is no farewell to wait for
    return client


@cache
def _trusted(certificates: str) -> ssl.SSLContext:
    """Read the trusted certificates: it takes 13 ms, once for all exchanges, where ccxt does it for each."""
    return ssl.create_default_context(cafile=certificates)


def loopback(base_url: str, exchange_id: str) -> str:
    """Check that a stand-in's URL is scheme, host and port of this machine; no error message contains the URL."""
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and is_loopback(parts.hostname or "")
    except ValueError:
        good = False
    if not good or parts.path not in ("", "/") or parts.query or parts.username:
        raise Misconfigured(
            f"TRADER_EXCHANGE_URLS: the URL for {exchange_id!r} must be that of a stand-in on this machine.",
            "Write http, a loopback host and a port, without a path.",
        )
    return base_url


def _moved(url: Any, base_url: str) -> Any:
    """Put another scheme and host into every URL of ccxt's nested dicts of them, and keep each path."""
    if isinstance(url, dict):
        return {name: _moved(inner, base_url) for name, inner in url.items()}
    if not isinstance(url, str):
        return url
    to = urlsplit(base_url)
    return urlsplit(url)._replace(scheme=to.scheme, netloc=to.netloc).geturl()


@cache
def exchange_infos() -> tuple[ExchangeInfo, ...]:
    """List the simulated exchange and every exchange of ccxt by id; it takes a second the first time.

    ccxt's clients are dropped again; the descriptions take a few kB.
    """
    ccxt = importlib.import_module("mcp_server.adapters.ccxt.package").async_support
    invented = ExchangeInfo("simulated", "an invented market", (), tuple(TIMEFRAMES), None, True, True, True)
    return (invented, *(_info(getattr(ccxt, name)()) for name in known_exchanges()))


def _info(client: Any) -> ExchangeInfo:
    has = client.has
    return ExchangeInfo(
        id=client.id,
        name=str(client.name),
        countries=tuple(client.countries or ()),
        timeframes=tuple(served_timeframes(client)) if has.get("fetchOHLCV") else (),
        candles_per_request=_page(client),
        order_book=bool(has.get("fetchOrderBook")),
        funding=bool(has.get("fetchFundingRate") or has.get("fetchFundingRateHistory")),
        open_interest=bool(has.get("fetchOpenInterest")),
    )


def _page(client: Any) -> int | None:
    """Return the most candles of one request, where ccxt knows it: of spot markets, else of linear swaps."""
    spot = client.feature_value_by_type("spot", None, "fetchOHLCV", "limit", None)
    most = spot or client.feature_value_by_type("swap", "linear", "fetchOHLCV", "limit", None)
    return int(most) if most else None
