"""The catalogue of indicators as tables, for docs/reference/indicators.md."""

from mcp_server.domain.indicators.catalog import find, names
from mcp_server.domain.indicators.indicator import Indicator
from mcp_server.domain.indicators.parse import parse_spec

MARK = "<!-- the catalogue: written by `make answers` -->\n"


def with_catalogue(page: str) -> str:
    """Return the page with the tables as they are now, after the mark."""
    before, mark, _ = page.partition(MARK)
    groups: dict[str, list[str]] = {}
    for entry in map(find, names()):
        groups.setdefault(entry.group, []).append(_row(entry))
    head = "| spec | meaning | columns | warm-up |\n| --- | --- | --- | --- |\n"
    tables = (f"\n### {group}\n\n{head}" + "".join(rows) for group, rows in sorted(groups.items()))
    return before + mark + "".join(tables)


def _row(entry: Indicator) -> str:
    spec = parse_spec(entry.name)
    outputs = " ".join(f"`{name}`" for name in entry.outputs if name)
    mark = " †" if entry.library != "TA-Lib" else ""
    return f"| `{entry.signature}`{mark} | {entry.meaning} | {outputs} | {spec.warm_up} |\n"
