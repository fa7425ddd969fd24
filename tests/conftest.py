"""What every test runs under: one async backend, an empty home, and no way out but loopback."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.network_guard import NetworkGuard

SLOWEST = (
    "runner/test_run.py",
    "acceptance/test_market_fuzz.py",
    "runner/test_build.py",
    "acceptance/test_real_candles.py",
    "runner/test_run_claude.py",
    "runner/test_doctor.py",
    "hosts/test_conformance.py",
    "runner/test_demo.py",
    "chains/test_evm_faults.py",
    "acceptance/test_sharing_one_home.py",
    "runner/test_claude.py",
    "chains/test_bitcoin.py",
    "chains/test_large_scan.py",
    "acceptance/test_market_faults.py",
    "acceptance/test_btc_rsi_whale.py",
    "runner/test_claude_processes.py",
    "runner/test_strategies_command.py",
    "domain/test_indicator_catalog.py",
    "acceptance/test_market_as_of.py",
    "acceptance/test_http.py",
    "charts/test_draw.py",
    "charts/test_alone.py",
    "runner/test_original_form.py",
    "acceptance/test_killed_while_writing.py",
)
"""The files that take most seconds, which begin first: so that none is left to one of two workers at the end."""

CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the slowest files first; within a file they stay as they are."""
    turns = {Path(__file__).parent / file: turn for turn, file in enumerate(SLOWEST)}
    items.sort(key=lambda item: turns.get(item.path, len(turns)))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def network_guard(request: pytest.FixtureRequest) -> Iterator[NetworkGuard]:
    """Nobody's real credentials and settings reach a test, and nothing leaves this machine but under `-m live`."""
    for name in [*CREDENTIALS, *(name for name in os.environ if name.startswith("TRADER_"))]:
        os.environ.pop(name, None)
    with NetworkGuard(armed=request.config.getoption("-m") != "live") as guard:
        yield guard


@pytest.fixture(autouse=True)
def _no_way_out(network_guard: NetworkGuard) -> Iterator[None]:
    yield
    if attempts := network_guard.take_attempts():
        pytest.fail(f"this test tried to leave loopback: {attempts}")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of this test's own."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("TRADER_HOME", str(folder))
    return folder
