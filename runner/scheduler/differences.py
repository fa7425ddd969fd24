"""What differs between the runners of one journal. Pure: what each of them has is an argument."""

from collections.abc import Callable, Mapping, Sequence

from mcp_server.storage.journal.runner_note import RunnerNote

PROGRAM = ""
"""Stands for Claude Trader itself among the names of strategies."""

MOST = 3
"""So many strategies are named in one sentence."""


def differences(notes: Sequence[RunnerNote]) -> dict[str, str]:
    """Return in a few words how each strategy differs between runners, by its name, and `PROGRAM` by that.

    A strategy that no runner has scheduled may differ.
    """
    active = {name for note in notes for name, (_, status) in note.strategies.items() if status == "active"}
    differing = {PROGRAM: _compared(notes, lambda note: note.program)}
    for name in sorted(active):
        differing[name] = _compared(notes, lambda note, name=name: _state(note, name))  # type: ignore[misc]
    return {name: how for name, how in differing.items() if how}


def sentences(differing: Mapping[str, str]) -> list[str]:
    """Return what differs in sentences for people, with what to do."""
    found = []
    if (how := differing.get(PROGRAM)) is not None:
        found.append(f"Runners of this journal are not of one version of Claude Trader: {how}. Update all machines.")
    named = [f"{name!r}: {how}" for name, how in differing.items() if name != PROGRAM]
    if named:
        more = f"; and {len(named) - MOST} more strategies" if len(named) > MOST else ""
        found.append(
            f"Runners of this journal do not have the same strategies. {'; '.join(named[:MOST])}{more}. "
            "Give each home the same files, by git for example."
        )
    return found


def _state(note: RunnerNote, name: str) -> str:
    version, status = note.strategies.get(name, ("", "not there"))
    return f"version {version}" if status == "active" else status


def _compared(notes: Sequence[RunnerNote], state: Callable[[RunnerNote], str]) -> str:
    """Return each state, and where it is so; nothing where all are in one."""
    places: dict[str, list[str]] = {}
    for note in notes:
        places.setdefault(state(note), []).append(note.place)
    if len(places) < 2:
        return ""
    return ", ".join(f"{what} on {' and '.join(where)}" for what, where in places.items())
