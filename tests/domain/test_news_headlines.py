"""Headlines that say the same, and traps: pairs that look alike and tell two stories."""

import pytest

from mcp_server.domain.news.headlines import ends_of, near_equal

SAME = [
    ("Bitcoin falls below $60,000", "Bitcoin Falls Below $60K"),
    ("Bitcoin falls below $60,000", "BREAKING: Bitcoin falls below $60,000"),
    ("SEC approves spot bitcoin ETFs", "SEC Approves Spot Bitcoin ETFs - CoinDesk"),
    ("SEC approves spot bitcoin ETFs", "SEC approved spot Bitcoin ETF"),
    ("U.S. Senate passes stablecoin bill", "US Senate passes stablecoin bill"),
    ("Coinbase\u2019s revenue tops $1.2 billion", "Coinbase's Revenue Tops $1.2B"),
    ("Tether freezes $28 million of USDT", "Tether freezes $28M in USDT | Reuters"),
    ("Ether ETFs see $1bn of inflows", "Ether ETFs See $1 Billion in Inflows"),
    ("Inflation slows to 2.5 percent", "Inflation slows to 2.5%"),
    ("Inflation slows to 2.50%", "Inflation slows to 2.5 per cent"),
    ("Fed holds rates steady", "The Fed Holds Rates Steady"),
    ("Binance lists Ethena", "Binance Listed Ethena"),
    ("Kraken to launch a stock exchange", "Kraken To Launch Stock Exchange"),
    ("Hackers drain $120M from a bridge", "Hackers Drain $120 million From Bridge"),
    ("Solana outage ends after five hours", "Solana outage ends after five hours \u2013 Decrypt"),
    ("JUST IN: MicroStrategy buys 10,000 BTC", "MicroStrategy buys 10,000 BTC"),
    ("MicroStrategy buys 10,000 $BTC", "MicroStrategy Buys 10k BTC"),
    ("Gold hits a record as the dollar slides", "Gold hits record as dollar slides"),
    ("Crypto-friendly bank collapses in New York", "Crypto friendly bank collapses in New York"),
    ("SEC sues Binance and its founder", "SEC Sues Binance & Its Founder"),
    ("Ripple wins a partial victory in court over the SEC", "Ripple wins partial victory in court over SEC"),
    ("Bitcoin miner sells all of its coins in May", "Bitcoin miner quietly sells all of its coins in May"),
    ("Polymarket raises $200 million at a $9 billion valuation", "Polymarket raises $200M at $9B valuation"),
    ("Circle shares jump 30% on debut in New York", "Circle shares jump 30% on market debut in New York"),
    ("Update: OKX resumes withdrawals of all tokens", "OKX resumes withdrawals of all tokens"),
    ("Trump signs crypto order", "Trump signs crypto order - Yahoo Finance"),
    ("ETHER TOPS $4,000 FOR THE FIRST TIME SINCE MARCH", "Ether tops $4,000 for the first time since March"),
    ("Metaplanet adds 1,004 bitcoin to its treasury", "Metaplanet Adds 1,004 Bitcoin To Its Treasury"),
    ("Grayscale files for a Dogecoin ETF", "Grayscale files for Dogecoin ETF | The Block"),
    ("Bitcoin drops -5% in a day", "Bitcoin drops \u22125% in a day"),
]
"""Two ways of one headline."""

TRAPS = [
    ("Bitcoin falls below $60,000", "Bitcoin falls below $50,000"),
    ("Bitcoin falls below $60,000", "Bitcoin rises above $60,000"),
    ("Bitcoin falls below $60,000", "Bitcoin falls below 60,000 euros"),
    ("Binance lists Ethena", "Binance delists Ethena"),
    ("Binance Will List Ethena (ENA)", "Binance Will List Ethena (USDE)"),
    ("Binance Will List Ethena (ENA)", "Binance Will Delist Ethena (ENA)"),
    ("SEC approves spot bitcoin ETFs", "SEC does not approve spot bitcoin ETFs"),
    ("SEC approves spot bitcoin ETFs", "SEC rejects spot bitcoin ETFs"),
    ("SEC approves spot bitcoin ETFs", "SEC approves spot ether ETFs"),
    ("SEC approves spot bitcoin ETFs in a landmark vote", "SEC may approve spot bitcoin ETFs in a landmark vote"),
    ("Ripple sues the SEC", "SEC sues Ripple"),
    ("SEC sues Binance over unregistered tokens in court", "SEC sued by Binance over unregistered tokens in court"),
    ("Whale moves 5,000 BTC from Coinbase to Binance", "Whale moves 5,000 BTC from Binance to Coinbase"),
    ("Whale moves 5,000 BTC to Coinbase", "Whale moves 5,000 BTC from Coinbase"),
    ("Fed raises rates by 25 basis points", "Fed cuts rates by 25 basis points"),
    ("Fed raises rates by 25 basis points", "Fed raises rates by 50 basis points"),
    ("Inflation slows to 2.5%", "Inflation slows to 2.6%"),
    ("Bitcoin is dead", "Is bitcoin dead?"),
    ("Bitcoin to hit $100K", "Bitcoin to hit $100K?"),
    ("OKX halts withdrawals of all tokens", "OKX resumes withdrawals of all tokens"),
    ("Coinbase outage hits customers in Germany and France", "Coinbase outage hits customers in Germany"),
    ("Tether freezes $28 million of USDT", "Circle freezes $28 million of USDT"),
    ("Tether freezes $28 million of USDT", "Tether freezes $28 billion of USDT"),
    ("Hack of a bridge costs users $120M", "Hack of another bridge costs users $120M"),
    ("Polygon says that its bridge was hacked on Monday", "Polygon says that its bridge was never hacked on Monday"),
    ("Ether slides before the Fed's decision", "Ether slides after the Fed's decision"),
    ("Spot ETF sees record inflows in June of this year", "Spot ether ETF sees record inflows in June of this year"),
    ("Bitcoin drops 5% in a day", "Bitcoin drops -5% in a day"),
    ("Solana's first validator client goes live", "Solana's second validator client goes live"),
    ("Market wrap", "Market wrap: Bitcoin slides"),
]
"""Two headlines that look alike, and tell two stories."""


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_headline_that_is_written_another_way_says_the_same(one: str, other: str) -> None:
    assert near_equal(one, other)
    assert near_equal(other, one)
    assert set(ends_of(one)) & set(ends_of(other))


@pytest.mark.parametrize(("one", "other"), TRAPS)
def test_a_headline_that_only_looks_alike_is_another_story(one: str, other: str) -> None:
    assert not near_equal(one, other)
    assert not near_equal(other, one)


@pytest.mark.parametrize("text", ["", "🚀🚀", "...", "the of and"])
def test_a_headline_without_words_is_like_no_other(text: str) -> None:
    assert not near_equal(text, text)


def test_a_headline_of_digits_and_signs_alone_is_read_in_no_time() -> None:
    for text in ("9" * 300, "9," * 150, "9." * 150, "'" * 300, "a'" * 150, "$-" * 150, "1 1 " * 75, "(" * 300):
        assert near_equal(f"price {text}", f"Price {text}")


def test_of_long_words_in_one_place_a_fifth_may_be_missing_and_no_more() -> None:
    ten = "Regulator fines three brokers over late reports on retail trades"
    assert near_equal(ten, ten.replace("over", "heavily over"))
    assert near_equal(ten, ten.replace("over", "quite heavily over"))
    assert not near_equal(ten, ten.replace("over", "quite heavily indeed over"))
    assert not near_equal(ten, ten.replace("over", "heavily over").replace("late", "very late"))
