"""How much one client may ask, and that another is not held up by it."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from mcp_server.http.limits import MOST_CLIENTS, RateLimits
from mcp_server.http.refusal import Refused
from mcp_server.settings import ServerSettings
from tests.http.conftest import READS, TOKENS, guarded


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _call(limits: RateLimits, client: str) -> None:
    with limits.call(client):
        pass


def test_calls_at_a_time_are_bounded_for_each_client_by_itself() -> None:
    limits = RateLimits(2, 1000, Clock())
    with ExitStack() as under_way:
        for _ in range(2):
            under_way.enter_context(limits.call("a"))
        with pytest.raises(Refused, match=r"has 2 calls running.*TRADER_CONCURRENT_CALLS") as refused:
            _call(limits, "a")
        assert refused.value.status == 429
        _call(limits, "b")
    _call(limits, "a")


def test_calls_per_minute_come_back_evenly() -> None:
    clock = Clock()
    limits = RateLimits(10, 60, clock)
    for _ in range(60):
        _call(limits, "a")
    with pytest.raises(Refused, match=r"its 60 calls per minute. Try again in 1 s.*TRADER_CALLS_PER_MINUTE"):
        _call(limits, "a")
    _call(limits, "b")
    clock.now_s += 3
    for _ in range(3):
        _call(limits, "a")
    with pytest.raises(Refused):
        _call(limits, "a")
    clock.now_s += 3600
    for _ in range(60):
        _call(limits, "a")
    with pytest.raises(Refused):
        _call(limits, "a")


def test_a_call_that_fails_is_no_longer_under_way() -> None:
    limits = RateLimits(1, 1000, Clock())
    with pytest.raises(RuntimeError), limits.call("a"):
        raise RuntimeError
    _call(limits, "a")


def test_clients_without_number_take_no_memory_without_number() -> None:
    clock = Clock()
    limits = RateLimits(1, 60, clock)
    for number in range(3 * MOST_CLIENTS):
        _call(limits, f"address {number}")
        clock.now_s += 0.001
    assert len(limits._begun._left) <= MOST_CLIENTS


def test_a_client_that_asks_too_much_is_told_and_another_is_not(home: Path) -> None:
    settings = ServerSettings(home=home, tokens=TOKENS, calls_per_minute=3, exchange="simulated")
    with guarded(settings) as server:
        for _ in range(3):
            assert server.post().status == 200
        refused = server.post()
        assert (refused.status, refused.headers["retry-after"]) == (429, "20")
        assert "Try again in 20 s" in refused.message
        assert server.post(Authorization=f"Bearer {READS}").status == 200
        assert server.post(Authorization="Bearer guess").status == 401


def test_the_runner_is_served_however_much_others_ask(home: Path) -> None:
    settings = ServerSettings(home=home, calls_per_minute=1, exchange="simulated", runner_token=SecretStr("runs"))
    with guarded(settings) as server:
        assert server.post(Authorization=None).status == 200
        assert server.post(Authorization=None).status == 429
        for _ in range(3):
            assert server.post(Authorization="Bearer runs").status == 200
