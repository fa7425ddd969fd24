"""The JSON-RPC endpoints of one EVM chain: each is checked to be of this chain, up to date, and on the same branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcp_server.adapters.chains import evm_reading as reading
from mcp_server.adapters.chains.endpoint import Endpoint, Failed
from mcp_server.adapters.chains.endpoints import Endpoints
from mcp_server.adapters.chains.json_rpc import Call, call_all
from mcp_server.adapters.chains.rpc_error import RpcError
from mcp_server.domain.chains.chain import BlockRef, Chain
from mcp_server.domain.timeframes import to_ms
from mcp_server.errors import Retryable, UpstreamRejected
from mcp_server.moment import Clock


class EvmEndpoints:
    """Asks the endpoints of a chain, the preferred one first."""

    def __init__(self, chain: Chain, endpoints: Endpoints, clock: Clock) -> None:
        self.chain = chain
        self.endpoints = endpoints
        self._clock = clock

    async def newest(self, wanted_ms: int) -> BlockRef:
        """Return the newest block of the first endpoint whose blocks reach `wanted_ms`, or now, but for a few."""
        allowed_ms = int(max(90.0, 25 * self.chain.block_s) * 1000)

        async def read(endpoint: Endpoint) -> BlockRef:
            (answer,) = await self.on(endpoint, [("eth_getBlockByNumber", ["latest", False])])
            newest = reading.header(fine(answer))
            behind_ms = min(wanted_ms, to_ms(self._clock())) - newest.time_ms
            if behind_ms > allowed_ms:
                raise Failed(Retryable, f"lags {behind_ms // 1000} s behind")
            return newest

        return await self.endpoints.ask(read)

    async def headers(self, numbers: Sequence[int], anchor: BlockRef | None = None) -> list[BlockRef]:
        """Return the headers of blocks, in one request where the endpoint takes as many calls at once.

        An endpoint that has another block than `anchor` at its height, or none, is passed over; an anchor without a
        hash only requires that there is a block.
        """
        calls: list[Call] = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]

        async def read(endpoint: Endpoint) -> list[BlockRef]:
            answers = await self.on(endpoint, calls, anchor)
            return [reading.header(fine(answer), number) for number, answer in zip(numbers, answers, strict=True)]

        return await self.endpoints.ask(read)

    async def agreed(self, anchor: BlockRef) -> bool:
        """Let a second endpoint confirm a block; see `Endpoints.agreed`."""
        return await self.endpoints.agreed(anchor, self._opinion)

    async def on(
        self, endpoint: Endpoint, calls: Sequence[Call], anchor: BlockRef | None = None, *, large: bool = False
    ) -> list[Any]:
        """Ask one endpoint, and in the same request whether it is of this chain and has the anchor.

        The anchor is requested each time: behind one URL there may be many nodes, not all of them up to date.
        """
        self._check_chain(endpoint)
        checks: list[Call] = [("eth_chainId", [])] if endpoint.chain_id is None else []
        if anchor is not None:
            checks.append(("eth_getBlockByNumber", [hex(anchor.number), False]))
        answers = await call_all(endpoint, [*checks, *calls], large=large)
        if all(isinstance(answer, RpcError) for answer in answers):  # a refusal of the whole request, as of its range
            return answers[len(checks) :]
        checked, results = answers[: len(checks)], answers[len(checks) :]
        if endpoint.chain_id is None:
            endpoint.chain_id = reading.number(fine(checked.pop(0)))
            self._check_chain(endpoint)
        if anchor is not None:
            _check_anchor(fine(checked[0]), anchor)
        return results

    async def _opinion(self, endpoint: Endpoint, number: int) -> str:
        (answer,) = await self.on(endpoint, [("eth_getBlockByNumber", [hex(number), False])])
        return reading.header(fine(answer), number).hash

    def _check_chain(self, endpoint: Endpoint) -> None:
        if endpoint.chain_id not in (None, self.chain.chain_id):
            raise Failed(UpstreamRejected, f"is of chain {endpoint.chain_id}, not {self.chain.chain_id}")


def _check_anchor(answer: Any, anchor: BlockRef) -> None:
    if answer is None:
        raise Failed(Retryable, f"lags behind: it does not have block {anchor.number} yet")
    if anchor.hash not in ("", reading.header(answer, anchor.number).hash):
        raise Failed(UpstreamRejected, f"has another block {anchor.number} than was asked for")


def fine(answer: Any) -> Any:
    """Return a result; raise the failure that an `RpcError` stands for."""
    if isinstance(answer, RpcError):
        raise answer.failed()
    return answer
