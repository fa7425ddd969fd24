"""The page on how it is built: a slot of a strategy by rules takes the way that the page tells, file by file."""

import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import CodeType, FrameType

import pytest

import mcp_server.adapters.simulated.exchange
import mcp_server.domain.rules.compiled  # noqa: F401 (imported now, as what is noted takes three times as long)
from mcp_server.settings import ServerSettings
from runner.execute import Runner
from runner.scheduler.outage import Outage
from runner.scheduler.slot_run import SlotRun
from runner.settings import RunnerSettings
from runner.tool_server.server import Address
from tests.http.conftest import guarded
from tests.scheduler.hand_driven import driven
from tests.scheduler.slot_homes import Machine, at, hourly, write

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
HOPS = re.findall(r"^\d+\. `([\w./]+)`:", PAGE, re.MULTILINE)


@contextmanager
def visits_noted() -> Iterator[list[str]]:
    """Yield the files of ours whose functions are called, one after the other, in this thread and those that begin."""
    visits: list[str] = []
    names: dict[CodeType, str] = {}

    def note(frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>":
            if code not in names:
                file = Path(code.co_filename)
                names[code] = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else ""
            if names[code] and visits[-1:] != [names[code]]:
                visits.append(names[code])

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield visits
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def test_a_slot_takes_the_way_that_the_page_tells(home: Path) -> None:
    write(home, hourly("s", exchange="simulated", trading_pair="BTC/USDT"), at("09:10"))
    machine, settings = Machine(home), RunnerSettings(home=home, exchange="simulated")
    with visits_noted() as visits, guarded(ServerSettings(home=home), clock=lambda: at("10:30")) as server:

        @asynccontextmanager
        async def serving() -> AsyncIterator[Address]:
            yield Address(f"http://127.0.0.1:{server.port}/mcp", None)

        async with driven(machine, at("09:30")) as everything:
            (scheduler,) = everything.schedulers
            runner = Runner(settings, machine.journal, machine.database, serving, clock=everything.clock)
            scheduler.run = SlotRun(runner, everything.clock, scheduler.concurrency, Outage())
            visits.clear()
            await everything.set(at("10:00:06"))
            taken = iter(list(visits))
    assert machine.slots() == [("success", "10:00", "10:00", 1)]
    assert [hop for hop in HOPS if hop not in taken] == []
    assert len(HOPS) > 15


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:mcp_server|runner|tests)/[\w./]+)`", PAGE))))
def test_each_file_that_the_page_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()
