"""Typer's module for help and refusals, imported without two parts of rich that take longer than all the rest."""

import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.text import Text

_CODE = re.compile(r"`([^`]+)`")


class HelpText:
    """A text as rich's `Markdown` shows it, which may have paragraphs and `code`, and nothing else of Markdown."""

    def __init__(self, markup: str, style: Any = "none") -> None:
        self.paragraphs = [part.strip() for part in markup.split("\n\n") if part.strip()]
        self.style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment | Text]:
        """Yield each paragraph, and an empty line between two of them."""
        style = console.get_style(self.style, default="none")
        code = style + console.get_style("markdown.code")
        for number, paragraph in enumerate(self.paragraphs):
            if number:
                yield Segment.line()
            text = Text(justify="left")
            for position, part in enumerate(_CODE.split(paragraph)):
                if position % 2:
                    text.append(" ".join(part.split()), code)
                    continue
                for line in re.split(r"(\n)", part):  # rich, too, writes what stands between two lines by itself
                    text.append(line.replace("\n", " "), style)
            yield text


def import_help() -> None:
    """Import `typer.rich_utils`, unless that is done.

    While it is imported, `HelpText` stands for rich's `Markdown`, and nothing for `Traceback`: typer is never asked to
    show an error of Python's here. A test compares what both show. A version of typer that needs more of the two is
    left to import itself, with rich's own.
    """
    if "typer.rich_utils" in sys.modules:
        return
    light: dict[str, dict[str, Any]] = {"rich.markdown": {"Markdown": HelpText}, "rich.traceback": {"Traceback": None}}
    missing = {name: parts for name, parts in light.items() if name not in sys.modules}
    for name, parts in missing.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(parts)
    try:
        import typer.rich_utils  # noqa: F401
    except ImportError:
        pass
    finally:
        for name in missing:
            del sys.modules[name]
