"""Blocks of Bitcoin that cannot be read are lost alone and named; outputs without an address; and sweeps."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mcp_server.adapters.chains.bitcoin_reading import transaction
from mcp_server.adapters.chains.endpoint import UNREADABLE
from tests.rigs.chain_server import Ask, asking
from tests.rigs.esplora import StandInEsplora, Tx
from tests.tools.conftest import Told

BITFINEX = "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97"
ALICE, BOB = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"

BINANCE, BINANCE_TOO = "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo", "3M219KR5vEneNb47ewrPfWyb5jQ2DjxRP6"


@pytest.fixture
def bitcoin() -> Iterator[StandInEsplora]:
    """Forty empty blocks, then five that pay an exchange, one each."""
    with StandInEsplora() as bitcoin:
        for _ in range(40):
            bitcoin.block()
        for coins in (51, 52, 53, 54, 55):
            bitcoin.block([bitcoin.tx([(ALICE, coins + 1)], [(BITFINEX, coins)])])
        yield bitcoin


@asynccontextmanager
async def on(home: Path, bitcoin: StandInEsplora) -> AsyncIterator[Ask]:
    async with asking(home, {"bitcoin": [bitcoin.url]}, bitcoin.now_ms) as ask:
        yield ask


def unreadable(bitcoin: StandInEsplora, *heights: int) -> None:
    """Let these blocks come cut short."""
    bad = {f"/block/{bitcoin.blocks[height].hash}/raw" for height in heights}
    bitcoin.change = lambda path, sent: Response(bytes(sent.body)[:-9]) if path in bad else sent


def amounts(report: dict[str, Any]) -> list[float]:
    return sorted(row[1] for row in report["rows"])


async def test_an_output_whose_address_is_empty_has_none(home: Path, bitcoin: StandInEsplora) -> None:
    """A mempool of one's own over Bitcoin Core or electrs writes "" where others write nothing."""
    paid = bitcoin.tx([(ALICE, 80)], [(BITFINEX, 60), (None, 0), (None, 19)])
    bitcoin.block([paid])

    def emptied(tx: dict[str, Any]) -> dict[str, Any]:
        return {**tx, "vout": [{"scriptpubkey_address": "", **output} for output in tx["vout"]]}

    def change(path: str, sent: Response) -> Response:
        return JSONResponse(emptied(json.loads(bytes(sent.body)))) if path.startswith("/tx/") else sent

    bitcoin.change = change
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
    assert (report["complete"], amounts(report)) == (True, [19, 51, 52, 53, 54, 55, 60])
    assert [row[5] for row in report["rows"] if row[1] == 19] == [None]


@pytest.mark.parametrize("height", [40, 42, 44])
async def test_a_block_that_cannot_be_read_is_lost_alone_and_named(
    home: Path, bitcoin: StandInEsplora, height: int
) -> None:
    unreadable(bitcoin, height)
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
    assert amounts(report) == [coins for coins in (51, 52, 53, 54, 55) if coins != height + 11]
    assert report["complete"] is False
    assert report["note"].startswith(
        f"Block {height} is left out: No endpoint of 'bitcoin' can answer: endpoint 1 of 1 "
    )
    assert "sent a block that breaks off" in report["note"]


async def test_several_blocks_that_cannot_be_read_are_all_named(home: Path, bitcoin: StandInEsplora) -> None:
    unreadable(bitcoin, 44, 42, 41)
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
    assert (amounts(report), report["complete"]) == ([51, 54], False)
    assert report["note"].startswith("Blocks 44, 42, 41 are left out: ")


async def test_three_blocks_in_a_row_that_cannot_be_read_end_the_scan(home: Path, bitcoin: StandInEsplora) -> None:
    unreadable(bitcoin, 43, 42, 41)
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
        assert (amounts(report), report["complete"], report["blocks"]["first"]) == ([55], False, 44)
        assert report["note"].startswith(f"Only what came after {report['from_time']} was seen")
        assert "ended at 3 blocks in a row" in report["note"]
        assert "Blocks 43, 42, 41 are left out" in report["note"]
        unreadable(bitcoin, 44, 43, 42)
        with pytest.raises(Told, match="endpoint 1 of 1 sent a block"):
            await ask("get_whale_activity", asset="BTC")


async def test_an_unconfirmed_transaction_that_cannot_be_read_is_lost_alone_and_counted(
    home: Path, bitcoin: StandInEsplora
) -> None:
    odd, sound = (bitcoin.tx([(ALICE, coins + 1)], [(BITFINEX, coins)]) for coins in (60, 70))
    bitcoin.waiting += [odd, sound]
    bitcoin.change = lambda path, sent: JSONResponse({"odd": 1}) if path == f"/tx/{odd.id}" else sent
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC", include_unconfirmed=True, lookback_minutes=9)
    assert (amounts(report), report["complete"]) == ([55, 70], False)
    assert "Unconfirmed transactions that could not be read: 1. No endpoint" in report["note"]


async def test_an_outage_is_no_lost_block(home: Path, bitcoin: StandInEsplora) -> None:
    path_out = f"/block/{bitcoin.blocks[42].hash}/raw"
    bitcoin.change = lambda path, sent: PlainTextResponse("no", 503) if path == path_out else sent
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
    assert (amounts(report), report["complete"], report["blocks"]["first"]) == ([54, 55], False, 43)
    assert "left out" not in report["note"]


@pytest.mark.parametrize("prevout", [None, {}])
async def test_a_transaction_without_the_coins_that_it_spends_is_not_taken_for_newly_made_coins(
    home: Path, bitcoin: StandInEsplora, prevout: Any
) -> None:
    """A node without an index of transactions does not know whose coins were spent."""
    odd = f"/tx/{_payment(bitcoin, 43).id}"

    def change(path: str, sent: Response) -> Response:
        if path != odd:
            return sent
        tx = json.loads(bytes(sent.body))
        return JSONResponse({**tx, "vin": [{**spent, "prevout": prevout} for spent in tx["vin"]]})

    bitcoin.change = change
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
    assert (amounts(report), report["complete"]) == ([51, 52, 53, 55], False)
    assert "Block 43 is left out" in report["note"]


async def test_a_payment_of_exactly_the_threshold_counts(home: Path, bitcoin: StandInEsplora) -> None:
    bitcoin.block([bitcoin.tx([(ALICE, coins + 1)], [(BOB, coins)]) for coins in (80 - 1e-8, 80, 80 + 1e-8)])
    async with on(home, bitcoin) as ask:
        price = (await ask("get_whale_activity", asset="BTC", lookback_minutes=9))["price_usd"]
        report = await ask("get_whale_activity", asset="BTC", lookback_minutes=9, min_usd=(80 - 5e-9) * price)
    assert amounts(report) == [80, 80 + 1e-8]


def test_an_amount_above_all_coins_there_will_ever_be_is_none() -> None:
    output = {"value": 21_000_000 * 10**8, "scriptpubkey_address": BOB}
    tx = {"txid": "ab" * 32, "status": {"confirmed": False}, "vin": [], "vout": [output]}
    assert transaction(tx).outputs == [(BOB, output["value"])]
    with pytest.raises(UNREADABLE):
        transaction({**tx, "vout": [{**output, "value": 21_000_000 * 10**8 + 1}]})


async def test_coins_of_scripts_without_an_address_are_not_newly_made(home: Path, bitcoin: StandInEsplora) -> None:
    bitcoin.block([bitcoin.tx([(None, 80)], [(BOB, 79)])])
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC", lookback_minutes=9)
    assert [(row[1], row[3], row[4]) for row in report["rows"]] == [(79, "", None)]


async def test_a_sweep_of_deposits_into_an_exchange_is_told_apart(home: Path, bitcoin: StandInEsplora) -> None:
    """A part of the coins was the exchange's own already, so the sum is no inflow; but it is no silent zero either."""
    bitcoin.block(
        [
            bitcoin.tx([(ALICE, 60), (BINANCE, 40)], [(BINANCE, 99)]),
            bitcoin.tx([(BOB, 30), (BINANCE, 40)], [(BINANCE_TOO, 69)]),
            bitcoin.tx([(BINANCE, 90)], [(BINANCE_TOO, 89)]),
        ]
    )
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC", lookback_minutes=9)
    swept = [(row[1], row[4], row[5], row[6]) for row in report["rows"] if row[3] == "sweep"]
    assert swept == [(69, BINANCE, BINANCE_TOO, "binance"), (59, ALICE, BINANCE, "binance")]
    assert report["counts"] == {"transfers": 3, "to_exchanges": 0, "from_exchanges": 0, "sweeps": 2}
    assert report["sweeps_usd"] == pytest.approx(128 * report["price_usd"], abs=0.01)
    assert (report["net_flow_usd"], "sweeps_usd is in no other flow" in report["note"]) == (0, True)


async def test_where_nothing_is_swept_nothing_is_said_of_it(home: Path, bitcoin: StandInEsplora) -> None:
    async with on(home, bitcoin) as ask:
        report = await ask("get_whale_activity", asset="BTC")
    assert "sweeps_usd" not in report
    assert "weep" not in report["note"]


def _payment(bitcoin: StandInEsplora, height: int) -> Tx:
    return bitcoin.blocks[height].txs[1]
