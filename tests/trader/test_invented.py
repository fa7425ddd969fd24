"""The invented record: the same for everyone, a twin beside each answer, and never in a home that is somebody's."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mcp_server.errors import BadInput, Misconfigured
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from mcp_server.trader import Trader, invented, invented_home

UNTIL = datetime(2026, 5, 20, 12, tzinfo=UTC)


def test_it_is_a_scored_record_of_claude_beside_its_twin_that_says_it_is_invented(tmp_path: Path) -> None:
    name = invented_home(tmp_path / "home", until=UNTIL)
    with Trader(tmp_path / "home", as_of=UNTIL) as trader:
        signals, outcomes, score = trader.signals(), trader.outcomes(), trader.score(name).figures
    assert len(signals) == score["runs"] == 180
    assert max(signals["as_of"]) < np.datetime64(UNTIL.replace(tzinfo=None)), "each had answered by then"
    assert set(signals["engine"]) == {"claude"}
    assert set(signals["cost_usd"]) == {0.0}
    assert all("Invented" in reason for reason in signals["reasoning"])
    assert set(outcomes["outcome"]) == {"right", "wrong", "pending"}
    assert set(outcomes["twin"]) == {"BUY", "SELL", "HOLD"}
    assert (outcomes["twin"] != outcomes["signal"]).any()
    assert score["twin"]["judged"] > 50
    assert score["simulated"] is True
    assert "Invented" in StrategyFolders(Home(tmp_path / "home"), examples_folder()).read(name).config.description


def test_the_same_dice_say_the_same_and_others_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invented, "SLOTS", 30)
    said = []
    for number, seed in enumerate((1, 1, 2)):
        name = invented_home(tmp_path / str(number), until="2026-05-20T12:00Z", seed=seed)
        with Trader(tmp_path / str(number), as_of=UNTIL) as trader:
            said.append(trader.signals(name).to_arrow())
    assert said[0].equals(said[1])
    assert not said[0].equals(said[2])


def test_a_home_of_somebody_is_left_alone(home: Path) -> None:
    home.joinpath("mine").write_text("kept")
    with pytest.raises(BadInput, match="not empty"):
        invented_home(home, until=UNTIL)
    assert [file.name for file in home.iterdir()] == ["mine"]


def test_nothing_is_invented_where_the_record_of_real_runs_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADER_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1/journal")
    with pytest.raises(Misconfigured, match="invented runs would stand among the real ones") as raised:
        invented_home(tmp_path / "invented", until=UNTIL)
    assert "Unset it" in raised.value.remedy
    assert not (tmp_path / "invented").exists()
