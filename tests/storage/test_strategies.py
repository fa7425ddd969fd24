import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mcp_server.domain.strategy.limits import FILE_LIMIT_BYTES
from mcp_server.domain.strategy.parse import InvalidStrategy, parse_strategy
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import Misconfigured, NotFound
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import NOTHING, StrategyFolders
from runner.notify.notice_store import NoticeStore

CONFIG: dict[str, Any] = {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}


@pytest.fixture
def folders(home: Path, tmp_path: Path) -> StrategyFolders:
    return StrategyFolders(Home(home), tmp_path / "examples")


def put(home: Path, name: str, config: str | bytes, agents: str | None = None) -> Path:
    folder = home / "strategies" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_bytes(config if isinstance(config, bytes) else config.encode())
    if agents is not None:
        (folder / "agents.json").write_text(agents)
    return folder


def test_what_is_written_is_read_back(folders: StrategyFolders) -> None:
    agents = {"a": {"description": "d", "prompt": "p", "tools": ["get_price"]}}
    written = parse_strategy("mine", {**CONFIG, "engine": "claude"}, agents)
    assert folders.write(written) is None
    assert folders.read("mine") == written


def test_each_write_keeps_the_version_before(folders: StrategyFolders, home: Path) -> None:
    versions = [parse_strategy("mine", {**CONFIG, "description": text}, None) for text in ("one", "two", "three")]
    replaced = [folders.write(version) for version in versions]
    assert replaced == [None, versions[0].version, versions[1].version]
    kept = home / "strategies" / ".versions" / "mine"
    assert {folder.name for folder in kept.iterdir()} == {version.version for version in versions[:2]}
    old = json.loads((kept / versions[0].version / "config.json").read_text())
    assert old["description"] == "one"
    assert list(folders.names()) == ["mine"]


def test_of_many_who_replace_one_version_at_once_only_one_does(folders: StrategyFolders) -> None:
    first = parse_strategy("mine", CONFIG, None)
    folders.write(first, replaces=NOTHING)
    others = [parse_strategy("mine", {**CONFIG, "description": str(number)}, None) for number in range(6)]
    refused: list[str] = []

    def replace(other: Strategy) -> None:
        try:
            folders.write(other, replaces=first.version)
        except InvalidStrategy as error:
            refused.append(str(error))

    threads = [Thread(target=replace, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == len(others) - 1
    assert all("it has changed since. Read it again" in said for said in refused)
    assert [kept.version for kept in folders.versions.of("mine")] == [first.version]


def test_a_version_that_cannot_be_kept_yet_is_not_lost(folders: StrategyFolders, home: Path) -> None:
    first = parse_strategy("mine", CONFIG, None)
    folders.write(first)
    in_the_way = home / "strategies" / ".versions"
    in_the_way.write_text("")
    for text in ("two", "three"):
        with pytest.raises(Misconfigured):
            folders.write(parse_strategy("mine", {**CONFIG, "description": text}, None))
    in_the_way.unlink()
    folders.write(parse_strategy("other", CONFIG, None))
    assert [kept.version for kept in folders.versions.of("mine")] == [first.version]
    assert folders.read("mine").config.description == "two"


@pytest.mark.parametrize("times", [1, 3])
def test_what_else_lies_in_a_folder_stays_there_however_often_it_is_written(
    folders: StrategyFolders, home: Path, tmp_path: Path, times: int
) -> None:
    folder = put(home, "mine", json.dumps(CONFIG), json.dumps({"a": {"description": "d", "prompt": "p"}}))
    (folder / "notes.md").write_text("why I do this")
    (folder / "charts").mkdir()
    (folder / "charts" / "one.txt").write_text("1")
    (folder / "link").symlink_to(tmp_path)
    versions = [parse_strategy("mine", {**CONFIG, "description": text}, None) for text in ("one", "two")]
    for _ in range(times):
        for version in versions:
            folders.write(version)
    folders.set_status("mine", "paused")
    assert sorted(entry.name for entry in folder.iterdir()) == ["charts", "config.json", "link", "notes.md"]
    assert (folder / "notes.md").read_text() == "why I do this"
    assert (folder / "charts" / "one.txt").read_text() == "1"
    assert (folder / "link").readlink() == tmp_path
    for kept in folders.versions.of("mine"):
        left = home / "strategies" / ".versions" / "mine" / kept.version
        assert {entry.name for entry in left.iterdir()} <= {"config.json", "agents.json"}


def test_what_a_killed_write_had_not_brought_back_yet_comes_back_with_the_next(
    folders: StrategyFolders, home: Path
) -> None:
    put(home, "mine", json.dumps(CONFIG))
    left = home / "strategies" / ".replacing-mine"
    left.mkdir()
    before = {**CONFIG, "description": "before"}
    (left / "config.json").write_text(json.dumps(before))
    (left / "notes.md").write_text("why I do this")
    folders.set_status("mine", "paused")
    assert parse_strategy("mine", before, None).version in {kept.version for kept in folders.versions.of("mine")}
    assert (home / "strategies" / "mine" / "notes.md").read_text() == "why I do this"
    assert not left.exists()


def test_a_version_that_a_killed_write_had_half_removed_is_not_kept_as_one_that_somebody_broke(
    folders: StrategyFolders, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (parse_strategy("mine", {**CONFIG, "description": text}, None) for text in ("one", "two"))
    folders.write(one)
    folders.write(two)
    folders.write(one)

    def killed_half_way(folder: Path, **_: object) -> None:
        (folder / "config.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed_half_way)
        with pytest.raises(KeyboardInterrupt):
            folders.write(two)  # of which the version before is kept already
    folders.write(one)
    assert {kept.version for kept in folders.versions.of("mine")} == {one.version, two.version}
    assert {entry.name for entry in (home / "strategies").iterdir()} == {"mine", ".versions", ".lock"}


def test_a_write_over_a_folder_that_is_a_link_says_so_and_changes_nothing(
    folders: StrategyFolders, home: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "notes.md").write_text("not yours")
    (home / "strategies").mkdir(parents=True)
    for name, target in (("mine", elsewhere), ("dangling", tmp_path / "nowhere")):
        (home / "strategies" / name).symlink_to(target)
        with pytest.raises(InvalidStrategy, match="is a symbolic link"):
            folders.write(parse_strategy(name, CONFIG, None))
        assert (home / "strategies" / name).is_symlink()
    assert [entry.name for entry in elsewhere.iterdir()] == ["notes.md"]
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("link", [".versions", ".versions/mine"])
def test_versions_are_not_written_through_a_link_and_nothing_is_replaced(
    folders: StrategyFolders, home: Path, tmp_path: Path, link: str
) -> None:
    first, second = (parse_strategy("mine", {**CONFIG, "description": text}, None) for text in ("one", "two"))
    folders.write(first)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = home / "strategies" / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(elsewhere)
    with pytest.raises(Misconfigured, match="is a symbolic link"):
        folders.write(second)
    with pytest.raises(Misconfigured, match="is a symbolic link"):
        folders.versions.copy(first)
    assert folders.read("mine") == first
    assert [*elsewhere.iterdir()] == []
    place.unlink()
    assert folders.write(second) == first.version


@pytest.mark.parametrize("name", [".replacing-..", ".replacing-.", ".replacing-", ".replacing-A b", ".writing-notes"])
def test_what_only_looks_as_if_a_killed_write_had_left_it_stays_where_it_is(
    folders: StrategyFolders, home: Path, name: str
) -> None:
    left = home / "strategies" / name
    left.mkdir(parents=True)
    (left / "plans.md").write_text("mine")
    before = {*home.iterdir()}
    folders.write(parse_strategy("mine", CONFIG, None))
    assert (left / "plans.md").read_text() == "mine"
    assert {*home.iterdir()} == before


def test_a_link_that_looks_like_a_replaced_folder_is_not_followed(
    folders: StrategyFolders, home: Path, tmp_path: Path
) -> None:
    folders.write(parse_strategy("mine", CONFIG, None))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.md").write_text("not yours")
    (home / "strategies" / ".replacing-mine").symlink_to(tmp_path / "elsewhere")
    (home / "strategies" / ".writing-x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Misconfigured, match=r"\.replacing-mine' is in the way"):
        folders.write(parse_strategy("mine", {**CONFIG, "description": "two"}, None))
    assert (tmp_path / "elsewhere" / "notes.md").read_text() == "not yours"
    folders.write(parse_strategy("other", CONFIG, None))


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_new_home_is_open_to_its_owner_alone_whoever_makes_it(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        homes = [Home(tmp_path / "deep" / str(number)) for number in range(4)]
        homes[0].prepare()
        StrategyFolders(homes[1], tmp_path).write(parse_strategy("mine", CONFIG, None))
        NoticeStore(homes[2]).prepare()
        Database(homes[3].database, prepare=homes[3].prepare).write(lambda _: None)
        for number in range(4):
            assert (tmp_path / "deep" / str(number)).stat().st_mode & 0o777 == 0o700
        (tmp_path / "shared").mkdir(mode=0o750)
        Home(tmp_path / "shared").prepare()
        assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o750 & ~umask, "what is there is left as it is"
    finally:
        os.umask(old)


def test_a_folder_broken_by_hand_can_be_written_over_and_is_kept(folders: StrategyFolders, home: Path) -> None:
    put(home, "mine", "{")
    folders.write(parse_strategy("mine", CONFIG, None))
    assert folders.read("mine").config.trading_pair == "BTC/USD"
    (kept,) = (home / "strategies" / ".versions" / "mine").iterdir()
    assert (kept / "config.json").read_text() == "{"


def test_a_strategy_of_the_home_hides_the_example_of_its_name(
    folders: StrategyFolders, home: Path, tmp_path: Path
) -> None:
    example = tmp_path / "examples" / "mine"
    example.mkdir(parents=True)
    (example / "config.json").write_text(json.dumps({**CONFIG, "description": "example"}))
    assert folders.is_example("mine")
    assert folders.read("mine").config.description == "example"
    folders.write(parse_strategy("mine", CONFIG, None))
    assert not folders.is_example("mine")
    assert folders.read("mine").config.description == ""
    assert (example / "config.json").exists()


def test_an_unknown_name_is_answered_with_the_nearest(folders: StrategyFolders) -> None:
    folders.write(parse_strategy("btc-rsi", CONFIG, None))
    with pytest.raises(NotFound, match="Did you mean 'btc-rsi'"):
        folders.read("btc-rsy")


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc", ".versions", "A", "", "x" * 65, "a\x00b"])
def test_a_name_that_is_none_reads_and_writes_nothing(folders: StrategyFolders, home: Path, name: str) -> None:
    with pytest.raises(NotFound):
        folders.read(name)
    with pytest.raises(InvalidStrategy, match="is not a valid name"):
        parse_strategy(name, CONFIG, None)


BROKEN: list[tuple[str | bytes, str]] = [
    ("{", "not JSON at line 1, column 2"),
    (b"\xff\xfe", "is not UTF-8"),
    ('{"trading_pair": "a", "trading_pair": "b"}', "'trading_pair' is there twice"),
    ('{"timeout_s": NaN}', "NaN is not a JSON number"),
    ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    ('"x"', "expected a JSON object"),
    (b" " * (FILE_LIMIT_BYTES + 1), "larger than"),
]


@pytest.mark.parametrize(("content", "said"), BROKEN, ids=[said for _, said in BROKEN])
def test_a_broken_config_is_named_with_what_is_wrong_and_left_alone(
    folders: StrategyFolders, home: Path, content: str | bytes, said: str
) -> None:
    file = put(home, "mine", content) / "config.json"
    before = file.read_bytes()
    with pytest.raises(InvalidStrategy, match=r"config\.json") as caught:
        folders.read("mine")
    assert said in str(caught.value)
    assert file.read_bytes() == before
    (found,) = folders.all()
    assert found.problem == str(caught.value)


def test_a_symbolic_link_is_not_followed(folders: StrategyFolders, home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(CONFIG))
    folder = home / "strategies" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").symlink_to(outside)
    with pytest.raises(InvalidStrategy, match="symbolic link"):
        folders.read("mine")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize("file", ["config.json", "agents.json"])
def test_what_is_no_regular_file_is_named_and_never_opened(
    folders: StrategyFolders, home: Path, file: str, make: Callable[[Path], None]
) -> None:
    folder = put(home, "mine", json.dumps(CONFIG))
    (folder / file).unlink(missing_ok=True)
    make(folder / file)
    with pytest.raises(InvalidStrategy, match=rf"{file}: .* is no regular file"):
        folders.read("mine")


def test_a_home_that_cannot_be_written_says_so_and_keeps_what_is_there(home: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    folders = StrategyFolders(Home(tmp_path / "taken"), tmp_path / "examples")
    with pytest.raises(Misconfigured, match="cannot be written"):
        folders.write(parse_strategy("mine", CONFIG, None))


def test_every_example_is_valid() -> None:
    found = StrategyFolders(Home(Path("/nowhere")), examples_folder()).all()
    assert {item.name for item in found} >= {"rsi-reversion", "btc-two-analysts"}
    assert [item.problem for item in found if item.problem] == []
