"""Two thousand calls with whatever a model may send: each is answered in its tool's own form, or taught how to ask."""

import logging
import math
import random
import struct
import typing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
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

"""Of arguments, for each tool. Five times as many run one line more of the server: no candles, made longer."""

SEED = 20260115

KEY = "sk-ant-of-the-operator"
OWN_URL = "http://me.example/x"
"""The one URL that an error may hold: a caller sent it, and it is told back as what was wrong."""

logger = logging.getLogger(__name__)

NOW = from_ms(NOW_MS)
Desk = Callable[[str, list[dict[str, Any]]], list[CallToolResult]]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, secrets: list[str]) -> Iterator[Desk]:
    """One server and one client, and an event loop within which all calls of a tool are made."""
    home = tmp_path_factory.mktemp("home")
    with nothing_left_open(), StandInExchange() as rig, start_blocking_portal() as portal:
        rig.now_ms = NOW_MS
        secrets += [*ports_of(rig), str(home)]
        with portal.wrap_async_context_manager(calling(home, rig)) as client:

            async def ask(tool: str, sets: list[dict[str, Any]]) -> list[CallToolResult]:
                return [await client.call_tool(tool, arguments) for arguments in sets]

            yield lambda tool, sets: portal.call(ask, tool, sets)


@pytest.fixture(scope="module")
def secrets() -> Iterator[list[str]]:
    """What no text may hold: it is in the server's settings, or in its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        patch.setenv("TRADER_TOKEN", BEARER)
        yield [KEY, BEARER]


# What is sent


Draw = Callable[[random.Random], Any]
"""Draws a value. Hypothesis would take longer to draw the arguments than the server takes to answer."""


def one_of(*draws: Draw) -> Draw:
    return lambda chance: chance.choice(draws)(chance)


def sampled(values: Sequence[Any]) -> Draw:
    return lambda chance: chance.choice(values)


def mostly(usual: Draw, odd: Draw, times: int = 12) -> Draw:
    """Draw what is usual so many times as often as what is odd."""
    return lambda chance: (usual if chance.randrange(times + 1) else odd)(chance)


def words(most: int) -> Draw:
    """Draw texts of any characters, of few kinds each: even halves of surrogate pairs."""

    def draw(chance: random.Random) -> str:
        most_ordinals = [chance.choice([0x80, 0x100, 0x3000, 0x110000]) for _ in range(2)]
        return "".join(chr(chance.randrange(chance.choice(most_ordinals))) for _ in range(chance.randint(0, most)))

    return draw


def integers(chance: random.Random) -> int:
    return chance.choice([1, -1]) * chance.choice([chance.getrandbits(chance.randint(1, 130)), 0, 1, 2**31, 2**63])


NASTY = [0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1e16]


def floats(chance: random.Random) -> float:
    of_any_bits: float = struct.unpack("d", chance.randbytes(8))[0]
    return chance.choice([of_any_bits, chance.uniform(-1000, 1000), float(chance.randint(-9, 99)), *NASTY])


SHAPES = ["", " ", "\x00", "\x1b[31m", "\ud800", "\u202e", "☃", "null", "NaN", "[]", "{}", "[" * 5_000, "x" * 50_000]
TRICKS = [OWN_URL, "sk-ant-of-somebody", "Bearer abc", "../../etc/passwd", "'; DROP TABLE candles; --", "{0.__class__}"]
ODD_TEXTS = one_of(words(70), sampled([*SHAPES, *TRICKS]))
ODD_VALUES = one_of(
    ODD_TEXTS,
    sampled([None]),
    sampled([False, True]),
    floats,
    integers,
    sampled([[], {}, ["BTC/USDT"], {"symbol": "BTC/USDT"}, [[[[[]]]]], 10**400]),
)
SPELLINGS = ["BTC/USDT", "BTC/USDT", "btcusdt", "BTC-USDT", " eth/btc ", "ETHBTC", "BTC/USDT:USDT", "XBT_USDT"]
MISSPELLINGS = ["BTC", "/", "BTC/BTC", "BTC/USDT\n", "\uff22\uff34\uff23/USDT", "BTC/USDT:EUR", "QQQ/ZZZ", "a" * 61]
SYMBOLS = mostly(sampled(SPELLINGS), one_of(sampled(MISSPELLINGS), ODD_VALUES), times=6)
KNOWN = ["simulated"] * 11 + ["binance"] * 5 + ["coinbase"] * 3 + ["kraken"]
UNKNOWN = ["Kraken", "krakn", "simulatd", "Exchange", "__class__", "errors", "base", "__init__", "pro"]
EXCHANGES = mostly(sampled(KNOWN), one_of(sampled(UNKNOWN), ODD_VALUES), times=8)


def moments(chance: random.Random) -> str:
    """Draw a moment from 2017 to a fortnight after the present."""
    whole_days = timedelta(days=chance.randrange(3_320))
    return (
        datetime(2017, 1, 1, tzinfo=UTC) + whole_days + timedelta(microseconds=chance.randrange(86_400_000_000))
    ).isoformat()


LATELY = ["2026-01-15T10:20:30Z", "2026-01-15T10:10Z", "2026-01-15T10:05:30Z", "2026-01-15T12:00+02:00"]
EARLIER = ["2026-01-15T10:05:29Z", "2026-01-15 08:00:00", "2026-01-14", "20260113", "2025-12-01T07:31:04.567Z"]
STRANGE = ["yesterday", "2026-13-01", "10:00", "1768472430", "0001-01-01", "1969-12-31T23:59Z", "9999-12-31T23:59Z"]
EDGES = ["1970-01-01T00:00+14:00", "1970-01-01T00:00Z", "2010-01-01", "2099-01-01T00:00Z", "9998-12-31T23:59:59-23:59"]
PAST = one_of(sampled(EARLIER), sampled(EARLIER), moments, sampled(EDGES))
ODD_MOMENTS = one_of(sampled(STRANGE), ODD_VALUES)
ANY_TIME = mostly(one_of(sampled([None]), sampled(LATELY), PAST), ODD_MOMENTS)
MOSTLY_NOW = mostly(one_of(sampled([None]), sampled(LATELY)), one_of(PAST, ODD_MOMENTS), times=5)
WRONG_TIMES = one_of(sampled(["7m", "1M", "1H", "60", "hour"]), ODD_VALUES)
TIMES = mostly(sampled(list(TIMEFRAMES)), WRONG_TIMES)
NAMES = ["limti", "symbols", "call", "self", "__class__", "tool", "x" * 10_000]
ODD_NAMES = one_of(sampled(NAMES), words(9))


def extras(chance: random.Random) -> dict[str, Any]:
    return {ODD_NAMES(chance): ODD_VALUES(chance) for _ in range(chance.choice([1, 2, 3, 5, 30]))}


def counts(most: int) -> Draw:
    """Draw how many are wanted: few mostly, sometimes as many as may be, and what is no such number."""
    usual = one_of(sampled(range(1, 31)), sampled(range(1, 31)), sampled([1, 2, "5", 5.0, True]))
    edges = sampled([most, most - 1, 0, -1, most + 1, 10**30, 5.5, "5.5", "ten", "1e2", "-0"])
    return mostly(usual, one_of(edges, ODD_VALUES))


def calls(*needed: str, **arguments: Draw) -> Draw:
    """Draw sets of arguments: hardly ever without those needed, now and then with what no tool knows."""

    def draw(chance: random.Random) -> dict[str, Any]:
        odd = chance.choice(["nothing is needed", "extras"]) if not chance.randrange(13) else ""
        chosen: dict[str, Any] = extras(chance) if odd == "extras" else {}
        for name, drawn in arguments.items():
            if (name in needed and odd != "nothing is needed") or (name not in needed and chance.random() < 0.5):
                chosen[name] = drawn(chance)
        return modest(chosen)

    return draw


def modest(arguments: dict[str, Any]) -> dict[str, Any]:
    """Keep what an exchange is asked for to a page or two, and kraken, which counts strictly, to what is known."""
    name, limit = arguments.get("exchange", "coinbase") or "coinbase", arguments.get("limit")
    if name != "simulated" and isinstance(limit, int) and 300 < limit <= 10_000:
        arguments |= {"limit": 300}
    if name == "kraken":
        arguments |= {key: value for key, value in {"depth": 20, "timeframe": "1h"}.items() if key in arguments}
        arguments.pop("as_of", None)
    return arguments


BOOLS = mostly(sampled([True, False, "true", "no", 1]), one_of(sampled(["maybe", 2]), ODD_VALUES))
ASKED: dict[str, Draw] = {
    "get_price": calls("symbol", symbol=SYMBOLS, exchange=EXCHANGES, as_of=ANY_TIME),
    "get_ohlcv": calls(
        "symbol",
        symbol=SYMBOLS,
        exchange=EXCHANGES,
        as_of=ANY_TIME,
        timeframe=TIMES,
        limit=counts(10_000),
        detail=mostly(sampled(["rows", "summary"]), ODD_VALUES),
        include_forming=BOOLS,
    ),
    "get_order_book": calls("symbol", symbol=SYMBOLS, exchange=EXCHANGES, as_of=MOSTLY_NOW, depth=counts(100)),
    "get_derivatives": calls(
        "symbol", "exchange", symbol=SYMBOLS, exchange=EXCHANGES, as_of=ANY_TIME, limit=counts(100)
    ),
    "find_markets": calls(
        query=mostly(sampled(["", "btc", "pepe", "BTC/USDT", "bitcoin", "US", "kraken", "zzz"]), ODD_VALUES),
        kind=mostly(sampled(["any", "spot", "swap", "future", "option", "exchange"]), ODD_VALUES),
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


@pytest.mark.parametrize("count", [50, pytest.param(400, marks=pytest.mark.long)])
@pytest.mark.parametrize("tool", TOOLS)
def test_whatever_is_asked_is_answered_in_full_or_taught(desk: Desk, secrets: list[str], tool: str, count: int) -> None:
    seen: Counter[str] = Counter()
    chance = random.Random(f"{SEED} {tool}")  # noqa: S311 (it has to be the same each time)
    sets = [ASKED[tool](chance) for _ in range(count)]
    for arguments, result in zip(sets, desk(tool, sets), strict=True):
        try:
            result.model_dump_json()  # it can be sent over any transport, whatever characters it tells back
            seen["errors" if result.is_error else "answers"] += 1
            if result.is_error:
                check_told(text_of(result).replace(OWN_URL, ""), *secrets)
            else:
                check_answer(tool, as_taken(arguments), result)
        except Exception as error:
            error.add_note(f"It was asked {ascii(arguments)[:2_000]}.")
            raise
    logger.info("%s: %s", tool, dict(seen))
    assert seen.total() == count
    assert seen["answers"] >= 0.3 * count
    assert seen["errors"] >= 0.2 * count, "what is sent is too good to try anything"
