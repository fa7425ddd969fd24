"""The page in a real browser: the real HTTP server on a sample home, without a token and with tokens, and Chromium.

The present stands still for the server, so that what it shows is always the same.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcp_server.http import attempts
from mcp_server.settings import ServerSettings
from mcp_server.storage.setting_types import TokenEntry
from tests.http.conftest import PUBLIC, TOKENS, Guarded, guarded
from tests.page.node import Node, running_node
from tests.rigs.browser import Browser, browser
from tests.rigs.forked_server import drawing_forked
from tests.rigs.sample_home import SampleHome, sample_home

NOW = datetime(2026, 5, 20, 12, 0, 41, tzinfo=UTC)
UNREACHABLE = {"kraken": "http://127.0.0.1:9"}


@dataclass(frozen=True)
class Site:
    """A server that is up on a sample home; `url` is where the page is."""

    server: Guarded
    sample: SampleHome

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/"

    @property
    def now(self) -> datetime:
        return self.sample.now


@contextmanager
def site_on(home: Path, tokens: Mapping[str, TokenEntry]) -> Iterator[Site]:
    """Serve a sample home until the block ends."""
    sample = sample_home(home, NOW)
    settings = ServerSettings(
        home=home, exchange="simulated", exchange_urls=UNREACHABLE, tokens=dict(tokens), calls_per_minute=1_000_000
    )
    try:
        with drawing_forked(), guarded(settings, clock=lambda: NOW) as server:
            yield Site(server, sample)
    finally:
        sample.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of one's own machine, for all files that one process runs: who adds to its home takes that back.

    It asks for no token.
    """
    with site_on(tmp_path_factory.mktemp("site"), {}) as up:
        yield up


@pytest.fixture(scope="package")
def guarded_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server of an empty home with a token that reads and one that writes, READS and WRITES, and a public name."""
    settings = ServerSettings(
        home=tmp_path_factory.mktemp("home"), exchange="simulated", tokens=TOKENS, public_hosts=(PUBLIC,)
    )
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # tests that sign in do not wait for each other
            for limit in ("EACH_PER_MINUTE", "ALL_PER_MINUTE"):
                patch.setattr(attempts, limit, 10_000)
            up = stack.enter_context(guarded(settings))
        yield up


@pytest.fixture(scope="package")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of an empty home: nothing is written into it."""
    settings = ServerSettings(home=tmp_path_factory.mktemp("empty"), exchange="simulated")
    with guarded(settings, clock=lambda: NOW) as up:
        yield f"http://127.0.0.1:{up.port}/"


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A browser for all files of this folder that one process runs: they come one after another."""
    with browser() as started:
        yield started


@pytest.fixture(scope="package")
def node() -> Iterator[Node]:
    """Node for all files of this folder that one process runs."""
    with running_node() as run:
        yield run
