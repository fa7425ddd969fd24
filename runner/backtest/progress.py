"""The progress bars of a backtest, on standard error; quiet where nobody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Bars:
    """One bar for each step that is under way; a step that ends leaves none."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._step = ""

    def tell(self, step: str, done: int, total: int) -> None:
        """Show that so much of a step is done."""
        if step != self._step or self._task is None:
            self._end()
            self._step, self._task = step, self._progress.add_task(step, total=total)
        self._progress.update(self._task, completed=done, total=total)

    def _end(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """Give bars that are removed with the block; a quiet console, or one that is no terminal, shows none."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=console.quiet or not console.is_terminal) as shown:
        yield Bars(shown)
