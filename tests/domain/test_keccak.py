"""The hash of Ethereum: with SHA-3's padding it is SHA-3, and with its own it gives the known answers."""

import hashlib

import pytest

from mcp_server.domain.chains.keccak import RATE, keccak256

LENGTHS = [0, 1, 7, 8, 20, 40, RATE - 2, RATE - 1, RATE, RATE + 1, 2 * RATE - 1, 2 * RATE, 1000]


@pytest.mark.parametrize("length", LENGTHS)
def test_with_the_padding_of_sha_3_it_is_sha_3(length: int) -> None:
    data = bytes(place * 37 % 256 for place in range(length))
    assert keccak256(data, 0x06) == hashlib.sha3_256(data).digest()


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        # the event that every token's transfer logs
        (b"Transfer(address,address,uint256)", "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"),
    ],
)
def test_known_answers(data: bytes, digest: str) -> None:
    assert keccak256(data).hex() == digest
