"""The files of strategies that were in force at a past moment, as far as kept versions and the journal tell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput
from mcp_server.storage.strategies.folders import ListedStrategy, StrategyFolders
from mcp_server.storage.strategies.versions import Kept


@dataclass(frozen=True, slots=True)
class PastFiles:
    """The version that was in force, and the others that had been written by then, the latest first."""

    strategy: Strategy
    earlier: Sequence[Kept]


def past_files(folders: StrategyFolders, name: str, moment: datetime, ran: Kept | None) -> PastFiles | None:
    """Return the files of a strategy that were in force at a moment; None where none from then are known.

    That is the last version written by then. One that came back later, as after a pause, is kept with its first time
    alone: so a run that began after that says more.

    Args:
        folders: the home's strategies.
        name: of one of them; its folder may be gone.
        moment: nothing that was written later counts.
        ran: the version of its last run that had begun by then, and when; None: there was none.

    Raises:
        InvalidStrategy: the version was broken by hand.
    """
    known = folders.written(name)
    written = [one for one in known if one.written_at <= moment]
    there = ran is not None and ran.version in {one.version for one in known}
    seen = [*written, ran] if ran is not None and there else written
    if not seen:
        return None
    chosen = max(seen, key=lambda one: one.written_at)
    earlier = {one.version: one for one in written if one.version != chosen.version}
    return PastFiles(folders.read_version(name, chosen.version), [*earlier.values()])


def strategies_then(
    folders: StrategyFolders, moment: datetime, ran: Mapping[str, Kept], names: Iterable[str]
) -> list[ListedStrategy]:
    """Return the strategies that existed at a moment, each as it was; that a version is not kept is its problem.

    Args:
        folders: the home's strategies.
        moment: nothing that was written later counts.
        ran: the last run of each strategy that had begun by then.
        names: those of the strategies that there are now; one that ran may be gone.
    """
    listed = []
    for name in sorted({*names, *ran}):
        try:
            past = past_files(folders, name, moment, ran.get(name))
        except BadInput:
            past = None
        if past is not None:
            listed.append(ListedStrategy(name, False, past.strategy))
        elif name in ran and not folders.is_example(name):  # one that was run by hand is still none of the home's
            listed.append(ListedStrategy(name, False, None, f"Its version then, {ran[name].version}, is not kept."))
    return listed
