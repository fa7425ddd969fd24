"""What a program gives back to the system when its database rests: freed memory, and the pages of DuckDB's file."""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

UNMAP = 4
"""Advice to Linux (`madvise`): these addresses are not used any more. Their next use maps the file again."""

_READ_ONLY = re.compile(r"^(\w+)-(\w+) r-[x-]p \S+ \S+ \d+ +(\S.*)\n((?:\w+: .*\n)*)", re.MULTILINE)
"""A mapping that cannot be written in `/proc/self/smaps`: first and last address, file, figures."""

_AS_IN_THE_FILE = re.compile(r"^Anonymous: +0 kB$.*^Swap: +0 kB$", re.MULTILINE | re.DOTALL)
"""Figures of one whose pages are all the file's. What was changed when the file was loaded would be lost."""


def give_back_memory() -> None:
    """Return to the system what this program has freed, which only glibc keeps, and what it maps of DuckDB's file.

    These pages stay in the system's cache while there is room. The next use of DuckDB takes 1 ms more, as it maps them.
    """
    if sys.platform != "linux":
        return
    import ctypes

    from mcp_server.domain.duckdb_core import duckdb

    system = ctypes.CDLL(None)
    if hasattr(system, "malloc_trim"):
        system.malloc_trim(0)
    with suppress(OSError):  # there is no such page about itself
        smaps = Path("/proc/self/smaps").read_text("utf-8", errors="replace")
        for start, size in as_in_the_file(str(duckdb.__file__), smaps):
            system.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), UNMAP)


def as_in_the_file(file: str, smaps: str) -> Iterator[tuple[int, int]]:
    """Yield address and size of what a program maps of a file, cannot write, and has not changed for itself."""
    for first, last, path, figures in _READ_ONLY.findall(smaps):
        if path == file and _AS_IN_THE_FILE.search(figures):
            yield int(first, 16), int(last, 16) - int(first, 16)
