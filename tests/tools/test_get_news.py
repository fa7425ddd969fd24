"""The tool get_news, as a host meets it: what had been seen by a moment, what it rests on, and what is refused."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.news.item import Told
from mcp_server.domain.timeframes import from_ms, iso, naive
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from tests.storage.news.conftest import DAY, HOUR, MINUTE, NOON, NewsDesk, told
from tests.tools.conftest import Ask, answer_of
from tests.tools.conftest import Told as Refused

TEN_MINUTES = 10 * MINUTE
HEADLINES = Path(__file__).parents[1] / "news" / "headlines.txt"


@pytest.fixture
def desk(home: Path) -> NewsDesk:
    return NewsDesk(Database(home / "claude_trader.duckdb"), NOON - 5 * DAY)


@pytest.fixture
async def ask(home: Path, desk: NewsDesk) -> AsyncIterator[Ask]:
    """Ask a server whose clock is the desk's."""
    server = build_server(ServerSettings(home=home, exchange="simulated"), clock=lambda: from_ms(desk.now_ms))
    async with Client(server, raise_exceptions=True) as client:

        async def call(name: str, **arguments: Any) -> dict[str, Any]:
            return answer_of(await client.call_tool(name, arguments))

        yield call


def collect(desk: NewsDesk, until_ms: int) -> None:
    """Let a quiet feed be read every half an hour until a moment, so that collection has no gap."""
    times = [*range(desk.now_ms, until_ms, 30 * MINUTE), until_ms]
    rows = ", ".join(["('theblock', ?, 'ok', 0)"] * len(times))  # one statement for each would take ten times as long
    moments = [naive(from_ms(at_ms)) for at_ms in times]
    desk.database.write(lambda c: c.execute(f"INSERT INTO news_fetches VALUES {rows}", moments) and None)
    desk.now_ms = until_ms + 1000


def dated(desk: NewsDesk, guid: str, headline: str, before_ms: int = MINUTE, url: str | None = "") -> Told:
    """Make an item that its publisher dates so long before now, to the second."""
    return told(guid, headline, (desk.now_ms - before_ms) // 1000 * 1000, url)


def column(answer: dict[str, Any], name: str) -> list[Any]:
    return [row[answer["columns"].index(name)] for row in answer["rows"]]


async def test_headlines_of_a_coin_are_told_newest_first_with_what_they_rest_on(ask: Ask, desk: NewsDesk) -> None:
    collect(desk, NOON - 2 * HOUR)
    desk.enter(dated(desk, "a", "Bitcoin falls below $60,000"), dated(desk, "b", "Solana outage ends"), kind="press")
    desk.enter(
        Told("2026-05-28", None, "Fear & Greed Index 25: Extreme Fear", desk.now_ms, 25),
        source="fear_greed",
        kind="index",
    )
    collect(desk, NOON - HOUR + MINUTE)
    desk.enter(dated(desk, "c", "ETF for BTC sees record inflow", DAY), kind="press")
    collect(desk, NOON)
    answer = await ask("get_news", symbol="BTC/USDT")
    assert column(answer, "headline") == ["ETF for BTC sees record inflow", "Bitcoin falls below $60,000"]
    assert column(answer, "source") == ["coindesk", "coindesk"]
    assert column(answer, "also") == [0, 0]
    published, seen = column(answer, "published_at"), column(answer, "first_seen_at")
    assert (published[0] < published[1], seen[0] > seen[1]) == (True, True), "newest is what we saw last"
    assert (answer["asset"], answer["sources"], answer["untrusted"]) == ("BTC", 2, "headline")
    assert answer["fear_greed"] == {"value": 25, "word": "Extreme Fear", "day": "2026-05-28"}
    assert answer["per_hour"] == {
        "now": pytest.approx(2 / 24, abs=1e-3),
        "usual": pytest.approx(2 / 119, abs=1e-3),
        "days": 5,
    }
    assert "note" not in answer
    assert answer["as_of"] == iso(desk.now_ms // 1000 * 1000)
    for name in ("ETH", "btc-usd", "bitcoin"):
        assert len((await ask("get_news", symbol=name))["rows"]) == (0 if name == "ETH" else 2)


async def test_a_story_is_told_once_in_its_latest_wording_with_how_many_tell_the_same(ask: Ask, desk: NewsDesk) -> None:
    collect(desk, NOON - 3 * HOUR)
    desk.enter(dated(desk, "a", "Hackers drain $100 million from the Acme exchange"), kind="press")
    first = desk.now_ms + 1
    for place, (source, guid, text) in enumerate(
        [
            ("decrypt", "x", "Hackers Drain $100 Million From the Acme Exchange"),
            ("coindesk", "a", "Hackers drain $120 million from the Acme exchange, bitcoin included"),
        ]
    ):
        desk.now_ms += (place + 1) * TEN_MINUTES
        desk.enter(dated(desk, guid, text), source=source)
    collect(desk, NOON)
    answer = await ask("get_news")
    assert column(answer, "headline") == ["Hackers drain $120 million from the Acme exchange, bitcoin included"]
    assert column(answer, "first_seen_at") == [iso(-(-first // 1000) * 1000)], "of the first that told it"
    assert column(answer, "also") == [2]
    full = await ask("get_news", detail="full")
    assert column(full, "also_sources") == [["coindesk", "decrypt"]]
    of_bitcoin = await ask("get_news", symbol="BTC")
    assert column(of_bitcoin, "first_seen_at") == [iso(-(-(first + 3 * TEN_MINUTES) // 1000) * 1000)], (
        "for bitcoin it is new when a headline first names it"
    )
    assert column(of_bitcoin, "also") == [0]
    before = await ask("get_news", as_of=iso(first + 2 * TEN_MINUTES))
    assert column(before, "headline") == ["Hackers drain $100 million from the Acme exchange"]
    assert column(before, "also") == [1]


async def test_what_has_no_date_or_an_impossible_one_is_counted_and_told_only_in_full(ask: Ask, desk: NewsDesk) -> None:
    collect(desk, NOON - HOUR)
    desk.enter(
        told("a", "Bitcoin one"), dated(desk, "b", "Bitcoin two", -70 * 365 * DAY), dated(desk, "c", "Bitcoin three")
    )
    collect(desk, NOON)
    answer = await ask("get_news", symbol="BTC")
    assert column(answer, "headline") == ["Bitcoin three"]
    assert answer["withheld"] == {"undated": 1, "dated_in_the_future": 1}
    full = await ask("get_news", symbol="BTC", detail="full")
    shown = zip(column(full, "headline"), column(full, "withheld"), column(full, "alias"), strict=True)
    assert sorted(shown) == [
        ("Bitcoin one", "undated", None),
        ("Bitcoin three", None, "Bitcoin"),
        ("Bitcoin two", "dated in the future", None),
    ]
    assert answer["per_hour"]["now"] == pytest.approx(1 / 24, abs=1e-3), "only what is dated counts"


async def test_a_topic_is_words_that_a_headline_has_and_a_source_is_one_of_those_collected(
    ask: Ask, desk: NewsDesk
) -> None:
    collect(desk, NOON - HOUR)
    desk.enter(
        dated(desk, "a", "SEC delays its decision on a Solana ETF"), dated(desk, "b", "Secure wallets, etfs apart")
    )
    desk.enter(
        dated(desk, "c", "比特币价格上涨"),
        dated(desk, "d", "Trial of SEC v. Acme: the ETF case ends (50% off)"),
        source="sec",
    )
    collect(desk, NOON)
    told_as = {"SEC ": "a", "Secu": "b", "比特币价": "c", "Tria": "d"}
    for topic, expected in [
        ("etf sec", {"a", "d"}),
        ("ETF solana", {"a"}),
        ("secur", set()),
        ("比特币", {"c"}),
        ("50%", {"d"}),
        ("(50%", {"d"}),
        ('"solana etf"', {"a"}),
        ('"etf solana"', set()),
        ("\u201csolana ETF\u201d", {"a"}),
        ("etf, decision AND sec;", {"a"}),
        ("wallet", {"b"}),
    ]:
        found = column(await ask("get_news", topic=topic), "headline")
        assert {told_as[text[:4]] for text in found} == expected, topic
    for topic, problem in [
        (".*", "has no word"),
        ('""', "has no word"),
        ("etf OR sec", "has 'OR'"),
        ("a | b", r"'\|'"),
    ]:
        with pytest.raises(Refused, match=problem):
            await ask("get_news", topic=topic)
    of_sec = await ask("get_news", source="sec")
    assert (len(of_sec["rows"]), of_sec["sources"]) == (2, 1)
    assert len((await ask("get_news", source="sec", topic="SEC", symbol="SOL"))["rows"]) == 0
    with pytest.raises(Refused, match=r"There is no source of news 'coindesc'\. Did you mean 'coindesk'\?"):
        await ask("get_news", source="coindesc")


async def test_before_anything_was_collected_the_answer_is_an_error_that_says_so(ask: Ask, desk: NewsDesk) -> None:
    with pytest.raises(Refused, match=r"No news had been collected by .* `claude-trader up` collects news"):
        await ask("get_news")
    desk.now_ms = NOON
    desk.enter(dated(desk, "a", "Bitcoin rises"))
    desk.now_ms += HOUR
    for before in (NOON, NOON - DAY):
        with pytest.raises(Refused, match="News was first collected at 2026-05-28T12:00:01Z, so what had been seen by"):
            await ask("get_news", as_of=iso(before))
    answer = await ask("get_news", as_of="2026-05-28T12:00:01Z")
    assert column(answer, "headline") == ["Bitcoin rises"]
    assert answer["collected_since"] == "2026-05-28T12:00:01Z"
    assert answer["note"] == "News was collected only from 2026-05-28T12:00Z on."
    assert answer["per_hour"] == {"now": None, "usual": None, "days": 0}


async def test_hours_in_which_nothing_was_read_are_an_error_and_a_gap_in_them_is_named(
    ask: Ask, desk: NewsDesk
) -> None:
    collect(desk, NOON - 4 * HOUR)
    desk.now_ms = NOON - HOUR
    for _ in range(2):
        desk.now_ms += TEN_MINUTES
        desk.enter(source="theblock", status="http_503")
        desk.enter(source="okx", status="timeout")
    desk.now_ms += 1000
    with pytest.raises(
        Refused, match=r"No source .* last at 2026-05-28T08:00Z\. All requests failed \(okx: timeout; theb"
    ):
        await ask("get_news", hours=2)
    with pytest.raises(Refused, match="Ask for more hours, or as of another time"):
        await ask("get_news", hours=1, as_of=iso(NOON - 2 * HOUR))
    answer = await ask("get_news")
    assert answer["failed"] == {"okx": "timeout, never read", "theblock": "http_503, last read 2026-05-28T08:00Z"}
    assert (
        answer["note"]
        == "Nothing was collected from 2026-05-28T08:00Z on. Nothing of it was first seen in these hours."
    )
    desk.now_ms += 60_000
    collect(desk, NOON)
    answer = await ask("get_news")
    assert answer["note"].startswith("Nothing was collected from 2026-05-28T08:00Z to 2026-05-28T11:21Z.")
    assert "theblock" not in answer["failed"]
    assert answer["per_hour"]["now"] is None, "a rate of half the hours would be wrong"


async def test_a_source_that_is_asked_no_more_is_not_among_those_of_an_answer(ask: Ask, desk: NewsDesk) -> None:
    desk.enter(source="gone")
    desk.now_ms += MINUTE
    collect(desk, NOON)
    assert (await ask("get_news", detail="full"))["sources"] == ["theblock"]
    assert (await ask("get_news", detail="full", hours=720))["sources"] == ["gone", "theblock"]
    with pytest.raises(Refused, match="No source of news was read in these hours; last at 2026-05-23T12:00Z"):
        await ask("get_news", source="gone")


async def test_a_coin_whose_names_are_not_known_is_looked_for_by_its_sign_alone(ask: Ask, desk: NewsDesk) -> None:
    collect(desk, NOON - HOUR)
    desk.enter(dated(desk, "a", "Qwertz rises"), dated(desk, "b", "Traders flock to $QWERTZ"), kind="press")
    collect(desk, NOON)
    answer = await ask("get_news", symbol="QWERTZ/USDT")
    assert column(answer, "headline") == ["Traders flock to $QWERTZ"]
    assert "No names of QWERTZ are known" in answer["note"]


NAMES = ["BTC/USDT:USDT", "btc", "Bitcoin", "BINANCE:BTCUSDT.P"]


@pytest.mark.parametrize("symbol", ["XBT/USD", *(pytest.param(name, marks=pytest.mark.long) for name in NAMES)])
async def test_a_coin_may_be_given_as_any_of_its_markets_or_by_name(ask: Ask, desk: NewsDesk, symbol: str) -> None:
    collect(desk, NOON - HOUR)
    desk.enter(dated(desk, "a", "Bitcoin rises"), dated(desk, "b", "Bitcoin Cash falls"), kind="press")
    collect(desk, NOON)
    answer = await ask("get_news", symbol=symbol)
    assert (answer["asset"], column(answer, "headline")) == ("BTC", ["Bitcoin rises"])


async def test_arguments_that_make_no_sense_are_refused_and_empty_ones_are_not_given(ask: Ask, desk: NewsDesk) -> None:
    collect(desk, NOON)
    for wrong in (
        {"hours": 0},
        {"hours": 721},
        {"limit": 0},
        {"limit": 201},
        {"detail": "all"},
        {"exchange": "kraken"},
    ):
        with pytest.raises(Refused):
            await ask("get_news", **wrong)
    for several in ("/", "$", "the market", "BTC, ETH", "BTC,ETH"):
        with pytest.raises(Refused, match="names no coin"):
            await ask("get_news", symbol=several)
    for name in ("$BTC", "$btc", " Bitcoin "):
        assert (await ask("get_news", symbol=name))["asset"] == "BTC"
    answer = await ask("get_news", symbol="BTC/USDT", as_of="", topic=None, source="")
    assert answer["rows"] == []
    assert answer["note"] == "Nothing of it was first seen in these hours."


@pytest.mark.parametrize("most", [20, pytest.param(None, marks=pytest.mark.long)])
async def test_ten_headlines_take_less_than_1600_bytes(ask: Ask, desk: NewsDesk, most: int | None) -> None:
    collect(desk, NOON - 4 * HOUR)
    index = Told("2026-05-28", None, "Fear & Greed Index 25: Extreme Fear", desk.now_ms // 1000 * 1000, 25)
    desk.enter(index, source="fear_greed", kind="index")
    lines = [line.split(" | ") for line in HEADLINES.read_text("utf-8").splitlines() if not line.startswith("#")]
    sizes = []
    for place in range(0, len(lines[:most]), 10):
        desk.now_ms += MINUTE + 1234
        told = [dated(desk, f"{place}.{i}", line[3]) for i, line in enumerate(lines[place : place + 10])]
        desk.enter(*told, kind="press")
        desk.now_ms += MINUTE + 1234
        answer = await ask("get_news")
        assert len(answer["rows"]) == 10
        sizes.append(len(json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()))
    assert max(sizes) <= 1600
