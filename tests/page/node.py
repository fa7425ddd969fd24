"""Modules of the page without a browser: Node runs scripts that import them."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from mcp_server.storage.assets import FOLDER

PAGE = (FOLDER / "page").as_uri()
"""Where a script imports the modules from."""

NODE = Path(sys.executable).with_name("node")
RUN = """
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) await import(`data:text/javascript;base64,${line}`);
"""
"""Runs scripts one after another, each as a module of its own: Node takes 0.1 s to start."""

Node = Callable[[str], Any]


@contextmanager
def running_node() -> Iterator[Node]:
    """Start Node, and run scripts until the block ends; each prints one line, which is read as JSON."""
    command = [str(NODE), "--no-warnings", "--input-type=module", "--eval", RUN]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env={"TZ": "Europe/Berlin"}
    ) as process:
        given, printed = process.stdin, process.stdout
        assert given is not None
        assert printed is not None

        def run(script: str) -> Any:
            numbered = f"/* {next(number)} */ {script}"  # the same one twice is one module, which runs once
            given.write(base64.b64encode(numbered.encode()).decode() + "\n")
            return json.loads(printed.readline())

        number = count()
        yield run
        given.close()
