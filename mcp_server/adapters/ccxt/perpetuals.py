"""Perpetual swaps through ccxt: funding rates, open interest, and settled fundings of the past."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import isfinite
from typing import Any

from mcp_server.adapters.ccxt.pages import Ask
from mcp_server.adapters.ccxt.symbols import HAVE_SWAPS
from mcp_server.domain.exchange import LONGEST_FUNDING_MS, Funding, PerpetualState
from mcp_server.errors import NotSupported, UpstreamRejected
from mcp_server.together import together

MOST_PAGES = 10
"""At most this many answers are joined."""

WINDOW = 99
"""So many of the longest intervals are fetched at a time: with hourly fundings, `MOST_PAGES` answers hold them."""

A_PAGE = 100
"""Fundings per request; every exchange gives so many, and some refuse to be asked for more."""

LARGER_PAGES = {"binance": 1000, "binanceusdm": 1000, "binancecoinm": 1000, "gate": 1000, "krakenfutures": 10_000}
"""Exchanges that give more; krakenfutures always sends all that it has."""

_FEWEST_PER_HOUR = 8  # an exchange that funds hourly has so many in the longest interval


async def fetch_perpetual_state(ask: Ask, client: Any, symbol: str) -> PerpetualState:
    """Fetch funding rate and open interest at the same time; `lacking` names one that is not available."""
    _check_swap(client, symbol)
    lacking: list[str] = []

    async def fetch(subject: str, method: str, request: Callable[..., Awaitable[Any]]) -> dict[str, Any]:
        if not client.has.get(method):
            lacking.append(f"{client.id} does not publish the {subject}.")
            return {}
        try:
            return dict(await ask(partial(request, symbol)) or {})
        except (NotSupported, UpstreamRejected) as error:
            lacking.append(f"No {subject}: {error.problem}")
            return {}

    funding, interest = await together(
        partial(fetch, "funding rate", "fetchFundingRate", client.fetch_funding_rate),
        partial(fetch, "open interest", "fetchOpenInterest", client.fetch_open_interest),
    )
    if not funding and not interest:
        raise NotSupported(" ".join(sorted(lacking)), HAVE_SWAPS)
    counted = number(interest.get("openInterestAmount"))
    market = client.market(symbol)
    stated_in_base = None if market.get("inverse") else number(interest.get("baseVolume"))
    in_base = not market.get("inverse") and market.get("contractSize") in (None, 1)
    return PerpetualState(
        observed_at_ms=int(funding.get("timestamp") or interest.get("timestamp") or client.milliseconds()),
        funding_rate=number(funding.get("fundingRate")),
        next_funding_ms=_moment(funding.get("fundingTimestamp") or funding.get("nextFundingTimestamp")),
        mark_price=number(funding.get("markPrice")),
        index_price=number(funding.get("indexPrice")),
        open_interest_base=counted if in_base else stated_in_base,
        open_interest_contracts=None if in_base else counted,
        open_interest_quote=number(interest.get("openInterestValue")),
        lacking=tuple(sorted(lacking)),
    )


async def fetch_fundings(ask: Ask, client: Any, symbol: str, end_ms: int, count: int) -> Sequence[Funding]:
    """Fetch the last `count` fundings that were settled at `end_ms` or before, oldest first."""
    return (await _fetch_since(ask, client, symbol, end_ms - (count + 1) * LONGEST_FUNDING_MS, end_ms))[-count:]


async def fetch_fundings_between(ask: Ask, client: Any, symbol: str, start_ms: int, end_ms: int) -> Sequence[Funding]:
    """Fetch the fundings settled from `start_ms` to `end_ms`, oldest first; of more than `WINDOW`, the latest."""
    return await _fetch_since(ask, client, symbol, max(start_ms, end_ms - WINDOW * LONGEST_FUNDING_MS), end_ms)


async def _fetch_since(ask: Ask, client: Any, symbol: str, since: int, end_ms: int) -> list[Funding]:
    _check_swap(client, symbol)
    if not client.has.get("fetchFundingRateHistory"):
        raise NotSupported(f"{client.id!r} has no history of fundings.", HAVE_SWAPS)
    fitting = -(-(end_ms - since) // LONGEST_FUNDING_MS) * _FEWEST_PER_HOUR + 1  # both ends may be fundings
    most = min(fitting, LARGER_PAGES.get(client.id, A_PAGE))
    settled: dict[int, float] = {}
    for _ in range(MOST_PAGES):
        answer = await ask(partial(client.fetch_funding_rate_history, symbol, since, most, {"until": end_ms}))
        read = [(_moment(row.get("timestamp")), number(row.get("fundingRate"))) for row in answer]
        new = {at: rate for at, rate in read if at is not None and rate is not None and since <= at <= end_ms}
        settled |= new
        latest = sorted(settled)[-2:]
        if not new or end_ms - latest[-1] < latest[-1] - latest[0]:
            break
        since = max(new) + 1  # these were only the oldest: with hourly fundings, one answer does not hold them all
    return [Funding(at, settled[at]) for at in sorted(settled)]


def _check_swap(client: Any, symbol: str) -> None:
    if not client.market(symbol).get("swap"):
        raise NotSupported(
            f"{symbol!r} on {client.id!r} is no perpetual swap: it has no funding and no open interest.", HAVE_SWAPS
        )


def number(value: Any) -> float | None:
    """Return a finite number, or None for anything else that an exchange may have sent."""
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def _moment(value: Any) -> int | None:
    read = number(value)
    return None if read is None or read <= 0 else int(read)
