"""Memory is measured as if nobody else mapped the same files."""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.benchmarks.memory_pages import memory_taken

SIZE = 20_000_000
READS = """
import mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
    sum(pages[::4096])
    print(flush=True)
    sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    return path


@contextmanager
def reader(file: Path) -> Iterator[int]:
    """Start a process that has a file in memory, and give its number."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-S", "-c", READS, str(file)], stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


def test_a_file_that_two_of_the_processes_map_counts_once_and_whole_whoever_else_maps_it(file: Path) -> None:
    with reader(file) as one, reader(file) as other:  # this process maps Python's own files too
        both, alone = memory_taken([one, other]), memory_taken([one])
    assert both.files - alone.files < 0.1 * SIZE / 1e6
    assert alone.files > SIZE / 1e6
    assert len(both.own) == 2
    assert both.total == pytest.approx(sum(both.own) + both.files)


def test_what_a_process_changes_for_itself_is_its_own_and_not_the_files(file: Path) -> None:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY) as pages:
        assert sum(pages[::4096]) > 0
        before = memory_taken([os.getpid()])
        for place in range(0, SIZE, 4096):
            pages[place] = 1
        after = memory_taken([os.getpid()])
    assert after.own[0] - before.own[0] > 0.9 * SIZE / 1e6
    assert before.files - after.files > 0.9 * SIZE / 1e6
