"""The probes: a real handshake with the tool server, and questions to exchanges and chains through it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mcp_server.domain.text import number
from mcp_server.domain.timeframes import parse_moment
from mcp_server.errors import TraderError
from mcp_server.storage.strategies.folders import ListedStrategy
from runner.doctor.findings import Diagnosis, Status
from runner.tool_server.client import Tools

USUAL = ("BTC/USDT", "BTC/USD")
"""Nearly every exchange lists one of these."""

CHAINS = ("ethereum", "bitcoin")
"""Probed if TRADER_CHAIN_URLS names none."""

MOST_EXCHANGES = 5


def wanted_exchanges(default: str, listed: Sequence[ListedStrategy]) -> dict[str, str | None]:
    """Return the exchanges to probe: the default one and the strategies', each with a symbol that is traded there."""
    wanted: dict[str, str | None] = {default: None}
    for entry in listed:
        if not entry.example and entry.strategy:
            exchange = entry.strategy.config.exchange or default
            wanted[exchange] = wanted.get(exchange) or entry.strategy.config.trading_pair
    return dict(list(wanted.items())[:MOST_EXCHANGES])


async def handshake(tools: Tools) -> list[Diagnosis]:
    """Have the server list its tools."""
    offered = await tools.offered()
    if "get_price" not in offered:
        problem = f"It answers, but offers {len(offered)} tools and no get_price: it is another server."
        remedy = "Set TRADER_SERVER_URL to the address of `claude-trader-mcp --http`."
        return [Diagnosis("server", "error", problem, remedy)]
    rights = "" if "write_strategy" in offered else "; its token may only read"
    return [Diagnosis("server", "ok", f"Answers a handshake and offers {len(offered)} tools{rights}.")]


async def exchange(tools: Tools, name: str, symbol: str | None) -> tuple[list[Diagnosis], float | None]:
    """Ask for markets, which are never stored, and then for a price.

    Return the findings, and how far this clock is ahead of the price in seconds if the price is live.
    """
    check = f"exchange {name}"
    if name == "simulated":
        return [Diagnosis(check, "ok", "Invented, so it always answers.")], None
    try:
        await tools.call("find_markets", {"query": "BTC", "exchange": name})
    except TraderError as error:
        return [_failed(check, error)], None
    for candidate in dict.fromkeys([symbol, *USUAL] if symbol else USUAL):
        try:
            price = await tools.call("get_price", {"symbol": candidate, "exchange": name})
        except TraderError:  # the symbol's fault, or another check's
            continue
        ahead_s = (datetime.now(UTC) - parse_moment(price["price_time"])).total_seconds()
        sentence = f"Reachable: {price['symbol']} is at {number(price['price'])}."
        return [Diagnosis(check, "ok", sentence)], ahead_s if price["live"] else None
    return [Diagnosis(check, "ok", "Reachable.")], None


async def chain(tools: Tools, name: str) -> list[Diagnosis]:
    """Ask for a chain's height."""
    check = f"chain {name}"
    try:
        status: dict[str, Any] = await tools.call("get_network_status", {"chain": name})
    except TraderError as error:
        return [_failed(check, error, "warning")]
    if status["age_s"] > 3 * 3600:
        problem = f"Its endpoint's newest block is {status['age_s'] / 3600:.0f} hours old."
        return [Diagnosis(check, "warning", problem, "Name another endpoint in TRADER_CHAIN_URLS.")]
    return [Diagnosis(check, "ok", f"Reachable: block {status['block']}, {status['age_s']:.0f} s old.")]


def _failed(check: str, error: TraderError, status: Status = "error") -> Diagnosis:
    """Make a finding of an error."""
    return Diagnosis(check, status, error.problem, error.remedy or "Check that this machine reaches the internet.")
