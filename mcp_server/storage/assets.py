"""The files that a browser is given with a page: the chart library, and the scripts and styles of our own pages."""

import gzip
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.domain.report.backtest_page import PageAssets

FOLDER = Path(__file__).parents[1] / "assets"
CHART_FOLDER = "lightweight-charts"
CHART_SCRIPT = f"{CHART_FOLDER}/lightweight-charts.standalone.production.js.gz"

_IMPORT = re.compile(r'^import (?:\{([\w\s,]*)\} from )?"\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|let|class)\b)", re.MULTILINE)
_DECLARED = re.compile(r"^(export )?(?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?://.*|/\*\*.*\*/)\n", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def asset(name: str) -> str:
    """Read one file of the assets, unpacked if it lies there compressed."""
    content = (FOLDER / name).read_bytes()
    return (gzip.decompress(content) if name.endswith(".gz") else content).decode()


def backtest_page_assets() -> "PageAssets":
    """Read what `backtest_page` puts into a page."""
    from mcp_server.domain.report.backtest_page import PageAssets

    return PageAssets(asset(CHART_SCRIPT), asset("backtest.js"), asset("backtest.css"))


@cache
def page_module() -> str:
    """Return the sources of the page as one ES module: a browser asks once, and a host of MCP Apps takes one file."""
    return joined({file.name: file.read_text("utf-8") for file in sorted((FOLDER / "page").glob("*.js"))})


@cache
def page_style() -> str:
    """Return the styles of the page as one: `page.css` first, then those of single views by name."""
    files = sorted((FOLDER / "page").glob("*.css"), key=lambda file: (file.name != "page.css", file.name))
    return "".join(file.read_text("utf-8") for file in files)


def joined(sources: Mapping[str, str]) -> str:
    """Join ES modules into one, each after those that it imports, without the words `import` and `export`.

    Lines of comment are left out: they are for readers of the sources.

    Raises:
        ValueError: a name is declared twice, a module or an export does not exist, modules import each other in a
            circle, or an import or export has a form that this does not know.
    """
    exports = _exports(sources)
    parts: dict[str, str] = {}

    def add(module: str, importing: tuple[str, ...]) -> None:
        if module in importing:
            raise ValueError(f"Modules import each other in a circle: {' → '.join((*importing, module))}.")
        if module not in parts:
            for other in _imports(module, sources, exports):
                add(other, (*importing, module))
            parts[module] = _plain(module, sources[module])

    for module in sources:
        add(module, ())
    return "\n".join([*parts.values(), ""])


def _exports(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the names that each module exports."""
    owners: dict[str, str] = {}
    exports: dict[str, set[str]] = {}
    for module, code in sources.items():
        declared = _DECLARED.findall(code)
        for _, name in declared:
            if name in owners:
                raise ValueError(f"{name} is declared in {owners[name]} and in {module}.")
            owners[name] = module
        exports[module] = {name for exported, name in declared if exported}
    return exports


def _imports(module: str, sources: Mapping[str, str], exports: Mapping[str, set[str]]) -> list[str]:
    """Return the modules that a module imports."""
    others = []
    for names, other in _IMPORT.findall(sources[module]):
        if other not in sources:
            raise ValueError(f"{module} imports {other}, which does not exist.")
        if missing := {name.strip() for name in names.split(",")} - {""} - exports[other]:
            raise ValueError(f"{module} imports {', '.join(sorted(missing))} from {other}, which does not export it.")
        others.append(other)
    return others


def _plain(module: str, code: str) -> str:
    """Return the code of a module without what only modules have, and without comments."""
    code = _COMMENT.sub("", _EXPORT.sub("", _IMPORT.sub("", code)))
    if left := _LEFT.search(code):
        raise ValueError(f"{module} has a line that cannot be joined: {left[0]}")
    return code.strip()
