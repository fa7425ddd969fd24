"""A real browser for the tests of pages: Chromium of this machine, which reaches loopback and files only.

`make chromium` installs it where it can: the one without windows, which opens a page for a third of the work. Without
any, a test that opens a browser is skipped, and says why.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

AXE = Path(__file__).parents[2] / ".venv" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = (1280, 900), (360, 740)
PATIENCE_MS = 30_000
"""How long a test waits for what it expects, on a busy machine too."""

_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-proxy-server", "--renderer-process-limit=1",
    "--host-resolver-rules=MAP trader.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)  # fmt: skip

_DRAWN = """canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer).filter((pixel, at, all) => pixel !== all[at - 1])).size;
}"""

_AXE_RUN = """part => axe.run(part ?? document, { resultTypes: ["violations"], selectors: false })
  .then(result => result.violations)"""
"""Without what passed, and where: to tell that takes a third of the work."""


@dataclass
class OpenPage:
    """A page that a browser shows, with all that it complained of and asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def run(self, script: str) -> Any:
        """Return what a script evaluates to in the page."""
        return self.page.evaluate(script)

    def colors_of(self, selector: str) -> list[int]:
        """Count the colours on each canvas: one that is blank has a single one."""
        return [canvas.evaluate(_DRAWN) for canvas in self.page.query_selector_all(f"{selector} canvas")]

    def is_wider_than_the_screen(self) -> bool:
        """Return whether the page scrolls sideways."""
        return bool(self.run("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def violations(self, part: str | None = None) -> list[str]:
        """Return what axe-core finds, of any impact, each with the first element concerned.

        Args:
            part: a selector of what is looked at, which saves most of the work; None looks at the whole page.
        """
        if not self.run("'axe' in window"):
            self.run(AXE.read_text("utf-8"))
        found = self.page.evaluate(_AXE_RUN, part)
        return [f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}" for one in found]

    def picture(self, path: Path, *, full: bool = True) -> None:
        """Write a screenshot."""
        self.page.screenshot(path=path, full_page=full)


class Browser:
    """A browser that runs; each page is opened in a context of its own, or in one that is kept and emptied."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._kept: dict[datetime | None, Any] = {}

    def context(self, size: tuple[int, int] = DESKTOP, *, dark: bool = False, **options: Any) -> Any:
        """Return a new context of playwright: a browser that has seen nothing yet, and shows no motion. Close it.

        What moves while a page waits is drawn 60 times a second, which takes a quarter of the work of these tests.
        """
        return self._driver.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            **{"locale": "en-US", "timezone_id": "UTC", "reduced_motion": "reduce", **options},
        )

    @contextmanager
    def open(
        self,
        url: str,
        size: tuple[int, int] = DESKTOP,
        *,
        dark: bool = False,
        now: datetime | None = None,
        fresh: bool = False,
        **options: Any,
    ) -> Iterator[OpenPage]:
        """Open a page, and wait until it is loaded and has been drawn.

        Args:
            url: its address.
            size: of the window.
            dark: whether the reader's system is dark.
            now: what the page takes for the present, where that stands still; its timers go on.
            fresh: True opens it in a context of its own, as a test needs that changes it, by a clock for instance. Else
                a page of a server is opened in one that others have used, without what they stored: the process that
                shows its pages is there, which saves a third of the work.
            options: more of playwright's `new_context`, like `timezone_id` or `has_touch`; these take a fresh one, too.
        """
        kept = not (fresh or options) and url.startswith("http")
        context = self._kept_context(now, url) if kept else self._context_at(now, size, dark=dark, **options)
        opened = OpenPage(context.new_page())
        if kept:
            opened.page.set_viewport_size({"width": size[0], "height": size[1]})
            opened.page.emulate_media(color_scheme="dark" if dark else "light")
        opened.page.on("console", lambda line: opened.complaints.append(f"{line.type}: {line.text}"))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        try:
            opened.page.goto(url)
            opened.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            yield opened
        finally:
            if kept:
                opened.page.close()
            else:
                context.close()

    def _context_at(self, now: datetime | None, size: tuple[int, int], *, dark: bool = False, **options: Any) -> Any:
        context = self.context(size, dark=dark, **options)
        if now is not None:
            context.clock.set_fixed_time(now)
        return context

    def _kept_context(self, now: datetime | None, url: str) -> Any:
        """Return a context without cookies and storage; a page that stays open in it keeps the process."""
        if now not in self._kept:
            self._kept[now] = self._context_at(now, DESKTOP).new_page()
        page, icon = self._kept[now], f"http://{urlsplit(url).netloc}/icon.svg"
        if page.url != icon:
            page.goto(icon)
        page.evaluate("localStorage.clear()")
        page.context.clear_cookies()
        return page.context


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser. Where there is none, skip the test."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("there is no Chromium: `make chromium` installs it as root on Debian; else install it yourself")
    api.expect.set_options(timeout=PATIENCE_MS)
    with api.sync_playwright() as playwright:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        driver = playwright.chromium.launch(executable_path=path, args=[*_ARGUMENTS], env=environment)
        try:
            yield Browser(driver)
        finally:
            driver.close()
