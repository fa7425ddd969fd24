"""Addresses of EVM chains: 20 bytes in hexadecimal, with a checksum in the case of the letters (EIP-55)."""

import re

from mcp_server.domain.chains.keccak import keccak256
from mcp_server.domain.text import shortened
from mcp_server.errors import BadInput

ZERO = "0x" + "0" * 40
"""The sender of newly made tokens, and the receiver of destroyed ones."""

_FORM = re.compile(r"0x[0-9a-fA-F]{40}")
_BARE = re.compile(r"[0-9a-fA-F]{40}")
_NAME = re.compile(r"[^\s:/]{1,80}\.[a-z]{2,12}", re.IGNORECASE)


def is_meant(text: str) -> bool:
    """Return whether a text is meant as an address of an EVM chain, right or wrong."""
    text = text.strip()
    return text[:2].lower() == "0x" or bool(_BARE.fullmatch(text) or _NAME.fullmatch(text))


def checksummed(address: str) -> str:
    """Write an address with the checksum of EIP-55 in the case of its letters."""
    digits = address[2:].lower()
    digest = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(place, 16) >= 8 else digit for digit, place in zip(digits, digest, strict=False)
    )


def evm_address(text: str) -> str:
    """Check an address and return it in lower case.

    An address whose letters are all of one case carries no checksum and is accepted as it is.

    Raises:
        BadInput: it is not 20 bytes in hexadecimal, or its checksum is wrong.
    """
    shown = shortened(text, 60)
    if _NAME.fullmatch(text):
        raise BadInput(f"{shown!a} is a name; names are not looked up.", "Give the address that it stands for: 0x…")
    if _BARE.fullmatch(text):
        raise BadInput(f"{shown!a} lacks the 0x that an address of an EVM chain begins with.", "Put 0x before it.")
    if not _FORM.fullmatch(text):
        raise BadInput(f"{shown!a} is not an address of an EVM chain.", "Write 0x and 40 hexadecimal digits.")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and text != checksummed(text):
        raise BadInput(
            f"{shown!a} has a wrong checksum (EIP-55): at least one character is mistyped.", "Copy the address again."
        )
    return text.lower()
