"""Pictures come from a process of their own. Each test starts one, which takes half a second; they share it in turn."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from mcp_server.charts import artist as artists
from mcp_server.charts.artist import Artist
from mcp_server.charts.draw import draw
from mcp_server.errors import Misconfigured, Retryable
from tests.charts.sample import chart, waves
from tests.rigs.forked_server import drawing_forked
from tests.rigs.processes import left


@pytest.fixture(scope="module")
def shared() -> Iterator[Artist]:
    artist = Artist()
    yield artist
    artist.close()


def process_of(artist: Artist) -> subprocess.Popen[bytes]:
    assert artist._process is not None
    return artist._process


def test_the_picture_is_the_same_as_in_this_process_and_the_process_stays_for_the_next(shared: Artist) -> None:
    what = chart(waves(30), ["rsi(14)"])
    first = shared.draw(what)
    process = process_of(shared)
    assert first == draw(what)
    assert shared.draw(what) == first
    assert process_of(shared) is process
    if sys.platform != "win32":
        assert psutil.Process(process.pid).nice() > psutil.Process().nice(), "all else goes before it"


def test_pictures_that_are_asked_for_at_once_come_each_to_its_own(shared: Artist) -> None:
    counts = (20, 40)
    drawn: dict[int, bytes] = {}

    def ask(count: int) -> None:
        drawn[count] = shared.draw(chart(waves(count)))

    threads = [threading.Thread(target=ask, args=(count,)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == {count: draw(chart(waves(count))) for count in counts}


def test_a_process_that_was_killed_costs_no_picture_and_ctrl_c_does_not_reach_it() -> None:
    """It is forked from one that has imported everything, as the one after it is."""
    artist, what = Artist(), chart(waves(20))
    with drawing_forked():
        first = artist.draw(what)
        process = process_of(artist)
        os.kill(process.pid, signal.SIGINT)
        artist.draw(what)
        assert process_of(artist) is process
        process.kill()
        assert artist.draw(what) == first
        assert process_of(artist) is not process
        artist.close()


def test_a_process_that_has_ended_by_itself_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artists, "CHILD", (sys.executable, "-c", ""))
    artist = Artist()
    artist.prepare()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(process_of(artist).pid):  # as a zombie does, too
        assert time.monotonic() < deadline
        time.sleep(0.01)
    artist.close()


def test_the_process_ends_with_the_server_also_while_it_is_busy() -> None:
    """Its standard input, which this test holds open, tells it nothing."""
    starts = (
        "import subprocess; from mcp_server.charts.artist import CHILD; "
        "drawing = subprocess.Popen(CHILD, stdout=subprocess.PIPE); drawing.stdout.read(1); print(drawing.pid)"
    )
    command = [sys.executable, "-c", starts]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        pickle.dump(chart(waves(20)), server.stdin)
        server.stdin.flush()
        drawing = int(server.stdout.readline())
        server.wait()
        running = [process for process in psutil.process_iter() if process.pid == drawing]
        assert left(running, within_s=30) == [], "of itself, without a picture to draw, it would stay for 60 s"


@pytest.mark.skipif(sys.platform == "win32", reason="there it ends once it has imported all, and reads")
def test_a_process_whose_server_was_killed_while_it_started_imports_nothing_more() -> None:
    command = [sys.executable, "-X", "importtime", *artists.CHILD[1:]]
    done = subprocess.run(command, input=b"", capture_output=True, check=True)
    assert b"mcp_server.process_bounds" in done.stderr
    assert b"matplotlib" not in done.stderr


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="there every virtual environment has such a launcher")
def test_a_launcher_between_the_server_and_the_process_costs_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `python.exe` of a virtual environment is on Windows: it starts Python as a process of its own, and waits."""
    monkeypatch.setattr(artists, "CHILD", ("/bin/sh", "-c", '"$@"; exit $?', "sh", *artists.CHILD))
    artist, what = Artist(), chart(waves(20))
    assert artist.draw(what) == draw(what)
    python = psutil.Process(process_of(artist).pid).children()
    assert python
    artist.close()
    assert left(python, within_s=60) == []


def test_the_process_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADER_TOKEN", "a secret of the operator")
    artist = Artist()
    artist.prepare()
    try:
        assert "TRADER_TOKEN" not in psutil.Process(process_of(artist).pid).environ()
    finally:
        artist.close()


def test_an_error_comes_in_the_place_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    error = "from mcp_server.errors import Misconfigured; error = Misconfigured('No folder.', 'Set TMPDIR.')"
    answers = f"import pickle, sys; {error}; sys.stdout.buffer.write(pickle.dumps(error))"
    monkeypatch.setattr(artists, "CHILD", (sys.executable, "-c", answers))
    artist = Artist()
    with pytest.raises(Misconfigured, match="No folder") as raised:
        artist.draw(chart(waves(20)))
    assert raised.value.remedy == "Set TMPDIR."
    artist.close()


def test_a_fault_in_drawing_is_told_as_such_and_the_process_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again would meet it again."""
    unused = "import sys; sys.modules['mcp_server.charts.draw_backtest'] = sys"  # what draws takes a while to import
    faulty = f"{unused}; from mcp_server.charts import child; child.picture = lambda chart: 1 / 0; child.main()"
    monkeypatch.setattr(artists, "CHILD", (sys.executable, "-c", faulty))
    artist = Artist()
    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
        artist.draw(chart(waves(20)))
    assert process_of(artist).poll() is None
    artist.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere numpy computes with other threads, and none is bounded")
def test_the_process_takes_no_thread_for_each_core(shared: Artist) -> None:
    shared.draw(chart(waves(20)))
    assert psutil.Process(process_of(shared).pid).num_threads() <= 3, "one draws, one looks for the server, one waits"


def test_a_process_that_always_ends_is_an_error_and_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artists, "CHILD", (sys.executable, "-c", ""))
    artist = Artist()
    with pytest.raises(Retryable, match="the process that draws ended"):
        artist.draw(chart(waves(20)))
    artist.close()


def test_close_ends_a_picture_that_is_being_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never comes, as of a process that hangs: who waits for it is let go."""
    monkeypatch.setattr(artists, "CHILD", (sys.executable, "-c", "import time; time.sleep(600)"))
    artist = Artist()
    artist.prepare()
    process = process_of(artist)
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            artist.draw(chart(waves(20)))
        except Retryable as error:
            failed.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()
    while not artist._drawing.locked():
        pass
    artist.close()
    waiting.join()
    assert process.returncode == -signal.SIGKILL
    assert failed
    assert artist._process is None
