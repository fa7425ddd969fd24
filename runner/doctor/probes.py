"""Reaches out through the tool server: a real handshake with it, and through it the exchanges and chains."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import TraderError
from mcp_server.storage.strategies.folders import ListedStrategy
from runner.doctor.findings import Diagnosis
from runner.tool_server.client import Tools

USUAL = ("BTC/USDT", "BTC/USD")
"""One of these is listed nearly everywhere."""

CHAINS = ("ethereum", "bitcoin")
"""Asked where TRADER_CHAIN_URLS names none."""

MOST_EXCHANGES = 5


def wanted_exchanges(default: str, found: Sequence[ListedStrategy]) -> dict[str, str | None]:
    """Give the exchanges to ask: the default one and the strategies', each with a symbol that is traded there."""
    wanted: dict[str, str | None] = {default: None}
    for each in found:
        if not each.example and each.strategy:
            exchange = each.strategy.config.exchange or default
            wanted[exchange] = wanted.get(exchange) or each.strategy.config.trading_pair
    return dict(list(wanted.items())[:MOST_EXCHANGES])


async def handshake(tools: Tools) -> list[Diagnosis]:
    """Have the server list its tools."""
    offered = await tools.offered()
    writing = sum(not reads for reads in offered.values())
    if "get_price" not in offered:
        said = f"It answers, but offers {len(offered)} tools and no get_price: it is another server."
        return [
            Diagnosis("server", "error", said, "Set TRADER_SERVER_URL to the address of `claude-trader-mcp --http`.")
        ]
    rights = "" if writing else "; its token may only read"
    return [Diagnosis("server", "ok", f"Answers a handshake and offers {len(offered)} tools{rights}.")]


async def exchange(tools: Tools, name: str, symbol: str | None) -> tuple[list[Diagnosis], float | None]:
    """Ask for markets, which no store can stand in for, and then for a price.

    Gives what was found, and how far this clock is ahead of the price in seconds where it is a live one.
    """
    check = f"exchange {name}"
    if name == "simulated":
        return [Diagnosis(check, "ok", "Invented, so it always answers.")], None
    try:
        await tools.call("find_markets", {"query": "BTC", "exchange": name})
    except TraderError as error:
        return [_failed(check, error)], None
    for asked in dict.fromkeys([symbol, *USUAL] if symbol else USUAL):
        try:
            price = await tools.call("get_price", {"symbol": asked, "exchange": name})
        except TraderError:  # it is another check's, or the symbol's
            continue
        ahead_s = (datetime.now(UTC) - parse_moment(price["price_time"])).total_seconds()
        said = f"Reachable: {price['symbol']} is at {price['price']:g}."
        return [Diagnosis(check, "ok", said)], ahead_s if price["live"] else None
    return [Diagnosis(check, "ok", "Reachable.")], None


async def chain(tools: Tools, name: str) -> list[Diagnosis]:
    """Ask for a chain's height."""
    check = f"chain {name}"
    try:
        status: dict[str, Any] = await tools.call("get_network_status", {"chain": name})
    except TraderError as error:
        return [_failed(check, error, "warning")]
    if status["age_s"] > 3 * 3600:
        said = f"Its endpoint's newest block is {status['age_s'] / 3600:.0f} hours old."
        return [Diagnosis(check, "warning", said, "Name another endpoint in TRADER_CHAIN_URLS.")]
    return [Diagnosis(check, "ok", f"Reachable: block {status['block']}, {status['age_s']:.0f} s old.")]


def _failed(check: str, error: TraderError, status: Literal["warning", "error"] = "error") -> Diagnosis:
    remedy = error.remedy or "Check whether this machine reaches the internet."
    return Diagnosis(check, status, error.problem, remedy)
