"""The answers in the documentation: what the tools really say, on an invented market and a chain of one's own.

The moment stands still.

python -m tests.structure.answers      writes them anew
"""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp_types import TextContent

from mcp_server.app import build_server
from mcp_server.domain.timeframes import from_ms
from tests.chains.people import BINANCE, KRAKEN, MILLION, Town
from tests.rigs.anvil import Anvil
from tests.rigs.chain_server import chain_settings
from tests.rigs.esplora import StandInEsplora
from tests.structure.catalogue import MARK, with_catalogue

DOCS = Path(__file__).parents[2] / "docs"
MARKET, BLOCKCHAIN = DOCS / "reference" / "market.md", DOCS / "reference" / "blockchain.md"
TOOL_PAGES = (MARKET, BLOCKCHAIN)
"""Each shows every tool of the folder of its name."""

PAGES = (*TOOL_PAGES, DOCS / "reference" / "indicators.md", DOCS / "explanation" / "divergence.md")
NOW = datetime(2026, 5, 20, 12, 17, 33, tzinfo=UTC)
EXCHANGE_ADDRESS = "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97"
ADDRESS = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"

_EXAMPLE = re.compile(
    r"(`(?P<tool>\w+)` `(?P<arguments>\{.*?\})`\n\n```(?:json|text)\n)(?P<answer>.*?)(\n```)", re.DOTALL
)


async def with_answers(page: Path, text: str) -> str:
    """Return the text of a page with each answer as it is now."""
    with tempfile.TemporaryDirectory() as home, _world(page) as (now, urls):
        settings = chain_settings(Path(home), urls)
        async with Client(build_server(settings, clock=lambda: now)) as client:
            answers = [
                await _answer(client, found["tool"], json.loads(found["arguments"]))
                for found in _EXAMPLE.finditer(text)
            ]
    given = iter(answers)
    text = _EXAMPLE.sub(lambda found: f"{found[1]}{next(given)}{found[5]}", text)
    return with_catalogue(text) if MARK in text else text


@contextmanager
def _world(page: Path) -> Iterator[tuple[datetime, dict[str, list[str]]]]:
    """Yield the moment, and the chains of a page."""
    if page != BLOCKCHAIN:
        yield NOW, {}
        return
    with Anvil() as chain, StandInEsplora() as bitcoin:
        chain.enrich(BINANCE, KRAKEN)
        town = Town.founded_on(chain)
        town.pay(town.alice, BINANCE, 2_500_000_500_000)
        town.pass_time(30)
        town.pay(KRAKEN, town.bob, 4 * MILLION)
        town.pay(BINANCE, KRAKEN, 1_250_000_000_000)
        town.pass_time(50)
        now_s = chain.now_ms() // 1000
        bitcoin.now_s = now_s - 90 - 17 * 600
        for place in range(18):
            moved = bitcoin.tx([(ADDRESS, 900)], [(EXCHANGE_ADDRESS, 250.5), (ADDRESS, 649.4999)])
            bitcoin.block([moved] if place in (8, 15) else [])
        yield from_ms(now_s * 1000), {"ethereum": [chain.url], "bitcoin": [bitcoin.url]}


def tools_shown(page: str) -> list[str]:
    """List the tool of each example."""
    return [found["tool"] for found in _EXAMPLE.finditer(page)]


async def _answer(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    assert result.structured_content is not None
    return _laid_out(result.structured_content)


def _laid_out(values: dict[str, Any]) -> str:
    """Write JSON with one fact a line, and one row of a table a line."""
    lines = []
    for name, value in values.items():
        if name == "rows":
            rows = ",\n".join(f"    {json.dumps(row)}" for row in value)
            lines.append(f'  "rows": [\n{rows}\n  ]')
        else:
            lines.append(f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(anyio.run(with_answers, page, page.read_text("utf-8")), "utf-8")
