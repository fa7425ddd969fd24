"""The sources of the page: real ES modules, small, and without anything by which a stranger's text could run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.http.pages.files import page_files
from mcp_server.storage.assets import CHART_FOLDER, FOLDER, asset, page_module

NODE = Path(sys.executable).with_name("node")
SOURCES = sorted((FOLDER / "page").glob("*.*"))
SCRIPTS = [file for file in SOURCES if file.suffix == ".js"]
OWN_BYTES, ALL_BYTES, MOST_LINES = 165_000, 250_000, 200

LINK = """
import { SourceTextModule } from "node:vm";
const sources = JSON.parse(await new Response(process.stdin).text());
const made = ([name, code]) => [name, new SourceTextModule(code, { identifier: name })];
const modules = new Map(Object.entries(sources).map(made));
for (const module of modules.values()) if (module.status === "unlinked") await module.link((name) => modules.get(name));
console.log(modules.size);
"""
"""Parses and links modules, which finds an import of what is not exported; nothing of them runs."""

SINKS = (
    r"\b(inner|outer)HTML\b|\binsertAdjacentHTML\b|\bdocument\s*\.\s*write|\beval\b|\bFunction\s*\(|\bsrcdoc\b"
    r"|\bsetAttribute\(\s*[\"'`]style|\bset\w*HTML|\bcreateContextualFragment\b|\bDOMParser\b|javascript:"
    r"|\bset(Timeout|Interval)\(\s*[\"'`]|[{,]\s*style:\s*[\"'`]|\binnerText\s*\+="
)
MARKUP = r"\sstyle\s*=|\son[a-z]+\s*=|<style|<script(?![^>]*\ssrc=)|javascript:|<base|<iframe|http-equiv"


def linked(sources: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Parse and link modules by Node."""
    arguments = [str(NODE), "--experimental-vm-modules", "--no-warnings", "--input-type=module", "--eval", LINK]
    return subprocess.run(arguments, input=json.dumps(sources), capture_output=True, text=True, timeout=60, check=False)


def test_the_sources_are_modules_that_find_what_they_import_and_so_is_what_they_are_joined_to() -> None:
    sources = {f"./{file.name}": file.read_text("utf-8") for file in SCRIPTS}
    done = linked({**sources, "joined": page_module()})
    assert (done.returncode, done.stdout.strip()) == (0, str(len(SCRIPTS) + 1)), done.stderr


@pytest.mark.parametrize(
    "sources",
    [
        {"./a.js": 'import { b } from "./b.js";', "./b.js": "export const c = 1;"},
        {"joined": "const a = 1;\nconst a = 2;"},
        {"joined": "return (;"},
    ],
)
def test_node_notices_what_is_wrong(sources: dict[str, str]) -> None:
    assert "SyntaxError" in linked(sources).stderr


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_a_source_uses_what_it_imports_and_exports_what_another_one_imports(file: Path) -> None:
    code = file.read_text("utf-8")
    imports, rest = (
        re.findall(r"^import \{(.*)\}", code, re.MULTILINE),
        re.sub(r"^import .*", "", code, flags=re.MULTILINE),
    )
    assert [name for name in re.findall(r"\w+", " ".join(imports)) if not re.search(rf"\b{name}\b", rest)] == []
    others = "\n".join(
        line for other in SCRIPTS for line in other.read_text("utf-8").splitlines() if f'from "./{file.name}"' in line
    )
    exports = re.findall(r"^export (?:async )?(?:function|const|let|class) (\w+)", code, re.MULTILINE)
    assert [name for name in exports if not re.search(rf"\b{name}\b", others)] == []


def test_the_page_and_the_chart_library_take_little_of_the_wheel() -> None:
    """As they lie there: with the comments and indentation that readers need; the library is compressed."""
    own = sum(file.stat().st_size for file in SOURCES)
    library = sum(file.stat().st_size for file in (FOLDER / CHART_FOLDER).iterdir())
    assert own <= OWN_BYTES
    assert own + library <= ALL_BYTES


def test_what_the_home_page_loads_is_small_on_the_wire() -> None:
    """Without the chart library, which a view with a chart loads; the answers of tools have the rest of 120 kB."""
    sent = {path: file for path, file in page_files().by_path.items() if not path.startswith("/lightweight-charts")}
    assert sum(len(file.zipped.body) for file in sent.values()) <= 48_000


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_a_source_is_read_at_a_glance(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_no_text_can_become_markup_or_code(file: Path) -> None:
    text = file.read_text("utf-8")
    forbidden = MARKUP if file.suffix == ".html" else SINKS
    assert [found[0] for found in re.finditer(forbidden, text, re.IGNORECASE)] == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_nothing_is_asked_of_anyone_else(file: Path) -> None:
    text = file.read_text("utf-8")
    addresses = set(re.findall(r"(?:\w+:)?//[\w.-]+\.[a-z]{2,}[^\s\"'`)<]*", text))
    attribution = {"https://www.tradingview.com/"} if file.name == "page.html" else set()
    assert addresses - {"http://www.w3.org/2000/svg"} == attribution


def test_the_footer_has_the_attribution_that_the_chart_library_asks_for_and_its_licence() -> None:
    footer = asset("page/page.html").partition("<footer")[2]
    assert 'href="https://www.tradingview.com/"' in footer
    assert "TradingView" in footer
    assert 'href="/lightweight-charts.txt"' in footer
    copyright_of = r"(?:\(c\)|©) (\d{4} TradingView, Inc\.)"
    assert re.findall(copyright_of, footer) == re.findall(copyright_of, asset(f"{CHART_FOLDER}/NOTICE"))
