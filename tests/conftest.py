"""What every test runs under: one async backend, an empty home, and no way out but loopback."""

import gc
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from _pytest.pathlib import LOCK_TIMEOUT, cleanup_numbered_dir

from tests.durations import LEAST_S, TESTS, PageTogether, Stopwatch, left_out, measured, target, with_fewer_examples
from tests.rigs.network_guard import NetworkGuard
from tests.rigs.warm import fork_for_all

sys.dont_write_bytecode = False  # pytest would rewrite each test's asserts anew in each worker and each run
_NUMBERS = count()
PAGE = TESTS / "page"
SELDOM = (2_000, 20, 1_000)
"""So many new objects, and collections of younger ones, precede a collection."""

CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-durations", action="store_true", help="write what each test file took to durations.json")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    if config.getoption("--write-durations"):
        config.pluginmanager.register(Stopwatch())
    if config.getoption("numprocesses", None):
        _forget_settings()
        fork_for_all()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> PageTogether | None:
    return PageTogether(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        _clear_away(session.config._tmp_path_factory)  # type: ignore[attr-defined]
    gc.disable()  # what is collected and imported stays: there is nothing to be found
    if worker := getattr(session.config, "workerinput", None):
        _import_share(session.config, int(worker["workerid"].removeprefix("gw")), worker["workercount"])


def _clear_away(factory: pytest.TempPathFactory) -> None:
    """Remove the folders of earlier runs beside the tests: pytest does so at the end, when both cores are idle.

    Ten thousand tests leave twenty thousand folders, and a disk takes a millisecond for each.
    """
    base, kept = factory.getbasetemp(), factory._retention_count
    old = (base.parent, "pytest-", kept, base.stat().st_mtime - LOCK_TIMEOUT)
    thread = threading.Thread(target=cleanup_numbered_dir, args=old, daemon=True)
    thread.start()
    factory._exit_stack.callback(thread.join)  # which pytest closes at the end


def _import_share(config: pytest.Config, number: int, of: int) -> None:
    """Import every third file before all are: else each worker rewrites the asserts of all files, at the same time.

    That is so where they have not been rewritten yet, as in a new checkout. What fails is told when it is collected.
    """
    chosen = [TESTS.parent / name.partition("::")[0] for name in config.args]
    files = [file for file in sorted(TESTS.rglob("test_*.py")) if any(file.is_relative_to(each) for each in chosen)]
    for file in files[number::of]:
        if file.is_relative_to(TESTS / "benchmarks"):
            continue
        with suppress(Exception, pytest.skip.Exception):
            import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the collector look at what tests make, and never again at 700,000 objects of modules and tests.

    It compares what is new with what is old to tell when to look at all, and after a freeze nothing is old: by its
    usual thresholds it takes a twentieth of the time of these tests.
    """
    if left_out(session.config):
        with_fewer_examples(session.items)
    gc.freeze()
    gc.set_threshold(*SELDOM)
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that `make long` runs, and put those of the slowest files first, of the page before all.

    So no slow file is left to one worker at the end, and the workers that share the page begin with it.
    Within a file the tests stay as they are.
    """
    kept = [(item, target(item.keywords)) for item in items]
    if left_out(config) and (long := [item for item, name in kept if name == "long"]):
        config.hook.pytest_deselected(items=long)
        kept = [(item, name) for item, name in kept if name != "long"]
    seconds, totals = measured(), defaultdict[Path, float](float)
    for name, file in {(name, item.path) for item, name in kept}:
        totals[file] += seconds[name].get(file.relative_to(TESTS).as_posix(), LEAST_S)
    places = {file: (not file.is_relative_to(PAGE), -total) for file, total in totals.items()}
    items[:] = sorted((item for item, _ in kept), key=lambda item: places[item.path])


def _forget_settings() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each program that is started would compile all anew
    for name in [*CREDENTIALS, *(name for name in os.environ if name.startswith("TRADER_"))]:
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def network_guard(request: pytest.FixtureRequest) -> Iterator[NetworkGuard]:
    """Nobody's real credentials and settings reach a test, and nothing leaves this machine but under `-m live`."""
    _forget_settings()
    os.environ["TRADER_NEWS"] = "off"  # a test that collects says so
    with NetworkGuard(armed=request.config.getoption("-m") != "live") as guard:
        yield guard


@pytest.fixture(scope="session", autouse=True)
def _done_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.rigs.done_once import SHARED, do_once

    own = tmp_path_factory.getbasetemp()
    os.environ[SHARED] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)
    do_once()


@pytest.fixture(autouse=True)
def _no_way_out(network_guard: NetworkGuard) -> Iterator[None]:
    yield
    if attempts := network_guard.take_attempts():
        pytest.fail(f"this test tried to leave loopback: {attempts}")


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """An empty folder of this test's own; pytest's takes three times as long, ten thousand times."""
    folder = tmp_path_factory.getbasetemp() / f"{request.node.originalname[:30]}-{next(_NUMBERS)}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty home of this test's own. Only tests of news may collect any there: others would go out for it."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("TRADER_HOME", str(folder))
    yield folder
    if (folder / "news.lock").exists() and not request.path.is_relative_to(TESTS / "news"):
        pytest.fail("a program of this test collected news: start it with TRADER_NEWS=off")
