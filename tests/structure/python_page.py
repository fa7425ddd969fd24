"""`make surface`: docs/reference/python.md, the Python interface as its docstrings have it."""

import inspect
import re
from pathlib import Path
from typing import Any

from mcp_server.trader import BacktestReport, Frame, ScoreReport, Trader, invented_home

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "python.md"
MARK = "<!-- the interface: written by `make surface` -->\n"
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):\n", re.MULTILINE)
TABLES = {"Args": "argument", "Attributes": "attribute", "Raises": "error"}


def python_page() -> str:
    """Return the page with the interface as it is now, after the mark."""
    before, mark, _ = PAGE.read_text("utf-8").partition(MARK)
    sections = [_section("##", name, of) for name, of in PUBLIC.items() if name != "Trader"]
    methods = [_section("###", f"Trader.{name}", of) for name, of in public_methods(Trader)]
    frames = [_section("###", f"Frame.{name}", of) for name, of in public_methods(Frame)]
    parts = [_section("##", "Trader", Trader), *methods, sections[0], *frames, *sections[1:]]
    return before + mark + "".join(parts)


PUBLIC: dict[str, Any] = {
    "Trader": Trader, "Frame": Frame, "BacktestReport": BacktestReport, "ScoreReport": ScoreReport,
    "invented_home": invented_home,
}  # fmt: skip


def public_methods(of: type) -> list[tuple[str, Any]]:
    """Return the methods that a class has or inherits, in the order in which they are written."""
    return [
        (name, getattr(of, name))
        for base in of.__mro__
        if base.__module__.startswith("mcp_server.trader")
        for name, method in vars(base).items()
        if not name.startswith("_") and callable(getattr(of, name)) and inspect.isfunction(method)
    ]


def _section(level: str, name: str, of: Any) -> str:
    code = f"\n```python\n{signature(name, of)}\n```\n" if _is_called(of) else ""
    return f"\n{level} {name}\n{code}\n{_described(inspect.getdoc(of) or '')}\n"


def _is_called(of: Any) -> bool:
    return of is Trader or not inspect.isclass(of)


def signature(name: str, of: Any) -> str:
    """Return a signature as it is called, without self: in one line where that is short, else in a line each."""
    whole = inspect.signature(of)
    parts, named_only = list[str](), False
    for parameter in whole.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not named_only:
            named_only = True
            parts.append("*")
        default = parameter.default
        shown = getattr(default, "__name__", repr(default)).lstrip("_")
        parts.append(f"{parameter.name}: {parameter.annotation}" + f" = {shown}" * (default is not parameter.empty))
    returned = "" if of is Trader else f" -> {whole.return_annotation}"
    inside = ", ".join(parts)
    if len(name + inside + returned) <= 100:
        return f"{name}({inside}){returned}"
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"


def _described(text: str) -> str:
    first, *sections = SECTION.split(text)
    described = [first.strip()]
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        if name in TABLES:
            rows = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", body, re.MULTILINE)
            described.append(f"| {TABLES[name]} | |\n| --- | --- |\n" + "".join(map(_row, rows)).rstrip())
        else:
            described.append(f"**{name}** {' '.join(body.split())}")
    return "\n\n".join(described)


def _row(row: tuple[str, str]) -> str:
    return f"| `{row[0]}` | {' '.join(row[1].split())} |\n"
