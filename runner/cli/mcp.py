"""`claude-trader mcp`: the tool server over stdio, for hosts that know a package by its name alone."""

import os
import subprocess
import sys
from typing import Annotated

import typer


def mcp(
    tools: Annotated[
        str | None,
        typer.Option(
            metavar="FAMILY,…",
            help="Offer only the tools of these families: market, indicators, blockchain, news, strategies, journal.",
        ),
    ] = None,
) -> None:
    """Serve the tools to an MCP host, such as Claude Desktop, over standard input and output.

    The host starts this command itself. It does the same as `claude-trader-mcp`.
    """
    from mcp_server.domain.families import parse_families

    command = [sys.executable, "-P", "-m", "mcp_server"]
    if tools is not None:
        command += ["--tools", ",".join(sorted(parse_families(tools)))]
    if sys.platform == "win32":  # there a process cannot become another one
        sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603 (it is this very program)
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)
