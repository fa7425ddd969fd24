"""A terminal of a program's own: what a person would see and type, Ctrl-C included."""

import os
import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.rigs.warm import Warm

LIMIT_S = 60
CTRL_C = "\x03"


class Terminal:
    """Use it as a context manager; the program, `claude-trader`, ends with it.

    Args:
        arguments: of the command line.
        environment: all that it sees.
        cwd: where it runs.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        self._arguments, self._environment, self._cwd = arguments, environment, cwd
        self.shown = ""

    def __enter__(self) -> "Terminal":
        self._master, slave = os.openpty()
        streams = (slave, slave, slave)
        self.process = Warm(
            "runner", self._arguments, self._environment, self._cwd, streams, session=True, forks_servers=True
        )
        os.close(slave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def until(self, text: str, times: int = 1) -> str:
        """Wait until a text is shown, so many times; give all that was shown so far."""
        deadline = time.monotonic() + LIMIT_S
        while self.shown.count(text) < times:
            assert self._more(deadline - time.monotonic()), f"{text!r} was never shown, but:\n{self.shown}"
        return self.shown

    def type(self, text: str) -> None:
        """Type what a person would."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Wait for the program's end; give its exit code."""
        deadline = time.monotonic() + LIMIT_S
        while self._more(deadline - time.monotonic()):
            pass
        return self.process.wait(max(deadline - time.monotonic(), 1))

    def _more(self, within_s: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(within_s, 0))
        if not ready:
            return False
        try:
            part = os.read(self._master, 65_536)
        except OSError:  # the program has closed its side
            return False
        self.shown += part.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(part)
