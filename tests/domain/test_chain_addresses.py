"""Addresses are checked before anything is asked: with the vectors of the documents that define them."""

import pytest

from mcp_server.domain.chains.bitcoin_address import bitcoin_address
from mcp_server.domain.chains.evm_address import checksummed, evm_address, is_meant
from mcp_server.errors import BadInput

EIP_55 = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]
BIP_350 = [
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
    "BC1SW50QGDZ25J",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
]
BIP_350_WRONG = [
    "tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
    "bc1pw5dgrnzv",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
    "bc1gmk9yu",
    "bc1q",
    "bc1",
]
BASE58 = ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo"]


@pytest.mark.parametrize("address", EIP_55)
def test_a_checksummed_address_is_taken_and_so_is_one_without_a_checksum(address: str) -> None:
    assert evm_address(address) == address.lower()
    assert evm_address(address.lower()) == address.lower()
    assert evm_address("0x" + address[2:].upper()) == address.lower()
    assert checksummed(address.lower()) == address


@pytest.mark.parametrize("address", EIP_55[4:])
def test_a_letter_of_the_wrong_case_breaks_the_checksum(address: str) -> None:
    for place, letter in enumerate(address[2:], start=2):
        if letter.isalpha():
            with pytest.raises(BadInput, match="wrong checksum"):
                evm_address(address[:place] + letter.swapcase() + address[place + 1 :])


@pytest.mark.parametrize("text", ["", "0x", "0x12", EIP_55[0] + "0", "0x" + "g" * 40, "\u202e0x"])
def test_what_is_no_evm_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not an address of an EVM chain") as caught:
        evm_address(text)
    assert "\u202e" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "lacks the 0x that an address of an EVM chain begins with"),
        ("vitalik.eth", "is a name; names are not looked up. Give the address that it stands for: 0x"),
        ("pay.somebody.base.eth", "is a name; names are not looked up"),
    ],
)
def test_how_a_name_or_an_address_without_its_beginning_is_mended_is_said(text: str, said: str) -> None:
    assert is_meant(text)
    with pytest.raises(BadInput, match=said):
        evm_address(text)


@pytest.mark.parametrize("address", [*BIP_350, *BASE58])
def test_no_bitcoin_address_is_taken_for_one_of_an_evm_chain(address: str) -> None:
    assert not is_meant(address)


@pytest.mark.parametrize("address", [*BIP_350, *BASE58])
def test_bitcoin_addresses_of_every_kind_are_taken(address: str) -> None:
    assert bitcoin_address(address) == (address if address in BASE58 else address.lower())


@pytest.mark.parametrize("address", [*BIP_350_WRONG, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "2N", "", "1", "💰"])
def test_what_is_no_bitcoin_address_is_refused(address: str) -> None:
    with pytest.raises(BadInput):
        bitcoin_address(address)


@pytest.mark.parametrize("address", [*BASE58, BIP_350[1], BIP_350[4]])
def test_any_single_mistyped_character_of_a_bitcoin_address_is_found(address: str) -> None:
    for place in range(4, len(address)):
        other = "q" if address[place] != "q" else "p"
        with pytest.raises(BadInput):
            bitcoin_address(address[:place] + other + address[place + 1 :])
