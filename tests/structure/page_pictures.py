"""Pictures of the page in the documentation: the sample home in a real browser, at a moment that stands still."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from PIL import Image
from playwright.sync_api import expect

from mcp_server.storage.heartbeat import Beat, Heartbeat
from tests.page.conftest import NOW, site_on
from tests.rigs.app_hosts import app_host
from tests.rigs.browser import PHONE, Browser, browser
from tests.rigs.sample_strategies import BROKEN

FOLDER = Path(__file__).parents[2] / "docs" / "page"
WINDOW = (1200, 800)
LINES = "ema(50);rsi(14)"
PAST = "2026-05-10T08:00:00Z"
RUN = ".runs tbody button >> nth=5"
STILL_MS = 400
"""A chart that has been drawn settles its scales in the frames after it."""

PICTURES: dict[str, dict[str, Any]] = {
    "home-dark.png": {"place": "", "dark": True},
    "home-light.png": {"place": "", "size": (1200, 632)},
    "home-phone.png": {"place": "", "size": PHONE},
    "strategy-light.png": {"place": "strategy/btc-trend", "chart": True, "top": ".tabs"},
    "run-dark.png": {
        "place": "strategy/eth-two-analysts",
        "dark": True,
        "chart": True,
        "press": RUN,
        "top": ".runs tbody",
    },
    "market-dark.png": {
        "place": "market?symbol=ETH/USDT&timeframe=4h&indicators=ema(50);rsi(14)",
        "dark": True,
        "chart": True,
    },
    "costs-light.png": {"place": "costs"},
    "past-dark.png": {"place": f"strategy/btc-trend?as_of={PAST}", "dark": True, "chart": True, "press": "#clock"},
}
"""Of docs/guides/page.md and the README: name → the place on the page, and how it is looked at."""

IN_A_HOST = "in-a-host-dark.png"
CALL = {"symbol": "BTC/USDT", "timeframe": "4h", "strategy_name": "btc-trend", "limit": 90}


def draw_pages(folder: Path) -> None:
    """Draw every picture of the page into a folder."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, site_on(Path(home), {}) as site, browser() as chromium:
        shutil.rmtree(site.sample.root / "strategies" / BROKEN)  # its problem names a folder of this machine
        heartbeat = Heartbeat(site.sample.home.heartbeat)
        heartbeat.write(replace(cast(Beat, heartbeat.read()), problems=()))
        for name, looked_at in PICTURES.items():
            _draw(chromium, site.url, folder / name, **looked_at)
        with app_host(site.server.url) as host, chromium.open(host.url, (800, 560), dark=True) as opened:
            host.lets_call(opened)
            app = host.show(opened, "draw_chart", CALL, context={"theme": "dark"})
            app.get_by_text("Invented prices.").wait_for()
            opened.page.wait_for_timeout(STILL_MS)
            opened.page.locator("iframe").screenshot(path=folder / IN_A_HOST)
            _make_small(folder / IN_A_HOST)


def _draw(
    chromium: Browser,
    url: str,
    path: Path,
    *,
    place: str,
    size: tuple[int, int] = WINDOW,
    dark: bool = False,
    chart: bool = False,
    press: str | None = None,
    top: str | None = None,
) -> None:
    with chromium.open(f"{url}#/{place}", size, dark=dark, now=NOW) as opened:
        opened.page.locator("main h1").wait_for()
        expect(opened.page.locator("main .skeleton")).to_have_count(0)
        if chart:
            opened.page.locator("main canvas").first.wait_for()
        if press:
            opened.page.locator(press).first.click()
        if top:
            opened.page.locator(top).first.evaluate(
                "node => scrollTo(0, node.getBoundingClientRect().top + scrollY - 72)"
            )
        opened.page.wait_for_timeout(STILL_MS)
        opened.picture(path, full=False)
        _make_small(path)
        assert opened.complaints == []


def _make_small(path: Path) -> None:
    """Write a picture with 256 colours, of which a page has fewer but for the edges of its letters."""
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    draw_pages(FOLDER)
