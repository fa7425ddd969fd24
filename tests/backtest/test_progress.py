"""A long computation says on a terminal how far it is, how quick, and how long it will take."""

from io import StringIO

from rich.console import Console

from runner.backtest.progress import bars


def shown(seconds_each: float, unit: str) -> str:
    """Return what a terminal shows after 30 of 120, of which each took so long."""
    text, now = StringIO(), [100.0]
    console = Console(file=text, force_terminal=True, width=120)
    with bars(console, lambda: now[0]) as progress:
        for done in range(31):
            progress.tell("Computing variants", done, 120, unit)
            now[0] += seconds_each
        now[0] -= seconds_each
        progress.tell("Computing variants", 30, 120, unit)
        console.print("")
    return text.getvalue()


def test_variants_are_shown_with_how_many_are_done_in_a_second_and_the_time_that_is_left() -> None:
    line = shown(0.5, "variants")
    assert "30/120" in line
    assert "2.0 variants a second" in line
    assert "0:00:45" in line


def test_what_is_no_count_has_no_rate() -> None:
    assert "a second" not in shown(0.5, "")


def test_where_nobody_looks_nothing_is_shown() -> None:
    text = StringIO()
    with bars(Console(file=text)) as progress:
        progress.tell("Computing variants", 1, 2, "variants")
    assert text.getvalue() == ""
