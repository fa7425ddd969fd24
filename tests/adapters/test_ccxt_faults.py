"""What goes wrong between here and an exchange is told apart, in our errors and without its URLs and raw texts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import pytest

from mcp_server.adapters.ccxt.exchange import CcxtExchange
from mcp_server.errors import NotFound, Retryable, TraderError, UpstreamRejected
from tests.adapters.conftest import CANDLES_PATH, HOUR, NOW_MS, assert_presentable, every_exchange, reached
from tests.rigs.stand_in_exchange import Faults, StandInExchange

RESTRICTED = (
    '{"code":0,"msg":"Service unavailable from a restricted location according to \'b. Eligibility\' in '
    'https://www.binance.com/en/terms. Please contact customer service if you believe this is in error."}'
)
LINKED = "<html><a href='https://status.kraken.example/i?key=s3cret'>www.kraken.example/help</a> sorry</html>"


@dataclass(frozen=True)
class Case:
    faults: Callable[[], Faults]
    error: type[TraderError]
    text: str
    attempts: int = 1


CASES = {
    "429": Case(lambda: Faults(status=429, body=LINKED), Retryable, "too often", 3),
    "418": Case(lambda: Faults(status=418, body=LINKED), Retryable, "too often", 3),
    "503": Case(lambda: Faults(status=503, body=LINKED), Retryable, "not available at the moment.*503", 3),
    "504": Case(lambda: Faults(status=504, body=LINKED), Retryable, "did not answer in time", 3),
    "451": Case(lambda: Faults(status=451, body=RESTRICTED), UpstreamRejected, "refuses requests from this location"),
    "403": Case(lambda: Faults(status=403, body=LINKED), UpstreamRejected, "refused the request.*403"),
    "blocked": Case(
        lambda: Faults(status=403, body="The distribution is configured to block access from your country."),
        UpstreamRejected,
        "refuses requests from this location",
    ),
    "401": Case(lambda: Faults(status=401, body=LINKED), UpstreamRejected, "requires credentials"),
    "truncated": Case(lambda: Faults(truncated=True), UpstreamRejected, "cannot be read"),
    "html": Case(lambda: Faults(status=200, body=LINKED), UpstreamRejected, "cannot be read"),
    "empty": Case(lambda: Faults(status=200, body="{}"), UpstreamRejected, "cannot be read"),
    "dropped": Case(lambda: Faults(dropped=True), Retryable, "cannot be reached", 3),
}


@every_exchange
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_each_fault_is_told_apart_without_a_url_and_the_next_call_works(
    rig: StandInExchange, name: str, case: Case
) -> None:
    async with reached(name, rig) as exchange:
        await exchange.symbol("BTC/USDT")
        rig.faults = case.faults()
        with pytest.raises(case.error, match=case.text) as caught:
            await exchange.candles("BTC/USDT", "1h", NOW_MS - 3 * HOUR, NOW_MS)
        assert rig.requests[CANDLES_PATH[name]] == case.attempts
        assert type(caught.value) is case.error
        assert_presentable(str(caught.value), name)
        rig.heal()
        assert len((await exchange.candles("BTC/USDT", "1h", NOW_MS - 3 * HOUR, NOW_MS)).candles) == 3


async def test_asking_again_writes_nothing_to_standard_output(
    rig: StandInExchange, capfd: pytest.CaptureFixture[str]
) -> None:
    async with reached("kraken", rig) as exchange:
        await exchange.symbol("BTC/USDT")
        rig.faults = Faults(status=503, times=1)
        await exchange.candles("BTC/USDT", "1h", NOW_MS - 3 * HOUR, NOW_MS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "other"), [("kraken", "coinbase"), ("binance", "kraken"), ("coinbase", "kraken")])
async def test_a_refused_location_names_another_exchange(rig: StandInExchange, name: str, other: str) -> None:
    rig.faults = Faults(status=451, body=RESTRICTED)
    async with reached(name, rig) as exchange:
        with pytest.raises(UpstreamRejected, match=f"Use exchange='{other}'"):
            await exchange.symbol("BTC/USDT")


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        ("EQuery:Unknown asset pair", UpstreamRejected, "Unknown asset pair"),
        ("EQuery:Invalid asset pair", NotFound, "has no such market"),
        ("EService:Unavailable", Retryable, "not available"),
        ("EService:Market in post_only mode", Retryable, "maintenance"),
        ("EAPI:Rate limit exceeded", Retryable, "too often"),
        ("EGeneral:Permission denied", UpstreamRejected, "requires credentials"),
        ("EGeneral:Oh no, see https://kraken.example/x?y=z", UpstreamRejected, "refused the request.*Oh no"),
        ("EGeneral:Oh no, see https:\u200b//kraken.example/x?y=z", UpstreamRejected, "refused.*Oh no"),
        ("X" * 5000, UpstreamRejected, "XXX…"),
    ],
)
async def test_what_the_exchange_itself_says_is_translated_and_cut(
    rig: StandInExchange, kraken: CcxtExchange, said: str, error: type[TraderError], text: str
) -> None:
    await kraken.symbol("BTC/USD")
    rig.faults = Faults(status=200, body=f'{{"error":["{said}"]}}')
    with pytest.raises(error, match=text) as caught:
        await kraken.ticker("BTC/USD")
    assert_presentable(str(caught.value), "kraken")


async def test_a_passing_fault_is_not_even_noticed(rig: StandInExchange, kraken: CcxtExchange) -> None:
    await kraken.symbol("BTC/USD")
    rig.faults = Faults(status=503, times=2)
    assert (await kraken.ticker("BTC/USD")).last > 0
    assert rig.requests["/0/public/Ticker"] == 3


async def test_a_fault_between_two_pages_costs_no_candle(rig: StandInExchange, coinbase: CcxtExchange) -> None:
    rig.faults = Faults(status=503, times=2, path="/candles")
    fetched = await coinbase.candles("BTC/USDT", "1h", NOW_MS - 700 * HOUR, NOW_MS)
    assert (len(fetched.candles), rig.requests[CANDLES_PATH["coinbase"]]) == (700, 5)


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(status=503), Retryable),
        (Faults(truncated=True), UpstreamRejected),
        (Faults(status=200, body='{"error": [], "result": {}}'), UpstreamRejected),
    ],
)
async def test_markets_that_failed_to_load_are_loaded_by_the_next_call(
    rig: StandInExchange, kraken: CcxtExchange, faults: Faults, error: type[TraderError]
) -> None:
    rig.faults = faults
    with pytest.raises(error):
        await kraken.symbol("BTC/USD")
    rig.heal()
    assert await kraken.symbol("btcusd") == "BTC/USD"


@pytest.mark.parametrize("asks", [lambda e: e.symbol("BTC/USD"), lambda e: e.ticker("BTC/USD"), lambda e: e.listings()])
async def test_an_exchange_that_is_silent_costs_no_more_than_the_deadline(
    rig: StandInExchange, asks: Callable[[CcxtExchange], Awaitable[object]]
) -> None:
    rig.faults = Faults(latency_s=20)
    async with reached("kraken", rig, deadline_s=0.2) as exchange:
        await exchange.timeframes()
        with anyio.fail_after(5), pytest.raises(Retryable, match=r"'kraken' did not answer within 0\.2 seconds"):
            await asks(exchange)


async def test_an_exchange_that_is_not_there_is_retryable() -> None:
    with StandInExchange() as gone:
        pass
    async with reached("kraken", gone) as exchange:
        with pytest.raises(Retryable, match="cannot be reached") as caught:
            await exchange.symbol("BTC/USD")
    assert_presentable(str(caught.value), "kraken")
