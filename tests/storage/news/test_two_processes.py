"""One process collects while another answers: as of a moment, it never tells later what it did not tell then."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from mcp_server.domain.news.item import NewsItem
from mcp_server.storage.news.store import NewsStore
from tests.rigs.forked_script import ForkedScript
from tests.rigs.journal_databases import journal_database
from tests.storage.news.conftest import NOON

pytestmark = pytest.mark.usefixtures("kept_in")

COLLECTOR = """
import sys
from pathlib import Path
from mcp_server.domain.news.feed import Feed
from mcp_server.domain.news.item import NewsFetch, Told
from mcp_server.storage.news.store import NewsStore
from tests.rigs.journal_databases import journal_database

source, fetches = sys.argv[2], int(sys.argv[3])
store = NewsStore(journal_database(Path(sys.argv[1]), patience_s=60))
for number in range(fetches):
    sys.stdin.readline()
    told = Told(f"{number}", None, f"Coin {number} of {source} rises", None)
    store.enter(NewsFetch(source, 0, "ok", 1), Feed(source, "https://a.example", "news"), [told])
    print(flush=True)
"""
"""Enters a fetch for each line that it is sent, and then sends one back."""

MEANWHILE = 3
"""Questions that are asked while a fetch is entered."""


def hammer(home: Path, collectors: int, fetches: int) -> None:
    """Ask while others collect, and each question again at the end."""
    store = NewsStore(journal_database(home, patience_s=60))
    given = [ask(store)]
    with ExitStack() as stack:
        running = [
            stack.enter_context(ForkedScript(COLLECTOR, str(home), f"s{which}", str(fetches)))
            for which in range(collectors)
        ]
        for _ in range(fetches):
            for process in running:
                print(file=process.stdin, flush=True)
            given += [ask(store) for _ in range(MEANWHILE)]
            for process in running:
                assert process.stdout.readline() == "\n"
            given.append(ask(store))
    everything = store.seen(0, 2 * NOON)
    for now_ms, answer in given:
        assert [item for item in everything if item.first_seen_ms <= now_ms] == answer
    assert len({item.first_seen_ms for item in everything}) == len(everything) == collectors * fetches


def ask(store: NewsStore) -> tuple[int, list[NewsItem]]:
    """Return a moment, and what was seen by then."""
    now_ms = time.time_ns() // 1_000_000
    return now_ms, store.seen(0, now_ms)


def test_an_answer_given_while_another_process_collects_holds_for_ever(home: Path) -> None:
    hammer(home, collectors=1, fetches=10)


@pytest.mark.long
def test_answers_hold_while_three_processes_collect(home: Path) -> None:
    hammer(home, collectors=3, fetches=60)
