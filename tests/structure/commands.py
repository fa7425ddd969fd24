"""`make surface`: docs/reference/commands.md, each command with its arguments and options as `--help` has them."""

from pathlib import Path
from typing import Any

import typer.main

from runner.cli.app import app
from runner.cli.commands import CommandLine

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
MARK = "<!-- the commands: written by `make surface` -->\n"


def commands_page() -> str:
    """Return the page with the commands as they are now, after the mark."""
    before, mark, _ = PAGE.read_text("utf-8").partition(MARK)
    commands = _below(typer.main.get_command(app), "claude-trader")
    rows = "".join(f"| [`{name}`](#{name.replace(' ', '-')}) | {_texts(command)[0]} |\n" for name, command in commands)
    overview = f"\n| command | what it does |\n| --- | --- |\n{rows}"
    return before + mark + overview + "".join(_section(name, command) for name, command in commands)


def _below(group: Any, above: str) -> list[tuple[str, Any]]:
    """Return the commands of a group in their order; a group that does something by itself comes before its own."""
    named: list[tuple[str, Any]] = []
    for name, line in group.commands.items():
        command = line.whole() if isinstance(line, CommandLine) else line
        below = _below(command, f"{above} {name}") if hasattr(command, "commands") else []
        alone = not below or command.invoke_without_command
        named += [(f"{above} {name}", command)] * alone + below
    return named


def _texts(command: Any) -> list[str]:
    """Return the paragraphs of a command's help, each in one line."""
    texts = (command.help or "", command.epilog or "")
    return [" ".join(part.split()) for text in texts for part in text.split("\n\n") if part.strip()]


def _section(name: str, command: Any) -> str:
    context = command.make_context(name, ["--help"], resilient_parsing=True)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    records = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    rows = "".join(f"| `{_cell(names)}` | {_cell(meaning)} |\n" for names, meaning in records if "--help" not in names)
    table = f"\n| argument, option | meaning |\n| --- | --- |\n{rows}" if rows else ""
    return "\n".join([f"\n## {name}\n", *(f"{text}\n" for text in _texts(command)), f"```text\n{usage}\n```\n"]) + table


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
