"""What rules said beside a signal and how sub-agents leaned, whatever a model or a person wrote there."""

from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.home import Home
from mcp_server.storage.journal.runs import Journal
from tests.scoring.journal import MadeRun, database_of, enter_runs, write_strategy

pytestmark = pytest.mark.usefixtures("kept_in")

ODD: list[Any] = [
    {"twin": "BUY", "sub_agent_results": ["leans"]},
    {"twin": {"signal": "buy"}, "sub_agent_results": {"a": {"leans": 1}, "b": {"leans": None}, "c": "leans"}},
    {"twin": {"signal": None, "error": "the rules were not evaluated"}},
    {"twin": {"signal": ["BUY"]}, "sub_agent_results": {"a": {"leans": {"leans": "BUY"}}}},
    {"sub_agent_results": {"a": {"summary": 'it says "leans" and "twin"'}}},
    ["twin", "leans"],
    {},
]


def test_twins_and_leanings_are_read_by_execution_and_what_is_neither_is_left_out(home: Path) -> None:
    database = database_of(home)
    said = {"twin": {"signal": "SELL"}, "sub_agent_results": {"whales": {"leans": "BUY"}, "news": {"leans": "HOLD"}}}
    hour = 3_600_000
    runs = [MadeRun(number * hour, "BUY", data=data) for number, data in enumerate([*ODD, said], 1)]
    other = [MadeRun(hour, "BUY", data=said)]
    ids = enter_runs(home, write_strategy(home), runs)
    enter_runs(home, write_strategy(home, "another"), other)
    stated = Journal(database, Home(home)).statements("mine")
    assert stated.twin == {ids[-1]: "SELL"}
    assert stated.leans == {"whales": {ids[-1]: "BUY"}, "news": {ids[-1]: "HOLD"}}


def test_a_strategy_without_any_has_none(home: Path) -> None:
    enter_runs(home, write_strategy(home), [MadeRun(1, "BUY")])
    journal = Journal(database_of(home), Home(home))
    assert (journal.statements("mine").twin, journal.statements("nobody").leans) == ({}, {})
