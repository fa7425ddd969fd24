"""What is remembered of calls while a host decides: only what counts, and never much."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from mcp_server.domain.news.in_trace import ShownNews, news_seen
from mcp_server.seen_calls import MOST_CALLERS, MOST_CALLS, MOST_NEWS, MOST_RUNS, SeenCalls, succeeded
from tests.rigs.news_trace import news_answer, news_trace

NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
CALL = succeeded("get_price", {"symbol": "BTC/USDT"}, {"price": 1.0})


def test_nothing_is_remembered_without_an_open_run_and_after_it() -> None:
    seen = SeenCalls()
    seen.note(seen.watched(), "a", CALL)
    assert (seen.watched(), seen.of(1, "a")) == ((), None)
    seen.watch(1, LATER, NOON)
    seen.note(seen.watched(), "a", CALL)
    assert seen.of(1, "a") == (CALL,)
    seen.watch(1, LATER, NOON)
    assert seen.of(1, "a") == (CALL,), "it is handed out again"
    seen.watch(2, LATER + timedelta(minutes=9), LATER)
    assert seen.of(1, "a") is None, "its time is over"
    seen.forget(2)
    assert seen.watched() == ()


def test_a_call_that_began_before_the_run_does_not_count() -> None:
    seen = SeenCalls()
    begun = seen.watched()
    seen.watch(1, LATER, NOON)
    seen.note(begun, "a", CALL)
    assert seen.of(1, "a") == ()


def test_runs_callers_and_calls_are_bounded_and_one_caller_cannot_push_out_anothers_calls() -> None:
    seen = SeenCalls()
    for number in range(MOST_RUNS + 5):
        seen.watch(number, LATER, NOON)
    assert len(seen.watched()) == MOST_RUNS
    last = seen.watched()[-1:]
    seen.note(last, "quiet", CALL)
    for _ in range(3 * MOST_CALLS):
        seen.note(last, "loud", CALL)
    assert [len(seen.of(last[0], caller) or ()) for caller in ("quiet", "loud")] == [1, MOST_CALLS]
    for number in range(2 * MOST_CALLERS):
        seen.note(last, f"caller {number}", CALL)
    assert seen.of(last[0], "quiet") == ()
    assert len(seen.of(last[0], f"caller {2 * MOST_CALLERS - 1}") or ()) == 1


def test_of_a_long_answer_its_facts_are_kept() -> None:
    answer = {"symbol": "BTC/USDT", "as_of": "2026-05-20T12:00Z", "note": "n" * 5_000, "rows": [[1.0] * 6] * 500}
    call = succeeded("get_ohlcv", {"symbol": "BTC/USDT", "q": "x\u202e" * 900}, answer)
    assert call.stated("as_of") == "2026-05-20T12:00Z"
    assert call.answer["symbol"] == "BTC/USDT"
    assert len(call.result or "") < 2_000
    assert "\u202e" not in str(call.arguments)


def test_of_news_the_headlines_stay_so_that_a_run_can_show_what_its_model_saw() -> None:
    def shown(count: int) -> ShownNews:
        rows = [[number, None, "2026-05-20T11:40:30Z", "wire", f"Headline {number} " * 7, 0] for number in range(count)]
        call = succeeded("get_news", {"symbol": "BTC/USDT"}, json.loads(news_answer(rows)))
        assert len(call.result or "") < MOST_NEWS + 500
        (news,) = news_seen(news_trace(asdict(call)))
        return news

    assert (len(shown(15).headlines), shown(15).cut) == (15, False)
    assert (10 < len(shown(200).headlines) < 50, shown(200).cut) == (True, True)
