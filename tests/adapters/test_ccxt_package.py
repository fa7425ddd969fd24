"""Importing one exchange of ccxt alone: what is imported, and that everything is as after a whole import."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from mcp_server.adapters.ccxt import package
from mcp_server.adapters.ccxt.client import import_exchange

ONE = """
import sys
from mcp_server.adapters.ccxt.client import import_exchange, known_exchanges, make_client
from mcp_server.adapters.ccxt.exchange import CcxtExchange
steps, before = list(import_exchange("krakenfutures")), set(sys.modules)
mine = type(make_client("krakenfutures", None)).__mro__[2]
print(*(name for name in known_exchanges() if {f"ccxt.{name}", f"ccxt.async_support.{name}"} & set(sys.modules)))
print("numpy" in sys.modules, len(steps) > 3, *sorted(set(sys.modules) - before))
"""

WHOLE = (
    ONE
    + """
import ccxt.async_support
print(ccxt.async_support.krakenfutures is mine, isinstance(ccxt.async_support.kraken, type))
import ccxt
print(len(ccxt.exchanges) == len(known_exchanges()), ccxt.kraken.__name__, ccxt.kraken is not ccxt.async_support.kraken)
print(ccxt.errors.NetworkError is ccxt.NetworkError, ccxt.__version__ == ccxt.async_support.__version__)
from ccxt.async_support import *
print(krakenfutures is mine, "kucoin" in dir(ccxt))
"""
)

ALL = """
import hashlib, importlib, json, os, sys
from mcp_server.adapters.ccxt.client import known_exchanges

def facts(found):
    described = json.dumps(found().describe(), sort_keys=True, default=repr)
    own = {name: repr(value).partition(" at 0x")[0] for name, value in vars(found).items()}
    return [found.__name__, [f"{part.__module__}.{part.__qualname__}" for part in found.__mro__], own, described]

def alone(name):
    from mcp_server.adapters.ccxt.package import async_support
    return facts(getattr(async_support, name))

def forked(name):
    reading, writing = os.pipe()
    if not os.fork():
        os.close(reading)
        with open(writing, "w") as sent:
            json.dump(alone(name), sent)
        os._exit(0)
    os.close(writing)
    with open(reading) as received:
        answer = json.load(received)
    os.wait()
    return answer

from mcp_server.adapters.ccxt.package import errors
import ccxt.async_support.base.exchange
names = sorted(known_exchanges(), reverse=True)
each = {name: (forked if sys.argv[1] == "forked" else alone)(name) for name in names}
for name in [name for name in sys.modules if name.partition(".")[0] == "ccxt"]:
    del sys.modules[name]
import ccxt.async_support
assert sorted(ccxt.async_support.exchanges, reverse=True) == names
print(*(name for name in names if facts(getattr(ccxt.async_support, name)) != each[name]), len(names))
"""

FILES = {
    "__init__.py": """
from toy.base import shared
from toy.one import one
from toy.two import two as second
from toy.picky import Picky
import toy.gate
toy.gate.passed()
numbers = [1, 2]
from toy.one import one as other
other = [other]
""",
    "base/__init__.py": "",
    "base/shared.py": "",
    "one.py": "class one: ...",
    "two.py": "from toy import one\nclass two(one): ...",
    "picky.py": "import sys, toy\nif 'toy.two' not in sys.modules: raise ImportError\nclass Picky: ...",
    "gate.py": "def passed(): ...",
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, text in FILES.items():
        (tmp_path / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toy" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    package.defer("toy")
    yield sys.modules["toy"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]


def imported() -> set[str]:
    """List the toy's modules that were imported."""
    return {name for name in sys.modules if name.startswith("toy.")}


def python(script: str, *arguments: str) -> list[str]:
    """Run a script in a process of its own, because what other tests imported is in this one; return its words."""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_a_client_takes_only_its_own_exchange() -> None:
    assert python(ONE) == ["krakenfutures", "False", "True"]


@pytest.mark.long
def test_others_find_all_of_ccxt_afterwards() -> None:
    """With the toy package below, it is shown in short."""
    assert python(WHOLE) == ["krakenfutures", "False", "True", *["True"] * 3, "kraken", *["True"] * 5]


def test_an_unknown_exchange_is_not_imported_ahead() -> None:
    assert list(import_exchange("krakn")) == []


@pytest.mark.long
@pytest.mark.parametrize("how", ["in turn", "forked"])
def test_every_exchange_imported_alone_is_that_of_a_whole_import(how: str) -> None:
    """It takes seconds: all of ccxt is imported, twice."""
    (number,) = python(ALL, how)
    assert int(number) > 100


def test_a_name_takes_only_the_modules_that_it_needs(toy: Any) -> None:
    assert toy.one.__name__ == "one"
    assert imported() == {"toy.one"}
    assert issubclass(toy.second, toy.one)
    assert imported() == {"toy.one", "toy.two"}


def test_a_class_is_found_where_its_module_of_the_same_name_was_imported(toy: Any) -> None:
    import_module("toy.one")

    assert isinstance(toy.one, type)
    import_module("toy.base")

    assert toy.base.__path__
    assert toy.shared.__name__ == "toy.base.shared"
    assert imported() == {"toy.one", "toy.base", "toy.base.shared"}


def test_any_other_name_runs_the_file_once(toy: Any) -> None:
    first = toy.one
    assert toy.numbers == [1, 2]
    assert type(toy) is type(sys)
    toy.numbers.append(3)
    assert toy.one is first
    assert toy.numbers == [1, 2, 3]
    with pytest.raises(AttributeError, match="'toy' has no attribute 'three'"):
        toy.three  # noqa: B018 (asking is what raises)


def test_a_name_that_the_file_binds_again_is_what_it_makes_of_it(toy: Any) -> None:
    assert toy.other == [toy.one]


def test_looking_at_all_names_or_setting_one_runs_the_file_first(toy: Any) -> None:
    assert {"one", "second", "numbers"} <= set(dir(toy))


def test_what_is_set_stays(toy: Any) -> None:
    toy.one = "mine"
    assert toy.numbers == [1, 2]
    assert toy.one == "mine"


def test_a_module_that_cannot_be_imported_alone_is_imported_with_all_others(toy: Any) -> None:
    assert toy.Picky.__name__ == "Picky"
    assert toy.numbers == [1, 2]


def test_a_file_that_fails_says_so_each_time_and_may_be_mended(toy: Any) -> None:
    import_module("toy.gate")

    mended, toy.gate.passed = toy.gate.passed, None
    for _ in range(2):
        with pytest.raises(TypeError, match="not callable"):
            toy.numbers  # noqa: B018 (asking is what raises)
    toy.gate.passed = mended
    assert toy.numbers == [1, 2]


def test_another_thread_waits_until_the_file_has_run(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import_module("toy.gate")

    runs, asked, found = threading.Event(), threading.Event(), []

    class Lock:
        """Tells when a second thread has come to wait."""

        def __init__(self) -> None:
            self._lock = threading.RLock()

        def __enter__(self) -> None:
            if runs.is_set():
                asked.set()
            self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()

    def passed() -> None:
        runs.set()
        assert asked.wait(60)

    monkeypatch.setattr(package, "_RUNNING", Lock())
    toy.gate.passed = passed
    first, second = (threading.Thread(target=lambda: found.append(toy.numbers)) for _ in range(2))
    first.start()
    assert runs.wait(60)
    second.start()
    first.join()
    second.join()
    assert found == [[1, 2]] * 2


def test_a_package_that_was_imported_already_stays_as_it_is(toy: Any) -> None:
    package.defer("toy")
    assert sys.modules["toy"] is toy
    package.defer("json")
    assert type(sys.modules["json"]) is type(sys)
