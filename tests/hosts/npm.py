"""Runs what `make .venv/hosts.stamp` installs by npm: real hosts and judges of servers."""

import os
import re
import subprocess
import sys
from pathlib import Path

INSTALLED = Path(__file__).parents[2] / ".venv" / "hosts" / "node_modules"
LIMIT_S = 60


def run(package: str, script: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script of a package with the Node of the virtual environment; colours are taken out of what it says."""
    path = INSTALLED / package / script
    assert path.is_file(), "not installed: `make .venv/hosts.stamp` does it, `make test` too"
    node = Path(sys.executable).with_name("node")
    variables = {**os.environ, "PATH": f"{node.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [node, path, *arguments], capture_output=True, text=True, timeout=LIMIT_S, cwd=cwd, check=False, env=variables
    )
    done.stdout, done.stderr = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in (done.stdout, done.stderr))
    return done
