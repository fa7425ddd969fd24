"""Endpoints of Bitcoin that lag, break off, or are of another coin; and payments that vanish."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mcp_server.adapters.chains.bitcoin_block import paying_transactions
from mcp_server.adapters.chains.endpoint import Failed
from mcp_server.chains import bitcoin_scan
from mcp_server.domain.timeframes import from_ms
from tests.rigs.chain_server import Ask, asking
from tests.rigs.esplora import Change, StandInEsplora, Tx
from tests.rigs.sampled import sampled
from tests.tools.conftest import Told

BITFINEX = "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97"
ALICE, BOB = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
GONE = PlainTextResponse("Transaction not found", 404)


@pytest.fixture
def bitcoin() -> Iterator[StandInEsplora]:
    with StandInEsplora() as bitcoin:
        for _ in range(40):
            bitcoin.block()
        yield bitcoin


@pytest.fixture
def lagging(bitcoin: StandInEsplora) -> Iterator[StandInEsplora]:
    """An endpoint of the same blocks, which a test lets forget some."""
    with StandInEsplora(now_s=bitcoin.blocks[0].time_s) as other:
        other.blocks = bitcoin.blocks
        yield other


@asynccontextmanager
async def on(home: Path, *endpoints: StandInEsplora, later_ms: int = 0) -> AsyncIterator[Ask]:
    urls = {"bitcoin": [endpoint.url for endpoint in endpoints]}
    async with asking(
        home, urls, lambda: max(endpoint.blocks[-1].time_s for endpoint in endpoints) * 1000 + later_ms
    ) as ask:
        yield ask


def large(bitcoin: StandInEsplora, coins: float = 99) -> Tx:
    return bitcoin.tx([(ALICE, coins)], [(BITFINEX, coins - 1)])


def changed(told: Response, change: Callable[[Any], Any]) -> Response:
    return JSONResponse(change(json.loads(bytes(told.body))))


def only(where: Callable[[str], bool], answer: Callable[[Response], Response]) -> Change:
    return lambda path, told: answer(told) if where(path) else told


async def test_scans_at_the_same_time_have_each_their_own_budget_of_requests(
    home: Path, bitcoin: StandInEsplora, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bitcoin_scan, "MOST_REQUESTS", 40)
    for _ in range(3):
        bitcoin.block([large(bitcoin) for _ in range(10)])
    report: list[dict[str, Any]] = []
    async with on(home, bitcoin) as ask:

        async def one(minutes: int) -> None:
            report.append(await ask("get_whale_activity", asset="BTC", lookback_minutes=minutes))

        async with anyio.create_task_group() as tasks:
            for minutes in (26, 27, 28):
                tasks.start_soon(partial(one, minutes))
    assert [(one["complete"], one["counts"]["transfers"]) for one in report] == [(True, 30)] * 3
    assert all(1 + 3 + 30 <= one["requests"] <= 1 + 1 + 3 + 30 for one in report)
    assert sum(one["requests"] for one in report) == bitcoin.requests


async def test_a_scan_that_breaks_off_between_two_pages_gives_the_newest_part(
    home: Path, bitcoin: StandInEsplora
) -> None:
    bitcoin.block([large(bitcoin)])
    bitcoin.change = only(lambda path: path.startswith("/blocks/"), lambda _: PlainTextResponse("no", 503))
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC", lookback_minutes=300)
    assert (report["complete"], report["counts"]["transfers"]) == (False, 1)
    assert report["note"].startswith(f"Only what came after {report['from_time']} was seen, not all from 2026-05-20T")
    assert "endpoint 1 of 1 is not available (503)" in report["note"]
    assert report["blocks"] == {"first": 31, "last": 40, "head": 40}


@pytest.mark.parametrize("status", [404, 200])
async def test_another_endpoint_is_asked_for_a_transaction_that_one_does_not_know_in_its_block(
    home: Path, bitcoin: StandInEsplora, lagging: StandInEsplora, status: int
) -> None:
    paid = large(bitcoin)
    bitcoin.block([paid])

    def unconfirmed(told: Response) -> Response:
        return changed(told, lambda tx: {**tx, "status": {"confirmed": False}}) if status == 200 else GONE

    lagging.change = only(lambda path: path.startswith("/tx/"), unconfirmed)
    async with on(home, lagging, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
        assert (report["complete"], [row[8] for row in report["rows"]]) == (True, [paid.id])
    async with on(home, lagging) as ask:
        now = from_ms(bitcoin.now_ms()).isoformat()
        if status == 200:  # it will know it in a moment
            with pytest.raises(Told, match="does not know all transactions of block 40 yet"):
                await ask("get_whale_activity", asset="BTC", as_of=now)
        else:
            report = await ask("get_whale_activity", asset="BTC", as_of=now)
            assert (report["complete"], report["counts"]["transfers"]) == (False, 0)
            assert "Block 40 is left out: No endpoint" in report["note"]


async def test_a_standstill_of_two_hours_is_told_and_one_of_a_quarter_is_not(
    home: Path, bitcoin: StandInEsplora
) -> None:
    told = "No endpoint has a block of the last 120 minutes: Bitcoin found none, or all of them lag."
    async with on(home, bitcoin, later_ms=7_200_000) as ask:
        for name, arguments in {
            "get_whale_activity": {"asset": "BTC"}, "get_wallet": {"address": BOB},
            "get_network_status": {"chain": "bitcoin"},
        }.items():  # fmt: skip
            assert told in (await ask(name, **arguments))["note"], name
    async with on(home, bitcoin, later_ms=900_000) as ask:
        assert "note" not in await ask("get_network_status", chain="bitcoin")
        past = from_ms(bitcoin.now_ms() - 7_200_000).isoformat()
        assert "No endpoint" not in (await ask("get_whale_activity", asset="BTC", as_of=past))["note"]


async def test_fees_come_from_the_endpoint_that_keeps_up_not_from_the_one_that_is_stuck(
    home: Path, bitcoin: StandInEsplora, lagging: StandInEsplora
) -> None:
    lagging.blocks = bitcoin.blocks[:20]
    stale = JSONResponse({"144": 90, "6": 95, "1": 99})
    lagging.change = only(lambda path: path == "/fee-estimates", lambda _: stale)
    async with on(home, lagging, bitcoin) as ask:
        report = await ask("get_network_status", chain="bitcoin")
    assert (report["block"], report["fees"]["fast"], "note" in report) == (39, 20.5, False)


async def test_a_payment_that_is_replaced_while_it_is_looked_at_is_no_failure(
    home: Path, bitcoin: StandInEsplora
) -> None:
    kept, replaced = large(bitcoin, 99), large(bitcoin, 70)
    bitcoin.waiting += [replaced, kept]
    bitcoin.change = only(lambda path: path == f"/tx/{replaced.id}", lambda _: GONE)
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC", include_unconfirmed=True)
        assert [(row[1], row[9]) for row in report["rows"]] == [(98, 0)]
        assert report["complete"]
        now = from_ms(bitcoin.now_ms()).strftime("%Y-%m-%dT%H:%MZ")
        assert (report["live"], report["observed_at"]) == (True, now)
        assert "live" not in await ask("get_whale_activity", asset="BTC")


async def test_a_mempool_that_cannot_be_seen_costs_only_what_waits(home: Path, bitcoin: StandInEsplora) -> None:
    bitcoin.block([large(bitcoin)])
    bitcoin.change = only(lambda path: path == "/mempool/recent", lambda _: PlainTextResponse("no", 503))
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC", include_unconfirmed=True)
    assert (report["complete"], report["counts"]["transfers"]) == (False, 1)
    assert report["note"].startswith("Unconfirmed transactions could not be read: No endpoint of 'bitcoin' can answer")


@pytest.mark.parametrize("known", ["0" * 64, None])
async def test_an_endpoint_of_another_coin_or_of_a_test_chain_is_passed_over(
    home: Path, bitcoin: StandInEsplora, lagging: StandInEsplora, known: str | None
) -> None:
    lagging.known = known
    async with on(home, lagging, bitcoin) as ask:
        assert (await ask("get_network_status", chain="bitcoin"))["block"] == 39
    assert [path for path in lagging.paths if "block-height" not in path] == []
    async with on(home, lagging) as ask:
        with pytest.raises(Told, match="is not of Bitcoin's main chain" if known else "does not know this"):
            await ask("get_wallet", address=BOB, as_of=from_ms(bitcoin.now_ms()).isoformat())


async def test_blocks_that_do_not_follow_on_each_other_are_not_taken(home: Path, bitcoin: StandInEsplora) -> None:
    def torn(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**block, "previousblockhash": "ab" * 32} if block["height"] == 37 else block for block in page]

    bitcoin.change = only(lambda path: path.startswith("/blocks"), lambda told: changed(told, torn))
    async with on(home, bitcoin) as ask:
        with pytest.raises(Told, match="answers what cannot be read"):
            await ask("get_whale_activity", asset="BTC")


async def test_a_page_of_another_branch_ends_a_scan(home: Path, bitcoin: StandInEsplora) -> None:
    with StandInEsplora(now_s=bitcoin.blocks[0].time_s) as other:
        for _ in range(40):
            other.block([other.tx([(ALICE, 1)], [(BOB, 0.5)])])
        bitcoin.change = lambda path, told: other._page(29) if path == "/blocks/29" else told
        async with on(home, bitcoin) as ask:
            report = await ask("get_whale_activity", asset="BTC", lookback_minutes=300)
    assert (report["complete"], report["blocks"]["first"]) == (False, 30)
    assert "The chain took another branch meanwhile" in report["note"]


async def test_amounts_that_a_block_does_not_have_are_not_believed(home: Path, bitcoin: StandInEsplora) -> None:
    bitcoin.block([large(bitcoin)])

    def tenfold(tx: dict[str, Any]) -> dict[str, Any]:
        return {**tx, "vout": [{**paid, "value": paid["value"] * 10} for paid in tx["vout"]]}

    bitcoin.change = only(lambda path: path.startswith("/tx/"), lambda told: changed(told, tenfold))
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
    assert (report["complete"], report["counts"]["transfers"]) == (False, 0)
    assert "Block 40 is left out" in report["note"]
    assert "tells other amounts of a transaction than its block does" in report["note"]


def test_a_block_with_other_transactions_or_another_predecessor_is_not_believed(bitcoin: StandInEsplora) -> None:
    block = bitcoin.block([large(bitcoin)])
    added = block.header + bytes([3]) + b"".join(tx.raw for tx in [*block.txs, large(bitcoin)])
    with pytest.raises(Failed, match="other transactions than it has"):
        paying_transactions(added, block.hash, block.before, 1)
    raw = block.header + bytes([2]) + b"".join(tx.raw for tx in block.txs)
    with pytest.raises(Failed, match="another predecessor"):
        paying_transactions(raw, block.hash, "ab" * 32, 1)


async def test_how_many_confirmations_it_takes_is_the_homes_to_say(home: Path, bitcoin: StandInEsplora) -> None:
    (home / "chains.json").write_text('{"bitcoin": {"confirmations": 3}}')
    bitcoin.block([large(bitcoin)])
    bitcoin.block()
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
        assert (report["counts"]["transfers"], report["blocks"]["last"], report["blocks"]["head"]) == (0, 39, 41)
        report = await ask("get_whale_activity", asset="BTC", include_unconfirmed=True)
        assert [row[9] for row in report["rows"]] == [2]
        bitcoin.block()
        report = await ask("get_whale_activity", asset="BTC")
        assert [row[9] for row in report["rows"]] == [3]


async def test_what_waits_at_one_endpoint_and_is_in_a_block_at_another_counts_once(
    home: Path, bitcoin: StandInEsplora, lagging: StandInEsplora
) -> None:
    paid = large(bitcoin)
    bitcoin.block([paid])
    bitcoin.change = only(lambda path: path.startswith("/mempool"), lambda _: PlainTextResponse("no", 503))
    lagging.waiting.append(paid)
    lagging.change = only(
        lambda path: path == f"/tx/{paid.id}",
        lambda told: changed(told, lambda tx: {**tx, "status": {"confirmed": False}}),
    )
    async with on(home, bitcoin, lagging) as ask:
        report = await ask("get_whale_activity", asset="BTC", include_unconfirmed=True)
    assert [(row[8], row[9]) for row in report["rows"]] == [(paid.id, 1)]


async def test_pages_of_a_history_that_repeat_are_not_added_up(home: Path, bitcoin: StandInEsplora) -> None:
    for _ in range(30):
        bitcoin.block([bitcoin.tx([(ALICE, 2)], [(BOB, 1)])])
    then = from_ms(bitcoin.blocks[-29].time_s * 1000).isoformat()
    first = await _first_page(bitcoin)
    bitcoin.change = lambda path, told: first if "/txs/chain" in path else told
    async with on(home, bitcoin) as ask:
        with pytest.raises(Told, match="fewer transactions of this address than it counts"):
            await ask("get_wallet", address=BOB, as_of=then)


async def _first_page(bitcoin: StandInEsplora) -> Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return JSONResponse((await client.get(f"{bitcoin.url}/address/{BOB}/txs/chain")).json())


@pytest.mark.parametrize(
    "stats",
    [
        {"funded_txo_sum": 5, "spent_txo_sum": 6, "tx_count": 1}, {"funded_txo_sum": 10**4_000, "spent_txo_sum": 0},
        {"funded_txo_sum": "x", "spent_txo_sum": 0}, {},
    ],
    ids=["more spent", "huge", "text", "nothing"],
)  # fmt: skip
async def test_holdings_that_cannot_be_are_not_told(home: Path, bitcoin: StandInEsplora, stats: Any) -> None:
    bitcoin.change = only(
        lambda path: path == f"/address/{BOB}", lambda _: JSONResponse({"chain_stats": {"tx_count": 0, **stats}})
    )
    async with on(home, bitcoin) as ask:
        with pytest.raises(Told, match="answers what cannot be read"):
            await ask("get_wallet", address=BOB)


@pytest.mark.parametrize(
    "height", sampled([10**4_000, -1, "1e5", None, True], 2), ids=["huge", "-1", "1e5", "null", "true"]
)
async def test_a_height_that_is_none_is_a_failure_of_the_endpoint(
    home: Path, bitcoin: StandInEsplora, height: Any
) -> None:
    block = bitcoin.blocks[-1]
    page = [{"height": height, "timestamp": block.time_s, "id": block.hash, "previousblockhash": block.before}]
    bitcoin.change = only(lambda path: path.startswith("/blocks"), lambda _: JSONResponse(page))
    async with on(home, bitcoin) as ask:
        with pytest.raises(Told, match=r"answers what cannot be read|do not lead to|answers other blocks"):
            await ask("get_network_status", chain="bitcoin", as_of=from_ms(bitcoin.now_ms() - 60_000).isoformat())
