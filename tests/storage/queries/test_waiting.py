"""The process that waits for the next query: fresh for each, and gone when nobody asks, or nobody is left to ask."""

import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import psutil
import pytest

from mcp_server import process_bounds
from mcp_server.child_process import WaitingChild, run_child
from mcp_server.storage.queries import child
from mcp_server.storage.queries.ask import CHILD, Queries
from mcp_server.storage.queries.question import MOST_PROCESSOR_S, Question
from tests.rigs.processes import left
from tests.storage.queries.conftest import NOW
from tests.storage.queries.test_attacks import child_with

ENOUGH_S = 20

PLAIN = (sys.executable, "-I", "-S", "-c")
TELLS_ITS_ID = (*PLAIN, "import os, sys; print(os.getpid(), sys.stdin.read())")
ENDS_UNASKED = (*PLAIN, "import sys; sys.stdin.close()")


@pytest.fixture
async def waiting() -> AsyncIterator[WaitingChild]:
    child = WaitingChild(TELLS_ITS_ID)
    yield child
    await child.close()


def waits(child: WaitingChild) -> int:
    """Return the id of the process that waits."""
    assert child._waiting is not None
    return child._waiting.pid


async def asked(child: WaitingChild, question: str = "") -> tuple[int, str]:
    ending = await child.run(question.encode(), ENOUGH_S)
    pid, said = ending.out.decode().split(" ", 1)
    return int(pid), said.strip()


async def test_each_question_has_a_process_of_its_own_which_waited_for_it(waiting: WaitingChild) -> None:
    ids = [(await asked(waiting, "first"))[0]]
    for number in range(2):
        ready = waits(waiting)
        assert await asked(waiting, f"number {number}") == (ready, f"number {number}")
        ids.append(ready)
    assert len(set(ids)) == 3


async def test_nothing_waits_before_the_first_question_and_one_after_two_at_once(waiting: WaitingChild) -> None:
    assert waiting._waiting is None
    before = set(psutil.Process().children())
    async with anyio.create_task_group() as asking:
        asking.start_soon(asked, waiting)
        asking.start_soon(asked, waiting)
    started = set(psutil.Process().children()) - before
    assert [process.pid for process in started] == [waits(waiting)]


async def test_a_question_to_a_process_that_has_ended_is_asked_again(waiting: WaitingChild) -> None:
    await asked(waiting)
    os.kill(ended := waits(waiting), 9)
    pid, said = await asked(waiting, "still answered")
    assert (pid != ended, said) == (True, "still answered")


async def test_an_answer_is_not_lost_where_no_other_process_can_start(
    waiting: WaitingChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError("no process is left")

    await asked(waiting)
    ready = waits(waiting)
    with monkeypatch.context() as full:
        full.setattr("anyio.open_process", refuse)
        assert await asked(waiting, "answered") == (ready, "answered")
        assert waiting._waiting is None
    assert (await asked(waiting, "again"))[1] == "again"


async def test_what_answers_nothing_twice_is_told_as_it_is() -> None:
    child = WaitingChild(ENDS_UNASKED)
    ending = [await child.run(b"?", ENOUGH_S) for _ in range(2)][1]
    await child.close()
    assert (ending.code, ending.out) == (0, b"")


async def test_who_closes_ends_what_waits_and_may_close_again(waiting: WaitingChild) -> None:
    await waiting.close()
    await asked(waiting)
    process = psutil.Process(waits(waiting))
    await waiting.close()
    await waiting.close()
    assert left([process], within_s=0) == []


async def test_a_caller_who_gives_up_leaves_no_process(waiting: WaitingChild) -> None:
    before = set(psutil.Process().children())
    endless = WaitingChild((*PLAIN, "import time; print(flush=True); time.sleep(60)"))
    with anyio.move_on_after(0.2):
        await endless.run(b"", ENOUGH_S)
    assert set(psutil.Process().children()) == before


async def test_a_process_that_nobody_asks_ends(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = await run_child(CHILD, b"", ENOUGH_S)
    assert (ending.code, ending.out, ending.err) == (0, b"", b""), "standard input is closed: who started it has ended"
    monkeypatch.setattr("mcp_server.storage.queries.ask.CHILD", child_with("MOST_WAIT_S = 0.01"))
    queries = Queries()
    await queries._child._start_next()
    assert queries._child._waiting is not None
    with anyio.fail_after(ENOUGH_S):
        assert await queries._child._waiting.wait() == 0
    monkeypatch.setattr(queries._child, "_command", CHILD)
    assert (await queries.ask(Question(recorded, "SELECT 1 AS one", NOW, 10, 200, 5.0)))["rows"] == [[1]]
    await queries.close()


LEAVES_ONE = (
    "import anyio, os, sys; from mcp_server.child_process import WaitingChild\n"
    "async def main():\n"
    "    child = WaitingChild((sys.executable, '-I', '-S', '-c', 'import sys; sys.stdin.read()'))\n"
    "    await child.run(b'', 20); print(child._waiting.pid, flush=True); await anyio.sleep(60)\n"
    "anyio.run(main)"
)


def test_a_server_that_is_killed_leaves_no_process_behind() -> None:
    with subprocess.Popen([sys.executable, "-c", LEAVES_ONE], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        process = psutil.Process(int(server.stdout.readline()))
        server.kill()
    assert left([process], within_s=ENOUGH_S) == []


PREPARED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import psutil
from mcp_server.domain.duckdb_core import duckdb
from mcp_server.storage.queries import child
from mcp_server.storage.queries.question import Question
connects, connect = [], duckdb.connect
duckdb.connect = lambda *given, **named: connects.append(given) or connect(*given, **named)
opened = []
sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)
home = Path(sys.argv[1])
ready = child.started()
assert not [name for name in opened if str(home) in name]
before = set(sys.modules)
question = Question(home, "SELECT id, as_of FROM executions ORDER BY id LIMIT 2", datetime.now(UTC), 10, 200, 5.0)
assert len(child.reply(question.as_json(), ready=ready)["rows"]) == 2
assert sys.platform != "linux" or psutil.Process().memory_info().vms < child.MOST_MEMORY_BYTES - 400_000_000
print(len(connects), *sorted(set(sys.modules) - before), *({"numpy", "pydantic"} & set(sys.modules)))
"""


async def test_a_process_that_waits_has_all_at_hand_that_an_answer_needs(recorded: Path) -> None:
    """One DuckDB, no import left, nothing that is slow to import, and the memory that DuckDB lets a query have."""
    ending = await run_child((sys.executable, "-c", PREPARED, str(recorded)), b"", ENOUGH_S)
    assert (ending.out.split(), ending.err) == ([b"1"], b"")


def test_processor_time_counts_from_the_question_on(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limit: limits.update({kind: limit}))
    monkeypatch.setattr("time.process_time", lambda: 100.2)
    process_bounds.bound(memory_bytes=5, processor_s=12)
    assert limits == {resource.RLIMIT_AS: (5, 5), resource.RLIMIT_CPU: (113, 114)}


def test_a_process_is_bound_before_it_looks_at_its_question(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(BaseException):
        """Ends it there."""

    bounds = list[dict[str, int]]()

    def bound(**given: int) -> None:
        bounds.append(given)
        raise Ended

    monkeypatch.setattr("sys.stdin", io.StringIO("a question"))
    for name, standing in (("bound", bound), ("started", lambda: None), ("stack_size", lambda _: None)):
        monkeypatch.setattr(child, name, standing)
    with pytest.raises(Ended):
        child.main()
    assert bounds == [{"memory_bytes": 600_000_000, "processor_s": MOST_PROCESSOR_S}]
    assert MOST_PROCESSOR_S < 60


async def test_a_process_ends_with_its_answer(recorded: Path) -> None:
    """Its caller waits for its end: that is not the time to tidy up."""
    code = "import atexit; from mcp_server.storage.queries import child; atexit.register(print, 'tidied'); child.main()"
    question = Question(recorded, "SELECT 1 AS one", NOW, 10, 200, 5.0)
    ending = await run_child((sys.executable, "-c", code), question.as_json().encode(), ENOUGH_S)
    assert (ending.code, json.loads(ending.out)["rows"]) == (0, [[1]])


async def test_a_system_that_gives_threads_large_stacks_takes_no_memory_from_a_query(recorded: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_STACK)
    if sys.platform != "linux" or -1 < before[1] < 250_000_000:
        pytest.skip("this system gives no such stacks")
    question = Question(recorded, "SELECT 1 AS one", NOW, 10, 200, 5.0)
    resource.setrlimit(resource.RLIMIT_STACK, (250_000_000, before[1]))
    try:
        ending = await run_child(CHILD, question.as_json().encode(), ENOUGH_S)
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, before)
    assert json.loads(ending.out)["rows"] == [[1]]
