"""Metrics are served in Prometheus' text format, to whoever reaches their port."""

import socket
import struct
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio.to_thread
import pytest

from mcp_server.domain.outcome import Ended, Outcome, Signal, Status
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.errors import Misconfigured
from runner.metrics import Metrics, served

NOW = datetime(2026, 5, 1, tzinfo=UTC)
RULES = {"trading_pair": "A/B", "interval": "1h", "rules": {"buy": "close > 1"}}
DIP, OTHER = parse_strategy("dip", RULES, None), parse_strategy("other", RULES, None)


def ended(status: Status, cost_usd: str | None) -> Ended:
    signal = Signal("BUY", Decimal(60), "so it is", 1.0) if status is Status.SUCCESS else None
    cost = None if cost_usd is None else Decimal(cost_usd)
    outcome = Outcome(status, signal, error=None if signal else "why", cost_usd=cost)
    return Ended(1, "rules", NOW, outcome, NOW, NOW + timedelta(seconds=2))


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
    metrics.count(DIP, ended(Status.SUCCESS, "0.25"), 0.5)
    metrics.count(DIP, ended(Status.SUCCESS, "0.5"), 1.0)
    metrics.count(DIP, ended(Status.SKIPPED_GATE, "0"), None)
    metrics.count(OTHER, ended(Status.ERROR, None), 0.0)
    async with served(metrics, "127.0.0.1", port):
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(b"\x00" * 100)
        code, text = await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/metrics")
        running.append(3)
        _, later = await anyio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/metrics")
    assert code == 200
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'claude_trader_slots_total{outcome="success",strategy="dip"} 2.0',
        'claude_trader_slots_total{outcome="skipped_gate",strategy="dip"} 1.0',
        'claude_trader_slots_total{outcome="error",strategy="other"} 1.0',
        'claude_trader_cost_usd_total{strategy="dip"} 0.75',
        'claude_trader_cost_unknown_total{strategy="other"} 1.0',
        'claude_trader_late_seconds_count{strategy="dip"} 2.0',
        'claude_trader_late_seconds_sum{strategy="dip"} 1.5',
        'claude_trader_late_seconds_count{strategy="other"} 1.0',
        'claude_trader_late_seconds_sum{strategy="other"} 0.0',
        'claude_trader_run_seconds_count{strategy="dip"} 2.0',
        'claude_trader_run_seconds_sum{strategy="dip"} 4.0',
        'claude_trader_run_seconds_count{strategy="other"} 1.0',
        'claude_trader_run_seconds_sum{strategy="other"} 2.0',
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
