"""`make docs`, last step: read the built pages as a browser would, and name each fault.

Zensical's strict build checks links between pages. This also checks pictures and links inside of HTML, that each page
stands in the navigation once, and that opening a page asks no other server for anything.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

SITE = Path(__file__).parents[2] / "build" / "site"

LOADED = {
    "img": "src",
    "script": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
LOADED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "manifest"}
FETCHERS = {"mermaid", "glightbox", "pyodide", "arithmatex", "md-source"}
"""Classes for which the theme's script fetches a library or figures from elsewhere."""


class PageReader(HTMLParser):
    """What one page names: anchors, links, what is loaded with it, and its navigation."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.navigation: list[str] = []
        self.fetchers: set[str] = set()
        self._in_navigation = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        classes = set(values.get("class", "").split())
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.fetchers |= classes & FETCHERS
        self._in_navigation += tag == "nav" and (self._in_navigation > 0 or "md-nav--primary" in classes)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
            if self._in_navigation and "md-nav__link" in classes:
                self.navigation.append(values["href"])
        if tag in LOADED and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])
        if tag == "link" and LOADED_LINKS & set(values.get("rel", "").split()):
            self.loaded.append(values["href"])
        self.loaded += re.findall(r"url\(['\"]?([^'\")]+)", values.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self._in_navigation -= tag == "nav" and self._in_navigation > 0


def faults(site: Path) -> list[str]:
    """Return what is wrong with a built site, each with the page that it is on."""
    pages = {page: PageReader(page.read_text("utf-8")) for page in sorted(site.rglob("*.html"))}
    named = [
        f"{page.relative_to(site).as_posix()}: {fault}"
        for page, reader in pages.items()
        for fault in _faults(page, reader, pages, site)
    ]
    return named + list(_styles(site)) + list(_navigation(site, pages))


def _faults(page: Path, reader: PageReader, pages: dict[Path, PageReader], site: Path) -> Iterator[str]:
    for address in reader.loaded:
        if urlsplit(address).scheme not in ("", "data") or address.startswith("//"):
            yield f"loads {address} from elsewhere"
    yield from (
        f"has class {name}, for which the theme's script fetches from elsewhere" for name in sorted(reader.fetchers)
    )
    for address in reader.links + reader.loaded:
        parts = urlsplit(address)
        if parts.scheme in ("https", "http", "mailto"):
            if not (parts.netloc or parts.scheme == "mailto") or re.search(r"[\s<>\"]", address):
                yield f"{address!r} is no address"
        elif not parts.scheme:
            target = _target(page, address, site)
            if target is None:
                yield f"{address} leads nowhere"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{address} leads to no heading"


def _target(page: Path, address: str, site: Path) -> Path | None:
    """Return the file that an address leads to, or None if there is none."""
    path = unquote(urldefrag(address.partition("?")[0])[0])
    target = site / path[1:] if path.startswith("/") else (page.parent / path if path else page)
    target = target.resolve() / "index.html" if target.is_dir() else target.resolve()
    return target if target.is_file() and target.is_relative_to(site.resolve()) else None


def _styles(site: Path) -> Iterator[str]:
    for style in sorted(site.rglob("*.css")):
        text = re.sub(r"/\*.*?\*/", "", style.read_text("utf-8"), flags=re.DOTALL)
        for address in re.findall(r"(?:url\(|@import\s*)['\"]?((?:https?:)?//[^'\")]+)", text):
            yield f"{style.name}: loads {address} from elsewhere"


def _navigation(site: Path, pages: dict[Path, PageReader]) -> Iterator[str]:
    start = site / "index.html"
    times = Counter(_target(start, address, site) for address in pages[start].navigation if not address.startswith("#"))
    for page in pages:
        if page.name == "index.html" and times[page.resolve()] != 1:
            yield f"{page.relative_to(site).as_posix()}: is {times[page.resolve()]} times in the navigation"


def main() -> None:
    """Print the faults, and fail if there are any."""
    found = faults(SITE)
    sys.stdout.write("".join(f"{fault}\n" for fault in found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
