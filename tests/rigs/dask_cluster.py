"""A real Dask cluster on loopback: a scheduler and workers, each a process, with one thread to compute.

    with DaskCluster() as cluster:
        worker = cluster.start_worker()      # it is there; `worker.kill()` is as a machine that lost power
        cluster.address                      # for --workers

All end with the block. Should its process be killed, the scheduler ends by itself, and then the workers do.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

NEEDS_DASK = pytest.mark.skipif(find_spec("distributed") is None, reason="the extra cluster is not installed")
CHECKOUT = Path(__file__).parents[2]
IDLE_S, ALONE_S = 120, 10
ONE_DEATH = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
"""A call during which one worker ends is given up, where Dask's default is four."""


class DaskCluster:
    """Use it as a context manager.

    Args:
        folder: where its processes run and Dask keeps its configuration: not in the home of who runs tests.
        environment: variables for all of its processes.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        paths = {"PYTHONPATH": str(CHECKOUT), "DASK_CONFIG": str(folder / "dask")}
        self._folder, self._environment = folder, {**os.environ, **paths, **environment}
        self._processes: list[subprocess.Popen[str]] = []
        self.address = ""

    def __enter__(self) -> Self:
        try:
            said = self._start("Scheduler at:", "scheduler", "--port", "0", "--idle-timeout", f"{IDLE_S} s")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.address = said.rpartition("Scheduler at:")[2].strip()
        self.scheduler = self._processes[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()

    def start_worker(self, *options: str, nanny: bool = False) -> subprocess.Popen[str]:
        """Start a worker, which is there when this returns.

        Args:
            options: of Dask's command.
            nanny: whether it is the child of a process that watches it, as the command has it of itself: else nobody
                starts it anew when it ends.
        """
        alone = ("--nanny" if nanny else "--no-nanny", "--nthreads", "1", "--death-timeout", f"{ALONE_S} s")
        self._start("Registered to:", "worker", self.address, *alone, *options)
        return self._processes[-1]

    def kill_workers(self, *, but: int = 0) -> None:
        """End all workers, but so many, as machines that lost power."""
        alive = [process for process in self._processes[1:] if process.poll() is None]
        for process in alive[but:]:
            process.kill()

    def kill_scheduler(self) -> None:
        """End the scheduler as a machine that lost power."""
        self.scheduler.kill()

    def _start(self, ready: str, *arguments: str) -> str:
        """Start a process; return its line that says that it is ready."""
        own = ("--host", "127.0.0.1", "--no-dashboard")
        kind, *others = arguments
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *others, *own]
        process = subprocess.Popen(
            command,
            env=self._environment,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if ready in line:
                return line
        raise AssertionError(f"Dask's {kind} did not start: {''.join(lines[-10:])}")
