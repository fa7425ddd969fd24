"""Python code that a test has run in a process of its own: forked, as that need not import everything first.

    with ForkedScript(SOURCE, str(home)) as script:
        assert script.stdout.readline() == "ready\n"
        script.communicate("go\n")

What it writes to standard error goes where the test's own goes.
"""

import os
import sys
from pathlib import Path
from types import TracebackType

from tests.rigs.warm import Warm

LIMIT_S = 150.0


class ForkedScript(Warm):
    """Use it as a context manager: it is killed at the end of the block if it still runs.

    Args:
        source: the code; it finds the arguments in `sys.argv`, from 1 on.
        arguments: after it.
    """

    def __init__(self, source: str, *arguments: str) -> None:
        given, writing = os.pipe()
        reading, written = os.pipe()
        try:
            streams = (given, written, sys.__stderr__.fileno() if sys.__stderr__ else 2)
            super().__init__("tests.rigs.forked_script", [source, *arguments], os.environ, Path.cwd(), streams)
        finally:
            os.close(given)
            os.close(written)
        self.stdin = os.fdopen(writing, "w", encoding="utf-8")
        self.stdout = os.fdopen(reading, "r", encoding="utf-8")

    def __enter__(self) -> "ForkedScript":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.wait(10)
        self.stdin.close()
        self.stdout.close()

    def communicate(self, text: str = "") -> str:
        """Send a text, wait for the end; give what it wrote."""
        self.stdin.write(text)
        self.stdin.close()
        said = self.stdout.read()
        self.wait(LIMIT_S)
        return said


if __name__ == "__main__":
    _, source, *arguments = sys.argv
    sys.argv = ["-c", *arguments]
    exec(compile(source, "<script>", "exec"), {"__name__": "__main__"})  # noqa: S102 (a test's own)
