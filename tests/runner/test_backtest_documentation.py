"""The commands of the pages that tell of backtests, as a reader types them; those of a cluster need one."""

import re
import shlex
from pathlib import Path

import pytest

from tests.runner.conftest import trader_in

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "guides" / name for name in ("backtesting.md", "scaling.md")]
DOCUMENTED = dict.fromkeys(
    line
    for page in PAGES
    for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    for line in block.splitlines()
    if line.startswith("claude-trader backtest ") and "://" not in line
)


RUN = {next(line for line in DOCUMENTED if part in line) for part in ("--json", ".html")}
"""What `make test` runs of them; `test_backtest_grid.py` has `--vary`."""


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=[] if line in RUN else [pytest.mark.long]) for line in DOCUMENTED]
)
def test_every_command_of_the_documentation_does_what_it_says(home: Path, line: str) -> None:
    # Few candles, as the invented market is young or the time that is asked for has hardly begun.
    as_of = "2026-01-23T00:00Z" if "--from" in line else "2017-01-23T00:00Z"
    _, *arguments = shlex.split(line)
    done = trader_in(home, program="tests.rigs.quick_backtests")(*arguments, TRADER_AS_OF=as_of)
    assert (done.code, done.err) == (0, "")
    assert "rsi-reversion" in done.out
    if "--json" in arguments:
        assert len(done.json["folds"]) == 5
    elif "--vary" not in arguments:
        assert "\nBy fold" in done.out
    reports = [(home / argument).read_text() for argument in arguments if argument.endswith(".html")]
    assert ["Fold by fold" in report for report in reports] == [True] * len(reports)
    files = [home / argument for argument in arguments if argument.endswith((".csv", ".html", ".png"))]
    assert [file.name for file in files if not file.is_file()] == []
