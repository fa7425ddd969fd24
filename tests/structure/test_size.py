"""The house stays easy to find one's way in: names that occur once, files that are short, and not more of them."""

import re
import statistics
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [file for package in ("mcp_server", "runner") for file in sorted((ROOT / package).rglob("*.py"))]
A_CLASS = re.compile(r"^\s*class (\w+)[(:]", re.MULTILINE)

DATA_TABLES = {"mcp_server/domain/indicators/extras.py", "mcp_server/domain/indicators/meanings.py"}
MOST_LINES, MOST_MEDIAN_LINES = 300, 100


@cache
def lines_of_files() -> dict[str, int]:
    return {file.relative_to(ROOT).as_posix(): len(file.read_text("utf-8").splitlines()) for file in FILES}


def test_a_class_has_its_name_alone() -> None:
    places = defaultdict(list)
    for file in FILES:
        for name in A_CLASS.findall(file.read_text("utf-8")):
            places[name].append(file.relative_to(ROOT).as_posix())
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_no_file_is_long_but_tables_of_data() -> None:
    assert {
        file: lines for file, lines in lines_of_files().items() if lines > MOST_LINES and file not in DATA_TABLES
    } == {}


def test_the_usual_file_is_read_at_a_glance() -> None:
    assert statistics.median(lines for lines in lines_of_files().values() if lines) <= MOST_MEDIAN_LINES
