"""Concurrency: so many runs at once, in the order in which they came, and none behind those of another kind."""

import anyio
import pytest

from mcp_server.domain.outcome import Engine
from mcp_server.storage.journal.rows import Run
from runner.memory import claude_runs
from runner.scheduler.concurrency import RULES_AT_ONCE, Concurrency
from tests.scheduler.slot_homes import at, hourly

NOON = at("12:00")


def run(engine: Engine = "rules", exchange: str | None = None) -> Run:
    return Run(hourly(**{} if exchange is None else {"exchange": exchange}), "schedule", NOON, engine, NOON)


class Crowd:
    """Runs that wait for a room, and stay in it until they are sent out."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self.tasks = tasks
        self.inside: list[str] = []
        self.leave: dict[str, anyio.Event] = {}

    def send(self, name: str, room: anyio.CapacityLimiter) -> None:
        self.leave[name] = anyio.Event()

        async def stay() -> None:
            async with room:
                self.inside.append(name)
                await self.leave[name].wait()
                self.inside.remove(name)

        self.tasks.start_soon(stay)

    async def send_out(self, *names: str) -> None:
        for name in names:
            self.leave[name].set()
        await anyio.wait_all_tasks_blocked()


@pytest.fixture
def concurrency() -> Concurrency:
    return Concurrency("kraken", most_agents=2)


async def test_agents_beyond_the_bound_wait_and_come_in_in_their_order(concurrency: Concurrency) -> None:
    concurrency.adjust()
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(tasks)
        for name in "abcd":
            crowd.send(name, concurrency.agent())
        await anyio.wait_all_tasks_blocked()
        assert crowd.inside == ["a", "b"]
        await crowd.send_out("b")
        assert crowd.inside == ["a", "c"]
        await crowd.send_out("a", "c", "d")


async def test_fewer_rooms_than_there_are_agents_end_none_of_them(concurrency: Concurrency) -> None:
    concurrency.adjust()
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(tasks)
        for name in "abc":
            crowd.send(name, concurrency.agent())
        await anyio.wait_all_tasks_blocked()
        concurrency.most_agents = 1
        concurrency.adjust()
        assert crowd.inside == ["a", "b"]
        await crowd.send_out("a")
        assert crowd.inside == ["b"], "the next comes in when there is room again"
        concurrency.most_agents = 3
        concurrency.adjust()
        await anyio.wait_all_tasks_blocked()
        assert crowd.inside == ["b", "c"]
        await crowd.send_out("b", "c")


async def test_until_the_memory_was_looked_at_one_agent_runs_then_as_many_as_it_allows() -> None:
    concurrency = Concurrency("kraken")
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(tasks)
        crowd.send("a", concurrency.agent())
        crowd.send("b", concurrency.agent())
        await anyio.wait_all_tasks_blocked()
        assert crowd.inside == ["a"]
        concurrency.adjust()
        await anyio.wait_all_tasks_blocked()
        assert len(crowd.inside) == min(2, claude_runs(1))
        await crowd.send_out("a", "b")


async def test_a_slow_exchange_holds_up_its_own_rules_and_no_others(concurrency: Concurrency) -> None:
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(tasks)
        for number in range(RULES_AT_ONCE):
            crowd.send(f"slow {number}", concurrency.turn(run()))
        crowd.send("waits", concurrency.turn(run(exchange="kraken")))
        crowd.send("elsewhere", concurrency.turn(run(exchange="coinbase")))
        crowd.send("agent", concurrency.turn(run("claude")))
        await anyio.wait_all_tasks_blocked()
        assert crowd.inside[RULES_AT_ONCE:] == ["elsewhere", "agent"]
        await crowd.send_out("slow 7")
        assert crowd.inside[-1] == "waits"
        await crowd.send_out(*crowd.leave)


async def test_one_that_gives_up_waiting_leaves_its_place_to_the_next(concurrency: Concurrency) -> None:
    concurrency.most_agents = 1
    concurrency.adjust()
    async with anyio.create_task_group() as tasks:
        crowd = Crowd(tasks)
        crowd.send("a", concurrency.agent())
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0):
            async with concurrency.agent():
                pytest.fail("there was no room")
        crowd.send("b", concurrency.agent())
        await anyio.wait_all_tasks_blocked()
        await crowd.send_out("a")
        assert crowd.inside == ["b"]
        await crowd.send_out("b")
