"""Drawing has no state beside its own: not between threads, not with the user's home, not with the user's settings."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcp_server.charts.chart import Chart, Mark, Marks
from mcp_server.charts.draw import draw
from tests.charts.sample import chart, waves

ROOT = Path(__file__).parents[2]

SCRIPT = """
    import os, sys
    before = dict(os.environ)
    from tests.charts.sample import chart, waves
    from mcp_server.charts.draw import draw
    sys.stdout.buffer.write(draw(chart(waves(60), ["ema(20)", "macd"])))
    assert dict(os.environ) == before
    assert "matplotlib.pyplot" not in sys.modules
"""


def _different_charts(step: int) -> list[Chart]:
    charts = []
    for number in range(0, 8, step):
        specs = [["ema(20)", "rsi(14)"], ["bbands(20)", "macd"], ["ichimoku", "cdldoji"], ["sar", "stoch"]][number % 4]
        candles = waves(30 + 24 * number, price=10.0 ** (number - 4))
        marks = Marks("mine", (Mark(5, "BUY"), Mark(9, "SELL", 3))) if number % 3 == 0 else None
        charts.append(chart(candles, specs, marks=marks, theme="light" if number % 2 else "dark"))
    return charts


@pytest.mark.parametrize(("step", "times"), [(5, 1), pytest.param(1, 3, marks=pytest.mark.long)])
def test_charts_drawn_in_parallel_are_those_drawn_alone(step: int, times: int) -> None:
    charts = _different_charts(step)
    alone = [draw(each) for each in charts]
    assert len(set(alone)) == len(alone)
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(draw, charts * times))
    assert together == alone * times


def _drawn_by_a_program(**env: str) -> subprocess.CompletedProcess[bytes]:
    script = textwrap.dedent(SCRIPT)
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(
        command, capture_output=True, check=False, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env}
    )


@pytest.fixture(scope="module")
def expected() -> bytes:
    return draw(chart(waves(60), ["ema(20)", "macd"]))


def test_nothing_is_written_into_the_users_home_and_the_users_settings_of_the_library_change_nothing(
    tmp_path: Path, expected: bytes
) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    (user := tmp_path / "user").mkdir()
    settings = "path.sketch: 1, 100, 2\ntext.usetex: True\nlines.antialiased: False\nsavefig.dpi: 10\nno.such.key: 1\n"
    (user / "matplotlibrc").write_text(settings)
    own = str(user)
    done = _drawn_by_a_program(HOME=own, TMPDIR=str(temporary), MATPLOTLIBRC=own, MPLCONFIGDIR=own)
    assert (done.returncode, done.stderr, done.stdout == expected) == (0, b"", True)
    assert [file.name for file in user.rglob("*")] == ["matplotlibrc"]
    assert list(temporary.rglob("*")) == []


@pytest.mark.long
def test_a_home_that_cannot_be_written_changes_nothing_and_is_not_complained_of(
    tmp_path: Path, expected: bytes
) -> None:
    """In `make test`, the test above shows that neither is asked for anything."""
    (no_folder := tmp_path / "file").write_text("a home below a file can't be made, not even by root")
    done = _drawn_by_a_program(HOME=str(no_folder / "home"), MPLCONFIGDIR=str(no_folder / "settings"))
    assert (done.returncode, done.stderr, done.stdout == expected) == (0, b"", True)


def test_without_any_folder_for_temporary_files_one_is_told_what_to_set() -> None:
    script = textwrap.dedent("""
        import tempfile
        def nowhere(*arguments, **others): raise FileNotFoundError("No usable temporary directory found")
        tempfile.mkdtemp = nowhere
        from mcp_server.errors import Misconfigured
        try:
            import mcp_server.charts.draw
        except Misconfigured as error:
            print(error)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip().endswith("Set TMPDIR to one.")
