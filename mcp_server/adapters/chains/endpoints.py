"""The endpoints of one chain, in order of preference: where one fails, the next is asked."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import anyio

from mcp_server.adapters.chains.endpoint import Endpoint, Failed
from mcp_server.errors import Retryable, TraderError, UpstreamRejected

if TYPE_CHECKING:
    from mcp_server.domain.chains.chain import BlockRef

T = TypeVar("T")

SECOND_LOOK_S = 3.0
"""Time for a second endpoint to confirm a block."""

REST_S = 60.0
"""An endpoint that failed is asked after the others for this long."""

_DISAGREE = (
    "Ask again, or as of an earlier moment; if they still disagree, set TRADER_CHAIN_URLS to endpoints that you trust."
)


class Endpoints:
    """The endpoints of a chain, the preferred one first; `chain` is its name, for errors."""

    def __init__(self, chain: str, endpoints: Sequence[Endpoint]) -> None:
        self.chain = chain
        self._endpoints = endpoints

    def in_order(self) -> list[Endpoint]:
        """List the endpoints in the order to ask them: by preference, those that failed lately last."""
        now = time.monotonic()
        return sorted(self._endpoints, key=lambda endpoint: endpoint.resting_until > now)

    async def ask(self, ask: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Return the answer, never None, of the first endpoint that can answer; see `first`."""
        return cast(T, await self.first(ask))

    async def first(self, ask: Callable[[Endpoint], Awaitable[T | None]]) -> T | None:
        """Return the first answer that is not None, or None if every endpoint that can answer has None.

        Raises:
            Retryable, UpstreamRejected: none can answer; the problem says what each of them did.
            TraderError: as `ask`, if the endpoint is not the reason.
        """
        failures: list[tuple[Endpoint, Failed]] = []
        for endpoint in self.in_order():
            try:
                if (answer := await ask(endpoint)) is not None:
                    return answer
            except Failed as failed:
                self.rest(endpoint)
                failures.append((endpoint, failed))
        if len(failures) == len(self._endpoints):
            raise self._failure(failures)
        return None

    async def agreed(self, anchor: BlockRef, opinion: Callable[[Endpoint, int], Awaitable[str]]) -> bool:
        """Let a second endpoint confirm the block `anchor` of the first; one that is slow to answer is passed over.

        `opinion` returns the hash of the block that an endpoint has at a height. The answer is False if two others
        agree on another block; then the first is asked last from now on.

        Raises:
            UpstreamRejected: two endpoints have different blocks there, and no third one decides it.
        """
        first, *others = self.in_order()
        against: dict[str, Endpoint] = {}
        for endpoint in others:
            block_hash = await self._opinion(endpoint, anchor, opinion)
            if block_hash == anchor.hash:
                return True
            if block_hash in against:
                self.rest(first)
                return False
            if block_hash is not None:
                against[block_hash] = endpoint
        if against:
            others_named = " and ".join(endpoint.name for endpoint in against.values())
            raise UpstreamRejected(
                f"Endpoints of {self.chain!r} disagree about block {anchor.number}: {first.name} has another one than "
                f"{others_named}.",
                _DISAGREE,
            )
        return True

    async def _opinion(
        self, endpoint: Endpoint, anchor: BlockRef, opinion: Callable[[Endpoint, int], Awaitable[str]]
    ) -> str | None:
        with anyio.move_on_after(SECOND_LOOK_S):
            try:
                return await opinion(endpoint, anchor.number)
            except Failed:
                pass
        self.rest(endpoint)
        return None

    def rest(self, endpoint: Endpoint) -> None:
        """Ask the other endpoints before this one for a while, because it failed."""
        endpoint.resting_until = time.monotonic() + REST_S

    def _failure(self, failures: Sequence[tuple[Endpoint, Failed]]) -> TraderError:
        """Make the error that says why each endpoint failed."""
        reasons = "; ".join(f"{endpoint.name} {failed.why}" for endpoint, failed in failures)
        rejected = all(failed.kind is UpstreamRejected for _, failed in failures)
        kind = UpstreamRejected if rejected else Retryable
        again = "Set TRADER_CHAIN_URLS" if rejected else "Try again in a minute, or set TRADER_CHAIN_URLS"
        return kind(f"No endpoint of {self.chain!r} can answer: {reasons}.", f"{again} to an endpoint of your own.")

    async def close(self) -> None:
        """Close the connections of all."""
        for endpoint in self._endpoints:
            await endpoint.close()


def outvoted(chain: str) -> TraderError:
    """Make the error for endpoints that were outvoted one after the other."""
    return UpstreamRejected(f"The endpoints of {chain!r} do not agree on one branch of the chain.", _DISAGREE)


def endpoints_of(chain: str, urls: Sequence[str], timeout_s: float) -> Endpoints:
    """Make the endpoints of a chain from their URLs, which are checked already."""
    names = [f"endpoint {place} of {len(urls)}" for place in range(1, len(urls) + 1)]
    return Endpoints(chain, [Endpoint(name, url, timeout_s) for name, url in zip(names, urls, strict=True)])
