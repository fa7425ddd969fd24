"""Figures are told in Prometheus' text format, to whoever reaches their port, and nothing else is."""

import socket
import urllib.error
import urllib.request

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from mcp_server.errors import Misconfigured
from runner.metrics import Figures, tell


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answered:  # noqa: S310 (loopback)
            return answered.status, answered.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_what_ended_how_late_and_what_runs_is_told(anyio_backend: str) -> None:
    figures, port = Figures(gauges={"running": lambda: 2.0}), free_port()
    for outcome, late_s in (("success", 0.5), ("success", 1.0), ("skipped_gate", None), ("error", -3.0)):
        figures.note(outcome, late_s)
    async with anyio.create_task_group() as group:
        group.start_soon(tell, figures, "127.0.0.1", port)
        await anyio.lowlevel.checkpoint()
        with anyio.fail_after(10):
            while True:
                try:
                    code, text = await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/metrics")
                    break
                except OSError:
                    await anyio.sleep(0.01)
        elsewhere = await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/")
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(b"\x00" * 100)
        again, _ = await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/metrics")
        group.cancel_scope.cancel()
    assert (code, again, elsewhere[0]) == (200, 200, 404)
    assert 'claude_trader_slots_total{outcome="success"} 2\n' in text
    assert "claude_trader_late_seconds_sum 1.500\nclaude_trader_late_seconds_count 3\n" in text
    assert "claude_trader_running 2\n" in text


async def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Misconfigured, match="for metrics"):
        await tell(Figures(), "127.0.0.1", taken.getsockname()[1])
