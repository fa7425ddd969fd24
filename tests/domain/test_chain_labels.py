"""Labels: each of the package's is a real address with a source, and a user's own file adds to them."""

import csv
from pathlib import Path

import pytest

from mcp_server.chains.catalog import Catalog
from mcp_server.domain.chains.bitcoin_address import bitcoin_address
from mcp_server.domain.chains.evm_address import checksummed
from mcp_server.domain.chains.labels import read_labels
from mcp_server.errors import BadInput, Misconfigured, NotFound

DATA = Path(__file__).parents[2] / "mcp_server" / "chains" / "data"
BINANCE = "0x28C6c06298d514Db089934071355E5743bf21d60"
EXCHANGES = {
    "binance", "coinbase", "kraken", "okx", "bitfinex", "bybit", "kucoin", "gate", "htx", "crypto.com", "gemini",
    "bitstamp",
}  # fmt: skip


def test_every_label_has_a_checked_address_and_a_source() -> None:
    rows = list(csv.DictReader((DATA / "labels.csv").read_text("utf-8").splitlines()))
    for row in rows:
        assert all(row.values()), row
        checked = bitcoin_address(row["address"]) if row["chain"] == "bitcoin" else checksummed(row["address"])
        assert checked == row["address"], "written with its checksum, so that a slip would show"
    assert len({row["address"].lower() for row in rows}) == len(rows)
    assert {row["exchange"] for row in rows} >= EXCHANGES
    assert {row["exchange"] for row in rows if row["chain"] == "bitcoin"} >= {"binance", "kraken", "okx", "bitfinex"}


def test_a_label_of_evm_holds_on_every_evm_chain_and_a_users_own_comes_first(home: Path) -> None:
    (home / "labels.csv").write_text(
        f"chain,address,exchange,name,source\nevm,{BINANCE},mine,My own,me\nbase,0x{'1' * 40},local,,\n"
    )
    catalog = Catalog(home)
    base, bitcoin = catalog.chain("base"), catalog.chain("btc")
    label = catalog.labels.of(base, BINANCE.lower())
    assert label is not None
    assert (label.exchange, label.name) == ("mine", "My own")
    assert catalog.labels.of(base, "0x" + "1" * 40)
    assert catalog.labels.of(catalog.chain("ethereum"), "0x" + "1" * 40) is None
    assert catalog.labels.of(bitcoin, BINANCE.lower()) is None
    assert len(catalog.labels) > 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("address,exchange\n", "line 1: .*chain,address,exchange"),
        ("chain,address,exchange\nevm,0x12,x\n", "line 2: '0x12' is not an address of an EVM chain"),
        ("chain,address,exchange\nbitcoin,1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb,x\n", "line 2: .* wrong checksum"),
        (f"chain,address,exchange\nevm,{BINANCE},\n", "line 2: chain or exchange is empty"),
    ],
)
def test_a_wrong_line_is_named(home: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_labels(text.splitlines())
    (home / "labels.csv").write_text(text)
    with pytest.raises(Misconfigured, match=f"labels.csv of the home is invalid: {said}"):
        _ = Catalog(home).labels


def test_every_token_of_the_package_has_its_checksum() -> None:
    import json

    for chain in json.loads((DATA / "chains.json").read_text("utf-8")).values():
        for token in chain.get("tokens", {}).values():
            assert checksummed(token["address"]) == token["address"]
        assert all(url.startswith("https://") for url in [*chain["urls"], *filter(None, [chain.get("explorer_url")])])


def test_chains_go_by_several_names_and_a_home_may_add_more(home: Path) -> None:
    (home / "chains.json").write_text(
        '{"gnosis": {"chain_id": 100, "native": "xDAI", "native_priced_as": ["DAI", "USD"], "block_s": 5, '
        '"confirmations": 12, "urls": ["https://rpc.example"]}, "ethereum": {"tokens": {"MINE": {"decimals": 18, '
        f'"address": "{BINANCE}"}}}}}}}}'
    )
    catalog = Catalog(home)
    assert catalog.chain("Gnosis").native.symbol == "XDAI"
    assert {catalog.chain(name).name for name in ("eth", "ETHEREUM")} == {"ethereum"}
    assert catalog.chain("bsc").chain_id == 56
    assert "MINE" in {token.symbol for token in catalog.chain("ethereum").tokens}
    assert "USDT" in {token.symbol for token in catalog.chain("ethereum").tokens}
    with pytest.raises(NotFound, match=r"Unknown chain 'etherium'\. Did you mean 'ethereum'"):
        catalog.chain("etherium")


@pytest.mark.parametrize("text", ["{", '{"x": {}}', '{"x": 5}', '{"x": {"chain_id": "?"}}', "[]"])
def test_a_home_with_a_broken_list_of_chains_says_so(home: Path, text: str) -> None:
    (home / "chains.json").write_text(text)
    with pytest.raises(Misconfigured, match=r"chains\.json of the home is invalid"):
        _ = Catalog(home).chains
