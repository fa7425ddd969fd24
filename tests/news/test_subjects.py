"""Which coins a headline is about: two hundred headlines, eighty of them traps, and each rule alone."""

from pathlib import Path
from typing import NamedTuple

import pytest

from mcp_server.domain.news.aliases import read_aliases
from mcp_server.domain.news.feed import NewsKind
from mcp_server.domain.news.item import NewsItem
from mcp_server.domain.news.subjects import Subjects, base_of
from mcp_server.news.aliases import package_subjects
from tests.acceptance.hostile_texts import TEXTS

FOLDER = Path(__file__).parent
SUBJECTS = package_subjects()


class Labelled(NamedTuple):
    crypto: bool
    bases: frozenset[str]
    headline: str
    trap: bool


def labelled(name: str) -> list[Labelled]:
    lines = (FOLDER / name).read_text("utf-8").splitlines()
    parts = (line.split(" | ", 3) for line in lines if not line.startswith("#"))
    return [
        Labelled(source == "crypto", frozenset(bases.split(",")) - {"-"}, headline, trap == "trap")
        for trap, source, bases, headline in parts
    ]


ALL = [*labelled("headlines.txt"), *labelled("headlines_unseen.txt")]


def coins(headline: str, crypto: bool = True) -> list[str]:
    return sorted(SUBJECTS.of(headline, crypto_source=crypto))


def item(headline: str, kind: NewsKind = "press") -> NewsItem:
    return NewsItem(1, "source", "guid", None, headline, kind, None, 0, 1)


@pytest.mark.parametrize("name", ["headlines.txt", "headlines_unseen.txt"])
def test_of_a_hundred_headlines_no_subject_is_wrong_and_nine_in_ten_are_found(name: str) -> None:
    headlines = labelled(name)
    assert (len(headlines), sum(one.trap for one in headlines)) == (100, 40)
    answers = [(one, frozenset(SUBJECTS.of(one.headline, crypto_source=one.crypto))) for one in headlines]
    assert [(one.headline, found - one.bases) for one, found in answers if found - one.bases] == []
    right = sum(len(found & one.bases) for one, found in answers)
    assert right >= 0.9 * sum(len(one.bases) for one in headlines)


def test_asking_for_one_coin_tells_the_same_as_asking_for_all() -> None:
    bases = sorted({base for one in ALL for base in one.bases} | {"S", "W", "ONE", "GAS", "ME", "SPX"})
    matchers = {base: SUBJECTS.matcher(base) for base in bases}
    for one in ALL:
        named = SUBJECTS.of(one.headline, crypto_source=one.crypto)
        seen = item(one.headline, "press" if one.crypto else "news")
        assert {base: matcher(seen) for base, matcher in matchers.items()} == {base: named.get(base) for base in bases}


@pytest.mark.parametrize(
    ("headline", "expected"),
    [
        ("Bitcoin, cash and gold: what savers hold", ["BTC"]),
        ("Bitcoin Cash and Bitcoin SV fork from Bitcoin", ["BCH", "BSV", "BTC"]),
        ("Wrapped Dogecoin appears on a new chain", []),
        ("Wrapped Ether passes wrapped bitcoin", ["WBTC", "WETH"]),
        ("An Ethereum-killer is not Ethereum", ["ETH"]),
        ("A Bitcoin-style reserve of grain", []),
        ("bitcoin's, bitcoins', Bitcoin-backed", ["BTC"]),
        ("Ethereum. Classic cars sell for ether", ["ETH"]),
        ("The money disappeared into the ether", []),
        ("metabitcoin and bitcoinish are words of their own", []),
        ("Биткоин растёт, Bitcoin тоже", ["BTC"]),
        ("비트코인BTC와 이더리움ETH", ["BTC", "ETH"]),
        ("比特币突破10万美元", []),
        ("🚀SOL🚀 to the moon", ["SOL"]),
    ],
)
def test_the_longest_name_takes_its_words(headline: str, expected: list[str]) -> None:
    assert coins(headline) == expected


@pytest.mark.parametrize(
    ("headline", "crypto", "expected"),
    [
        ("$LINK and $ONE lead", True, ["LINK", "ONE"]),
        ("$link and $One lead", True, []),
        ("$1.2B, $100K and $5M move", True, []),
        ("$OP 5 days before its unlock", True, ["OP"]),
        ("US$ONE and A$AVAX are no cashtags, though AVAX is a ticker", True, ["AVAX"]),
        ("$1INCH votes", True, ["1INCH"]),
        ("$KEY and $ICE are shares too", True, ["ICE", "KEY"]),
        ("$KEY and $ICE are shares too", False, []),
        ("$DOGE is none", False, ["DOGE"]),
        ("SOL, DOT and ADA elsewhere", False, []),
        ("BTC and XRP mean the same everywhere", False, ["BTC", "XRP"]),
        ("U.S. and S. Korea agree", True, []),
        ("SEC AND DOT CHIEFS, ETC, ON A SUI GENERIS CASE", True, []),
        ("BTC, LINK and NEAR rise", True, ["BTC", "LINK", "NEAR"]),
        ("LINK, NEAR and ONE rise", True, []),
        ("SEC, ICE and BTC", True, ["BTC"]),
        ("BTC/ETH/SOL basket fund", True, ["BTC", "ETH", "SOL"]),
    ],
)
def test_a_ticker_counts_by_how_much_else_it_means(headline: str, crypto: bool, expected: list[str]) -> None:
    assert coins(headline, crypto) == expected


@pytest.mark.parametrize(
    ("headline", "expected"),
    [
        ("New pairs: SUN/BTC, LINK/ETH, FOO/BTC", ["LINK", "SUN"]),
        ("ONEUSDT and 1000PEPEUSDT perpetual contracts", ["ONE", "PEPE"]),
        ("ETH-BTC and OP-USDT-SWAP", ["ETH", "OP"]),
        ("FDUSD and PYUSD are coins of their own", ["FDUSD", "PYUSD"]),
        ("S/USDT opens, T/USDT closes", ["S"]),
    ],
)
def test_a_pair_names_its_base_and_not_its_quote(headline: str, expected: list[str]) -> None:
    assert coins(headline) == expected


@pytest.mark.parametrize(
    ("headline", "crypto", "expected"),
    [
        ("Avalanche of longs", True, []),
        ("Avalanche mainnet restarts", True, ["AVAX"]),
        ("Avalanche Rises as AVAX Burns Grow", True, ["AVAX"]),
        ("A bank tests Avalanche for its fund", True, ["AVAX"]),
        ("A Bank Tests Avalanche Airbags for Skiers", True, []),
        ("Analysts: Optimism is back", True, []),
        ("Optimism's token falls", True, ["OP"]),
        ("Optimism's token falls", False, []),
        ("ripple wins a licence", True, []),
        ("Ripple wins a licence", True, ["XRP"]),
        ("Ripple wins a licence", False, []),
        ("RIPPLE OF FEAR IN THE MARKET", True, []),
    ],
)
def test_a_name_that_is_a_word_needs_a_sign_beside_it(headline: str, crypto: bool, expected: list[str]) -> None:
    assert coins(headline, crypto) == expected


def test_the_answer_says_which_alias_matched() -> None:
    headline = "$LINK rises, Bitcoin Cash and ONE/USDT fall"
    assert SUBJECTS.of(headline, crypto_source=True) == {"LINK": "$LINK", "BCH": "Bitcoin Cash", "ONE": "ONE/USDT"}


def test_a_regulator_and_the_general_press_are_no_sources_about_crypto() -> None:
    matcher = SUBJECTS.matcher("XRP")
    kinds: tuple[NewsKind, ...] = ("announcement", "press", "regulator", "news")
    assert [matcher(item("Ripple pays a fine", kind)) for kind in kinds] == ["Ripple", "Ripple", None, None]


@pytest.mark.parametrize(
    ("headline", "alias"),
    [
        ("Binance Will List Quartz (QZX) with Seed Tag Applied", "(QZX)"),
        ("Binance Will Delist FLM, KDA and QZX on 2025-11-12", "QZX"),
        ("OKX to delist QZX, CLV spot trading pairs", "QZX"),
        ("Notice on the Listing of QZX", "QZX"),
        ("Quality Zone Xtra (QZX) Rules Change", None),
        ("A List QZX Holders Read", None),
        ("A Specialist QZX", None),
        ("Rewards (QZX, ABC), [QZX] and (QZXY)", None),
    ],
)
def test_an_exchange_that_lists_a_coin_names_it_though_it_is_not_curated(headline: str, alias: str | None) -> None:
    matcher = SUBJECTS.matcher("QZX")
    assert matcher(item(headline, "announcement")) == alias
    assert matcher(item(headline, "press")) is None


def test_a_coin_that_is_not_curated_is_named_by_cashtag_or_pair_alone() -> None:
    matcher = SUBJECTS.matcher("QZX")
    assert not SUBJECTS.is_curated("QZX")
    named = ["$QZX soars", "QZX/USDT opens", "QZXUSDT perpetual", "1000QZX/USDT opens", "(QZX-USDT)"]
    assert [matcher(item(headline)) for headline in named] == [
        "$QZX",
        "QZX/USDT",
        "QZXUSDT",
        "1000QZX/USDT",
        "QZX-USDT",
    ]
    others = ["QZX soars", "Qzx/USDT", "US$QZX", "$QZXY", "AQZX/USDT", "BTC/QZX/USDT", "QZX/USDTX", "qzx"]
    assert [matcher(item(headline)) for headline in others] == [None] * len(others)
    assert SUBJECTS.matcher("")(item("$ / USDT")) is None


@pytest.mark.parametrize(
    ("symbol", "base"),
    [
        ("BTC/USDT", "BTC"), ("BTC/USDT:USDT", "BTC"), ("BTC/USDT:USDT-261225", "BTC"), ("btc", "BTC"),
        ("XBT/USD", "BTC"), ("BTCUSDT", "BTC"), ("BINANCE:BTCUSDT.P", "BTC"), ("BTC-USDT-SWAP", "BTC"),
        ("BTCUSDT_261225", "BTC"), ("1000PEPE/USDT:USDT", "PEPE"), ("1MBABYDOGE/USDT", "BABYDOGE"),
        ("kPEPE/USDC:USDC", "PEPE"), ("1000SATS", "SATS"), ("1INCH/USDT", "1INCH"), ("TUSD/USDT", "TUSD"),
        ("TUSD", "TUSD"), ("FDUSD", "FDUSD"), ("XDG/USD", "DOGE"), ("EUR/USD", "EUR"), ("AAPL", "AAPL"),
        ("KAS/USDT", "KAS"), (" eth/usd ", "ETH"), ("", ""),
    ],
)  # fmt: skip
def test_the_coin_of_a_symbol(symbol: str, base: str) -> None:
    assert base_of(symbol) == base


@pytest.mark.parametrize(
    ("text", "coin"),
    [
        ("BTC", "BTC"), ("XBT", "BTC"), ("bitcoin", "BTC"), ("bitcoin cash", "BCH"), ("MATIC", "POL"), ("FTM", "S"),
        ("steth", "STETH"),
        ("WBTC", "WBTC"), ("qzx", "QZX"), ("ethereum-classic", "ETC"), ("Ripple effect", "RIPPLE EFFECT"),
        ("MATIC/USDT", "POL"), ("1000PEPE/USDT:USDT", "PEPE"), ("BTC-USD", "BTC"), ("QZX/USDT", "QZX"), ("", ""),
    ],
)  # fmt: skip
def test_a_coin_is_meant_by_its_name_and_its_former_ticker_too(text: str, coin: str) -> None:
    assert SUBJECTS.coin(text) == coin


def test_the_package_curates_the_coins_that_the_great_exchanges_trade() -> None:
    traded = "BTC ETH SOL XRP BNB DOGE ADA LINK NEAR OP ONE GAS MASK SAND FLOW ICE ID APE CAKE SUN HOT FUN KEY WIN"
    words = "DENT PEOPLE TRUMP GRT SUPER ACE MAGIC PORTAL RENDER POL S WBTC"
    assert [base for base in f"{traded} {words}".split() if not SUBJECTS.is_curated(base)] == []


def test_an_alias_of_two_coins_is_refused() -> None:
    names = {"A": {"tickers": {"A": "word"}, "names": ["Twin"]}, "B": {"tickers": {"B": "word"}, "words": ["twin"]}}
    with pytest.raises(ValueError, match="'twin' is an alias of 'A' and of 'B'"):
        read_aliases({"shares": [], "phrases": [], "bases": names})
    tickers = {"A": {"tickers": {"X": "word"}}, "B": {"tickers": {"X": "word"}}}
    with pytest.raises(ValueError, match="'X' is an alias of 'A' and of 'B'"):
        Subjects(read_aliases({"shares": [], "phrases": [], "bases": tickers}))


def test_hostile_headlines_are_read_in_bounded_steps() -> None:
    for headline in ("$" * 300, "BTC/" * 75, "BTC, " * 60, "a/" * 150, "USD" * 100, "\u200b" * 300, "", "/", "$"):
        assert set(coins(headline)) <= {"BTC"}
    for text in TEXTS:
        assert {
            matched for matched in SUBJECTS.of(text[:300], crypto_source=True).values() if matched not in text
        } == set()
