"""Explorers that speak Etherscan's interface (Blockscout does too): when an address was first and last active."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import anyio

from mcp_server.adapters.chains.endpoint import LATEST_S, TIMEOUT_S, Endpoint, Failed
from mcp_server.errors import UpstreamRejected


class Explorer:
    """One explorer of one chain.

    Args:
        url: its API, checked; it may hold parameters already, such as the chain.
        key: the key that it wants, if any; it is never told.
        timeout_s: how long a question may take.
    """

    def __init__(self, url: str, key: str | None, *, timeout_s: float = TIMEOUT_S) -> None:
        joint = "&" if "?" in url else "?"
        self._endpoint = Endpoint("explorer", url, timeout_s)
        self._timeout_s = timeout_s
        self._joint = joint
        self._key = f"&apikey={quote(key, safe='')}" if key else ""

    async def activity(self, address: str, until_block: int) -> tuple[int, int] | None:
        """Give when an address sent or received its first transaction and its last by a block, in Unix ms.

        None: it never did, or the explorer cannot say at the moment: it is a mere addition.
        """
        first: int | None = None
        last: int | None = None
        with anyio.move_on_after(self._timeout_s):
            try:
                first, last = [await self._time(address, until_block, order) for order in ("asc", "desc")]
            except Failed:
                return None
        return None if first is None or last is None else (first, last)

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    async def _time(self, address: str, until_block: int, order: str) -> int | None:
        told: Any = await self._endpoint.get(
            f"{self._joint}module=account&action=txlist&address={address}&startblock=0&endblock={until_block}"
            f"&page=1&offset=1&sort={order}{self._key}"
        )
        try:
            found = told["result"]
            seconds = int(found[0]["timeStamp"]) if found else None
            if seconds is not None and not 0 < seconds <= LATEST_S:
                raise ValueError
            return None if seconds is None else seconds * 1000
        except (KeyError, TypeError, ValueError, IndexError, ArithmeticError):
            raise Failed(UpstreamRejected, "answers what cannot be read") from None
