"""Ten thousand calls with whatever a model may send: each is answered in its tool's own form, or taught how to ask."""

import logging
import math
import typing
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mcp import Client
from mcp_types import CallToolResult
from pydantic import BaseModel

from mcp_server.app import tool_files
from mcp_server.domain.timeframes import TIMEFRAMES, from_ms, iso, parse_moment, timeframe_ms, to_ms
from tests.acceptance.market_rig import (
    BEARER,
    NOW_MS,
    TOOLS,
    calling,
    check_told,
    nothing_left_open,
    ports_of,
    text_of,
)
from tests.rigs.stand_in_exchange import StandInExchange

SETS = 2_000
"""Of arguments, for each tool."""

KEY = "sk-ant-of-the-operator"
OWN_URL = "http://me.example/x"
"""The one URL that an error may hold: a caller sent it, and it is told back as what was wrong."""

logger = logging.getLogger(__name__)

NOW = from_ms(NOW_MS)
Desk = Callable[[str, dict[str, Any]], CallToolResult]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, secrets: list[str]) -> Iterator[Desk]:
    """One server and one client for all the calls, with an event loop of their own beside hypothesis."""
    home = tmp_path_factory.mktemp("home")
    with nothing_left_open(), StandInExchange() as rig, start_blocking_portal() as portal:
        rig.now_ms = NOW_MS
        secrets += [*ports_of(rig), str(home)]
        with portal.wrap_async_context_manager(calling(home, rig)) as client:
            yield lambda tool, arguments: portal.call(Client.call_tool, client, tool, arguments)


@pytest.fixture(scope="module")
def secrets() -> Iterator[list[str]]:
    """What no text may hold: it is in the server's settings, or in its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        patch.setenv("TRADER_TOKEN", BEARER)
        yield [KEY, BEARER]


# What is sent


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any], times: int = 12) -> st.SearchStrategy[Any]:
    """Draw what is usual so many times as often as what is odd."""
    return st.integers(0, times).flatmap(lambda number: usual if number else odd)


WORDS = st.text(st.characters(codec=None), max_size=70)
SHAPES = ["", " ", "\x00", "\x1b[31m", "\ud800", "\u202e", "☃", "null", "NaN", "[]", "{}", "[" * 5_000, "x" * 50_000]
TRICKS = [OWN_URL, "sk-ant-of-somebody", "Bearer abc", "../../etc/passwd", "'; DROP TABLE candles; --", "{0.__class__}"]
ODD_TEXTS = st.one_of(WORDS, st.sampled_from([*SHAPES, *TRICKS]))
ODD_VALUES = st.one_of(
    ODD_TEXTS,
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.sampled_from([[], {}, ["BTC/USDT"], {"symbol": "BTC/USDT"}, [[[[[]]]]], 10**400]),
)
SPELLINGS = ["BTC/USDT", "BTC/USDT", "btcusdt", "BTC-USDT", " eth/btc ", "ETHBTC", "BTC/USDT:USDT", "XBT_USDT"]
MISSPELLINGS = ["BTC", "/", "BTC/BTC", "BTC/USDT\n", "\uff22\uff34\uff23/USDT", "BTC/USDT:EUR", "QQQ/ZZZ", "a" * 61]
SYMBOLS = mostly(st.sampled_from(SPELLINGS), st.one_of(st.sampled_from(MISSPELLINGS), ODD_VALUES), times=6)
KNOWN = ["simulated"] * 11 + ["binance"] * 5 + ["coinbase"] * 3 + ["kraken"]
UNKNOWN = ["Kraken", "krakn", "simulatd", "Exchange", "__class__", "errors", "base", "__init__", "pro"]
EXCHANGES = mostly(st.sampled_from(KNOWN), st.one_of(st.sampled_from(UNKNOWN), ODD_VALUES), times=8)
DAYS = st.dates(date(2017, 1, 1), date(2026, 2, 1))
MOMENTS = st.tuples(DAYS, st.times()).map(lambda parts: datetime.combine(*parts, tzinfo=UTC).isoformat())
LATELY = ["2026-01-15T10:20:30Z", "2026-01-15T10:10Z", "2026-01-15T10:05:30Z", "2026-01-15T12:00+02:00"]
EARLIER = ["2026-01-15T10:05:29Z", "2026-01-15 08:00:00", "2026-01-14", "20260113", "2025-12-01T07:31:04.567Z"]
STRANGE = ["yesterday", "2026-13-01", "10:00", "1768472430", "0001-01-01", "1969-12-31T23:59Z", "9999-12-31T23:59Z"]
EDGES = ["1970-01-01T00:00+14:00", "1970-01-01T00:00Z", "2010-01-01", "2099-01-01T00:00Z", "9998-12-31T23:59:59-23:59"]
PAST = st.one_of(st.sampled_from(EARLIER), st.sampled_from(EARLIER), MOMENTS, st.sampled_from(EDGES))
ODD_MOMENTS = st.one_of(st.sampled_from(STRANGE), ODD_VALUES)
ANY_TIME = mostly(st.one_of(st.none(), st.sampled_from(LATELY), PAST), ODD_MOMENTS)
MOSTLY_NOW = mostly(st.one_of(st.none(), st.sampled_from(LATELY)), st.one_of(PAST, ODD_MOMENTS), times=5)
WRONG_TIMES = st.one_of(st.sampled_from(["7m", "1M", "1H", "60", "hour"]), ODD_VALUES)
TIMES = mostly(st.sampled_from(list(TIMEFRAMES)), WRONG_TIMES)
NAMES = ["limti", "symbols", "call", "self", "__class__", "tool", "x" * 10_000]
EXTRAS = st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=9)), ODD_VALUES, min_size=1, max_size=30)


def counts(most: int) -> st.SearchStrategy[Any]:
    """Draw how many are wanted: few mostly, sometimes as many as may be, and what is no such number."""
    usual = st.one_of(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 2, "5", 5.0, True]))
    edges = st.sampled_from([most, most - 1, 0, -1, most + 1, 10**30, 5.5, "5.5", "ten", "1e2", "-0"])
    return mostly(usual, st.one_of(edges, ODD_VALUES))


def calls(*needed: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw sets of arguments: hardly ever without those needed, now and then with what no tool knows."""
    required = {name: value for name, value in arguments.items() if name in needed}
    optional = {name: value for name, value in arguments.items() if name not in needed}
    usual = st.fixed_dictionaries(required, optional=optional)
    odd = st.one_of(
        st.fixed_dictionaries({}, optional=optional),
        st.tuples(usual, EXTRAS).map(lambda parts: {**parts[1], **parts[0]}),
    )
    return mostly(usual, odd).map(modest)


def modest(arguments: dict[str, Any]) -> dict[str, Any]:
    """Keep what an exchange is asked for to a page or two, and kraken, which counts strictly, to what is known."""
    name, limit = arguments.get("exchange", "coinbase") or "coinbase", arguments.get("limit")
    if name != "simulated" and isinstance(limit, int) and 300 < limit <= 10_000:
        arguments |= {"limit": 300}
    if name == "kraken":
        arguments |= {key: value for key, value in {"depth": 20, "timeframe": "1h"}.items() if key in arguments}
        arguments.pop("as_of", None)
    return arguments


BOOLS = mostly(st.sampled_from([True, False, "true", "no", 1]), st.one_of(st.sampled_from(["maybe", 2]), ODD_VALUES))
ASKED: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "get_price": calls("symbol", symbol=SYMBOLS, exchange=EXCHANGES, as_of=ANY_TIME),
    "get_ohlcv": calls(
        "symbol",
        symbol=SYMBOLS,
        exchange=EXCHANGES,
        as_of=ANY_TIME,
        timeframe=TIMES,
        limit=counts(10_000),
        detail=mostly(st.sampled_from(["rows", "summary"]), ODD_VALUES),
        include_forming=BOOLS,
    ),
    "get_order_book": calls("symbol", symbol=SYMBOLS, exchange=EXCHANGES, as_of=MOSTLY_NOW, depth=counts(100)),
    "get_derivatives": calls(
        "symbol", "exchange", symbol=SYMBOLS, exchange=EXCHANGES, as_of=ANY_TIME, limit=counts(100)
    ),
    "find_markets": calls(
        query=mostly(st.sampled_from(["", "btc", "pepe", "BTC/USDT", "bitcoin", "US", "kraken", "zzz"]), ODD_VALUES),
        kind=mostly(st.sampled_from(["any", "spot", "swap", "future", "option", "exchange"]), ODD_VALUES),
        limit=counts(500),
        exchange=EXCHANGES,
        as_of=MOSTLY_NOW,
    ),
}


# What must come back


def _model(tool: str) -> type[BaseModel]:
    answer: type[BaseModel] = typing.get_type_hints(tool_files()[tool].function)["return"]
    return answer


MODELS = {tool: _model(tool) for tool in TOOLS}
DEFAULT_LIMITS = {"get_ohlcv": 50, "get_order_book": 20, "get_derivatives": 8, "find_markets": 20}


def finite(value: Any) -> bool:
    """Say whether no number within a JSON value is NaN or infinite."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def as_taken(arguments: dict[str, Any]) -> dict[str, Any]:
    """Leave out what many hosts send for an argument that was not given; JSON sends NaN and infinity as null."""

    def nothing(value: Any) -> bool:
        if isinstance(value, float):
            return not math.isfinite(value)
        return value is None or (isinstance(value, str) and value.strip() in ("", "null"))

    return {name: value for name, value in arguments.items() if not nothing(value)}


def check_answer(tool: str, arguments: dict[str, Any], result: CallToolResult) -> None:
    """Check what any answer must be: of the tool's own form, whole, no longer than asked for, and of no later time."""
    said = result.structured_content
    assert said is not None
    assert text_of(result)
    model = MODELS[tool]
    model.model_validate(said)
    assert set(said) <= set(model.model_fields)
    assert finite(said)
    assert moment(said["as_of"]) <= NOW
    if isinstance(given := arguments.get("as_of"), str):
        assert said["as_of"] == iso(to_ms(min(NOW, parse_moment(given))))
    if "rows" in said:
        assert all(len(row) == len(said["columns"]) for row in said["rows"])
        wanted = arguments.get("depth" if tool == "get_order_book" else "limit", DEFAULT_LIMITS[tool])
        assert len(said["rows"]) <= int(wanted)
    CHECKS[tool](said, arguments)


def check_price(said: dict[str, Any], _: dict[str, Any]) -> None:
    assert said["price"] > 0
    assert said["age_s"] >= 0
    assert said["live"] or moment(said["price_time"]) <= moment(said["as_of"])
    assert said["live"] is (NOW - moment(said["as_of"]) <= timedelta(minutes=15))


def check_candles(said: dict[str, Any], _: dict[str, Any]) -> None:
    length = timedelta(milliseconds=timeframe_ms(said["timeframe"]))
    rows = said.get("rows", [])
    times = [moment(row[0]) for row in rows]
    assert times == sorted(set(times))
    assert all(opened + length <= moment(said["as_of"]) for opened in times[-1:])
    assert all(low <= min(opened, close) and max(opened, close) <= high for _, opened, high, low, close, _ in rows)
    if "forming" in said:
        assert moment(said["forming"]["row"][0]) + length > NOW
        assert NOW - moment(said["as_of"]) <= timedelta(minutes=15)


def check_book(said: dict[str, Any], _: dict[str, Any]) -> None:
    bids = [row[0] for row in said["rows"] if row[0] is not None]
    asks = [row[2] for row in said["rows"] if row[2] is not None]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < said["mid"] < asks[0]
    assert NOW - moment(said["as_of"]) <= timedelta(minutes=15)


def check_swap(said: dict[str, Any], _: dict[str, Any]) -> None:
    times = [moment(row[0]) for row in said["rows"]]
    assert times == sorted(set(times))
    assert all(paid <= moment(said["as_of"]) for paid in times)
    assert ("mark_price" in said) is said["live"] is (NOW - moment(said["as_of"]) <= timedelta(minutes=15))


def check_markets(said: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert len(said["rows"]) <= said["found"]
    assert (arguments.get("kind") == "exchange") is ("live" not in said)


CHECKS: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "get_price": check_price,
    "get_ohlcv": check_candles,
    "get_order_book": check_book,
    "get_derivatives": check_swap,
    "find_markets": check_markets,
}


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_whatever_is_asked_is_answered_in_full_or_taught(desk: Desk, secrets: list[str], tool: str) -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=SETS,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(ASKED[tool])
    def ask(arguments: dict[str, Any]) -> None:
        result = desk(tool, arguments)
        result.model_dump_json()  # it can be sent over any transport, whatever characters it tells back
        seen["errors" if result.is_error else "answers"] += 1
        if result.is_error:
            check_told(text_of(result).replace(OWN_URL, ""), *secrets)
        else:
            check_answer(tool, as_taken(arguments), result)

    ask()
    logger.info("%s: %s", tool, dict(seen))
    assert seen.total() == SETS
    assert seen["answers"] >= 0.3 * SETS
    assert seen["errors"] >= 0.2 * SETS, "what is sent is too good to try anything"
