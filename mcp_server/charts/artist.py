"""Has pictures drawn in a process of its own: a server that has drawn one gives the memory back.

What drawing imports takes 40 MB, more than any other part of the server. The process stays for a minute after its
last picture, since to start it takes half a second.
"""

from __future__ import annotations

import os
import pickle
import threading
from contextlib import suppress
from subprocess import PIPE, Popen
from typing import IO, TYPE_CHECKING, cast

from mcp_server.child_process import command_of
from mcp_server.errors import Retryable

if TYPE_CHECKING:
    from mcp_server.charts.backtest_chart import BacktestChart
    from mcp_server.charts.chart import Chart

CHILD = command_of("mcp_server.charts.child")

_NEEDED = ("SYSTEMROOT", "PATH", "LD_LIBRARY_PATH", "TMPDIR", "TEMP", "TMP")
"""The only variables of ours that the process gets; none is secret."""

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Else numpy starts one for each core, for nothing; those of 64 cores take more addresses than the process may have."""


class Artist:
    """Draws one picture at a time, for any number of threads. Nothing is started until a picture is wanted."""

    def __init__(self) -> None:
        self._process: Popen[bytes] | None = None
        self._drawing = threading.Lock()
        self._closing = False

    def prepare(self) -> None:
        """Start the process, unless it is there: it gets ready while the chart's data are fetched."""
        if self._drawing.acquire(blocking=False):
            try:
                self._started()
            finally:
                self._drawing.release()

    def draw(self, chart: Chart | BacktestChart) -> bytes:
        """Return the PNG of a chart or of a backtest; wait for pictures that others have asked for before.

        Raises:
            Retryable: the process ended before the picture was drawn.
            Misconfigured: there is no folder for temporary files.
            RuntimeError: there is a fault in our drawing.
        """
        question = pickle.dumps(chart)
        with self._drawing:
            answer = self._answer(question)
            if answer is None and not self._closing:  # it was at its end: the next one begins
                answer = self._answer(question)
        if answer is None:
            raise Retryable("The picture was not drawn: the process that draws ended.", "Try again.")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the process; a picture that is being drawn is lost."""
        process, self._closing = self._process, True
        if process is not None:
            process.kill()
        with self._drawing:
            self._end()
            self._closing = False

    def _answer(self, question: bytes) -> bytes | Exception | None:
        """Return a picture, or the error in its place; None where the process ends instead."""
        process = self._started()
        try:
            cast("IO[bytes]", process.stdin).write(question)
            cast("IO[bytes]", process.stdin).flush()
            answer: bytes | Exception = pickle.load(cast("IO[bytes]", process.stdout))  # noqa: S301 (our own process)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._end()
            return None
        return answer

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):  # it had not read all of a chart
                    cast("IO[bytes]", stream).close()
            process.wait()

    def _started(self) -> Popen[bytes]:
        """Return the process, started anew where it has ended."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            environment = {name: os.environ[name] for name in _NEEDED if name in os.environ} | _ONE_THREAD
            self._process = Popen(CHILD, stdin=PIPE, stdout=PIPE, env=environment)  # noqa: S603 (fixed words)
            # Where it ends by itself, its place in the system's table of processes is free again.
            threading.Thread(target=self._process.wait, daemon=True).start()
        return self._process
