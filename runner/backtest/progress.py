"""The progress bars of a backtest, on standard error; quiet where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
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
        self._began = 0.0

    def tell(self, step: str, done: int, total: int, unit: str = "") -> None:
        """Show that so much of a step is done; with a `unit`, also how many of these are done in a second."""
        now = self._progress.get_time()
        if step != self._step or self._task is None:
            self._end()
            self._step, self._began = step, now
            self._task = self._progress.add_task(step, total=total, rate="")
        rate = f"{done / (now - self._began):,.1f} {unit} a second" if unit and done and now > self._began else ""
        self._progress.update(self._task, completed=done, total=total, rate=rate)

    def _end(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


@contextmanager
def bars(console: Console, clock: Callable[[], float] = monotonic) -> Iterator[Bars]:
    """Give bars that are removed with the block; a quiet console, or one that is no terminal, shows none."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    texts = (TextColumn("{task.description}"), TextColumn("{task.fields[rate]}"))
    columns = (texts[0], BarColumn(), MofNCompleteColumn(), texts[1], TimeRemainingColumn())
    quiet = console.quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet, get_time=clock) as shown:
        yield Bars(shown)
