"""Scans an EVM chain for transfers: newest blocks first, until the request is covered or the work is enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import anyio

from mcp_server.adapters.chains.evm import EvmChain
from mcp_server.adapters.chains.evm_logs import AT_ONCE
from mcp_server.adapters.chains.evm_reading import Piece
from mcp_server.chains.evm_heads import agreed_heads_at, timed
from mcp_server.chains.scan_request import GRACE_S, OUT_OF_TIME, ScanRequest, enough_at, only_after
from mcp_server.domain.chains.chain import BlockRef, Scan, Transfer
from mcp_server.errors import TraderError, UpstreamRejected
from mcp_server.request_counter import RequestCounter
from mcp_server.together import together

MOST_BLOCKS = 100_000
"""Blocks whose logs are read: a day of a chain with a block each second."""

MOST_FULL_BLOCKS = 2_500
"""Whole blocks that are read, for the native coin: each may be half a megabyte."""

MOST_REQUESTS = 1_000

FULL_BLOCKS_AT_ONCE = 20
RECEIPTS_AT_ONCE = 90
SECOND_MS = 1_000
"""Blocks state their times in whole seconds."""

INTERNAL = (
    "Coins that contracts pass on inside of a transaction are not seen: plain JSON-RPC shows only what transactions "
    "themselves carry."
)
WRAPS = "Wrapping and unwrapping emit no transfer and are not seen."
UNUSUAL = (
    "Only Transfer events in the usual form are seen: this token may move without one, or not index its addresses."
)


async def scan(chain: EvmChain, request: ScanRequest, counter: RequestCounter) -> Scan:
    """Find the transfers that a request covers; `counter` counts the calls to endpoints.

    Unconfirmed transfers are left out unless the request includes them. If the work is too much, or the endpoints fail
    after a part of it, the scan has the newest part and says which part is missing.
    """
    head, anchor = await agreed_heads_at(chain, request.until_ms)
    last = head.number if request.unconfirmed else head.number - chain.chain.confirmations + 1
    work = _EvmWork(chain, request, anchor if last <= anchor.number else head, last, counter)
    await work.run()
    return Scan(
        transfers=work.transfers,
        head=head,
        first_block=work.first,
        last_block=last,
        from_ms=work.covered_ms,
        until_ms=request.until_ms,
        requests=counter.requests,
        missed=work.missed,
        notes=_unseen(chain, request),
    )


def _unseen(chain: EvmChain, request: ScanRequest) -> list[str]:
    """Return notes on transfers that no scan of this asset can see."""
    if request.token.address is None:
        return [INTERNAL]
    if request.token == chain.chain.wrapped:
        return [WRAPS]
    return [] if request.token.priced_as else [UNUSUAL]


class _EvmWork:
    """One running scan: the transfers in the blocks from `first` on; everything since `covered_ms` is seen."""

    def __init__(
        self, chain: EvmChain, request: ScanRequest, anchor: BlockRef, last: int, counter: RequestCounter
    ) -> None:
        self._chain = chain
        self._request = request
        self._anchor = anchor
        self._last = last
        self._native = request.token.address is None
        self._counter = counter
        self._enough_at = enough_at()
        self._fits: int | None = None
        self.transfers: list[Transfer] = []
        self.first = last + 1
        self.covered_ms = request.until_ms
        self.missed: list[str] = []

    async def run(self) -> None:
        """Read in waves of a few pieces, each of as many blocks as an endpoint sends at once."""
        waves = 0
        while self.first > 0 and self.covered_ms > self._request.from_ms and not self._too_much():
            pieces = self._plan(1 if waves == 0 else AT_ONCE)
            read: list[Piece] = []
            with anyio.CancelScope(deadline=self._enough_at + GRACE_S if waves else math.inf):
                read = await self._wave(pieces, first=waves == 0)
            for (start, end), piece in zip(pieces, read, strict=False):
                self._add(piece)
                if piece.first > start:  # it has fewer blocks; the rest is planned again
                    self._fits = end - piece.first + 1
                    break
            if self.missed:
                break
            waves += 1
        if self.first <= 0:
            self.covered_ms = self._request.from_ms
        if self.missed:
            self.missed.insert(0, only_after(self.covered_ms, self._request.from_ms))

    def _plan(self, at_once: int) -> list[tuple[int, int]]:
        """Choose the next ranges of blocks, newest first, no more than are probably needed."""
        size = FULL_BLOCKS_AT_ONCE if self._native else self._chain.logs.blocks_at_once()
        size = min(size, self._fits or size)
        read = self._last - self.first + 1
        pace_ms = (self._request.until_ms - self.covered_ms) / read if read else self._chain.chain.block_s * 1000
        left = max(math.ceil((self.covered_ms - self._request.from_ms) / max(pace_ms, 1.0)), 1)
        count = min(max(left // size, 1), at_once)
        length = min(size, left + left // 20 + 1) if count == 1 else size
        ends = [self.first - 1 - place * length for place in range(count)]
        return [(max(end - length + 1, 0), end) for end in ends if end >= 0]

    async def _wave(self, pieces: Sequence[tuple[int, int]], *, first: bool) -> list[Piece]:
        """Return the pieces up to the first that fails; if nothing is known yet, that failure is raised."""
        try:
            read = await self._read(pieces, first=first)
            return await self._without_failed(read) if self._native else read
        except TraderError as error:
            if first:
                raise
            self.missed.append(str(error))
            return []

    async def _read(self, pieces: Sequence[tuple[int, int]], *, first: bool) -> list[Piece]:
        failures: list[TraderError] = []

        async def one(start: int, end: int) -> Piece | None:
            try:
                return await self._piece(start, end)
            except TraderError as error:
                failures.append(error)
                return None

        results = await together(*(partial(one, start, end) for start, end in pieces))
        if failures and first:
            raise failures[0]
        self.missed += [str(error) for error in failures[:1]]
        return [piece for piece in results[: results.index(None) if None in results else None] if piece is not None]

    async def _piece(self, start: int, end: int) -> Piece:
        piece = await self._read_piece(start, end)
        if (piece.before_ms or 0) > self._request.until_ms:
            raise UpstreamRejected(
                f"The times of the blocks of {self._chain.chain.name!r} are not in order.", "Ask again."
            )
        return piece

    async def _read_piece(self, start: int, end: int) -> Piece:
        least, token = self._request.least, self._request.token.address
        if token is None:
            return await self._chain.native(start, end, least, self._anchor)
        piece = await self._chain.logs.transfers(token, start, end, least, self._anchor)
        piece = piece.with_sound_times(self._request.until_ms)
        if piece.before_ms is None or piece.before_ms < self._request.from_ms:  # it begins before the time asked for
            return replace(piece, transfers=await timed(self._chain, piece.transfers, self._anchor))
        return piece

    def _add(self, piece: Piece) -> None:
        self.transfers = [*self._inside(piece), *self.transfers]
        self.first = piece.first
        more = piece.before_ms is not None and piece.before_ms >= self._request.from_ms
        self.covered_ms = (piece.before_ms or 0) + SECOND_MS if more else self._request.from_ms

    def _inside(self, piece: Piece) -> list[Transfer]:
        return [t for t in piece.transfers if t.time_ms is None or t.time_ms >= self._request.from_ms]

    async def _without_failed(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Leave out transactions that failed: they moved nothing."""
        hashes = list({transfer.hash: None for piece in pieces for transfer in self._inside(piece)})
        good: set[str] = set()
        for place in range(0, len(hashes), RECEIPTS_AT_ONCE):
            good |= await self._chain.succeeded(hashes[place : place + RECEIPTS_AT_ONCE], self._anchor)
        return [replace(piece, transfers=[t for t in piece.transfers if t.hash in good]) for piece in pieces]

    def _too_much(self) -> bool:
        most = MOST_FULL_BLOCKS if self._native else MOST_BLOCKS
        if self._last - self.first + 1 >= most:
            self.missed.append(f"A scan reads at most {most} blocks.")
        elif self._counter.requests >= MOST_REQUESTS:
            self.missed.append(f"A scan makes at most {MOST_REQUESTS} requests.")
        elif self.first <= self._last and anyio.current_time() > self._enough_at:
            self.missed.append(OUT_OF_TIME)
        return bool(self.missed)
