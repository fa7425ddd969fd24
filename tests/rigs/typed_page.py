"""A page of the documentation as its reader types it: each block of commands, and the text that is shown below it.

    for block in blocks(PAGE.read_text()):
        output = "".join(run(command) for command in block.commands)
        assert missing(block.shown, output) == []

A `…` in what is shown stands for anything within a line, and on a line of its own for any lines.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HEADING_OR_FENCE = re.compile(
    r"^## (?P<title>[^\n]+)$|^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_HERE = re.compile(r"<<'(\w+)'$")


@dataclass(frozen=True, slots=True)
class Block:
    """Commands that follow one another, below a heading of the page; `shown` are lines of what they print."""

    title: str
    commands: tuple[str, ...]
    shown: tuple[str, ...]


def blocks(page: str) -> list[Block]:
    """Return the blocks of commands (```sh) of a page. The first ```text below one, before any heading, is of it."""
    found: list[Block] = []
    title, wants_text = "", False
    for part in _HEADING_OR_FENCE.finditer(page):
        if part["title"] is not None:
            title, wants_text = part["title"], False
        elif part["language"] == "sh":
            found.append(Block(title, tuple(_commands(part["text"])), ()))
            wants_text = True
        elif part["language"] == "text" and wants_text:
            found[-1] = Block(title, found[-1].commands, tuple(part["text"].splitlines()))
            wants_text = False
        else:
            assert part["language"] != "text", f"what prints this?\n{part['text']}"
    return found


def _commands(text: str) -> Iterator[str]:
    """Yield the commands of a block; one with a here-document has all of its lines."""
    lines = iter(text.splitlines())
    for line in lines:
        command = [line]
        if here := _HERE.search(line):
            while command[-1] != here[1]:
                command.append(next(lines))
        if line.strip():
            yield "\n".join(command)


def missing(shown: Sequence[str], output: str) -> list[str]:
    """Return the shown lines that the output does not have, in this order."""
    printed = [_one_space(line) for line in output.splitlines()]
    absent, at = [], 0
    for line in filter(None, map(_one_space, shown)):
        like = re.compile(".*".join(re.escape(part.strip()) for part in line.split("…")))
        place = next((i for i in range(at, len(printed)) if like.fullmatch(printed[i])), None)
        if place is None:
            absent.append(line)
        else:
            at = place + (line != "…")
    return absent


def _one_space(line: str) -> str:
    return " ".join(line.split())
