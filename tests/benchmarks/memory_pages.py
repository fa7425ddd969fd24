"""The memory of some processes as if they alone ran: of a file that others map too, they are charged the whole.

PSS divides a page by all processes that map it, those of other people too: on a busy machine it is less.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from mmap import PAGESIZE as PAGE
from pathlib import Path

PRESENT, OF_A_FILE = 1 << 63, 1 << 61
"""Bits of an entry of `/proc/PID/pagemap`. A page that a process has changed for itself is not the file's any more."""

_MAPPING = re.compile(r"^(\w+)-(\w+) \S+ (\w+) (\S+) ([1-9]\d*)", re.MULTILINE)
"""A mapping of a file in `/proc/PID/maps`: first and last address, offset in the file, device, inode."""

FilePage = tuple[str, str, int]
"""Device, inode, and the page's number in the file."""


@dataclass(frozen=True)
class MemoryTaken:
    """What each process has of its own, in MB in their order, and the pages of files that they map, each once."""

    own: tuple[float, ...]
    files: float

    @property
    def total(self) -> float:
        """All of it, in MB."""
        return sum(self.own) + self.files

    def __str__(self) -> str:
        own = " + ".join(f"{mb:.0f}" for mb in self.own)
        return f"{self.total:.0f} MB ({own} of their own, {self.files:.0f} of files)"


def memory_taken(pids: Iterable[int]) -> MemoryTaken:
    """Look at processes of this user, on Linux. What one has inherited by a fork is divided as in PSS."""
    own, pages = [], set[FilePage]()
    for pid in pids:
        figures = dict(re.findall(r"(\w+): +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text()))
        own.append((int(figures["Pss_Anon"]) + int(figures["SwapPss"])) * 1024 / 1e6)
        pages.update(_file_pages(pid))
    return MemoryTaken(tuple(own), len(pages) * PAGE / 1e6)


def _file_pages(pid: int) -> Iterator[FilePage]:
    """Yield the pages of files that a process maps, has in memory, and has not changed for itself."""
    mappings = _MAPPING.findall(Path(f"/proc/{pid}/maps").read_text())
    with Path(f"/proc/{pid}/pagemap").open("rb") as pagemap:
        for first, last, offset, device, inode in mappings:
            start, end = int(first, 16) // PAGE, int(last, 16) // PAGE
            pagemap.seek(start * 8)
            entries = struct.iter_unpack("<Q", pagemap.read((end - start) * 8))
            for number, (entry,) in enumerate(entries, int(offset, 16) // PAGE):
                if entry & PRESENT and entry & OF_A_FILE:
                    yield device, inode, number
