"""What is forked is as what is started, and one process forks for all workers."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path

import pytest
from pydantic import BaseModel

from mcp_server.adapters.simulated import path
from mcp_server.app import build_server
from mcp_server.charts.artist import Artist
from mcp_server.charts.draw import draw
from mcp_server.domain.timeframes import to_ms
from mcp_server.settings import ServerSettings
from mcp_server.storage import database_file
from mcp_server.storage.database import Database
from runner.backtest import executors
from tests.charts.sample import chart, waves
from tests.rigs import done_once, warm
from tests.rigs.forked_script import ForkedScript
from tests.rigs.forked_server import ForkedServer, drawing_forked, fork_workers

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


def has_what_is_preloaded() -> bool:
    return "tests.rigs.preloaded" in sys.modules


def test_a_worker_of_a_sweep_is_forked_from_what_has_imported_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(executors), "get_context", get_context)  # as it was, once this test has ended
    fork_workers()
    with executors.processes(1) as executor:
        assert executor.submit(has_what_is_preloaded).result()


def test_a_forked_program_has_the_clock_of_its_own_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT+12")
    with ForkedScript("import time; print(time.localtime(0).tm_hour)") as script:
        assert script.communicate() == "12\n"
    assert warm.can_run({**os.environ, "TZ": "Pacific/Kiritimati"})
    assert time.localtime(0).tm_hour != 12, "nor has this process another one"


def test_what_prompts_take_is_looked_up_for_the_first_server_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_server(ServerSettings(home=home))
    for module, name in ((done_once, "func_metadata"), (BaseModel, "model_json_schema"), (metadata, "version")):
        monkeypatch.setattr(module, name, None)  # a call of it fails
    build_server(ServerSettings(home=home))


def test_the_duckdb_of_a_database_that_was_closed_serves_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use(name: str) -> None:
        Database(tmp_path / name).write(lambda connection: connection.execute("SELECT 1"))

    use("one.duckdb")
    monkeypatch.setattr(database_file, "in_memory", None)  # a call of it fails
    use("another.duckdb")


def test_what_the_simulated_market_answers_to_a_question_is_made_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    market, now_ms = path.market_of("BTC/USDT", 7), to_ms(datetime(2026, 5, 20, 12, 17, tzinfo=UTC))
    asked = (market, "1m", now_ms - 3_600_000, now_ms, now_ms)
    first = path.candles(*asked)
    monkeypatch.setattr(path, "_path", None)  # a call of it fails
    again = path.candles(*asked)
    assert (again.close == first.close).all()
    assert len(again) == 60
