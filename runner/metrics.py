"""Figures of the scheduler for a platform that collects them: Prometheus' text format, on a port of its own.

They hold no names, prices or secrets. The port is for a private network: it asks for no token.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketStream

from mcp_server.errors import Misconfigured

logger = logging.getLogger(__name__)

MOST_BYTES = 8_192
ANSWER_S = 5.0


@dataclass(slots=True)
class Figures:
    """What is counted since the start; `gauges` are asked when somebody looks."""

    ended: Counter[str] = field(default_factory=Counter)
    late_s: float = 0.0
    began: int = 0
    gauges: dict[str, Callable[[], float]] = field(default_factory=dict)

    def note(self, outcome: str, late_s: float | None) -> None:
        """Count a slot that has ended; `late_s` is how late its run began, None where it did not."""
        self.ended[outcome] += 1
        if late_s is not None:
            self.began += 1
            self.late_s += max(late_s, 0.0)

    def text(self) -> str:
        """Write all of them."""
        lines = ["# TYPE claude_trader_slots_total counter"]
        lines += [
            f'claude_trader_slots_total{{outcome="{name}"}} {count}' for name, count in sorted(self.ended.items())
        ]
        lines += ["# TYPE claude_trader_late_seconds summary"]
        lines += [f"claude_trader_late_seconds_sum {self.late_s:.3f}", f"claude_trader_late_seconds_count {self.began}"]
        for name, ask in self.gauges.items():
            lines += [f"# TYPE claude_trader_{name} gauge", f"claude_trader_{name} {ask():g}"]
        return "\n".join(lines) + "\n"


async def tell(figures: Figures, host: str, port: int) -> None:
    """Answer `GET /metrics` until cancelled.

    Raises:
        Misconfigured: the port cannot be listened on.
    """
    try:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port, reuse_port=False)
    except OSError as error:
        raise Misconfigured(f"Cannot listen on {host!r} port {port} for metrics: {error}. Choose another.") from None

    async def answer(stream: SocketStream) -> None:
        async with stream:
            try:
                with anyio.move_on_after(ANSWER_S):
                    await stream.send(_response(await _asked(stream), figures))
            except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
                return

    async with listener:
        await listener.serve(answer)


async def _asked(stream: SocketStream) -> bytes:
    """Give the first line of a request, which is all that matters of it."""
    got = b""
    while b"\r\n\r\n" not in got and len(got) < MOST_BYTES:
        got += await stream.receive(MOST_BYTES)
    return got.partition(b"\r\n")[0]


def _response(asked: bytes, figures: Figures) -> bytes:
    found = asked.startswith((b"GET /metrics ", b"GET /metrics?"))
    status, body = ("200 OK", figures.text()) if found else ("404 Not Found", "GET /metrics\n")
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {len(body.encode())}\r\n"
    return f"{head}connection: close\r\n\r\n{body}".encode()
