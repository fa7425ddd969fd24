"""Wallets, networks and settings of chains, as a host meets them."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mcp_server.chains.access import checked_url
from mcp_server.domain.timeframes import from_ms
from mcp_server.errors import Misconfigured
from mcp_server.settings import ServerSettings
from tests.chains.people import BINANCE, ETHER, MILLION, USDC, Town
from tests.rigs.anvil import Anvil
from tests.rigs.chain_server import Ask, asking
from tests.rigs.loopback import served
from tests.rigs.rpc_proxy import RpcProxy
from tests.rigs.sampled import sampled
from tests.tools.conftest import Told

SOMEBODY = "0x52908400098527886E0F7030069857D2E4169EE7"
UNPRICED = {"address": USDC, "decimals": 6, "priced_as": ["???"]}


@pytest.fixture
def town() -> Iterator[Town]:
    with Anvil() as chain:
        chain.enrich(BINANCE)
        yield Town.founded_on(chain)


@pytest.fixture
async def ask(home: Path, town: Town) -> AsyncIterator[Ask]:
    async with asking(home, {"ethereum": [town.chain.url]}, town.chain.now_ms) as ask:
        yield ask


async def test_a_wallet_holds_coins_and_common_tokens_as_of_any_moment(ask: Ask, town: Town) -> None:
    town.chain.send(town.alice, SOMEBODY.lower(), value=2 * ETHER)
    town.pay(town.alice, SOMEBODY.lower(), 1_500_000)
    town.pass_time(2)
    moment = from_ms(town.chain.now_ms()).isoformat()
    town.chain.send(town.alice, SOMEBODY.lower(), value=ETHER)
    town.pass_time(100)
    said = await ask("get_wallet", address=SOMEBODY)
    assert [row[:2] for row in said["rows"]] == [["ETH", 3], ["USDC", 1.5]]
    assert said["total_usd"] == pytest.approx(sum(row[3] for row in said["rows"]), abs=0.005)
    assert (said["address"], said["transactions_sent"], "label" in said) == (SOMEBODY.lower(), 0, False)
    said = await ask("get_wallet", address=SOMEBODY.lower(), as_of=moment)
    assert [row[:2] for row in said["rows"]] == [["ETH", 2], ["USDC", 1.5]]
    assert said["block"] == town.chain.height() - 100
    said = await ask("get_wallet", address=BINANCE)
    assert (said["label"], said["label_source"]) == ("Binance 14", "Etherscan public name tag 'Binance 14'")


async def test_a_node_that_keeps_no_past_answers_for_now_and_says_so_or_refuses(home: Path) -> None:
    with Anvil(prune=True) as chain:
        town = Town.founded_on(chain)
        town.pass_time(100)
        now_ms = chain.now_ms()
        moment = from_ms(now_ms - 300_000).isoformat()

        with RpcProxy(chain.url) as endpoint:
            async with asking(home, {"ethereum": [endpoint.url]}, lambda: now_ms + 60_000) as ask:
                said = await ask("get_wallet", address=SOMEBODY, as_of=from_ms(now_ms + 60_000).isoformat())
                assert "live" not in said
                said = await ask("get_wallet", address=SOMEBODY, as_of=moment)
                assert (said["live"], said["observed_at"]) == (
                    True,
                    from_ms(now_ms + 60_000).strftime("%Y-%m-%dT%H:%M:%SZ"),
                )
                with pytest.raises(Told, match="archive"):
                    await ask("get_wallet", address=SOMEBODY, as_of=from_ms(now_ms - 1_000_000).isoformat())


async def test_an_address_is_told_and_labelled_as_it_was_checked(ask: Ask) -> None:
    for written in (BINANCE, f"  {BINANCE} ", "0x" + BINANCE[2:].upper()):
        said = await ask("get_wallet", address=written)
        assert (said["address"], said["label"]) == (BINANCE, "Binance 14")


async def test_what_has_no_price_has_no_dollars_and_it_is_said(home: Path, town: Town) -> None:
    """The exchange has no market of the coin, nor of any of the tokens that are held."""
    (home / "chains.json").write_text(
        json.dumps({"ethereum": {"native_priced_as": ["???"], "tokens": {"USDC": UNPRICED}}})
    )
    async with asking(home, {"ethereum": [town.chain.url]}, town.chain.now_ms) as ask:
        said = await ask("get_network_status")
        assert (said["transfer_fee_usd"], said["note"]) == (None, "No price in dollars of ETH.")
        said = await ask("get_wallet", address=town.alice)
        assert (said["total_usd"], said["note"]) == (None, "No price in dollars of ETH, USDC.")
        assert [row[2:] for row in said["rows"]] == [[None, None], [None, None]]
        assert (await ask("get_wallet", address=SOMEBODY))["total_usd"] == 0


async def test_exchanges_that_are_not_listed_are_counted(home: Path, town: Town) -> None:
    wallets = ["0x" + f"{number:040x}" for number in range(1_000, 1_011)]
    lines = [f"ethereum,{wallet},exchange-{place},," for place, wallet in enumerate(wallets)]
    (home / "labels.csv").write_text("\n".join(["chain,address,exchange,name,source", *lines]))
    for place, wallet in enumerate(wallets):
        town.pay(town.alice, wallet, (place + 2) * MILLION)
    town.pass_time()
    async with asking(home, {"ethereum": [town.chain.url]}, town.chain.now_ms) as ask:
        said = await ask("get_whale_activity", asset="USDC")
    assert len(said["exchanges"]) == 8
    assert "exchange-0" not in said["exchanges"]
    assert said["note"] == "The 8 busiest exchanges are listed; 3 more are in the sums."
    assert said["counts"]["to_exchanges"] == 11


async def test_an_address_is_checked_before_anything_is_asked(home: Path, town: Town) -> None:
    with RpcProxy(town.chain.url) as endpoint:
        async with asking(home, {"ethereum": [endpoint.url]}, town.chain.now_ms) as ask:
            for address, said in [
                ("0x52908400098527886E0F7030069857D2E4169eE7", r"wrong checksum \(EIP-55\)"),
                ("0x529", "is not an address of an EVM chain"),
                ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", r"wrong checksum \(base58check\)"),
                ("https://evil.example/", "is not a Bitcoin address"),
                ("vitalik.eth", "is a name; names are not looked up"),
                (SOMEBODY[2:], "lacks the 0x"),
            ]:
                with pytest.raises(Told, match=said):
                    await ask("get_wallet", address=address)
            for asset, said in [("pepe.eth", "names are not looked up"), (USDC[2:], "lacks the 0x")]:
                with pytest.raises(Told, match=said):
                    await ask("get_whale_activity", asset=asset)
            with pytest.raises(Told, match="is not an address of an EVM chain"):
                await ask("get_wallet", address="1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", chain="base")
        assert endpoint.requests == 0


async def test_fees_and_their_trend_stand_in_blocks_and_so_answer_for_any_moment(ask: Ask, town: Town) -> None:
    town.pass_time(3)
    moment = from_ms(town.chain.now_ms()).isoformat()
    town.pass_time(200)
    said = await ask("get_network_status", chain="eth")
    assert said["fees"]["slow"] <= said["fees"]["normal"] <= said["fees"]["fast"]
    assert (said["block"], said["age_s"], said["fee_unit"]) == (town.chain.height(), 0, "gwei per gas")
    assert said["transfer_fee"] == pytest.approx(said["fees"]["normal"] * 21_000 * 1e-9, rel=1e-5)
    past = await ask("get_network_status", chain="ethereum", as_of=moment)
    assert past["block"] == town.chain.height() - 200
    assert past["base_fee_trend"] == "falling"


async def test_an_explorer_tells_when_an_address_was_active_and_never_its_key(home: Path, town: Town) -> None:
    asked: list[dict[str, str]] = []

    async def api(request: Request) -> JSONResponse:
        asked.append(dict(request.query_params))
        when = {"asc": 1_700_000_000, "desc": 1_779_000_000}[request.query_params["sort"]]
        return JSONResponse({"status": "1", "message": "OK", "result": [{"timeStamp": str(when)}]})

    with served(Starlette(routes=[Route("/api", api)])) as url:
        more = {"explorer_urls": {"ethereum": [f"{url}/api"]}, "BLOCKSCOUT_API_KEY": "k-e-y"}
        async with asking(home, {"ethereum": [town.chain.url]}, town.chain.now_ms, **more) as ask:
            said = await ask("get_wallet", address=SOMEBODY)
    assert (said["first_activity"], said["last_activity"]) == ("2023-11-14T22:13:20Z", "2026-05-17T06:40Z")
    assert [request["apikey"] for request in asked] == ["k-e-y", "k-e-y"]
    assert {request["endblock"] for request in asked} == {str(said["block"])}


async def test_an_explorer_that_counts_later_blocks_too_tells_nothing_of_the_past(home: Path, town: Town) -> None:
    async def api(request: Request) -> JSONResponse:
        return JSONResponse({"result": [{"timeStamp": str(town.chain.now_ms() // 1000)}]})

    moment = from_ms(town.chain.now_ms()).isoformat()
    town.pass_time(20)
    with served(Starlette(routes=[Route("/api", api)])) as url:
        more = {"explorer_urls": {"ethereum": [f"{url}/api"]}}
        async with asking(home, {"ethereum": [town.chain.url]}, town.chain.now_ms, **more) as ask:
            assert "last_activity" in await ask("get_wallet", address=SOMEBODY)
            assert "last_activity" not in await ask("get_wallet", address=SOMEBODY, as_of=moment)


async def test_no_key_of_an_endpoint_reaches_an_answer_an_error_or_a_log(
    home: Path, town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with RpcProxy(town.chain.url) as endpoint:
        urls = [f"{endpoint.url}/v3/SECRET-KEY", "http://127.0.0.1:9/SECRET-KEY"]
        async with asking(home, {"ethereum": urls, "base": urls[1:]}, town.chain.now_ms) as ask:
            said = await ask("get_whale_activity", asset="USDC")
            with pytest.raises(Told, match="endpoint 1 of 1 cannot be reached") as caught:
                await ask("get_network_status", chain="base")
    assert "SECRET" not in json.dumps(said) + str(caught.value) + caplog.text


WRONG = [
    "http://rpc.example/KEY", "ftp://127.0.0.1/KEY", "https://user:KEY@rpc.example", "KEY", "https://", "file:///KEY",
    "http://127.0.0.1.evil.example/KEY", "http://[::1/KEY", "http://localhost@evil.example/KEY", "https://x:port/KEY",
    "https://KEY@rpc.example",
]  # fmt: skip


def test_whatever_is_no_https_endpoint_and_none_of_this_machine_is_refused_and_not_told_back() -> None:
    for url in WRONG:
        with pytest.raises(Misconfigured, match="must be an https URL") as refused:
            checked_url(url, "It")
        assert "KEY" not in str(refused.value)


@pytest.mark.parametrize("url", sampled(WRONG, 4))
async def test_an_endpoint_must_be_https_or_of_this_machine_and_is_never_told_back(
    home: Path, town: Town, url: str
) -> None:
    async with asking(home, {"ethereum": [url]}, town.chain.now_ms) as ask:
        with pytest.raises(Told, match="TRADER_CHAIN_URLS: each of 'ethereum' must be an https URL") as caught:
            await ask("get_network_status", chain="ethereum")
    assert "KEY" not in str(caught.value)


def test_settings_name_endpoints_alone_or_in_order_and_a_wrong_one_is_not_told_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"Ethereum": ["https://a.example/KEY", "https://b.example"], "bitcoin": "https://c.example/api"}
    monkeypatch.setenv("TRADER_CHAIN_URLS", json.dumps(said))
    monkeypatch.setenv("ETHERSCAN_API_KEY", "SECRET")
    settings = ServerSettings.load()
    assert [url.get_secret_value() for url in settings.chain_urls["ethereum"]] == said["Ethereum"]
    assert [url.get_secret_value() for url in settings.chain_urls["bitcoin"]] == [said["bitcoin"]]
    assert "example" not in repr(settings)
    assert "SECRET" not in repr(settings)
    monkeypatch.setenv("TRADER_CHAIN_URLS", '{"ethereum": {"url": "https://a.example/KEY"}}')
    with pytest.raises(Misconfigured, match=r"TRADER_CHAIN_URLS\.ethereum: .*Input should be a valid list") as caught:
        ServerSettings.load()
    assert "KEY" not in str(caught.value)


async def test_dollars_are_those_of_the_moment_and_an_exchange_without_a_price_says_so(ask: Ask, town: Town) -> None:
    town.pay(town.alice, BINANCE, 2 * MILLION)
    town.pass_time(300)
    as_of = from_ms(town.chain.now_ms() - 1_800_000).isoformat()
    said = await ask("get_whale_activity", asset="USDC", as_of=as_of)
    price = await ask("get_price", symbol="USDC/USD", as_of=as_of)
    assert (said["price_usd"], said["price_basis"]) == (price["price"], f"USDC/USD on simulated, {price['basis']}")
    assert USDC in said["token"]
    with pytest.raises(Told, match=r"Unknown symbol '\?\?\?/USD' on 'simulated'"):
        await ask("get_whale_activity", asset="USDC", price_symbol="???/USD")
