"""Bitcoin through a stand-in for Esplora that sends blocks as the network has them."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcp_server import app
from mcp_server.chains import bitcoin_scan
from mcp_server.chains.access import Access
from mcp_server.domain.timeframes import from_ms
from tests.rigs.chain_server import Ask, asking
from tests.rigs.esplora import StandInEsplora
from tests.rigs.sampled import sampled
from tests.tools.conftest import Told

BITFINEX = "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97"
BINANCE, BINANCE_TOO = "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo", "3M219KR5vEneNb47ewrPfWyb5jQ2DjxRP6"
ALICE, BOB = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"


@pytest.fixture
def bitcoin() -> Iterator[StandInEsplora]:
    with StandInEsplora() as bitcoin:
        for _ in range(40):
            bitcoin.block()
        yield bitcoin


@pytest.fixture
async def ask(home: Path, bitcoin: StandInEsplora) -> AsyncIterator[Ask]:
    async with asking(home, {"bitcoin": [bitcoin.url]}, bitcoin.now_ms) as ask:
        yield ask


def rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


async def test_each_payment_counts_once_and_what_comes_back_is_change(ask: Ask, bitcoin: StandInEsplora) -> None:
    paid = bitcoin.tx([(ALICE, 50), (BOB, 30)], [(BITFINEX, 60), (ALICE, 19.9)])
    fresh = bitcoin.tx([(BINANCE, 100)], [(BOB, 40), ("1dice8EMZmqKvrGE4Qc9bUFf9PX3xaYDp", 15), (BINANCE, 44.9)])
    between = bitcoin.tx([(BINANCE, 31)], [(BITFINEX, 30.9)])
    within = bitcoin.tx([(BINANCE, 90)], [(BINANCE_TOO, 89)])
    small = [bitcoin.tx([(ALICE, 2)], [(BOB, 1.9)]) for _ in range(30)]
    bitcoin.block([paid, *small, fresh, between, within])
    answer = await ask("get_whale_activity", asset="BTC", min_usd=1_000_000)
    found = {(row["amount"], row["direction"], row["hash"]) for row in rows(answer)}
    assert found == {
        (60, "to exchange", paid.id), (40, "from exchange", fresh.id), (15, "from exchange", fresh.id),
        (30.9, "between exchanges", between.id), (89, "within exchange", within.id),
    }  # fmt: skip
    price = answer["price_usd"]
    assert answer["to_exchanges_usd"] == pytest.approx(90.9 * price, abs=0.01)
    assert answer["from_exchanges_usd"] == pytest.approx(85.9 * price, abs=0.01)
    assert answer["net_flow_usd"] == pytest.approx(5 * price, abs=0.02)
    assert (answer["exchanges"]["binance"]["to_usd"], answer["complete"]) == (0, True)
    (first,) = [row for row in rows(answer) if row["amount"] == 60]
    assert (first["from"], first["to_label"], first["confirmations"]) == (ALICE, "bitfinex", 1)
    assert "hange to a new address cannot be told from a payment" in answer["note"]


async def test_blocks_are_asked_for_once_and_only_transactions_that_matter(ask: Ask, bitcoin: StandInEsplora) -> None:
    for _ in range(6):
        bitcoin.block([bitcoin.tx([(ALICE, 2)], [(BOB, 1)]) for _ in range(200)])
    bitcoin.block([bitcoin.tx([(ALICE, 99)], [(BOB, 98)])])
    answer = await ask("get_whale_activity", asset="BTC", lookback_minutes=35)
    assert answer["counts"]["transfers"] == 1
    assert answer["requests"] == bitcoin.requests == 1 + 1 + 4 + 1, (
        "is it Bitcoin, the list, four blocks, a transaction"
    )


async def test_unconfirmed_payments_come_only_when_they_are_asked_for(ask: Ask, bitcoin: StandInEsplora) -> None:
    bitcoin.waiting.append(bitcoin.tx([(ALICE, 99)], [(BITFINEX, 98)]))
    assert (await ask("get_whale_activity", asset="BTC"))["counts"]["transfers"] == 0
    answer = await ask("get_whale_activity", asset="BTC", include_unconfirmed=True)
    assert [(row["time"], row["amount"], row["confirmations"]) for row in rows(answer)] == [(None, 98, 0)]


async def test_as_of_the_past_no_later_block_is_read_though_times_are_loose(ask: Ask, bitcoin: StandInEsplora) -> None:
    moment_s = bitcoin.now_s + 700
    known = bitcoin.block([bitcoin.tx([(ALICE, 60)], [(BITFINEX, 59)])])
    ahead = bitcoin.block([bitcoin.tx([(ALICE, 70)], [(BITFINEX, 69)])], after_s=1_500)
    bitcoin.block([bitcoin.tx([(ALICE, 80)], [(BITFINEX, 79)])], after_s=-1_450)
    for _ in range(200):
        bitcoin.block()
    bitcoin.forget()
    answer = await ask("get_whale_activity", asset="BTC", as_of=from_ms(moment_s * 1000).isoformat())
    assert [row["amount"] for row in rows(answer)] == [59]
    assert answer["blocks"]["head"] == known.height == ahead.height - 1
    assert not any(
        path.endswith(f"{block.hash}/raw") for block in bitcoin.blocks[ahead.height :] for path in bitcoin.paths
    )
    assert answer["requests"] <= 16
    with pytest.raises(Told, match="'bitcoin' began only at 2026-05-20T00:00Z"):
        await ask("get_whale_activity", asset="BTC", as_of="2026-05-19T20:00Z")


@pytest.mark.parametrize("back", sampled([0, 1, 9, 10, 11, 57, 139, 238], 3))
async def test_the_block_of_any_moment_is_found(ask: Ask, bitcoin: StandInEsplora, back: int) -> None:
    for place in range(200):
        bitcoin.block(after_s=(30, 3_000, 600, 60)[place % 4])
    block = bitcoin.blocks[-1 - back]
    answer = await ask("get_whale_activity", asset="BTC", as_of=from_ms(block.time_s * 1000).isoformat())
    assert answer["blocks"]["head"] == block.height


async def test_a_reorganisation_takes_back_what_it_took_back(ask: Ask, bitcoin: StandInEsplora) -> None:
    bitcoin.block([bitcoin.tx([(ALICE, 60)], [(BITFINEX, 59)])])
    assert (await ask("get_whale_activity", asset="BTC"))["counts"]["transfers"] == 1
    bitcoin.blocks.pop()
    bitcoin.block()
    bitcoin.block()
    assert (await ask("get_whale_activity", asset="BTC"))["counts"]["transfers"] == 0


async def test_too_much_work_gives_the_newest_part_and_says_which(
    ask: Ask, bitcoin: StandInEsplora, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bitcoin_scan, "MOST_REQUESTS", 40)
    for _ in range(5):
        bitcoin.block([bitcoin.tx([(ALICE, 60)], [(BITFINEX, 59)]) for _ in range(12)])
    answer = await ask("get_whale_activity", asset="BTC")
    assert (answer["complete"], answer["counts"]["transfers"]) == (False, 24)
    assert answer["note"].startswith(f"Only what came after {answer['from_time']} was seen, not all from 2026-05-20T")
    assert "A scan makes at most 40 requests" in answer["note"]


async def test_a_wallet_of_now_and_of_the_past(ask: Ask, bitcoin: StandInEsplora) -> None:
    bitcoin.block([bitcoin.tx([(ALICE, 5)], [(BOB, 2), (ALICE, 2.9)])])
    moment, height = from_ms(bitcoin.now_ms()).isoformat(), len(bitcoin.blocks) - 1
    first = moment
    for _ in range(30):
        bitcoin.block([bitcoin.tx([(ALICE, 3)], [(BOB, 1), (ALICE, 1.5)])])
    bitcoin.block([bitcoin.tx([(BOB, 2)], [(ALICE, 1.5)])])
    answer = await ask("get_wallet", address=BOB)
    assert (answer["rows"][0][:2], answer["transactions"], answer["chain"]) == (["BTC", 30.0], 32, "bitcoin")
    assert answer["first_activity"] == from_ms(1000 * bitcoin.blocks[height].time_s).strftime("%Y-%m-%dT%H:%MZ")
    assert answer["last_activity"] == from_ms(1000 * bitcoin.blocks[-1].time_s).strftime("%Y-%m-%dT%H:%MZ")
    assert answer["total_usd"] == round(30 * answer["rows"][0][2], 2)
    answer = await ask("get_wallet", address=BOB, as_of=first)
    assert (answer["rows"][0][:2], answer["transactions"], answer["block"]) == (["BTC", 2.0], 1, height)
    answer = await ask("get_wallet", address=BITFINEX)
    assert (answer["label"], answer["rows"][0][:2]) == ("Bitfinex-coldwallet", ["BTC", 0.0])


async def test_fees_and_mempool_exist_only_now(ask: Ask, bitcoin: StandInEsplora) -> None:
    bitcoin.now_s += 240
    for estimates, fast in ((True, 20.5), (False, 20)):
        bitcoin.fee_estimates = estimates
        answer = await ask("get_network_status", chain="btc")
        assert (answer["fees"]["fast"], answer["live"], answer["age_s"], answer["block"]) == (fast, True, 240, 39)
        assert answer["mempool"] == {"transactions": 4_321, "vbytes": 12_345_678, "fees_btc": 0.987654}
    recent = from_ms(bitcoin.now_ms() - 800_000).isoformat()
    assert (await ask("get_network_status", chain="bitcoin", as_of=recent))["block"] == 38
    with pytest.raises(Told, match="exists only now: there is none as of 2026-05-20T06:1"):
        await ask("get_network_status", chain="bitcoin", as_of=from_ms(bitcoin.now_ms() - 901_000).isoformat())


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        pytest.param({"status": 429}, r"is asked too often \(429\)", id="429"),
        pytest.param({"body": "<html>"}, "answers what is no JSON", id="no JSON", marks=pytest.mark.long),
        pytest.param({"body": "[]"}, "answers what cannot be read", id="no blocks", marks=pytest.mark.long),
        pytest.param({"silent_s": 120.0}, "did not answer in time", id="silent", marks=pytest.mark.long),
        pytest.param({"body": '[{"height": "x"}]'}, "answers what cannot be read", id="odd"),
    ],
)
async def test_another_endpoint_answers_where_one_fails(
    home: Path, bitcoin: StandInEsplora, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], answer: str
) -> None:
    monkeypatch.setattr(app, "Access", partial(Access, timeout_s=0.5))
    bitcoin.block([bitcoin.tx([(ALICE, 60)], [(BITFINEX, 59)])])
    with StandInEsplora() as bad:
        for name, value in fault.items():
            setattr(bad, name, value)
        async with asking(home, {"bitcoin": [bad.url, bitcoin.url]}, bitcoin.now_ms) as ask:
            assert (await ask("get_whale_activity", asset="BTC"))["counts"]["transfers"] == 1
        async with asking(home, {"bitcoin": [bad.url]}, bitcoin.now_ms) as ask:
            with pytest.raises(Told, match=answer):
                await ask("get_whale_activity", asset="BTC")


async def test_an_endpoint_on_another_branch_is_outvoted_or_both_are_doubted(
    home: Path, bitcoin: StandInEsplora
) -> None:
    with StandInEsplora(now_s=bitcoin.blocks[0].time_s) as bad:
        for _ in range(40):
            bad.block([bad.tx([(ALICE, 1)], [(BOB, 1)])])
        async with asking(home, {"bitcoin": [bad.url, bitcoin.url]}, bitcoin.now_ms) as ask:
            with pytest.raises(Told, match="Endpoints of 'bitcoin' disagree about block 37"):
                await ask("get_whale_activity", asset="BTC")
        async with asking(home, {"bitcoin": [bad.url, bitcoin.url, bitcoin.url]}, bitcoin.now_ms) as ask:
            assert (await ask("get_whale_activity", asset="BTC"))["complete"]


BREAKS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("cut", lambda raw: raw[:-3]),
    ("longer", lambda raw: raw + b"\0"),
    ("other", lambda raw: b"\1" + raw[1:]),
    ("empty", lambda raw: b""),
]


@pytest.mark.parametrize("change", [change for _, change in BREAKS], ids=[name for name, _ in BREAKS])
def test_a_block_that_is_not_whole_is_not_believed(bitcoin: StandInEsplora, change: Callable[[bytes], bytes]) -> None:
    from mcp_server.adapters.chains.bitcoin_block import paying_transactions
    from mcp_server.adapters.chains.endpoint import Failed

    paid = bitcoin.tx([(ALICE, 60)], [(BITFINEX, 59)])
    block = bitcoin.block([paid, bitcoin.tx([(ALICE, 1)], [(BITFINEX, 0.5)])])
    raw = block.header + bytes([3]) + b"".join(tx.raw for tx in block.txs)
    assert paying_transactions(raw, block.hash, block.before, 59 * 100_000_000) == {paid.id: 59 * 100_000_000}
    with pytest.raises(Failed):
        paying_transactions(change(raw), block.hash, block.before, 1)
