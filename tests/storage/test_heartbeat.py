"""A runner's heartbeat is read as it was written, and what is no heartbeat is none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_server.errors import Misconfigured
from mcp_server.storage.heartbeat import STALE_S, Beat, Heartbeat

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEAT = Beat(
    pid=7, started_at=NOW - timedelta(days=1), beat_at=NOW, running=2, problems=("The disk is full.",), page="Open it."
)


def test_a_heartbeat_is_read_as_it_was_written_until_it_is_removed(tmp_path: Path) -> None:
    heartbeat = Heartbeat(tmp_path / "heartbeat.json")
    assert heartbeat.read() is None
    heartbeat.write(BEAT)
    assert heartbeat.read() == BEAT
    heartbeat.remove()
    assert heartbeat.read() is None
    assert [file for file in tmp_path.iterdir() if file.is_file()] == []


def test_a_heartbeat_of_an_older_runner_tells_of_no_page(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    path.write_text('{"pid": 7, "started_at": "2026-03-01T11:00Z", "beat_at": "2026-03-01T12:00Z", "running": 0}')
    beat = Heartbeat(path).read()
    assert beat is not None
    assert beat.page == ""


def test_a_runner_with_thousands_of_broken_strategies_is_seen_to_be_alive(tmp_path: Path) -> None:
    heartbeat = Heartbeat(tmp_path / "heartbeat.json")
    beat = replace(BEAT, problems=tuple(f"s-{number} is broken: {'x' * 400}" for number in range(5_000)))
    heartbeat.write(beat)
    assert heartbeat.read() == beat


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"pid": 7}', '{"beat_at": 5, "started_at": 5}', "\x00"])
def test_what_is_no_heartbeat_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "heartbeat.json"
    path.write_text(text)
    assert Heartbeat(path).read() is None


def test_an_old_heartbeat_is_not_fresh_and_one_of_a_clock_far_ahead_neither() -> None:
    assert BEAT.is_fresh(NOW + timedelta(seconds=STALE_S))
    assert not BEAT.is_fresh(NOW + timedelta(seconds=STALE_S + 1))
    assert not BEAT.is_fresh(NOW - timedelta(minutes=5))


def test_a_home_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        Heartbeat(tmp_path / "gone" / "heartbeat.json").write(BEAT)


def test_a_folder_of_its_name_is_put_aside_and_what_cannot_be_removed_raises_nothing(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    path.mkdir()
    heartbeat = Heartbeat(path)
    heartbeat.remove()
    heartbeat.write(BEAT)
    assert heartbeat.read() == BEAT
    assert (tmp_path / "broken" / "heartbeat.json").is_dir()
