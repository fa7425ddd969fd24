"""Metrics are served in Prometheus' text format, to whoever reaches their port."""

import socket
import struct
import urllib.request

import anyio.to_thread
import pytest

from mcp_server.errors import Misconfigured
from runner.metrics import Metrics, served


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=5) as answered:  # noqa: S310 (loopback)
        return answered.status, answered.read().decode()


async def test_outcomes_lateness_and_what_runs_are_served() -> None:
    metrics, port = Metrics(), free_port()
    running = [2]
    metrics.gauge("running", "Runs under way.", lambda: len(running))
    for outcome, late_s in (("success", 0.5), ("success", 1.0), ("skipped_gate", None), ("error", -3.0)):
        metrics.count(outcome, late_s)
    async with served(metrics, "127.0.0.1", port):
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(b"\x00" * 100)
        code, text = await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/metrics")
        running.append(3)
        _, later = await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/metrics")
    assert code == 200
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'claude_trader_slots_total{outcome="success"} 2.0',
        'claude_trader_slots_total{outcome="skipped_gate"} 1.0',
        'claude_trader_slots_total{outcome="error"} 1.0',
        "claude_trader_late_seconds_count 3.0",
        "claude_trader_late_seconds_sum 1.5",
        "claude_trader_running 1.0",
    ]
    assert "claude_trader_running 2.0\n" in later
    with pytest.raises(OSError, match="refused"):
        await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/metrics")


async def test_a_client_that_sends_nothing_or_hangs_up_is_left_and_nothing_is_written_past_the_logs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runner.metrics.ANSWER_S", 0.2)
    port = free_port()
    async with served(Metrics(), "127.0.0.1", port):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as gone:
            gone.sendall(b"GET /met")
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as silent:
            assert await anyio.to_thread.run_sync(silent.recv, 1) == b""
    assert capfd.readouterr().err == ""


async def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured) as refused:
            async with served(Metrics(), "127.0.0.1", port):
                pass
    assert str(port) in refused.value.problem
    assert "--metrics-port" in refused.value.remedy
