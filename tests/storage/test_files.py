"""Small files are whole or not there; a reader follows no link, waits for nothing and takes nothing but an object."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_server.storage.files import Unreadable, put_aside, put_new, read_object, read_regular, told_aside, write_whole


def test_a_file_is_written_and_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_whole(file, b"one")
    write_whole(file, b"two", durable=False)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir() if each.is_file()] == [("state.json", b"two")]
    assert put_new(file, b"three") is False
    assert put_new(tmp_path / "new", b"four") is True
    assert {each.name for each in tmp_path.iterdir() if each.is_file()} == {"state.json", "new"}


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system has no such links")
def test_a_link_planted_in_the_place_of_the_half_written_file_leads_nowhere(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / f".result.html.{os.getpid()}.new").symlink_to(precious)
    with pytest.raises(OSError, match=r"result\.html"):
        write_whole(tmp_path / "result.html", b"page")
    assert precious.read_text() == "kept"


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "result.html").symlink_to(precious)
    write_whole(tmp_path / "result.html", b"page")
    assert precious.read_text() == "kept"
    assert (tmp_path / "result.html").read_bytes() == b"page"


def test_a_reader_never_sees_a_part_of_a_file(tmp_path: Path) -> None:
    file, over = tmp_path / "state", threading.Event()
    contents = {bytes([letter]) * 200_000 for letter in b"ab"}
    write_whole(file, min(contents))

    def write() -> None:
        for content in [*contents] * 50:
            write_whole(file, content, durable=False)
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not over.is_set():
        assert read_regular(file) in contents
    writer.join()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_whole(folder, b"content")
    assert [each for each in tmp_path.iterdir() if each.is_file()] == []


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "large", "list", "text", "deep", "latin"])
def test_what_is_no_object_in_a_regular_file_is_unreadable(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "state.json"
    contents = {
        "large": b"{}" + b" " * 100,
        "list": b"[]",
        "text": b"{",
        "deep": b"[" * 100_000,
        "latin": b'{"a": "\xe4"}',
    }
    if kind == "link":
        (tmp_path / "other").write_text("{}")
        file.symlink_to(tmp_path / "other")
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.write_bytes(contents[kind])
    with pytest.raises(Unreadable) as raised:
        read_object(file, 1_000_000 if kind == "deep" else 100)
    assert "state.json" in raised.value.problem
    assert raised.value.remedy


def test_an_object_is_read_and_a_missing_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"pid": 7}')
    assert read_object(tmp_path / "state.json") == {"pid": 7}
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "missing.json")


def test_what_is_put_aside_replaces_nothing_and_is_told_for_two_days(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    assert told_aside(tmp_path, now) is None
    for content in ("one", "two"):
        (tmp_path / "state.json").write_text(content)
        os.utime(tmp_path / "state.json", (0, 0))  # however old it is: it was put aside just now
        put_aside(tmp_path / "state.json")
    assert sorted(file.read_text() for file in (tmp_path / "broken").iterdir()) == ["one", "two"]
    assert not (tmp_path / "state.json").exists()
    told = told_aside(tmp_path, now)
    assert told is not None
    assert "state.json" in told
    assert told_aside(tmp_path, now + timedelta(days=3)) is None
