"""What is forked is as what is started, and one process forks for all workers."""

import os
import subprocess
import sys
from pathlib import Path

from mcp_server.charts.artist import Artist
from mcp_server.charts.draw import draw
from tests.charts.sample import chart, waves
from tests.rigs.forked_server import ForkedServer, drawing_forked

TWO_WORKERS = """
import os, subprocess, sys
from tests.rigs import warm
warm.PRELOADED = ()
WORKER = '''
import os
from tests.rigs.forked_script import ForkedScript
with ForkedScript("import os; print(os.getppid())") as script:
    print(os.environ["FORKING_FOR_TESTS"], script.communicate())
'''
if __name__ == "__main__":
    warm.fork_for_all()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", WORKER], check=True)
    print(os.environ["FORKING_FOR_TESTS"], warm._forkserver._forkserver_pid)
"""


def test_a_picture_of_a_forked_process_is_that_of_this_one() -> None:
    what = chart(waves(30), ["rsi(14)"])
    artist = Artist()
    with drawing_forked():
        assert artist.draw(what) == draw(what)
        assert isinstance(artist._process, ForkedServer)
        artist.close()


def test_one_process_forks_for_all_that_have_its_address(tmp_path: Path) -> None:
    script = tmp_path / "two_workers.py"
    script.write_text(TWO_WORKERS)
    alone = {name: value for name, value in os.environ.items() if name != "FORKING_FOR_TESTS"}
    command = [sys.executable, str(script)]
    done = subprocess.run(
        command, env={**alone, "PYTHONPATH": str(Path.cwd())}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second, itself = (line.split() for line in done.stdout.splitlines() if line)
    assert first == second == itself
