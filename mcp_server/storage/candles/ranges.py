"""Ranges of open times: which parts of one are not known, and how known ones join."""

from collections.abc import Sequence

Range = tuple[int, int]
"""[start, end) in Unix ms, of open times."""


def holes(wanted: Range, known: Sequence[Range]) -> list[Range]:
    """Return the parts of a range that no known range covers. The known ranges are in order of time."""
    unknown, position = [], wanted[0]
    for start, end in known:
        if start >= wanted[1]:
            break
        if start > position:
            unknown.append((position, start))
        position = max(position, end)
    if position < wanted[1]:
        unknown.append((position, wanted[1]))
    return unknown


def joined(ranges: Sequence[Range], new: Range) -> tuple[Range, ...]:
    """Add a range to others, joined with those that it overlaps or touches; all in order of time."""
    touching = [known for known in ranges if known[0] <= new[1] and new[0] <= known[1]]
    whole = (min([new[0], *(start for start, _ in touching)]), max([new[1], *(end for _, end in touching)]))
    return tuple(sorted([whole, *(known for known in ranges if known not in touching)]))
