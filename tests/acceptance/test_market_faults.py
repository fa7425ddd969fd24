"""What a host reads when an exchange fails, lies about the time or sends disorder: fault → tool → what is expected."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import stamina
from mcp import Client

from mcp_server.domain.timeframes import TIMEFRAMES, candle_open_ms, iso
from mcp_server.errors import Retryable, TraderError, UpstreamRejected
from tests.acceptance.market_rig import (
    EXCHANGES,
    NOW_MS,
    PROMPT_S,
    TOOLS,
    calling,
    check_told,
    nothing_left_open,
    of_two_minds,
    ports_of,
    refusal,
    server_on,
    text_of,
)
from tests.rigs.combined import combined
from tests.rigs.stand_in_exchange import Faults, StandInExchange
from tests.storage.test_database import held_by_a_shell
from tests.tools.conftest import answer_of

HOUR = TIMEFRAMES["1h"]
MINUTE = TIMEFRAMES["1m"]
DAY_MS = candle_open_ms(NOW_MS, "1d")
FOREVER_S = 60.0
"""Of a stand-in that does not answer; what it is asked is cancelled long before."""

HURRY_S = 0.3
LINKED = "<html><a href='https://status.exchange.example/i?key=s3cret'>www.exchange.example/help</a> sorry</html>"
OTHER = {"binance": "kraken", "coinbase": "kraken", "kraken": "coinbase"}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[StandInExchange, StandInExchange]]:
    with nothing_left_open(), StandInExchange() as first, StandInExchange() as second:
        yield first, second


@pytest.fixture
def rig(servers: tuple[StandInExchange, StandInExchange]) -> StandInExchange:
    for server in servers:
        server.heal()
        server.requests.clear()
        server.now_ms = NOW_MS
    return servers[0]


@pytest.fixture
def slow(servers: tuple[StandInExchange, StandInExchange], rig: StandInExchange) -> StandInExchange:
    """Another stand-in, for an exchange that does not answer."""
    return servers[1]


@pytest.fixture(autouse=True)
def _retries_without_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def asking(tool: str, name: str, **more: Any) -> dict[str, Any]:
    """Give the plainest arguments with which a tool asks an exchange."""
    subject = {"query": "btc"} if tool == "find_markets" else {"symbol": "BTC/USDT"}
    return {**subject, "exchange": name, **more}


async def ask(client: Client, tool: str, name: str, **more: Any) -> dict[str, Any]:
    """Call a tool and give its answer, which must come promptly."""
    with anyio.fail_after(PROMPT_S):
        return answer_of(await client.call_tool(tool, asking(tool, name, **more)))


# Faults that make it impossible to answer

SWITCHES: dict[str, Callable[[], Faults]] = {
    "429": lambda: Faults(status=429, body=LINKED),
    "451": lambda: Faults(status=451, body=LINKED),
    "503": lambda: Faults(status=503, body=LINKED),
    "504": lambda: Faults(status=504, body=LINKED),
    "broken off": lambda: Faults(truncated=True),
    "closed socket": lambda: Faults(dropped=True),
    "too late": lambda: Faults(latency_s=FOREVER_S),
}

GONE = "cannot be reached or is not available at the moment"
ELSEWHERE = "refuses requests from this location. Use exchange={other!r} instead, or 'krakenfutures' for swaps."
LATE = "did not answer everything within 0.3 seconds. What has arrived is kept: ask again"

TABLE: dict[str, tuple[type[TraderError], str]] = {
    # fault          whose turn it is  what the caller reads after the exchange's name
    "429":           (Retryable,        "is asked too often"),
    "451":           (UpstreamRejected, ELSEWHERE),
    "503":           (Retryable,        GONE + " (it said '503"),
    "504":           (Retryable,        "did not answer in time"),
    "broken off":    (UpstreamRejected, "sent an answer that cannot be read"),
    "closed socket": (Retryable,        GONE),
    "too late":      (Retryable,        LATE),
}  # fmt: skip
AT_ONCE = [fault for fault in TABLE if fault != "too late"]


def _named(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _cases(*faults: str) -> list[Any]:
    """Multiply faults by the tools and the exchanges; only binance's stand-in has swaps.

    In `make test` each fault meets one tool, and each tool one fault or two.
    """
    everywhere = [tool for tool in TOOLS if tool != "get_derivatives"]
    cases = [
        *combined(_named(*faults), _named(*everywhere), _named(*EXCHANGES)),
        *combined(_named(*faults), _named("get_derivatives"), _named("binance")),
    ]
    tool_of = {fault: TOOLS[place % len(TOOLS)] for place, fault in enumerate(faults)}
    return [
        case
        if case.marks or tool_of[str(case.values[0])] == case.values[1]
        else pytest.param(*case.values, id=case.id, marks=pytest.mark.long)
        for case in cases
    ]


async def prepared(client: Client, tool: str, name: str) -> None:
    """Have the market list loaded, so that the fault meets the request itself; find_markets asks for nothing else."""
    if tool != "find_markets":
        await ask(client, "find_markets", name)


def check_refused(text: str, name: str, expected: str, *rigs: StandInExchange) -> None:
    assert text.startswith(f"{name!r} {expected.format(other=OTHER[name])}")
    check_told(text, *ports_of(*rigs), ".example", "s3cret", "www.", "<")


@pytest.mark.parametrize(("fault", "tool", "name"), _cases(*AT_ONCE))
async def test_a_fault_is_told_in_words_and_the_next_call_is_answered(
    home: Path, rig: StandInExchange, fault: str, tool: str, name: str
) -> None:
    kind, expected = TABLE[fault]
    server = server_on(home, rig)
    async with Client(server) as client:
        await prepared(client, tool, name)
        rig.faults = SWITCHES[fault]()
        with anyio.fail_after(PROMPT_S):
            result = await client.call_tool(tool, asking(tool, name))
            assert await refusal(server, tool, asking(tool, name)) is kind
        assert result.is_error
        check_refused(text_of(result), name, expected, rig)
        rig.heal()
        assert (await ask(client, tool, name))["exchange"] == name


@pytest.mark.parametrize(("fault", "tool", "name"), _cases("too late"))
async def test_an_answer_that_does_not_come_costs_no_more_than_the_deadline(
    home: Path, rig: StandInExchange, fault: str, tool: str, name: str
) -> None:
    kind, expected = TABLE[fault]
    async with of_two_minds(home, rig, HURRY_S) as (patient, hurried), Client(patient) as client:
        await prepared(client, tool, name)
        rig.faults = SWITCHES[fault]()
        async with Client(hurried) as hasty:
            with anyio.fail_after(PROMPT_S):
                result = await hasty.call_tool(tool, asking(tool, name))
        assert result.is_error
        check_refused(text_of(result), name, expected, rig)
        assert await refusal(hurried, tool, asking(tool, name)) is kind
        rig.heal()
        assert (await ask(client, tool, name))["exchange"] == name


PARTS: list[tuple[str, str, str, str]] = [
    # fault        what is not answered      the field     the note
    ("451",        "/fapi/v1/premiumIndex", "funding_rate", "No funding rate: 'binance' refuses requests from this lo"),
    ("broken off", "/fapi/v1/premiumIndex", "funding_rate", "No funding rate: 'binance' sent an answer"),
    ("451",        "/fapi/v1/openInterest", "open_interest_base", "No open interest: 'binance' refuses requests from "),
    ("broken off", "/fapi/v1/openInterest", "open_interest_base", "No open interest: 'binance' sent an answer"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "path", "lacking", "said"), PARTS)
async def test_a_part_of_a_swap_that_is_refused_is_named_and_the_others_are_answered(
    home: Path, rig: StandInExchange, fault: str, path: str, lacking: str, said: str
) -> None:
    async with calling(home, rig) as client:
        rig.faults = SWITCHES[fault]()
        rig.faults.path = path
        answer = await ask(client, "get_derivatives", "binance")
    assert lacking not in answer
    assert ("funding_rate" in answer) is not ("open_interest_base" in answer)
    assert len(answer["rows"]) == 8
    assert said in answer["note"]
    check_told(answer["note"], *ports_of(rig))


async def test_a_swap_of_which_a_part_may_come_later_is_asked_for_again(home: Path, rig: StandInExchange) -> None:
    async with calling(home, rig) as client:
        rig.faults = Faults(status=503, path="/fapi/v1/openInterest")
        result = await client.call_tool("get_derivatives", asking("get_derivatives", "binance"))
        assert result.is_error
        check_refused(text_of(result), "binance", GONE, rig)
        rig.heal()
        assert (await ask(client, "get_derivatives", "binance"))["open_interest_base"] > 0


# Faults in what is answered


def at(clock: str) -> int:
    """Give a time of the day of all these tests, in Unix ms: `09:30` or `09:30:30`."""
    hours, minutes, *seconds = map(int, clock.split(":"))
    return DAY_MS + hours * HOUR + minutes * MINUTE + sum(seconds) * 1000


@dataclass(frozen=True)
class Disorder:
    """What the exchanges do at a moment, and which of the last six hours' candles are then given."""

    name: str
    now: str
    world: dict[str, Any]
    hours: str
    forming: str | None = "10"
    """The hour of the candle that is still changing, where there is one yet."""
    gaps: list[list[Any]] = field(default_factory=list)
    note: str | None = None


AFTER, BEFORE = {"clock_skew_ms": -90_000}, {"clock_skew_ms": 90_000}

DISORDER = [
    Disorder("none", "10:20:30", {}, "04 05 06 07 08 09"),
    Disorder(
        "missing candles", "10:20:30", {"missing": {at("06:00"), at("07:00")}}, "04 05 08 09",
        gaps=[["2026-01-15T06:00Z", 2]], note="4 of 6 candles: 2 missing in between, where nothing was traded or the",
    ),
    Disorder(
        "a candle without a close", "10:20:30", {"incomplete_ms": {at("07:00")}}, "04 05 06 08 09",
        gaps=[["2026-01-15T07:00Z", 1]], note="5 of 6 candles: 1 missing in between",
    ),
    Disorder("out of order", "10:20:30", {"shuffled": True}, "04 05 06 07 08 09"),
    Disorder("rows that come twice", "10:20:30", {"duplicated": True}, "04 05 06 07 08 09"),
    Disorder("both", "10:20:30", {"shuffled": True, "duplicated": True}, "04 05 06 07 08 09"),
    Disorder(
        "the newest are not out", "10:20:30", {"unpublished": 2}, "04 05 06 07", forming=None,
        note="4 of 6 candles: the last 2 are missing: nothing was traded since, or they are not published yet.",
    ),
    Disorder(
        "a clock 90 s behind, after a close", "10:01:00", AFTER, "04 05 06 07 08", forming=None,
        note="This machine's clock is 90 s ahead of that of {name}, which closes candles.",
    ),
    Disorder("a clock 90 s behind", "10:20:30", AFTER, "04 05 06 07 08 09"),
    Disorder("a clock 90 s ahead, before a close", "09:59:00", BEFORE, "03 04 05 06 07 08", forming="09"),
    Disorder("a clock 90 s ahead", "10:20:30", BEFORE, "04 05 06 07 08 09"),
]  # fmt: skip


def disturb(rig: StandInExchange, now: str, world: dict[str, Any]) -> None:
    rig.now_ms = at(now)
    for switch, value in world.items():
        setattr(rig, switch, value)


def candle(rig: StandInExchange, opened: int, length_ms: int = HOUR) -> list[Any]:
    """Give the row that says what is true of a candle; volumes are told shorter than they are."""
    opened_ms, *prices, volume = rig.candle("BTC", "USDT", opened, length_ms)
    return [iso(int(opened_ms)), *prices, pytest.approx(volume, rel=1e-3)]


def candles(rig: StandInExchange, hours: str) -> list[list[Any]]:
    return [candle(rig, at(f"{hour}:00")) for hour in hours.split()]


@pytest.mark.parametrize(
    ("disorder", "name"), combined({disorder.name: disorder for disorder in DISORDER}, _named(*EXCHANGES))
)
async def test_exactly_the_closed_candles_are_given_in_order_and_what_is_missing_is_said(
    home: Path, rig: StandInExchange, disorder: Disorder, name: str
) -> None:
    disturb(rig, disorder.now, disorder.world)
    async with calling(home, rig) as client:
        said = await ask(client, "get_ohlcv", name, limit=6, include_forming=True)
    assert said["rows"] == candles(rig, disorder.hours)
    assert said.get("gaps", []) == disorder.gaps
    assert said.get("missing", 0) == sum(count for _, count in disorder.gaps)
    if disorder.note is None:
        assert "note" not in said
    else:
        assert disorder.note.format(name=name) in said["note"]
    expected = disorder.forming and candle(rig, at(f"{disorder.forming}:00"))
    assert (said["forming"]["row"] if "forming" in said else None) == expected


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize(
    ("now", "world"), [("10:01:00", AFTER), ("10:01:00", {"unpublished": 1})], ids=["not closed", "not out"]
)
async def test_a_candle_that_was_not_final_is_asked_for_again_and_then_kept(
    home: Path, rig: StandInExchange, now: str, world: dict[str, Any], name: str
) -> None:
    disturb(rig, now, world)
    async with calling(home, rig) as client:
        assert (await ask(client, "get_ohlcv", name, limit=2))["rows"] == candles(rig, "08")
        rig.heal()
        for _ in range(2):
            assert (await ask(client, "get_ohlcv", name, limit=2))["rows"] == candles(rig, "08 09")


PAST: list[tuple[str, dict[str, Any], str, float]] = [
    # fault                   what the exchanges do                          the minute  seconds from its close to as_of
    ("none",                  {},                                            "09:59",    30),
    ("missing candles",       {"missing": {at("09:58"), at("09:59")}},       "09:57",    150),
    ("one without a close",   {"incomplete_ms": {at("09:59")}},              "09:58",    90),
    ("out of order",          {"shuffled": True},                            "09:59",    30),
    ("rows that come twice",  {"duplicated": True},                          "09:59",    30),
    ("not out for 30 min",    {"unpublished": 30},                           "09:49",    630),
    ("a clock 90 s behind",   AFTER,                                         "09:59",    30),
    ("a clock 90 s ahead",    BEFORE,                                        "09:59",    30),
]  # fmt: skip


@pytest.mark.parametrize(("past", "name"), combined({row[0]: row[1:] for row in PAST}, _named(*EXCHANGES)))
async def test_a_price_of_the_past_is_the_last_close_that_the_exchange_has(
    home: Path, rig: StandInExchange, past: tuple[dict[str, Any], str, float], name: str
) -> None:
    world, minute, age_s = past
    disturb(rig, "10:20:30", world)
    async with calling(home, rig) as client:
        said = await ask(client, "get_price", name, as_of="2026-01-15T10:00:30Z")
    assert said["price"] == candle(rig, at(minute), MINUTE)[4]
    assert (said["price_time"], said["age_s"], said["live"]) == (iso(at(minute) + MINUTE), age_s, False)


SAY_THE_TIME = ("binance", "coinbase")
"""Whose tickers have a time of their own; kraken's is taken to be of the moment at which it came."""


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("skew", [AFTER, BEFORE], ids=["behind", "ahead"])
async def test_what_exists_only_now_is_answered_however_wrong_an_exchanges_clock_is(
    home: Path, rig: StandInExchange, skew: dict[str, Any], name: str
) -> None:
    disturb(rig, "10:20:30", skew)
    async with calling(home, rig) as client:
        price = await ask(client, "get_price", name)
        book = await ask(client, "get_order_book", name, depth=5)
        found = await ask(client, "find_markets", name)
    assert (price["price"], price["live"]) == (rig.last("BTC", "USDT"), True)
    assert [row[0] for row in book["rows"]] == [level[0] for level in rig.order_book("BTC", "USDT", 5).bids]
    assert "BTC/USDT" in [row[0] for row in found["rows"]]
    if name in SAY_THE_TIME:
        behind = skew is AFTER
        assert (price["price_time"], price["age_s"]) == (iso(rig.clock_ms), 90 if behind else 0)
        assert price.get("note") == ("The exchange's latest price is 90 s old." if behind else None)


@pytest.mark.parametrize(
    ("now", "skew", "last"),
    [("08:00:30", AFTER, "00:00"), ("07:59:00", BEFORE, "00:00"), ("08:01:00", BEFORE, "08:00")],
    ids=["not yet settled there", "settled there, not here", "settled"],
)
async def test_a_funding_is_settled_when_it_is_by_both_clocks(
    home: Path, rig: StandInExchange, now: str, skew: dict[str, Any], last: str
) -> None:
    disturb(rig, now, skew)
    async with calling(home, rig) as client:
        said = await ask(client, "get_derivatives", "binance", limit=3)
    assert [row[0] for row in said["rows"]] == [iso(at(last) - back * 8 * HOUR) for back in (2, 1, 0)]
    assert said["rows"][-1][1] == said["last_funding_rate"] == rig.funding_rate("BTC", at(last))


# Whom a fault does not concern


@asynccontextmanager
async def unanswered(client: Client, rig: StandInExchange, tool: str, name: str) -> AsyncIterator[None]:
    """Have a call under way that the stand-in does not answer before the block ends; then it is cancelled."""
    answered = anyio.Event()

    async def call() -> None:
        await client.call_tool(tool, asking(tool, name))
        answered.set()

    before = len(rig.log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        with anyio.fail_after(PROMPT_S):
            while len(rig.log) == before:
                await anyio.lowlevel.checkpoint()
        yield
        assert not answered.is_set()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("path", [None, "/0/public/Ticker"], ids=["market list", "ticker"])
async def test_a_slow_exchange_delays_no_other_and_nothing_that_is_known(
    home: Path, rig: StandInExchange, slow: StandInExchange, path: str | None
) -> None:
    async with calling(home, rig) as client:  # another program, that leaves what it fetched in the store
        stored = await ask(client, "get_ohlcv", "kraken", limit=5)
    async with calling(home, rig, kraken=slow) as client:
        slow.faults = Faults(latency_s=FOREVER_S, path=path)
        async with unanswered(client, slow, "get_price", "kraken"):
            for tool in TOOLS:
                assert (await ask(client, tool, "binance"))["exchange"] == "binance"
            assert (await ask(client, "get_price", "coinbase"))["exchange"] == "coinbase"
            assert (await ask(client, "get_order_book", "simulated"))["exchange"] == "simulated"
            assert "live" not in await ask(client, "find_markets", "kraken", kind="exchange")
            asked = len(slow.log)
            for limit in (5, 3):  # from the store, and then from memory
                assert (await ask(client, "get_ohlcv", "kraken", limit=limit))["rows"] == stored["rows"][-limit:]
            past = await ask(client, "get_price", "kraken", as_of="2026-01-15T10:00:00Z")
            assert past["price"] == stored["rows"][-1][4]
            assert len(slow.log) == asked


@pytest.mark.parametrize(
    ("tool", "name"), [*((tool, "binance") for tool in TOOLS), ("get_price", "kraken"), ("find_markets", "coinbase")]
)
async def test_a_call_that_was_cancelled_leaves_nothing_behind_that_others_wait_for(
    home: Path, rig: StandInExchange, tool: str, name: str
) -> None:
    async with calling(home, rig) as client:
        await prepared(client, tool, name)
        rig.faults = Faults(latency_s=FOREVER_S)
        async with unanswered(client, rig, tool, name):
            pass
        rig.heal()
        assert (await ask(client, tool, name))["exchange"] == name


async def test_a_database_that_a_shell_holds_stops_no_answer(home: Path, rig: StandInExchange) -> None:
    async with calling(home, rig) as client:
        with held_by_a_shell(home / "claude_trader.duckdb"):
            for tool in TOOLS:
                assert (await ask(client, tool, "binance"))["exchange"] == "binance"
            for limit in (50, 5):
                said = await ask(client, "get_ohlcv", "binance", limit=limit)
                assert len(said["rows"]) == limit
            past = await ask(client, "get_price", "binance", as_of="2026-01-15T10:00:30Z")
            assert past["price"] == candle(rig, at("09:59"), MINUTE)[4]


async def test_what_a_shell_holds_is_asked_of_the_exchange_instead(home: Path, rig: StandInExchange) -> None:
    async with calling(home, rig) as client:
        stored = await ask(client, "get_ohlcv", "binance", limit=5)
    async with calling(home, rig) as client:
        await ask(client, "get_ohlcv", "kraken", limit=1)  # it has read what the store has by now
        with held_by_a_shell(home / "claude_trader.duckdb"):
            assert (await ask(client, "get_ohlcv", "binance", limit=5))["rows"] == stored["rows"]
