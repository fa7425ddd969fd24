"""What a program gives back to the system when its database rests: freed memory, and the pages of DuckDB's file."""

import ctypes
import mmap
import os
import re
import sys
from pathlib import Path

import _duckdb
import pytest

from mcp_server.domain.memory_at_rest import as_in_the_file, give_back_memory
from tests.benchmarks.memory_pages import memory_taken

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone is told")

SIZE = 40 * mmap.PAGESIZE
SMAPS = Path("/proc/self/smaps")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a file"
    path.write_bytes(os.urandom(SIZE))
    return path


def sizes(file: Path) -> list[int]:
    return [size for _, size in as_in_the_file(str(file), SMAPS.read_text())]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library keeps nothing back")
def test_freed_memory_goes_back_to_the_system_where_something_in_use_lies_above_it() -> None:
    """50 MB in parts too small for mappings of their own, too large for holes among others; the last stays in use."""
    parts = [b"x" * (100_000 + number % 100) for number in range(500)]
    last, full = parts.pop(), memory_taken([os.getpid()]).own[0]
    parts.clear()
    give_back_memory()
    assert full - memory_taken([os.getpid()]).own[0] > 40
    assert len(last) > 0


def test_the_pages_of_duckdbs_file_are_let_go_and_duckdb_works_as_before() -> None:
    work = "SELECT sum(x), list(x ORDER BY x DESC) FROM range(5) AS numbers(x)"
    with _duckdb.connect(":memory:") as connection:
        before, used = connection.execute(work).fetchall(), memory_taken([os.getpid()]).files
        give_back_memory()
        assert used - memory_taken([os.getpid()]).files > 15
        assert connection.execute(work).fetchall() == before


def test_of_a_file_only_what_cannot_be_written_and_was_never_changed_is_let_go(file: Path) -> None:
    with file.open("rb") as opened:
        read_only = mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        changed = mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    assert read_only[:] == changed[:]
    assert sizes(file) == [SIZE]
    changed[0] ^= 1
    address = ctypes.addressof(ctypes.c_char.from_buffer(changed))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(SIZE), mmap.PROT_READ) == 0
    assert sizes(file) == [SIZE]
    assert sizes(file.with_name("another")) == []


def test_what_was_changed_and_lies_in_the_swap_is_kept(file: Path) -> None:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ):
        smaps = SMAPS.read_text()
    assert [*as_in_the_file(str(file), smaps)] != []
    swapped = re.sub(r"^Swap: +0 kB", "Swap: 4 kB", smaps, flags=re.MULTILINE)
    assert [*as_in_the_file(str(file), swapped)] == []


def test_the_pages_that_the_loading_of_duckdb_has_changed_are_kept() -> None:
    """They cannot be written any more either, but are not as in the file."""
    mapped = re.findall(rf"^(\w+)-\w+ (\S+) .*{re.escape(_duckdb.__file__)}$", SMAPS.read_text(), re.MULTILINE)
    read_only = {int(start, 16) for start, rights in mapped if "w" not in rights}
    code = {int(start, 16) for start, rights in mapped if "x" in rights}
    let_go = {start for start, _ in as_in_the_file(_duckdb.__file__, SMAPS.read_text())}
    assert code <= let_go < read_only
