"""The limit of how long a query may run: one thread watches all, and each is stopped by its own time."""

import time
from contextlib import ExitStack
from threading import Event, active_count

import pytest

from mcp_server.domain.rules import time_limit
from mcp_server.domain.rules.time_limit import TimeLimit

SHORT_S = 0.2


def test_one_thread_watches_any_number_of_calls() -> None:
    before, limit, stopped = active_count(), TimeLimit(60), list[int]()
    with ExitStack() as calls:
        for call in range(50):
            calls.enter_context(limit.over(lambda call=call: stopped.append(call)))  # type: ignore[misc]
        assert active_count() == before + 1
    assert stopped == []


def test_a_call_that_begins_while_the_thread_sleeps_is_stopped_after_its_own_time_and_once() -> None:
    limit, stopped, calls = TimeLimit(SHORT_S), Event(), list[str]()

    def stop() -> None:
        calls.append("second")
        stopped.set()

    with limit.over(lambda: calls.append("first")):
        pass
    time.sleep(SHORT_S / 2)

    began = time.monotonic()
    with limit.over(stop):
        assert stopped.wait(5)
        assert time.monotonic() - began >= SHORT_S
        with limit.over(lambda: calls.append("third")):
            pass

    assert calls == ["second"], "not one that ended in time, and none twice"


def test_where_nothing_runs_the_thread_ends_and_the_next_call_is_limited_as_well() -> None:
    limit = TimeLimit(0.02)
    for _ in range(3):
        stopped = Event()
        with limit.over(stopped.set):
            watcher = limit._watcher
            assert stopped.wait(5)
        assert watcher is not None
        watcher.join(5)
        assert not watcher.is_alive()


def test_what_is_over_before_the_thread_first_looks_does_not_end_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    happened = list[float | str]()
    monkeypatch.setattr(time_limit, "sleep", happened.append)
    TimeLimit(60, lambda: happened.append("at rest"))._watch()
    assert happened == [60, "at rest"]
