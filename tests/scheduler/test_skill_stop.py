"""`stop`: a strategy whose signals bring too little is paused, which is told once; a person may resume it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.errors import BadInput, Retryable
from runner.notify.events import Event
from runner.scheduler.skill_stop import SkillStop
from tests.scheduler.performance import Performance, record
from tests.scheduler.slot_homes import Machine, at, hourly, write

pytestmark = pytest.mark.usefixtures("kept_in")

STOP = {"no_skill": 0.05, "minimum_edge_pct": 0.1}


def stop_state(*, reached: bool) -> dict[str, Any]:
    highest = 23.456 if reached else 3.2
    figures = {"e_value": 2.5, "highest": highest, "judged": 41, "mean_net_pct": -0.4321}
    return {**figures, "limit": 20.0, "minimum_edge_pct": 0.1, "reached": reached}


class Stopping:
    """Strategies with `stop` that are scheduled, and looks at them."""

    def __init__(self, home: Path, *strategies: Strategy) -> None:
        self.machine = Machine(home)
        self.scheduled = list(strategies)
        self.server = Performance()
        self.told: list[Event] = []
        self.now = at("20:00")
        for what in strategies:
            write(home, what)
            self.machine.adopt(what, at("08:00"))
        self.anew()

    def anew(self) -> None:
        """Go on as another process does."""
        machine = self.machine
        self.stop = SkillStop(
            lambda: self.scheduled, machine.database, machine.folders, "simulated", lambda: self.now, self.told.append
        )

    async def look(self, *, judged: int = 60, reached: bool = True) -> None:
        records = {what.name: record(what, judged=judged) for what in self.scheduled}
        self.server.one = {
            name: {**one, "stop": stop_state(reached=reached)} for name, one in records.items()
        } | self.server.one
        await self.stop(records, self._ask)

    async def _ask(self, **arguments: Any) -> dict[str, Any]:
        return await self.server.call("get_performance", arguments)

    def status(self, name: str = "s") -> str:
        return self.machine.folders.read(name).config.status

    def resume(self, when: datetime) -> None:
        self.scheduled = [self.machine.folders.set_status("s", "active")[0]]
        self.machine.adopt(self.scheduled[0], when)


@pytest.fixture
def one(home: Path) -> Stopping:
    return Stopping(home, hourly(stop=STOP))


async def test_it_is_paused_and_told_once_with_what_was_seen(one: Stopping) -> None:
    await one.look()
    assert one.status() == "paused"
    await one.look(judged=61)
    one.anew()
    await one.look(judged=61)
    (event,) = one.told
    assert event.kind == "no_skill"
    assert event.fields == {
        "strategy": "s",
        "judged": "41",
        "mean_net_pct": "-0.432",
        "minimum_edge_pct": "0.1",
        "e_value": "23.5",
        "limit": "20",
        "chance_pct": "5",
    }


async def test_where_the_clock_was_set_back_it_is_looked_at_once_it_shows_the_time_of_its_start_again(
    one: Stopping,
) -> None:
    one.now = at("08:00")
    await one.look()
    assert (one.status(), one.server.calls) == ("active", [])
    one.now = at("08:01")
    await one.look(judged=61)
    assert one.status() == "paused"


async def test_below_its_limit_it_runs_on(one: Stopping) -> None:
    await one.look(reached=False)
    assert (one.status(), one.told) == ("active", [])


async def test_without_a_stop_nothing_is_asked_and_nothing_paused(home: Path) -> None:
    one = Stopping(home, hourly())
    await one.look()
    assert (one.status(), one.told, one.server.calls) == ("active", [], [])


async def test_what_counts_begins_when_it_was_last_made_active(one: Stopping) -> None:
    await one.look()
    one.resume(at("15:00"))
    one.server.one.clear()
    await one.look(reached=False)
    assert one.status() == "active", "what was judged before it was resumed does not count"
    one.server.one.clear()
    await one.look(judged=90)
    assert one.status() == "paused", "what was judged since then does"
    assert [call["since"] for call in one.server.calls] == [
        at(time).isoformat() for time in ("08:00", "15:00", "15:00")
    ]
    assert len({event.key for event in one.told}) == 2


async def test_it_is_looked_at_again_only_once_more_is_judged_or_it_was_edited(one: Stopping) -> None:
    for judged in (60, 60, 61):
        await one.look(judged=judged, reached=False)
    assert len(one.server.calls) == 2
    one.scheduled = [hourly(stop={"no_skill": 0.2})]
    await one.look(judged=61, reached=False)
    assert len(one.server.calls) == 3


async def test_what_decided_before_an_edit_pauses_nothing(one: Stopping) -> None:
    before = hourly(rules={"timeframe": "1h", "buy": "close > 9"})
    one.server.one = {"s": record(before, stop=stop_state(reached=True))}
    await one.look()
    assert (len(one.server.calls), one.status(), one.told) == (1, "active", [])


async def test_one_that_was_edited_or_paused_meanwhile_is_left_alone(one: Stopping) -> None:
    write(one.machine.root, hourly(stop={"no_skill": 0.001}))
    await one.look()
    assert (one.status(), one.told) == ("active", [])
    write(one.machine.root, hourly(stop=STOP))
    one.machine.folders.set_status("s", "paused")
    one.scheduled = [one.machine.folders.read("s")]
    await one.look(judged=70)
    assert (one.status(), one.told) == ("paused", []), "it was a person who paused it"


async def test_one_that_cannot_be_looked_at_holds_up_no_other_and_is_tried_again(home: Path) -> None:
    one = Stopping(home, hourly("a", stop=STOP), hourly("b", stop=STOP))
    write(home, "a")  # its folder is broken, and its last good version runs
    with pytest.raises(BadInput, match="'a'"):
        await one.look()
    assert one.status("b") == "paused"
    write(home, hourly("a", stop=STOP))
    await one.look()
    assert one.status("a") == "paused"
    assert [event.fields["strategy"] for event in one.told] == ["b", "a"]


async def test_those_whose_records_did_not_fit_into_the_answer_are_asked_for_by_name(home: Path) -> None:
    """Records come in the order of their names: before the last of them, one that is missing has no run."""
    names = ("a", "b", "c", "d")
    one = Stopping(home, *(hourly(name, stop=STOP) for name in names[:3]), hourly("d"))
    records = {name: record(strategy) for name, strategy in zip(names, one.scheduled, strict=True)}
    asked: list[str] = []
    for reached in (False, False, True):
        one.server.one = {name: {**records[name], "stop": stop_state(reached=reached)} for name in names}
        one.server.calls.clear()
        await one.stop({"b": records["b"]}, one._ask)
        asked.append("".join(call["strategy_name"] for call in one.server.calls))
    assert asked == ["bc", "c", "c"]
    assert [one.status(name) for name in names] == ["active", "active", "paused", "active"]
    await one.stop({}, one._ask)
    assert len(one.server.calls) == 1, "where there is no record at all, nothing was left out"


async def test_a_tool_that_fails_pauses_nothing_and_is_asked_again(one: Stopping) -> None:
    one.server.error = Retryable("The exchange is down.")
    with pytest.raises(Retryable, match="down"):
        await one.look()
    assert one.status() == "active"
    one.server.error = None
    await one.look()
    assert one.status() == "paused"


async def test_one_that_was_never_scheduled_is_left_alone(home: Path) -> None:
    one = Stopping(home)
    one.scheduled = [hourly(stop=STOP)]
    write(home, one.scheduled[0])
    await one.look()
    assert (one.status(), one.server.calls) == ("active", [])
