import os
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.rigs.forked_script import ForkedScript
from tests.rigs.postgres import Postgres


def processes_in(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if str(folder) in (process.info["cmdline"] or [])]


@pytest.mark.long
def test_a_server_keeps_what_was_committed_through_a_kill_and_is_nobodys() -> None:
    with Postgres() as server:
        folder, url = server.folder, server.new_database()
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (n INTEGER)")
            connection.execute("INSERT INTO kept VALUES (1)")
        copy = server.new_database(like="test_1")
        with psycopg.connect(copy) as connection:
            connection.execute("INSERT INTO kept VALUES (2)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(copy)
        server.start()
        with psycopg.connect(copy) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (2,)
        assert psutil.Process(server.pid).uids().real != 0
    assert not folder.exists()
    assert processes_in(folder) == []


KILLED = """
import os
from tests.rigs.postgres import Postgres
server = Postgres().__enter__()
print(server.pid, server.folder, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_server_ends_with_the_process_that_started_it_and_the_next_one_removes_its_folder() -> None:
    with ForkedScript(KILLED) as script:
        pid, folder = script.stdout.readline().split()
        script.wait(10)
    _, left = psutil.wait_procs([psutil.Process(int(pid))] if psutil.pid_exists(int(pid)) else [], timeout=10)
    assert left == []
    assert os.path.exists(folder)
    with Postgres():
        assert not os.path.exists(folder)
