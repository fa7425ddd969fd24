"""The folder of one run of the agent CLI: where it works and keeps its configuration, how it is started and ended."""

import contextlib
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mcp_server.errors import NotSupported
from runner.claude import launch
from runner.claude.launch import PID_FILE, STOP_FILE

INHERITED = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
)
"""What the CLI may see of the runner's environment: how to reach the network, and nothing about the user."""

LAUNCHER = Path(__file__).with_name("launch.sh")
"""What the SDK starts in place of the CLI."""

LAUNCH = "CLAUDE_TRADER_LAUNCH"

_SET_BY_THE_SDK = ("CLAUDE_CODE_ENTRYPOINT", "CLAUDE_AGENT_SDK_VERSION", "CLAUDE_CODE_SDK_READS_SESSION_STATE", "PWD")


@dataclass(frozen=True, slots=True)
class CliFolder:
    """A folder that is removed when the run is over, however it ends."""

    path: Path

    @property
    def cwd(self) -> Path:
        """The empty folder in which the CLI works."""
        return self.path / "cwd"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make the CLI write inside this folder only."""
        config, scratch = str(self.path / "config"), str(self.path / "tmp")
        return {
            "HOME": str(self.path),
            "TMPDIR": scratch,
            "CLAUDE_CODE_TMPDIR": scratch,
            "CLAUDE_CONFIG_DIR": config,
        }

    def launch(self, cli: Path, names: Iterable[str]) -> dict[str, str]:
        """Return the variable for `LAUNCHER`, so that the CLI sees only `names` and `INHERITED` of the environment."""
        kept = ",".join({*INHERITED, *_SET_BY_THE_SDK, *names})
        command = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), str(self.path), kept, str(cli)]
        return {LAUNCH: shlex.join(command)}

    @property
    def cli_started(self) -> bool:
        """Whether there was a CLI: without one nothing was spent."""
        return (self.path / PID_FILE).exists()

    def end_cli(self) -> None:
        """Kill the CLI if it runs, and keep it from starting if it does not yet; it has nothing to save."""
        with contextlib.suppress(OSError):
            (self.path / STOP_FILE).touch()
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.path / PID_FILE).read_text("ascii"))
            if _is_running_child(pid):
                os.kill(pid, signal.SIGKILL)

    def session_lines(self) -> Iterator[str]:
        """Yield the lines of JSON that the CLI keeps of the session and its sub-agents."""
        for file in sorted(self.path.glob("config/projects/**/*.jsonl")):
            with contextlib.suppress(OSError):
                yield from file.read_text("utf-8", errors="replace").splitlines()


@contextlib.contextmanager
def cli_folder() -> Iterator[CliFolder]:
    """Make the folder of one run; at the end neither a CLI nor the folder is left."""
    if sys.platform == "win32":
        raise NotSupported("The claude engine needs Linux or macOS.", "On Windows use WSL, or run with --engine rules.")
    with tempfile.TemporaryDirectory(prefix="claude-trader-", ignore_cleanup_errors=True) as name:
        folder = CliFolder(Path(name))
        for part in ("cwd", "config", "tmp"):
            (folder.path / part).mkdir()
        try:
            yield folder
        finally:
            folder.end_cli()


def _is_running_child(pid: int) -> bool:
    """Ask without reaping it, so that a process id that now belongs to another program is left alone."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False
