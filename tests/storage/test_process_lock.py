"""A lock of a file keeps out whoever takes it by the package `filelock`, and ends with its process."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from mcp_server.storage import process_lock
from mcp_server.storage.process_lock import ProcessLock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


@pytest.fixture(params=["flock", "no flock", "no fcntl"])
def lock(path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ProcessLock:
    """One on a system with `flock`, on a file system without it, and on a system that knows of none."""
    if request.param == "no fcntl":
        monkeypatch.setattr(process_lock, "fcntl", None)
    elif request.param == "no flock" and sys.platform != "win32":
        import fcntl

        def lacking(descriptor: int, operation: int) -> None:
            raise OSError(errno.ENOSYS, "no locks here")

        class WithoutFlock:
            LOCK_EX, LOCK_NB, flock = fcntl.LOCK_EX, fcntl.LOCK_NB, staticmethod(lacking)

        monkeypatch.setattr(process_lock, "fcntl", WithoutFlock)
    return ProcessLock(path)


def test_it_keeps_out_whoever_asks_the_package_until_it_is_released(path: Path, lock: ProcessLock) -> None:
    package = FileLock(path, timeout=0)
    assert not lock.held
    assert lock.take()
    assert lock.held
    with pytest.raises(Timeout):
        package.acquire()
    lock.release()
    with package:
        assert not lock.take()
        assert not lock.held
    assert lock.take()
    lock.release()
    lock.release()  # which does nothing


def test_two_of_one_process_wait_for_each_other(path: Path) -> None:
    one, other = ProcessLock(path), ProcessLock(path)
    assert one.take()
    assert not other.take()
    threading.Timer(0.01, one.release).start()
    assert other.take(within_s=10)
    assert not one.take(within_s=0.06)
    other.release()


@pytest.mark.skipif(sys.platform == "win32", reason="it removes no file that is open")
def test_a_file_that_is_taken_away_before_it_is_locked_is_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    flock, calls = fcntl.flock, list[int]()

    def taken_away_first(descriptor: int, operation: int) -> None:
        if not calls:
            path.unlink()
        calls.append(operation)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", taken_away_first)
    lock = ProcessLock(path)
    assert lock.take()
    assert not ProcessLock(path).take()
    lock.release()
    assert len(calls) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="it has no flock")
def test_a_thread_that_takes_it_while_another_one_releases_it_keeps_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    flock, lock = fcntl.flock, ProcessLock(path)

    def taken_once_it_is_free(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        if operation == fcntl.LOCK_UN:
            monkeypatch.setattr(fcntl, "flock", flock)
            thread = threading.Thread(target=lock.take)
            thread.start()
            thread.join()

    assert lock.take()
    monkeypatch.setattr(fcntl, "flock", taken_once_it_is_free)
    lock.release()
    assert not ProcessLock(path).take()
    lock.release()
    assert ProcessLock(path).take()


def test_a_lock_that_nobody_has_any_more_is_free(path: Path) -> None:
    ProcessLock(path).take()
    assert ProcessLock(path).take()


def test_what_cannot_be_opened_is_an_error(tmp_path: Path, path: Path) -> None:
    path.mkdir()
    for wrong in (path, tmp_path / "missing" / "a.lock"):
        with pytest.raises(OSError, match=wrong.name):
            ProcessLock(wrong).take()


@pytest.fixture
def holder(path: Path) -> Iterator[int]:
    """A process that holds the lock, and has forked another, which goes on."""
    taken, tell = os.pipe()
    if not (child := os.fork()):
        own = ProcessLock(path)
        taken_by_child = own.take()
        if grandchild := os.fork():
            os.write(tell, b"%d %d" % (taken_by_child, grandchild))
        threading.Event().wait()
    held, grandchild = map(int, os.read(taken, 100).split())
    assert held
    yield child
    os.kill(grandchild, signal.SIGKILL)
    os.close(taken)
    os.close(tell)


@pytest.mark.skipif(sys.platform == "win32", reason="it does not fork")
def test_it_ends_with_its_process_however_that_ends_also_where_that_has_forked_another(path: Path, holder: int) -> None:
    assert not ProcessLock(path).take()
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    assert ProcessLock(path).take(within_s=10)


@pytest.mark.skipif(sys.platform == "win32", reason="it does not fork")
def test_what_is_released_is_free_at_once_also_where_its_process_has_just_forked_another(path: Path) -> None:
    lock = ProcessLock(path)
    assert lock.take()
    wait, go = os.pipe()
    if not (child := os.fork()):
        os.read(wait, 1)
        os._exit(0 if lock.take() else 1)  # it holds nothing of its parent's, and can take it anew
    lock.release()
    assert lock.take(), "its child holds it"
    lock.release()
    os.write(go, b"1")
    assert os.waitpid(child, 0)[1] == 0
    os.close(wait)
    os.close(go)
