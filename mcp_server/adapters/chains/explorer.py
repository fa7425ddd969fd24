"""Explorers that speak Etherscan's interface (Blockscout does too): when an address was first and last active."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import anyio

from mcp_server.adapters.chains.endpoint import TIMEOUT_S, UNREADABLE, Endpoint, Failed, time_ms
from mcp_server.errors import UpstreamRejected


class Explorer:
    """One explorer of one chain.

    Args:
        url: its API, checked; it may hold parameters already, such as the chain.
        key: its key, if it needs one; it is never shown.
        timeout_s: how long a question may take.
    """

    def __init__(self, url: str, key: str | None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._endpoint = Endpoint("explorer", url, timeout_s)
        self._timeout_s = timeout_s
        self._joint = "&" if "?" in url else "?"
        self._key = f"&apikey={quote(key, safe='')}" if key else ""

    async def activity(self, address: str, until_block: int) -> tuple[int, int] | None:
        """Return when an address had its first transaction, and its last up to a block, in Unix ms.

        None: it had none, or the explorer does not answer; this is only an addition to other answers.
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
        answer: Any = await self._endpoint.get(
            f"{self._joint}module=account&action=txlist&address={address}&startblock=0&endblock={until_block}"
            f"&page=1&offset=1&sort={order}{self._key}"
        )
        try:
            transactions = answer["result"]
            return time_ms(transactions[0]["timeStamp"]) if transactions else None
        except UNREADABLE:
            raise Failed(UpstreamRejected, "answers what cannot be read") from None
