"""Trades as text that is small in git and exact: positions packed, prices as a hash, some of them to read.

The peers' environment reads this file too: numpy alone.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent / "fixtures"
SHOWN = 3
"""Of the trades, the first and the last of them are written so that a person can read them."""


def packed(positions: npt.NDArray[np.int64]) -> str:
    """Pack whole numbers: the differences between them, compressed, as text."""
    return base64.b85encode(zlib.compress(np.diff(positions, prepend=0).astype("<i4").tobytes(), 9)).decode()


def unpacked(text: str) -> npt.NDArray[np.int64]:
    return np.cumsum(np.frombuffer(zlib.decompress(base64.b85decode(text)), dtype="<i4").astype(np.int64))


def hashed(prices: Sequence[float]) -> str:
    """Return a hash of prices to 12 significant digits: what two programs round in the last bits makes no difference.

    Slippages have five decimals at most, so that no price lies between two of these numbers.
    """
    return hashlib.sha256("\n".join(f"{price:.12g}" for price in prices).encode()).hexdigest()


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return content


def write(name: str, content: dict[str, Any]) -> None:
    HERE.mkdir(exist_ok=True)
    (HERE / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
