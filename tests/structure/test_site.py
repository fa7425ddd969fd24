"""The documentation as a site: links lead somewhere, each page is in the navigation, and faults are found."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.site_check import faults
from tests.structure.site_pages import EXAMPLES, ROOT, place, site_pages, with_links

SETTINGS = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
WRITTEN = [
    *ROOT.glob("*.md"),
    ROOT / "llms.txt",
    ROOT / "strategies" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def _linked(navigation: list[dict[str, object]]) -> Iterator[object]:
    for entry in navigation:
        for below in entry.values():
            yield from _linked(below) if isinstance(below, list) else [below]


def _headings(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
        if "://" in target:
            assert re.fullmatch(r"https://[\w.-]+(/[\w./%@+~-]*)?", target), target
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not heading or heading in _headings(file), f"{target}#{heading}"


def test_each_page_stands_in_the_navigation_once() -> None:
    assert Counter(_linked(SETTINGS["nav"])) == Counter(site_pages().keys())


def test_nothing_is_fetched_from_elsewhere() -> None:
    """Fonts would be; what else a built page loads, `make docs` and a browser look at."""
    assert SETTINGS["theme"]["font"] is False
    named = [*SETTINGS.get("extra_css", []), *SETTINGS.get("extra_javascript", [])]
    assert [file for file in named if "//" in file] == []


def test_a_link_leads_to_where_the_page_is_on_the_site() -> None:
    text = "[a](../docs/guides/http.md#limits) ![p](../docs/page/home-dark.png) [b](rsi-reversion/config.json) [c](#d)"
    assert with_links(text, "strategies/README.md") == (
        "[a](../guides/http.md#limits) ![p](../page/home-dark.png) [b](examples.md#rsi-reversion) [c](#d)"
    )
    assert with_links("[the format](../../strategies/README.md#rules)", "docs/guides/running.md") == (
        "[the format](../reference/strategy-format.md#rules)"
    )


def test_a_link_to_a_file_that_is_not_on_the_site_becomes_its_name() -> None:
    text = "Each is [a test](../../tests/http/test_hostile.py), see [ccxt](https://docs.ccxt.com)."
    assert with_links(text, "docs/guides/http.md") == (
        "Each is a test (`tests/http/test_hostile.py`), see [ccxt](https://docs.ccxt.com)."
    )
    assert place("fly.toml") == ""


def test_the_page_of_examples_shows_each_with_its_files() -> None:
    page = site_pages()[EXAMPLES]
    for folder in (ROOT / "strategies").glob("*/"):
        assert f"\n## {folder.name}\n" in page
        for file in folder.iterdir():
            assert file.read_text("utf-8").strip() in page


NAVIGATION = '<nav class="md-nav md-nav--primary"><nav><a class="md-nav__link" href="{}">x</a></nav></nav>'
GOOD = {
    "index.html": f'{NAVIGATION.format("./")}{NAVIGATION.format("a/")}<a href="a/#b">x</a><img src="p.png">'
    '<a href="https://example.org/x">x</a><link rel="stylesheet" href="s.css"><a href="mailto:x@example.org">x</a>',
    "a/index.html": '<h2 id="b">B</h2><a href="../">x</a><a href="/a/?q=1#b">x</a><img src="data:image/png;base64,x">',
    "p.png": "",
    "s.css": "/* https://example.org */ a { background: url(data:x) }",
}


def _site(folder: Path, **changed: str) -> Path:
    (folder / "beside.txt").write_text("outside of the site", "utf-8")
    for name, text in {**GOOD, **changed}.items():
        (folder / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "site" / name).write_text(text, "utf-8")
    return folder / "site"


def test_a_site_without_a_fault_has_none(tmp_path: Path) -> None:
    assert faults(_site(tmp_path)) == []


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<a href="b/">x</a>', "b/ leads nowhere"),
        ('<a href="../../beside.txt">x</a>', "../../beside.txt leads nowhere"),
        ('<img src="gone.png">', "gone.png leads nowhere"),
        ('<a href="#c">x</a>', "#c leads to no heading"),
        ('<a href="../#b">x</a>', "../#b leads to no heading"),
        ('<a href="https:/example.org">x</a>', "'https:/example.org' is no address"),
        ('<a href="https://example.org/a b">x</a>', "'https://example.org/a b' is no address"),
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js from elsewhere"),
        ('<img src="//cdn.example/x.png">', "loads //cdn.example/x.png from elsewhere"),
        ('<link rel="preconnect" href="https://fonts.example">', "loads https://fonts.example from elsewhere"),
        ('<p style="background: url(https://cdn.example/x.png)">', "loads https://cdn.example/x.png from elsewhere"),
        ('<pre class="mermaid">', "has class mermaid, for which the theme's script fetches from elsewhere"),
    ],
)
def test_each_fault_of_a_page_is_named(tmp_path: Path, html: str, fault: str) -> None:
    page = "a/index.html"
    assert f"{page}: {fault}" in faults(_site(tmp_path, **{page: GOOD[page] + html}))


@pytest.mark.parametrize("style", ["@import 'https://fonts.example/x.css'", "a { src: url(//fonts.example/x.css) }"])
def test_a_style_that_loads_from_elsewhere_is_named(tmp_path: Path, style: str) -> None:
    (fault,) = faults(_site(tmp_path, **{"s.css": style}))
    assert "fonts.example/x.css from elsewhere" in fault


@pytest.mark.parametrize(("places", "times"), [([], 0), (["a/", "a/"], 2)])
def test_a_page_that_is_not_in_the_navigation_once_is_named(tmp_path: Path, places: list[str], times: int) -> None:
    start = NAVIGATION.format("./") + "".join(NAVIGATION.format(place) for place in places)
    assert faults(_site(tmp_path, **{"index.html": start})) == [f"a/index.html: is {times} times in the navigation"]


def test_each_page_that_the_code_or_a_message_names_is_there() -> None:
    folders = ("mcp_server", "runner", "tests", "hosts", "strategies", ".github", "monitoring")
    files = [*ROOT.glob("*.*"), *(file for name in folders for file in (ROOT / name).rglob("*.*"))]
    texts = [
        file
        for file in files
        if file.is_file() and file.suffix in (".py", ".js", ".md", ".toml", ".yml", ".yaml", ".json")
    ]
    named = {page: file for file in texts for page in re.findall(r"\bdocs/[\w/-]+\.md\b", file.read_text("utf-8"))}
    assert {page: file.name for page, file in named.items() if not (ROOT / page).exists()} == {}
    assert "docs/reference/settings.md" in named
