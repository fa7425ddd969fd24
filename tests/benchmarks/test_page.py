"""The home page in a cold browser, with 50 strategies and 100,000 signals, beside the same page as a static file."""

import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.programs import OURS, environment, say
from tests.benchmarks.touches import report
from tests.rigs.browser import Browser, browser
from tests.rigs.sample_home import many

STRATEGIES, SIGNALS = 50, 100_000
VISITS = 9
WIRE_BYTES = 120_000
LIMIT_S = 60

WATCH = """
window.watched = new Promise((done) => {
  const look = () => {
    const names = new Set(document.body?.textContent.match(/strategy-\\d\\d/g) ?? []);
    const all = names.size >= NUMBER && !document.querySelector('main .skeleton');
    if (all) requestAnimationFrame(() => done(performance.now()));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});
""".replace("NUMBER", str(STRATEGIES))
"""Tells when all strategies stand there: the beginning of the frame after the one that shows them."""

PAINTED = """
new Promise((done) => new PerformanceObserver((list) => list.getEntries().forEach(({ name, startTime }) => {
  if (name === 'first-contentful-paint') done(startTime);
})).observe({ type: 'paint', buffered: true }))
"""


@dataclass(frozen=True)
class Visit:
    """What one visit took, in seconds from its start, and the bytes of all answers with their headers."""

    first_content: float
    drawn: float
    wire: float


@contextmanager
def program(command: list[str], port: int, **options: Any) -> Iterator[str]:
    """Start a program that serves a port of loopback; give its address once it takes connections."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options) as process:
        try:
            until = time.monotonic() + LIMIT_S
            while time.monotonic() < until and process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.02)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def visit(chromium: Browser, url: str) -> tuple[Visit, str]:
    """Open a page in a context that has nothing yet; return what it took, and the page as it was drawn."""
    context = chromium.context()
    page = context.new_page()
    wire: list[float] = []
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda event: wire.append(event["encodedDataLength"]))
    try:
        page.add_init_script(WATCH)
        page.goto(url, wait_until="commit")
        drawn = page.evaluate("watched")
        return Visit(page.evaluate(PAINTED) / 1000, drawn / 1000, sum(wire)), page.content()
    finally:
        context.close()


def spread(visits: list[Visit], of: Callable[[Visit], float]) -> str:
    values = sorted(map(of, visits))
    return f"{statistics.median(values):.2f} s ({values[0]:.2f} to {values[-1]:.2f})"


def write_statically(folder: Path, chromium: Browser, url: str, html: str) -> None:
    """Write the page as it was drawn: the same elements and style, without a script and without a question."""
    folder.mkdir()
    style = re.search(r'href="/(page-\w+\.css)"', html)
    assert style is not None
    request = chromium.context().request
    folder.joinpath(style[1]).write_text(request.get(f"{url}{style[1]}").text())
    folder.joinpath("index.html").write_text(re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("full")
    many(home, datetime.now(UTC), STRATEGIES, SIGNALS)
    return home


def test_the_home_page_of_many_strategies_is_soon_there(full: Path, tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    ours = [*OURS, "--http", "--port", str(port)]
    static = [sys.executable, "-m", "http.server", str(other), "--bind", "127.0.0.1"]
    env = environment(full) | {"TRADER_EXCHANGE": "simulated"}
    with browser() as chromium, program(ours, port, env=env) as url:
        first, html = visit(chromium, url)
        write_statically(tmp_path / "static", chromium, url, html)
        with program(static, other, cwd=tmp_path / "static") as floor_url:
            visit(chromium, floor_url)
            pairs = [(visit(chromium, url)[0], visit(chromium, floor_url)[0]) for _ in range(VISITS)]
    pages, floors = ([pair[side] for pair in pairs] for side in (0, 1))
    wire = max(one.wire for one in pages)
    say(f"the first visit of a new server: first content {first.first_content:.2f} s, all drawn {first.drawn:.2f} s")
    for name, visits in (("the home page", pages), ("the same as a static file", floors)):
        say(
            f"{name}: first content {spread(visits, lambda one: one.first_content)}, all drawn "
            f"{spread(visits, lambda one: one.drawn)}, {max(one.wire for one in visits) / 1000:.0f} kB over the wire"
        )
    assert wire <= WIRE_BYTES
    report("first content", [one.first_content for one in pages])
    report("whole page", [one.drawn for one in pages])
