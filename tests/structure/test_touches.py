"""The table of how quick each touch is: every line has its benchmark, and one that does not hold fails."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.benchmarks import touches
from tests.benchmarks.touches import TOUCHES, report, table

NUMBERED = {"new candles of binance", "new candles of coinbase", "2,000 strategies", "100 strategies"}
"""Lines whose name a benchmark puts together."""

BENCHMARKS = Path(touches.__file__).parent


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "benchmarks" / "touches.json"
    monkeypatch.setattr(touches, "KEPT", file)
    return file


def test_a_line_is_kept_and_holds_up_to_what_is_wanted(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report("status", [4.0, 3.0, 5.5])
    assert json.loads(kept.read_text())["status"].items() >= {"median": 4.0, "low": 3.0, "high": 5.5}.items()
    assert "`status`, to `import typer, rich`: 4.00 x (3.00 to 5.50), wanted ≤ 4 x" in capsys.readouterr().out
    assert [line for line in table() if "`status`" in line and "| yes |" in line]


def test_a_line_above_what_is_wanted_is_kept_and_fails() -> None:
    report("memory of up", [160.0])
    with pytest.raises(AssertionError, match="wanted ≤ 4 x"):
        report("status", [4.1, 1.0, 9.0])
    lines = [line for line in table() if "not yet" not in line]
    assert [("4.10 x" in line, "**no**" in line) for line in lines[2:]] == [(True, True), (False, False)]


def test_the_page_is_written_only_when_all_is_measured() -> None:
    report("status", [1.0])
    with pytest.raises(SystemExit, match="not measured yet: start, "):
        touches.write()


def test_each_line_has_a_benchmark_and_none_has_two() -> None:
    own = {Path(__file__), Path(touches.__file__)}
    sources = "".join(file.read_text("utf-8") for file in BENCHMARKS.parent.rglob("*.py") if file not in own)
    names = Counter(re.findall(r'\breport\("([^"]+)", ', sources))
    assert names.keys() <= TOUCHES.keys()
    assert set(names.values()) == {1}
    in_a_table = {f'"{name}"' for name in TOUCHES.keys() - names.keys() - NUMBERED}
    assert [name for name in in_a_table if name not in sources] == []
