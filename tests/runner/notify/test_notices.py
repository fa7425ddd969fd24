"""Notices against a service on loopback that refuses, fails, hangs and is slow, and processes that are killed."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import psutil
import pytest
from pydantic import SecretStr

from mcp_server.storage.home import Home
from runner.notify.notice_store import NoticeStore, file_name
from runner.notify.notices import Notices, Patience
from tests.rigs.forked_sender import forked_senders
from tests.rigs.receiver import Receiver, receiver
from tests.rigs.warm import Warm

QUICK = Patience(look_s=0.05, first_s=0.1, most_s=0.3, send_s=20, give_up_s=3600)
ENOUGH_S = 60


@pytest.fixture(scope="module", autouse=True)
def _forked_senders() -> Iterator[None]:
    with forked_senders():
        yield


@pytest.fixture
def service() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def notices(home: Path, *urls: str, patience: Patience = QUICK, clock: Callable[[], datetime] | None = None) -> Notices:
    more = {"clock": clock} if clock else {}
    return Notices(Home(home), [SecretStr(url) for url in urls], patience=patience, **more)


def add(to: Notices, key: str = "a") -> bool:
    return to.add("broken", key, {"strategy": key, "error": "x"})


async def deliver(what: Notices, until: Callable[[], bool]) -> None:
    """Deliver until something is so, and for a few looks more."""
    stop = anyio.Event()
    with anyio.fail_after(ENOUGH_S):
        async with anyio.create_task_group() as group:
            group.start_soon(what.deliver, stop)
            while not until():  # noqa: ASYNC110 (files and another thread have no events)
                await anyio.sleep(0.02)
            await anyio.sleep(3 * QUICK.look_s)
            stop.set()


def waiting(home: Path) -> int:
    return len(list((home / "notices").glob("*.json")))


def ended(home: Path, where: str) -> list[dict[str, object]]:
    files = sorted((home / "notices" / where).glob("*.json"))
    return [each for file in files for each in json.loads(file.read_text())["deliveries"].values()]


async def test_an_event_is_told_once_however_often_it_is_added(home: Path, service: Receiver) -> None:
    first, second = notices(home, service.url), notices(home, service.url)
    assert [add(first), add(first), add(second)] == [True, False, False]
    await deliver(first, lambda: waiting(home) == 0)
    assert [add(first), add(second)] == [False, False]
    await deliver(second, lambda: True)
    assert service.titles == ["a cannot be read"]
    assert first.problems() == []


async def test_what_could_not_be_delivered_is_tried_again_until_it_is(home: Path, service: Receiver) -> None:
    service.answers = [500, 503, 429]
    told = notices(home, service.url)
    add(told, "a")
    add(told, "b")
    await deliver(told, lambda: len(service.got) == 1)
    assert "it answered" in "".join(told.problems()) or len(service.got) >= 1
    await deliver(told, lambda: waiting(home) == 0)
    assert sorted(service.titles) == ["a cannot be read", "b cannot be read"]
    assert told.problems() == []


async def test_after_each_refusal_a_service_is_left_alone_three_times_as_long(home: Path, service: Receiver) -> None:
    now, looks = datetime(2026, 3, 1, 12, tzinfo=UTC), 0
    service.answers = [503] * 4

    def clock() -> datetime:
        nonlocal looks
        looks += 1
        return now

    async def asked(after_s: float) -> tuple[str, int]:
        """Let time pass, and some looks; tell what is written down of the delivery."""
        nonlocal now
        now += timedelta(seconds=after_s)
        before = looks
        while looks < before + 12:  # noqa: ASYNC110 (while it sends, it does not look)
            await anyio.sleep(0.01)
        (file,) = (home / "notices").glob("*.json")
        (delivery,) = json.loads(file.read_text())["deliveries"].values()
        return delivery["state"], delivery["attempts"]

    told = notices(home, service.url, patience=Patience(look_s=0.01, first_s=10, most_s=60), clock=clock)
    add(told)
    stop = anyio.Event()
    with anyio.fail_after(ENOUGH_S):
        async with anyio.create_task_group() as group:
            group.start_soon(told.deliver, stop)
            attempts = [(await asked(after_s))[1] for after_s in (0, 9.8, 0.4, 29.4, 0.8, 59, 1.2)]
            stop.set()
    assert attempts == [1, 1, 2, 2, 3, 3, 4], "after 10, 30 and then 60 s, which is the most"


async def test_a_service_that_is_not_there_yet_gets_it_when_it_is(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    told = notices(home, f"json://127.0.0.1:{port}/a-secret-token")
    add(told)
    await deliver(told, lambda: bool(told.problems()))
    (problem,) = told.problems()
    assert "address 1 of TRADER_NOTIFY (json) have failed since" in problem
    assert "it refused the connection" in problem
    assert "a-secret-token" not in problem
    assert waiting(home) == 1


async def test_one_service_that_fails_keeps_nothing_from_another(home: Path, service: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    told = notices(home, f"json://127.0.0.1:{port}", service.url)
    add(told, "a")
    add(told, "b")
    await deliver(told, lambda: len(service.got) == 2)
    assert waiting(home) == 2
    assert len(service.got) == 2, "what has arrived there is not sent there again"


async def test_a_slow_service_is_waited_for(home: Path, service: Receiver) -> None:
    service.answers = ["slow"]
    told = notices(home, service.url)
    add(told)
    await deliver(told, lambda: waiting(home) == 0)
    assert [each["state"] for each in ended(home, "sent")] == ["sent"]


async def test_a_service_that_hangs_stops_nobody_and_is_not_sent_the_same_again(home: Path, service: Receiver) -> None:
    service.answers = ["hang"]  # its process has to start, on a busy machine too, before the limit
    told = notices(home, service.url, patience=Patience(look_s=0.05, first_s=0.1, send_s=3))
    add(told, "a")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.05)
            ticks += 1

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await deliver(told, lambda: waiting(home) == 0)
        group.cancel_scope.cancel()
    assert ticks > 20, "the loop went on meanwhile"
    (lost,) = ended(home, "lost")
    assert (lost["state"], lost["why"]) == ("unknown", "it did not answer within 3 s")
    assert "1 did not arrive" in told.problems()[0]
    again = notices(home, service.url)
    add(again, "b")
    await deliver(again, lambda: waiting(home) == 0)
    assert service.titles == ["a cannot be read", "b cannot be read"]
    assert "(a): it did not answer" in again.problems()[0], "a restart forgets nothing"
    assert len(service.got) == 2


async def test_a_service_that_breaks_off_may_have_taken_it(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100_000)

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        told = notices(home, f"json://127.0.0.1:{listener.getsockname()[1]}")
        add(told)
        await deliver(told, lambda: waiting(home) == 0)
        thread.join(ENOUGH_S)
    (lost,) = ended(home, "lost")
    assert (lost["state"], lost["why"]) == ("unknown", "it took the notification and did not answer")


async def test_after_a_day_it_is_given_up_and_told(home: Path) -> None:
    now = datetime(2026, 5, 20, tzinfo=UTC)
    told = notices(home, "json://127.0.0.1:9", patience=Patience(look_s=0.02, first_s=3600), clock=lambda: now)
    add(told)
    await deliver(told, lambda: bool(told.problems()))
    now += timedelta(hours=25)
    await deliver(told, lambda: waiting(home) == 0)
    assert [each["state"] for each in ended(home, "lost")] == ["given up"]
    assert "did not arrive" in "".join(told.problems())


async def test_an_address_that_apprise_does_not_know_is_told_without_it(home: Path, service: Receiver) -> None:
    told = notices(home, "discrod://a-secret-token/x", service.url)
    add(told)
    await deliver(told, lambda: waiting(home) == 0)
    assert len(service.got) == 1
    (problem,) = told.problems()
    assert "it is not an address that apprise knows" in problem
    assert "a-secret-token" not in problem + "".join(file.read_text() for file in (home / "notices").rglob("*.json"))


async def test_a_folder_that_cannot_be_written_is_a_problem_and_no_failure(home: Path, service: Receiver) -> None:
    (home / "notices").write_text("in the way")
    told = notices(home, service.url)
    assert add(told) is False
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(told.deliver, stop)
        await anyio.sleep(0.2)
        stop.set()
    assert len(told.problems()) == 2


async def test_nothing_is_sent_of_which_that_cannot_be_written_down(home: Path, service: Receiver) -> None:
    told = notices(home, service.url)
    add(told)
    (file,) = (home / "notices").glob("*.json")
    in_the_way = file.with_name(f".{file.name}.{os.getpid()}.new")
    in_the_way.mkdir()
    seen: list[str] = []

    def told_so() -> bool:
        seen.extend(told.problems())
        return bool(seen)

    await deliver(told, told_so)
    assert service.got == []
    assert "Notifications cannot be delivered at present: The home cannot be written" in seen[0]
    in_the_way.rmdir()
    await deliver(told, lambda: waiting(home) == 0)
    assert (len(service.got), told.problems()) == (1, [])


def _spoilt(content: str, kind: str) -> str:
    """Make of a notice what an older or newer version, a slip or a half-full disk may leave."""
    notice = json.loads(content)
    (delivery,) = notice["deliveries"].values()
    changed: dict[str, dict[str, object]] = {
        "another kind": {**notice, "kind": "moonshot"},
        "no deliveries": {**notice, "deliveries": None},
        "fields": {**notice, "fields": {"strategy": ["s"]}},
        "elsewhere": {**notice, "name": "../../strategies.json"},
        "no moment": {**notice, "deliveries": {"1": {**delivery, "due_at": "soon"}}},
        "no zone": {**notice, "added_at": "2026-01-01T00:00:00"},
        "a state": {**notice, "deliveries": {"1": {**delivery, "state": "moonshot"}}},
    }
    return json.dumps(changed[kind]) if kind in changed else {"cut": content[:-9], "deep": "[" * 100_000}[kind]


async def test_a_notice_that_cannot_be_used_is_put_aside_and_told_and_the_others_arrive(
    home: Path, service: Receiver
) -> None:
    told, kinds = notices(home, service.url), ("another kind", "no deliveries", "fields", "elsewhere", "no moment")
    for kind in (*kinds, "no zone", "a state", "cut", "deep"):
        add(told, kind)
        file = home / "notices" / file_name(kind)
        file.write_text(_spoilt(file.read_text(), kind))
    os.mkfifo(home / "notices" / "pipe.json")
    add(told, "good")
    await deliver(told, lambda: waiting(home) == 0)
    assert service.titles == ["good cannot be read"]
    assert len([*(home / "notices" / "broken").iterdir()]) == 10
    assert "10 files could not be read" in "".join(told.problems())


async def test_a_notice_that_cannot_even_be_put_aside_is_told_until_it_is_gone(home: Path, service: Receiver) -> None:
    add(notices(home, service.url), "cut")
    file = home / "notices" / file_name("cut")
    file.write_text("{")
    (home / "notices" / "broken").write_text("a file where a folder belongs")
    store, now = NoticeStore(Home(home)), datetime.now(UTC)
    assert store.waiting() == []
    assert file.name in (store.problem(now) or "")
    file.unlink()
    assert store.problem(now) is None


async def test_without_an_address_nothing_is_kept(home: Path) -> None:
    told = notices(home)
    assert add(told) is False
    stop = anyio.Event()
    await told.deliver(stop)
    assert not (home / "notices").exists()


@contextmanager
def delivering(home: Path, url: str) -> Iterator[Warm]:
    """Deliver in another process, which starts those that send as it does for people."""
    output, written = os.pipe()
    with open(output) as lines:
        try:
            streams = (0, written, 2)
            process = Warm("tests.runner.notify.delivering_process", [str(home), url], os.environ, Path.cwd(), streams)
        finally:
            os.close(written)
        try:
            assert lines.readline() == "ready\n"
            yield process
        finally:
            process.kill()
            process.wait()


async def test_two_processes_deliver_each_notice_once(home: Path, service: Receiver) -> None:
    """This one is one of them."""
    told = notices(home, service.url)
    with delivering(home, service.url):
        names = ["n0", "n1"]
        service.answers = [200, 500]
        for name in names:
            add(told, name)
        await deliver(told, lambda: waiting(home) == 0)
    assert sorted(service.titles) == [f"{name} cannot be read" for name in names]


async def test_a_process_killed_while_it_sends_has_perhaps_delivered_it_and_it_is_not_sent_again(
    home: Path, service: Receiver
) -> None:
    service.answers = ["hang"]
    told = notices(home, service.url)
    add(told, "a")
    with delivering(home, service.url) as process:
        assert await anyio.to_thread.run_sync(service.arrived.wait, ENOUGH_S)
        children = psutil.Process(process.pid).children(recursive=True)
    for child in children:
        child.kill()
    add(told, "b")
    await deliver(told, lambda: waiting(home) == 0)
    assert service.titles == ["a cannot be read", "b cannot be read"]
    (lost,) = ended(home, "lost")
    assert (lost["state"], lost["why"]) == ("unknown", "the process that sent it was ended meanwhile")


@pytest.mark.long
async def test_kills_at_any_moment_tell_nothing_twice_and_lose_nothing_that_was_not_being_sent(
    home: Path, service: Receiver
) -> None:
    told = notices(home, service.url)
    for number in range(4):
        add(told, f"n{number}")
    for moment in (0.1, 0.4, 0.7):
        with delivering(home, service.url):
            await anyio.sleep(moment)
    await deliver(told, lambda: waiting(home) == 0)
    assert len(set(service.titles)) == len(service.titles), "nothing twice"
    unknown = len(ended(home, "lost"))
    assert len(service.titles) >= 4 - unknown
    assert unknown <= 3


async def test_what_was_told_long_ago_is_forgotten(home: Path, service: Receiver) -> None:
    told = notices(home, service.url)
    add(told)
    await deliver(told, lambda: waiting(home) == 0)
    (file,) = (home / "notices" / "sent").glob("*.json")
    long_ago = (datetime.now(UTC) - timedelta(days=91)).timestamp()
    os.utime(file, (long_ago, long_ago))
    await deliver(notices(home, service.url), lambda: not file.exists())
    assert add(told)
