"""A stand-in for mempool.space and Blockstream's Esplora: a small Bitcoin of one's own behind their REST interface.

    with StandInEsplora(now_s=…) as bitcoin:
        bitcoin.block([bitcoin.tx([(ALICE, 50)], [(EXCHANGE, 30), (ALICE, 20)])])

Amounts are whole bitcoins. Blocks are sent as Bitcoin's network has them, so that whoever reads them must read them
well; answers have the shapes of the real ones.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mcp_server.adapters.chains.bitcoin import KNOWN_HASH, KNOWN_HEIGHT
from tests.rigs.loopback import served

COIN = 100_000_000
PAGE = 25
Part = tuple[str | None, float]
Change = Callable[[str, Response], Response]


@dataclass(frozen=True)
class Tx:
    """A transaction; the one that pays a miner has no inputs."""

    inputs: Sequence[Part]
    outputs: Sequence[Part]
    number: int

    @property
    def segwit(self) -> bool:
        return self.number % 2 == 0

    @cached_property
    def id(self) -> str:
        return _twice(self._body(b"", b""))[::-1].hex()

    @property
    def raw(self) -> bytes:
        if not self.segwit:
            return self._body(b"", b"")
        witness = b"".join(b"\x02" + _sized(b"s" * 71) + _sized(b"k" * 33) for _ in range(len(self.inputs) or 1))
        return self._body(b"\x00\x01", witness)

    def _body(self, marker: bytes, witness: bytes) -> bytes:
        spent = [
            self.number.to_bytes(32, "little") + place.to_bytes(4, "little") for place, _ in enumerate(self.inputs)
        ]
        inputs = [outpoint + _sized(b"" if self.segwit else b"u" * 107) + b"\xff" * 4 for outpoint in spent]
        inputs = inputs or [bytes(32) + b"\xff" * 4 + _sized(self.number.to_bytes(8, "little")) + b"\xff" * 4]
        outputs = [round(value * COIN).to_bytes(8, "little") + _sized(_script(owner)) for owner, value in self.outputs]
        counted = _count(len(inputs)) + b"".join(inputs) + _count(len(outputs)) + b"".join(outputs)
        return (2).to_bytes(4, "little") + marker + counted + witness + bytes(4)


@dataclass(frozen=True)
class Block:
    """A block of the stand-in."""

    height: int
    time_s: int
    before: str
    txs: Sequence[Tx]

    @property
    def header(self) -> bytes:
        merkle = _root([bytes.fromhex(tx.id)[::-1] for tx in self.txs])
        return (
            (4).to_bytes(4, "little")
            + bytes.fromhex(self.before)[::-1]
            + merkle
            + self.time_s.to_bytes(4, "little")
            + bytes(8)
        )

    @cached_property
    def hash(self) -> str:
        return _twice(self.header)[::-1].hex()


@dataclass
class StandInEsplora:
    """Use it as a context manager; `url` is where it listens, `requests` and `paths` count what was asked.

    `known` is what it says of the block of 2020 by which it is known to be Bitcoin's. `stale`: every page of blocks is
    the newest. `status` and `silent_s` are faults of every request, `body` of all for JSON; `change` is given the path
    and what would be answered. Without `fee_estimates` it has only the form of fees that mempool.space made up.
    """

    now_s: int = 1_779_235_200
    fee_estimates: bool = True
    status: int | None = None
    silent_s: float = 0.0
    body: str | None = None
    change: Change | None = None
    page: int = 10
    history_page: int = PAGE
    stale: bool = False
    known: str | None = KNOWN_HASH
    blocks: list[Block] = field(default_factory=list)
    waiting: list[Tx] = field(default_factory=list)
    requests: int = 0
    paths: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        paths = {
            "/blocks": self._newest, "/blocks/{height:int}": self._down, "/block/{hash}/raw": self._raw,
            "/block-height/{height:int}": self._hash, "/tx/{txid}": self._tx, "/mempool": self._mempool,
            "/mempool/recent": self._recent, "/fee-estimates": self._estimates,
            "/v1/fees/recommended": self._recommended, "/address/{address}": self._address,
            "/address/{address}/txs/chain": self._history, "/address/{address}/txs/chain/{after}": self._history,
        }  # fmt: skip
        routes = [Route(f"/api{path}", self._counted(answer)) for path, answer in paths.items()]
        self.url = self._stack.enter_context(served(Starlette(routes=routes))) + "/api"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def now_ms(self) -> int:
        """Give the present of this Bitcoin."""
        return self.now_s * 1000

    def tx(self, inputs: Sequence[Part], outputs: Sequence[Part]) -> Tx:
        """Make a transaction."""
        return Tx(inputs, outputs, next(self._numbers))

    def block(self, txs: Sequence[Tx] = (), *, after_s: int = 600) -> Block:
        """Add a block, `after_s` after the one before, and let the present be its time."""
        before = self.blocks[-1] if self.blocks else None
        time_s = before.time_s + after_s if before else self.now_s
        reward = self.tx([], [("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", 3.125)])
        block = Block(len(self.blocks), time_s, before.hash if before else "00" * 32, [reward, *txs])
        self.blocks.append(block)
        self.now_s = max(self.now_s, time_s)
        return block

    def forget(self) -> None:
        """Begin to count anew."""
        self.requests = 0
        self.paths.clear()

    def _counted(self, answer: Any) -> Any:
        async def counted(request: Request) -> Response:
            self.requests += 1
            self.paths[request.url.path] += 1
            if self.silent_s:
                await anyio.sleep(self.silent_s)
            if self.status is not None:
                return PlainTextResponse("no", self.status)
            if self.body is not None and "block-height" not in request.url.path:
                return PlainTextResponse(self.body)
            told: Response = answer(request)
            return told if self.change is None else self.change(request.url.path.removeprefix("/api"), told)

        return counted

    def _newest(self, request: Request) -> Response:
        return self._page(len(self.blocks) - 1)

    def _down(self, request: Request) -> Response:
        return self._page(len(self.blocks) - 1 if self.stale else request.path_params["height"])

    def _page(self, height: int) -> Response:
        page = self.blocks[max(height - self.page + 1, 0) : height + 1][::-1]
        return JSONResponse(
            [
                {
                    "id": block.hash, "height": block.height, "version": 4, "timestamp": block.time_s,
                    "tx_count": len(block.txs), "size": 1_500_000, "weight": 3_990_000,
                    "previousblockhash": block.before, "mediantime": block.time_s - 3_000, "bits": 386_000_000,
                }
                for block in page
            ]
        )  # fmt: skip

    def _hash(self, request: Request) -> Response:
        height = request.path_params["height"]
        if height == KNOWN_HEIGHT and self.known is not None:
            return PlainTextResponse(self.known)
        return PlainTextResponse(self.blocks[height].hash) if height < len(self.blocks) else PlainTextResponse("", 404)

    def _raw(self, request: Request) -> Response:
        found = [block for block in self.blocks if block.hash == request.path_params["hash"]]
        if not found:
            return PlainTextResponse("Block not found", 404)
        (block,) = found
        return Response(block.header + _count(len(block.txs)) + b"".join(tx.raw for tx in block.txs))

    def _tx(self, request: Request) -> Response:
        found = [told for told in self._all() if told["txid"] == request.path_params["txid"]]
        return JSONResponse(found[0]) if found else PlainTextResponse("Transaction not found", 404)

    def _mempool(self, request: Request) -> Response:
        return JSONResponse({"count": 4_321, "vsize": 12_345_678, "total_fee": 98_765_432, "fee_histogram": []})

    def _recent(self, request: Request) -> Response:
        return JSONResponse(
            [
                {"txid": tx.id, "fee": 1_000, "vsize": 141, "value": round(sum(v for _, v in tx.outputs) * COIN)}
                for tx in self.waiting[-10:]
            ]
        )

    def _estimates(self, request: Request) -> Response:
        if not self.fee_estimates:
            return PlainTextResponse("no", 404)
        return JSONResponse({"1": 20.5, "2": 15.0, "6": 8.25, "144": 1.5, "1008": 1.0})

    def _recommended(self, request: Request) -> Response:
        return JSONResponse({"fastestFee": 20, "halfHourFee": 12, "hourFee": 8, "economyFee": 2, "minimumFee": 1})

    def _address(self, request: Request) -> Response:
        address = request.path_params["address"]
        touched = [tx for block in self.blocks for tx in block.txs if _touches(tx, address)]
        paid = [v for tx in touched for owner, v in tx.outputs if owner == address]
        spent = [v for tx in touched for owner, v in tx.inputs if owner == address]
        stats = {"funded_txo_count": len(paid), "funded_txo_sum": round(sum(paid) * COIN)}
        stats |= {"spent_txo_count": len(spent), "spent_txo_sum": round(sum(spent) * COIN), "tx_count": len(touched)}
        nothing = dict.fromkeys(stats, 0)
        return JSONResponse({"address": address, "chain_stats": stats, "mempool_stats": nothing})

    def _history(self, request: Request) -> Response:
        address, after = request.path_params["address"], request.path_params.get("after")
        ids = {tx.id for block in self.blocks for tx in block.txs if _touches(tx, address)}
        found = [told for told in self._all() if told["txid"] in ids]
        found.sort(key=lambda told: -told["status"]["block_height"])
        place = next((n + 1 for n, told in enumerate(found) if told["txid"] == after), 0)
        return JSONResponse(found[place : place + self.history_page])

    def _all(self) -> list[dict[str, Any]]:
        told = [_told(tx, block) for block in self.blocks for tx in block.txs]
        return told + [_told(tx, None) for tx in self.waiting]


def _told(tx: Tx, block: Block | None) -> dict[str, Any]:
    status: dict[str, Any] = {"confirmed": block is not None}
    if block is not None:
        status |= {"block_height": block.height, "block_hash": block.hash, "block_time": block.time_s}
    vin = [{"txid": "00" * 32, "vout": n, "prevout": _part(p), "is_coinbase": False} for n, p in enumerate(tx.inputs)]
    vin = vin or [{"txid": "00" * 32, "vout": 0xFFFFFFFF, "prevout": None, "is_coinbase": True}]
    vout = [_part(part) for part in tx.outputs]
    return {"txid": tx.id, "version": 2, "locktime": 0, "vin": vin, "vout": vout, "fee": 1_000, "status": status}


def _part(part: Part) -> dict[str, Any]:
    owner, value = part
    told: dict[str, Any] = {"scriptpubkey": _script(owner).hex(), "value": round(value * COIN)}
    return told if owner is None else {**told, "scriptpubkey_address": owner}


def _touches(tx: Tx, address: str) -> bool:
    return any(owner == address for owner, _ in [*tx.inputs, *tx.outputs])


def _script(owner: str | None) -> bytes:
    return (owner or "none").encode()


def _sized(data: bytes) -> bytes:
    return _count(len(data)) + data


def _count(number: int) -> bytes:
    return bytes([number]) if number < 0xFD else b"\xfd" + number.to_bytes(2, "little")


def _root(digests: list[bytes]) -> bytes:
    while len(digests) > 1:
        digests = digests + digests[-1:] if len(digests) % 2 else digests
        digests = [_twice(a + b) for a, b in zip(digests[::2], digests[1::2], strict=True)]
    return digests[0]


def _twice(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()
