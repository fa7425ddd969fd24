"""Cassettes: replies that are found again as they were kept, whatever else lies there."""

import gzip
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_server.storage.home import Home
from runner.backup import back_up
from runner.claude.cassette.cassettes import Cassette, Recorded, TokenCounts
from runner.cli.context import Context
from runner.restore import restore

AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHORT = Recorded(
    key="0123",
    model="claude-opus-5-5",
    request={"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "Was kostet es? \ud83d"}]},
    status=200,
    content_type="text/event-stream; charset=utf-8",
    reply="data: 42.5 €\r\n\n",
    usage=TokenCounts(100, 20, 7, 3),
    cutoff="2026-06",
    asked_at=datetime(2026, 11, 30, 5, 1, 2, 345678, tzinfo=UTC),
    paid_by="17",
    credential="ANTHROPIC_API_KEY",
)
LONG = replace(SHORT, key="4567", reply="x" * 10_000, cutoff=None, times=2, asked_at=SHORT.asked_at - timedelta(days=1))


@pytest.fixture
def cassette(home: Path) -> Cassette:
    return Cassette(Home(home).cassettes, "dip", "aaaaaaaaaaaa")


@pytest.mark.parametrize("recorded", [SHORT, LONG], ids=["short", "long"])
def test_a_reply_is_found_as_it_was_kept(cassette: Cassette, recorded: Recorded) -> None:
    cassette.keep(AS_OF, recorded)
    assert cassette.find(AS_OF, recorded.key) == recorded
    assert cassette.find(AS_OF, "89ab") is None
    assert cassette.find(AS_OF + timedelta(hours=1), recorded.key) is None
    assert replace(cassette, decision_version="bbbbbbbbbbbb").find(AS_OF, recorded.key) is None
    assert replace(cassette, strategy="trend").find(AS_OF, recorded.key) is None


def test_what_is_long_is_packed(cassette: Cassette) -> None:
    for recorded in (SHORT, LONG):
        cassette.keep(AS_OF, recorded)
    place = cassette.root / "dip" / "aaaaaaaaaaaa" / "20260301T120000Z"
    assert sorted(file.name for file in place.iterdir()) == ["0123.json", "4567.json.gz"]
    assert (place / "4567.json.gz").stat().st_size < 2_000


def test_the_replies_of_a_moment_come_in_the_order_of_asking(cassette: Cassette) -> None:
    for recorded in (SHORT, LONG):
        cassette.keep(AS_OF, recorded)
    assert cassette.at(AS_OF) == [LONG, SHORT]
    assert cassette.at(AS_OF + timedelta(hours=1)) == []


def test_moments_are_those_of_which_there_is_a_reply(cassette: Cassette) -> None:
    exact = AS_OF + timedelta(microseconds=250)
    for moment in (exact, AS_OF):
        cassette.keep(moment, SHORT)
    cassette.asking(AS_OF + timedelta(hours=1), "0123")  # was never answered
    (cassette.folder / "notes").mkdir()
    (cassette.folder / "notes" / "mine.json").touch()
    assert cassette.moments() == [AS_OF, exact]
    assert replace(cassette, strategy="trend").moments() == []


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def _linked(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to(file.with_name("elsewhere"))


def _of_another_shape(file: Path) -> None:
    file.write_bytes(gzip.compress(json.dumps({"key": "4567"}).encode()))


def _of_another_request(file: Path) -> None:
    value: dict[str, Any] = json.loads(gzip.decompress(file.read_bytes()))
    file.write_bytes(gzip.compress(json.dumps({**value, "key": "89ab"}).encode()))


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


def _a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _spoilt(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[12:31] = bytes(byte ^ 0xFF for byte in content[12:31])
    file.write_bytes(content)


def _nested_too_deep(file: Path) -> None:
    file.write_bytes(gzip.compress(b"[" * 100_000))


MOST_BYTES = 1_000_000


def _unpacks_to_too_much(file: Path) -> None:
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()) + b" " * MOST_BYTES))


def _with(**changes: Any) -> Callable[[Path], None]:
    def harm(file: Path) -> None:
        value: dict[str, Any] = json.loads(gzip.decompress(file.read_bytes()))
        file.write_bytes(gzip.compress(json.dumps({**value, **changes}).encode()))

    return harm


HARM = [
    *(_cut, _linked, _of_another_shape, _of_another_request, _emptied, _a_folder),
    *(_spoilt, _nested_too_deep, _unpacks_to_too_much),
    *(_with(status=429), _with(status=99_999), _with(content_type="a\r\nb: c"), _with(content_type="\u6f22")),
    *(_with(reply="\ud800"), _with(asked_at="2026-11-30T05:01:02"), _with(credential="PATH"), _with(cutoff="9999-12")),
    *(_with(times=-5), _with(times=10**30), _with(usage={"input": -1}), _with(usage={"input": 10**40})),
]


@pytest.mark.parametrize("harm", HARM)
def test_what_cannot_be_read_counts_as_missing_and_is_told(
    cassette: Cassette, harm: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.claude.cassette.cassettes.MOST_BYTES", MOST_BYTES)
    for recorded in (SHORT, LONG):
        cassette.keep(AS_OF, recorded)
    harm(cassette.place(AS_OF) / "4567.json.gz")
    with caplog.at_level(logging.WARNING):
        assert cassette.find(AS_OF, "4567") is None
    assert "4567.json.gz" in caplog.text
    assert "xxxx" not in caplog.text
    assert cassette.at(AS_OF) == [SHORT]
    if harm is not _a_folder:
        cassette.keep(AS_OF, LONG)
        assert cassette.find(AS_OF, "4567") == LONG


def test_what_could_not_be_read_again_is_not_kept(cassette: Cassette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.claude.cassette.cassettes.MOST_BYTES", 9_000)
    with pytest.raises(OSError, match="too large"):
        cassette.keep(AS_OF, LONG)
    assert cassette.at(AS_OF) == []


def test_a_pipe_where_it_is_noted_what_is_asked_holds_nobody_up(cassette: Cassette) -> None:
    cassette.place(AS_OF).mkdir(parents=True)
    os.mkfifo(cassette.place(AS_OF) / ".0123.asked")
    assert cassette.asking(AS_OF, "0123") == 1
    assert not cassette.was_asked(AS_OF, "0123")


def test_a_half_written_file_is_none(cassette: Cassette) -> None:
    cassette.keep(AS_OF, SHORT)
    (cassette.place(AS_OF) / ".4567.json.gz.17.new").write_bytes(b"\x1f\x8b")
    assert cassette.at(AS_OF) == [SHORT]
    assert cassette.find(AS_OF, "4567") is None


@pytest.mark.parametrize("status", [401, 402, 403, 429, 500, 529])
def test_what_says_nothing_about_the_request_cannot_be_kept(cassette: Cassette, status: int) -> None:
    with pytest.raises(ValueError, match=str(status)):
        cassette.keep(AS_OF, replace(SHORT, status=status))


def test_how_often_a_reply_was_asked_for_outlives_the_program(cassette: Cassette) -> None:
    assert [cassette.asking(AS_OF, "0123") for _ in range(3)] == [1, 2, 3]
    cassette.not_paid(AS_OF, "0123")
    assert replace(cassette).asking(AS_OF, "0123") == 3
    cassette.keep(AS_OF, SHORT)
    assert cassette.asking(AS_OF, "0123") == 1  # a reply that was kept begins anew
    cassette.not_paid(AS_OF, "0123")
    assert [file.name for file in cassette.place(AS_OF).iterdir()] == ["0123.json"]


def test_the_cassettes_of_other_versions_come_newest_first(cassette: Cassette) -> None:
    for number, version in enumerate(("bbbbbbbbbbbb", "dddddddddddd", "cccccccccccc", "aaaaaaaaaaaa"), 1):
        other = replace(cassette, decision_version=version)
        other.keep(AS_OF, SHORT)
        os.utime(other.place(AS_OF), (number, number))
    (cassette.folder.parent / "eeeeeeeeeeee").mkdir()
    assert [other.decision_version for other in cassette.others()] == ["cccccccccccc", "dddddddddddd", "bbbbbbbbbbbb"]
    assert replace(cassette, strategy="trend").others() == []


def test_a_backup_carries_the_cassettes_and_a_restore_puts_them_back(
    cassette: Cassette, home: Path, tmp_path: Path
) -> None:
    (home / "strategies").mkdir()
    for recorded in (SHORT, LONG):
        cassette.keep(AS_OF, recorded)
    back_up(Context(), tmp_path / "copy.tar.gz")
    for recorded in (SHORT, LONG):
        cassette.keep(AS_OF, replace(recorded, reply="another"))
    (tmp_path / "copy.tar.gz").rename(home / "restore.tar.gz")
    assert restore(home, AS_OF) is not None
    assert cassette.at(AS_OF) == [LONG, SHORT]
