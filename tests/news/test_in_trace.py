"""The headlines that a run's sub-agents saw: in its trace, in the report, in the answer of list_signals."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.in_trace import news_seen, safe_link
from mcp_server.domain.news.item import NewsFetch, Told
from mcp_server.domain.outcome import NOTHING_SPENT, Ended, Outcome, Signal, Status
from mcp_server.domain.report.page import markdown
from mcp_server.domain.run_trace import trace_facts
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home
from mcp_server.storage.journal.rows import Run
from mcp_server.storage.journal.runs import Journal
from mcp_server.storage.news.store import NewsStore
from tests.acceptance.hostile_texts import TEXTS
from tests.domain.test_report_text import HOSTILE, NOT_FROM_TEXT, rendered
from tests.rigs.news_trace import AS_OF, news_answer, news_call, news_trace
from tests.rigs.sampled import sampled

SEEN = "2026-05-20T11:40:30Z"
ROW = [7, None, SEEN, "wire", "Bitcoin falls", 0]
NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)


def test_a_call_tells_its_headlines_as_of_when_and_what_was_withheld() -> None:
    answer = news_answer([ROW, [8, AS_OF, SEEN, "press", "Ether rises", 2]], withheld={"undated": 2})
    (shown,) = news_seen(
        news_trace(news_call(answer)), {(7, "wire"): "https://wire.example/7", (8, "other"): "https://x.example"}
    )
    assert (shown.agent, shown.asset, shown.as_of, shown.withheld, shown.cut) == (
        "news-agent",
        "BTC",
        AS_OF,
        {"undated": 2},
        False,
    )
    assert [(one.first_seen_at, one.source, one.headline, one.url) for one in shown.headlines] == [
        (SEEN, "wire", "Bitcoin falls", "https://wire.example/7"),
        (SEEN, "press", "Ether rises", None),  # that address is another source's
    ]


def test_an_answer_with_links_needs_no_others() -> None:
    columns = ["id", "first_seen_at", "source", "headline", "url", "withheld"]
    rows = [
        [1, SEEN, "wire", "a", "https://wire.example/1", None],
        [2, SEEN, "wire", "b", "javascript:alert(1)", "undated"],
    ]
    (shown,) = news_seen(news_trace(news_call(news_answer(rows, columns))))
    assert [(one.url, one.withheld) for one in shown.headlines] == [("https://wire.example/1", None), (None, "undated")]


def test_only_what_a_sub_agent_saw_is_told() -> None:
    answer = news_answer([ROW])
    others = [news_call(answer, tool="get_price"), news_call(answer, is_error=True), news_call(answer, is_error=None)]
    others += [news_call("Nothing was collected yet."), news_call("[]"), news_call(news_answer([], ["price"]))]
    assert news_seen(news_trace(*others)) == []
    assert [shown.headlines for shown in news_seen(news_trace(news_call(news_answer([]))))] == [[]]


def test_of_an_answer_that_the_trace_has_cut_the_whole_rows_are_told() -> None:
    answer = news_answer([[number, None, SEEN, "wire", f"Headline {number}", 0] for number in range(40)])
    whole = json.loads(answer)["rows"]
    for length in range(0, len(answer), 7):
        for shown in news_seen(news_trace(news_call(f"{answer[:length]}… cut: 9000 characters in all"))):
            assert shown.cut
            assert [one.headline for one in shown.headlines] == [row[4] for row in whole[: len(shown.headlines)]]
    (shown,) = news_seen(news_trace(news_call(answer[:2000])))
    assert len(shown.headlines) > 10
    (shown,) = news_seen(news_trace(news_call(answer, whole=False)))
    assert (shown.cut, len(shown.headlines)) == (True, 40)


def test_a_trace_of_any_shape_is_read_as_far_as_it_can_be() -> None:
    rng = random.Random(5)  # noqa: S311
    values: list[Any] = [
        None,
        True,
        -1,
        10**30,
        1.5,
        "",
        "x",
        [],
        [[]],
        {},
        "headline",
        "\ud800",
        ROW,
        AS_OF,
        {"a": True},
    ]
    found = 0
    for _ in range(3_000):
        keys = ("columns", "rows", "withheld", "asset", "as_of")
        answer = {key: rng.choice([values, rng.choice(values)]) for key in keys if rng.random() < 0.9}
        call = news_call(json.dumps(answer)) | {rng.choice(["x", "whole", "tool"]): rng.choice([*values, "get_news"])}
        trace = rng.choice([news_trace(call), {"sub_agents": [call, None]}, call, None])
        facts = trace_facts(trace, None)
        json.dumps(facts, allow_nan=False).encode()
        found += facts["news"] is not None
    assert found > 100


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example", "javascript:alert(1)", "https://", "https:///x", "https://a@b.example", "", None, 7,
        "HTTPS",        "https://a.example/ x", 'https://a.example/"onclick="x', "https://a.example/\u202e", "https://b\u0430nk.example",
        "https://[x", "https://a.example/" + "x" * 2_000, "https://a.example/<b>", "https://a.example/`",
        "https://a.example/\n",
    ],
)  # fmt: skip
def test_only_a_plain_https_address_is_a_link(url: Any) -> None:
    assert safe_link(url) is None


def _report(*rows: Any, **facts: Any) -> str:
    outcome = Outcome(
        Status.SUCCESS,
        Signal("BUY", None, "why", 1.0, {}),
        trace=news_trace(news_call(news_answer(rows, **facts))),
        **NOTHING_SPENT,
    )
    strategy = parse_strategy("dip", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
    return markdown(
        strategy, Ended(1, "rules", NOW, outcome, NOW, NOW), None, links={(7, "wire"): "https://wire.example/7"}
    )


def test_the_report_lists_the_headlines_with_their_addresses() -> None:
    text = _report(ROW, withheld={"undated": 2, "dated_in_the_future": 1})
    assert f"## News that sub-agents saw\n\nShown to news-agent: 1 headline about BTC, as of {AS_OF}; " in text
    assert "withheld: 2 undated, 1 dated in the future." in text
    assert f"- “Bitcoin falls”, wire, first seen {SEEN}, `https://wire.example/7`" in text
    assert "<li>" in rendered(text)


@pytest.mark.parametrize("hostile", sampled([*HOSTILE, *TEXTS[3:50]], 4))
def test_a_hostile_headline_stays_a_line_of_the_report(hostile: str) -> None:
    text = _report([7, None, hostile, hostile, hostile, 0], asset=hostile, withheld={hostile: 1})
    section = text[text.index("## News") : text.index("---\n\n*Quot")]
    html = rendered(section).removeprefix("<h2>News that sub-agents saw</h2>")
    assert [tag for tag in NOT_FROM_TEXT if tag in html] == []
    assert html.count("<li>") == 1


def test_a_run_is_told_with_the_news_and_their_addresses(home: Path) -> None:
    at = Home(home)
    database = Database(at.database, prepare=at.prepare)
    feed = Feed("wire", "https://wire.example/feed", "press")
    told = [Told("g", "https://wire.example/7", "Bitcoin falls", None)]
    NewsStore(database).enter(NewsFetch("wire", 0, "ok", 1), feed, told)
    ((news_id,),) = database.read(lambda connection: connection.execute("SELECT id FROM news").fetchall())
    strategy = parse_strategy("dip", {"trading_pair": "BTC/USD", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
    journal = Journal(database, at)
    trace = news_trace(news_call(news_answer([[news_id, None, SEEN, "wire", "Bitcoin falls", 0]])))
    claimed = journal.claim(Run(strategy, "manual", NOW, "claude", NOW))
    journal.finish(claimed, Outcome(Status.ABSTAINED, error="why", trace=trace), NOW)
    run = journal.whole_run(claimed.execution_id, None, NOW)
    (news,) = trace_facts(run.trace, run.data, run.links)["news"]
    assert news["headlines"] == [
        {
            "id": news_id,
            "first_seen_at": SEEN,
            "source": "wire",
            "headline": "Bitcoin falls",
            "url": "https://wire.example/7",
            "withheld": None,
        }
    ]
