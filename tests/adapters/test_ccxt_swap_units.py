"""What exchanges count differently, with ccxt's answers put in by hand: the stand-in has no such exchange."""

from collections.abc import Awaitable, Callable
from typing import Any

from mcp_server.adapters.ccxt.perpetuals import fetch_fundings, fetch_perpetual_state

HOUR = 3_600_000
NOW_MS = 1_768_471_200_000


class Client:
    """Stands where a ccxt object is: one swap, its open interest, and a funding every hour, 500 to an answer."""

    id = "example"
    has = dict.fromkeys(("fetchFundingRate", "fetchOpenInterest", "fetchFundingRateHistory"), True)

    def __init__(self, market: dict[str, Any], interest: dict[str, Any] | None = None) -> None:
        self._market = {"swap": True, **market}
        self._interest = interest
        self.asked = 0

    def market(self, symbol: str) -> dict[str, Any]:
        return self._market

    def milliseconds(self) -> int:
        return NOW_MS

    async def fetch_funding_rate(self, symbol: str) -> dict[str, Any]:
        return {"fundingRate": 0.0001, "timestamp": NOW_MS}

    async def fetch_open_interest(self, symbol: str) -> dict[str, Any] | None:
        return self._interest

    async def fetch_funding_rate_history(
        self, symbol: str, since: int, limit: int, params: dict[str, Any]
    ) -> list[dict[str, Any]]:
        self.asked += 1
        first = -(-since // HOUR)
        return [
            {"timestamp": number * HOUR, "fundingRate": number / 1e9}
            for number in range(first, min(first + 500, NOW_MS // HOUR + 1))
        ]


async def ask(request: Callable[[], Awaitable[Any]]) -> Any:
    return await request()


async def test_open_interest_in_contracts_is_never_passed_off_as_base() -> None:
    told = {"openInterestAmount": 2_800_000.0, "openInterestValue": 2.5e9, "timestamp": NOW_MS}
    contracts = await fetch_perpetual_state(ask, Client({"contractSize": 0.01}, told), "BTC/USDT:USDT")
    assert (contracts.open_interest_base, contracts.open_interest_contracts) == (None, 2_800_000.0)
    both = await fetch_perpetual_state(ask, Client({"contractSize": 0.01}, {**told, "baseVolume": 28_000.0}), "B/U:U")
    assert (both.open_interest_base, both.open_interest_contracts) == (28_000.0, 2_800_000.0)
    base = await fetch_perpetual_state(ask, Client({"contractSize": 1.0}, told), "BTC/USDT:USDT")
    assert (base.open_interest_base, base.open_interest_contracts) == (2_800_000.0, None)
    inverse = await fetch_perpetual_state(ask, Client({"contractSize": 1.0, "inverse": True}, told), "BTC/USD:BTC")
    assert (inverse.open_interest_base, inverse.open_interest_contracts) == (None, 2_800_000.0)


async def test_fundings_are_the_latest_though_an_answer_holds_only_the_oldest() -> None:
    client = Client({})
    for count in (1, 8, 62, 100):
        found = await fetch_fundings(ask, client, "BTC/USD:USD", NOW_MS, count)
        assert [funding.time_ms for funding in found] == [NOW_MS - back * HOUR for back in reversed(range(count))]
    assert client.asked == 6, "two answers for each of the last two, which one does not hold"
