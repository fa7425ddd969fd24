"""The documentation, built and opened: a broken link stops the build, and a browser asks nobody else for anything.

In `make test`, tests/structure/test_site.py follows each link of what is written, looks for each page in the
navigation, and shows that each fault of a built page would be named.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.staticfiles import StaticFiles

from tests.rigs.browser import DESKTOP, Browser
from tests.rigs.loopback import served
from tests.structure.site_check import faults
from tests.structure.site_pages import ROOT, gather, site_pages

pytest.importorskip("zensical", reason="the group docs is not installed")
pytestmark = pytest.mark.long

PHONE = (390, 844)
WIDEST = ("reference/settings/", "explanation/architecture/", "reference/indicators/", "")


def _build(project: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project")
    gather(project / "build" / "docs")
    (project / "zensical.toml").write_bytes((ROOT / "zensical.toml").read_bytes())
    return project


@pytest.fixture(scope="module")
def site(project: Path) -> Path:
    done = _build(project)
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "build" / "site"


def test_the_site_has_every_page_and_no_fault(site: Path) -> None:
    assert faults(site) == []
    built = {file.parent.relative_to(site).as_posix() for file in site.rglob("index.html")}
    assert built == {page.removesuffix(".md").removesuffix("index") or "." for page in site_pages()}


def test_a_page_fits_the_screen_and_asks_nobody_else(site: Path, chromium: Browser) -> None:
    with served(StaticFiles(directory=site, html=True)) as url:
        for place in WIDEST:
            with chromium.open(f"{url}/{place}", DESKTOP) as page:
                assert not page.is_wider_than_the_screen(), place
                page.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
                assert not page.is_wider_than_the_screen(), place
                assert [address for address in page.requests if not address.startswith((url, "data:", "blob:"))] == []
                assert page.complaints == []


def test_the_search_knows_the_words_of_every_page(site: Path) -> None:
    index = json.loads((site / "search.json").read_text("utf-8"))
    pages = {page.removesuffix(".md") + "/" for page in site_pages()} - {"index/"}
    assert {item["location"].partition("#")[0] for item in index["items"]} == {*pages, ""}
    assert any("TRADER_MAX_CLAUDE_RUNS" in item["text"] for item in index["items"])


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("[x](guides/nowhere.md)", id="page"),
        pytest.param("[x](guides/http.md#nowhere)", id="heading"),
    ],
)
def test_a_broken_link_stops_the_build(project: Path, site: Path, link: str) -> None:
    page = project / "build" / "docs" / "index.md"
    before = page.read_text("utf-8")
    page.write_text(f"{before}\n{link}\n", "utf-8")
    try:
        assert _build(project).returncode != 0
    finally:
        page.write_text(before, "utf-8")
