"""What differs on macOS and Windows, as far as it can be simulated here."""

import ast
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from runner.cli import up

ROOT = Path(__file__).parents[2]
SOURCES = [file for package in ("mcp_server", "runner") for file in sorted((ROOT / package).rglob("*.py"))]

MISSING = "fcntl grp pty pwd resource termios tty"
AT_THE_TOP = re.compile(rf"^(import|from) ({MISSING.replace(' ', '|')})\b", re.MULTILINE)

AS_ON_WINDOWS = """
import importlib, os, pkgutil, signal, sys

def ours():
    for package in ("mcp_server", "runner"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                yield module.name

names = sorted(ours())
for name in names:  # what others wrote is imported as on this system
    importlib.import_module(name)
for name in [name for name in sys.modules if name.split(".")[0] in ("mcp_server", "runner")]:
    del sys.modules[name]
for name in sys.argv[1].split():
    sys.modules[name] = None
for module, missing in (
    (os, "O_NOFOLLOW O_NONBLOCK chown fork geteuid getpgid getuid killpg setsid setuid sysconf waitid"),
    (signal, "SIGALRM SIGHUP SIGKILL SIGUSR1 pthread_sigmask"),
):
    for name in missing.split():
        delattr(module, name)
sys.platform = "win32"
for name in names:
    importlib.import_module(name)
sys.stdout.write(str(len(names)))
"""


def test_both_packages_carry_their_types() -> None:
    assert all(resources.files(package).joinpath("py.typed").is_file() for package in ("mcp_server", "runner"))


def test_no_module_imports_at_its_top_what_windows_lacks() -> None:
    assert [file for file in SOURCES if AT_THE_TOP.search(file.read_text("utf-8"))] == []


@pytest.mark.long
def test_every_module_is_imported_without_what_windows_lacks() -> None:
    command = [sys.executable, "-c", AS_ON_WINDOWS, MISSING]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 400


OF_TEXT = re.compile(r"read_text|write_text|open\(|text=|universal_newlines")
"""What a source has that reads or writes text: others need not be parsed."""


def _without_encoding(source: str) -> Iterator[int]:
    """Yield the lines of calls that read or write text in whatever encoding the system has."""
    if not OF_TEXT.search(source):
        return
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        keywords = {keyword.arg for keyword in call.keywords}
        if "encoding" in keywords or None in keywords:
            continue
        texts = {arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)}
        named = texts & {"utf-8", "utf-8-sig", "ascii"}
        opens_text = name == "open" and bool(texts & {"r", "w", "a", "x", "rt", "wt", "r+", "w+"})
        pipes = any(
            keyword.arg in ("text", "universal_newlines") and getattr(keyword.value, "value", None) is True
            for keyword in call.keywords
        )
        reads = name in ("read_text", "write_text") and not named
        if reads or opens_text or pipes:
            yield call.lineno


@pytest.mark.parametrize(
    "line", ["p.read_text()", "p.write_text('a')", "open(p, 'w')", "p.open('r')", "subprocess.run(c, text=True)"]
)
def test_a_text_in_the_systems_encoding_is_noticed(line: str) -> None:
    assert [*_without_encoding(line)] == [1]


def test_no_file_is_read_or_written_in_the_systems_encoding() -> None:
    lines = {str(file.relative_to(ROOT)): [*_without_encoding(file.read_text("utf-8"))] for file in SOURCES}
    assert {file: places for file, places in lines.items() if places} == {}


class Serving:
    """A scheduler that is told twice to stop, as by Ctrl-C on Windows."""

    def __init__(self) -> None:
        self.hurried = anyio.Event()

    def hurry(self) -> None:
        self.hurried.set()

    async def serve(self, stop: anyio.Event) -> None:
        await anyio.wait_all_tasks_blocked()
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            await anyio.lowlevel.checkpoint()
        signal.raise_signal(signal.SIGINT)
        await stop.wait()
        assert not self.hurried.is_set()
        signal.raise_signal(signal.SIGINT)
        await self.hurried.wait()


async def test_ctrl_c_ends_runs_in_order_where_the_loop_takes_no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "LOOP_TAKES_SIGNALS", False)
    before = signal.getsignal(signal.SIGINT)
    serving = Serving()
    try:
        with anyio.fail_after(10):
            await up.until_stopped(serving)  # type: ignore[arg-type]
    finally:
        signal.signal(signal.SIGINT, before)
    assert serving.hurried.is_set()
