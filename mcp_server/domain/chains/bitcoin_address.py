"""Addresses of Bitcoin's main chain: base58check (1…, 3…), bech32 (bc1q…) and bech32m (bc1p… and later ones).

The checks follow BIP-13, BIP-173, BIP-141 and BIP-350. They are written out: the packages for it lack bech32m or bring
a wallet with them.
"""

import hashlib
from collections.abc import Sequence

from mcp_server.domain.text import shortened
from mcp_server.errors import BadInput

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_END, _BECH32M_END = 1, 0x2BC830A3
_VERSIONS = (0x00, 0x05)
"""Pay to public key hash, and to script hash; the others are of test chains."""

_FORM = "Give one that begins with 1, 3 or bc1."
_COPY = "Copy the address again."


def bitcoin_address(text: str) -> str:
    """Check an address and return it as explorers write it: bech32 in lower case, base58 as it is.

    Raises:
        BadInput: it is not an address of Bitcoin's main chain, or its checksum is wrong.
    """
    shown = shortened(text, 100)
    if not text.isascii() or not text.isalnum():
        raise BadInput(f"{shown!a} is not a Bitcoin address.", _FORM)
    if text[:3].lower() == "bc1":
        if text not in (text.lower(), text.upper()):
            raise BadInput(f"{shown!a} mixes upper and lower case, which a bc1 address may not.", _COPY)
        _check_segwit(text.lower(), shown)
        return text.lower()
    if not text.startswith(("1", "3")):
        raise BadInput(f"{shown!a} is not an address of Bitcoin's main chain.", _FORM)
    _check_base58(text, shown)
    return text


def _check_base58(text: str, shown: str) -> None:
    if len(text) > 35 or any(character not in _BASE58 for character in text):
        raise BadInput(
            f"{shown!a} is not a Bitcoin address: it is too long or has characters that base58 lacks.", _COPY
        )
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    wrong = len(data) != 25 or data[0] not in _VERSIONS
    if wrong or hashlib.sha256(hashlib.sha256(data[:21]).digest()).digest()[:4] != data[21:]:
        raise BadInput(f"{shown!a} has a wrong checksum (base58check): at least one character is mistyped.", _COPY)


def _check_segwit(text: str, shown: str) -> None:
    digits = text[3:]
    if not 8 <= len(text) <= 90 or any(character not in _BECH32 for character in digits):
        raise BadInput(
            f"{shown!a} is not a Bitcoin address: its length is wrong or it has characters that bech32 lacks.", _COPY
        )
    values = [_BECH32.index(character) for character in digits]
    end = _polymod([3, 3, 0, 2, 3, *values])  # the letters of "bc", spread as BIP-173 says
    version, program = values[0], _octets(values[1:-6])
    if end != (_BECH32_END if version == 0 else _BECH32M_END):
        raise BadInput(f"{shown!a} has a wrong checksum (bech32): at least one character is mistyped.", _COPY)
    if version > 16 or program is None or not 2 <= program <= 40 or (version == 0 and program not in (20, 32)):
        raise BadInput(f"{shown!a} is not a Bitcoin address: its witness program is invalid.", _COPY)


def _polymod(values: Sequence[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            check ^= generator if top >> place & 1 else 0
    return check


def _octets(values: Sequence[int]) -> int | None:
    """Return how many bytes groups of five bits make up; None if the rest is more than padding."""
    count, left = divmod(len(values) * 5, 8)
    if left >= 5 or (values and values[-1] & ((1 << left) - 1)):
        return None
    return count
