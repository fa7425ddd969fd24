"""A replay from end to end: the real runner, tool server, agent SDK and CLI, and a scripted model with prices."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mcp import Client

from mcp_server.app import build_server
from mcp_server.domain.outcome import Status
from mcp_server.domain.timeframes import naive
from mcp_server.errors import BadInput, NotSupported
from mcp_server.settings import ServerSettings
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.journal.replay_rows import ReplayRow
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.replay.course import Course
from runner.replay.replay import replay
from runner.replay.replayed import Replayed, ReplayProgress, ReplayRequest
from runner.tool_server.server import Address
from tests.rigs.replays import (
    FIRST,
    REQUESTS_A_RUN,
    SCRIPT,
    Prices,
    flat,
    moments,
    parts_of,
    repeated,
    replay_of,
    varied,
    watching,
)
from tests.rigs.scripted_messages_api import Fail, Request, ScriptedMessagesApi, Step
from tests.runner.claude_runs import KEY
from tests.tools.conftest import answer_of

Tell = Callable[[ReplayProgress], None]

EARLY = datetime(2024, 6, 1, 2, tzinfo=UTC)
"""A model may know what came after it."""


async def replayed(
    home: Path,
    address: Address | None,
    request: ReplayRequest,
    prices: Prices,
    tell: Tell = lambda _: None,
    **settings: Any,
) -> Replayed:
    """Replay; without an address it starts a tool server of its own."""
    server = {} if address is None else {"server_url": address.url, "token": address.token}
    with ScriptedMessagesApi(SCRIPT, prices) as api:
        credentials = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}
        parts = parts_of(home, **{"max_claude_runs": 3, **server, **credentials, **settings})
        return await replay(request, parts, tell)


async def rerun(home: Path, address: Address, request: ReplayRequest) -> Replayed:
    """Replay from the cassettes, with no API and no credential."""
    parts = parts_of(home, server_url=address.url, token=address.token, max_claude_runs=3)
    return await replay(replace(request, rerun=True, max_usd=Decimal(0)), parts, lambda _: None)


def rows_of(home: Path, done: Replayed) -> dict[datetime, ReplayRow]:
    return {**parts_of(home).journal.replays.rows(done.replay_id)}


def check_told(told: list[ReplayProgress], done: Replayed) -> None:
    """Check what was told of six moments: the price after five of them, and each step as it began."""
    assert [step.step for step in told if step.note] == ["pilots"], "the price is told once"
    steps = [step for step, _ in groupby(told, key=lambda news: news.step)]
    assert steps == ["wake", "models", "pilots", "runs"]
    begun = {step: next(news for news in told if news.step == step) for step in steps}
    assert [begun[step].done for step in steps] == [1, 0, 0, 5], "each step is told as it begins"
    assert done.estimated_usd is not None
    assert done.estimated_usd[0] <= done.spent_usd <= done.estimated_usd[1]


@pytest.mark.long
@pytest.mark.parametrize("count", [6])
async def test_a_replay_is_priced_beforehand_recorded_whole_and_repeated_for_nothing(
    home: Path, address: Address, count: int
) -> None:
    """In `make test`, `test_documentation.py` has a replay of one moment, and `test_estimate.py` the price."""
    prices, request, told = Prices(varied(7, 2_000)), replay_of(count), list[ReplayProgress]()
    done = await replayed(home, address, request, prices, told.append)
    assert (done.by_status, done.signals, done.stopped_by) == ({Status.SUCCESS: count}, {"BUY": count}, None)
    assert done.requests_asked == count * REQUESTS_A_RUN == sum(prices.asked.values())
    assert done.spent_usd == prices.spent_usd == done.recorded_usd
    if count == 6:
        check_told(told, done)
    assert told[-1].signals == {"BUY": count}
    assert (told[-1].done, told[-1].spent_usd, told[-1].left_usd) == (count, done.spent_usd, 100 - done.spent_usd)

    same_command = await replayed(home, address, request, prices)
    assert (same_command.runs, sum(prices.asked.values())) == (0, done.requests_asked), "no moment is run again"
    assert (
        replace(same_command, runs=count, requests_asked=done.requests_asked, estimated_usd=done.estimated_usd) == done
    )

    lost = moments(count)[count // 2]
    version = request.strategy.decision_version("simulated", "claude")
    for file in (Home(home).cassettes / "dip" / version / f"{lost:%Y%m%dT%H%M%SZ}").iterdir():
        file.unlink()
    again = await rerun(home, address, request)
    assert again.replay_id != done.replay_id
    assert (again.by_status, again.drift, again.stopped_by) == ({Status.SUCCESS: count - 1, Status.DRIFT: 1}, 1, None)
    assert (again.requests_asked, again.requests_from_cassette) == (0, (count - 1) * REQUESTS_A_RUN)
    assert "the agent CLI took" in again.notes[0]
    before, after = rows_of(home, done), rows_of(home, again)
    assert {row.cost_usd for row in after.values()} == {Decimal(0)}
    assert after.pop(lost).status == Status.DRIFT
    del before[lost]
    assert [(row.tokens_used, row.recorded_usd) for row in after.values()] == [
        (row.tokens_used, row.recorded_usd) for row in before.values()
    ]
    whole = [row for row in repeated(home, done.replay_id) if row[0] != naive(lost)]
    assert [row for row in repeated(home, again.replay_id) if row[0] != naive(lost)] == whole
    assert all(row[6] for row in whole), "the evidence is among what is repeated"
    assert again.recorded_usd == sum(row.recorded_usd or 0 for row in before.values())


async def test_a_replay_through_a_cloud_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    with pytest.raises(NotSupported, match="CLAUDE_CODE_USE_BEDROCK is set"):
        await replay(replay_of(1), parts_of(home, ANTHROPIC_API_KEY=KEY), lambda _: None)


def test_a_step_is_told_when_it_begins() -> None:
    told = list[ReplayProgress]()
    course = Course(
        replay_of(2), cast(Any, None), cast(Any, SimpleNamespace(cap=None)), cast(Any, None), {}, told.append
    )
    course._begin("runs")
    assert told == [ReplayProgress("runs", 0, 2)]


@pytest.mark.long
async def test_the_cap_holds_with_the_real_agent(home: Path, address: Address) -> None:
    prices = Prices(varied(3, 12_000))
    request = replay_of(5, "0.20", strategy=watching(budget={"usd_per_run": "0.09"}))
    done = await replayed(home, address, request, prices)
    assert done.stopped_by == "cap"
    assert prices.spent_usd == done.spent_usd
    assert prices.spent_usd - Decimal("0.20") < max(prices.costs)


@pytest.mark.long
async def test_a_moment_that_a_model_may_know_the_sequel_of_is_refused_before_anything_is_asked(
    home: Path, address: Address
) -> None:
    """In `make test` the last test of `test_documentation.py` has it."""
    prices, request = Prices(flat), replay_of(2, since=EARLY, moments=(EARLY, FIRST))
    with pytest.raises(BadInput, match="--contaminated"):
        await replayed(home, address, request, prices)
    assert not prices.asked
    assert parts_of(home).journal.entries(outcomes="all") == []


@pytest.mark.long
async def test_an_overloaded_api_slows_a_replay_down_and_what_it_had_replied_is_not_asked_again(
    home: Path, address: Address
) -> None:
    fails = iter([None, Fail(529, {"retry-after": "0"})])

    def overloaded(_: Request) -> Step | None:
        return next(fails, None)

    told: list[ReplayProgress] = []
    prices = Prices(flat, before=overloaded)
    done = await replayed(home, address, replay_of(2), prices, told.append, max_claude_runs=1)
    assert (done.by_status, done.spent_usd) == ({Status.SUCCESS: 2}, prices.spent_usd)
    assert set(prices.asked.values()) == {1}
    assert any("asks to wait" in step.note for step in told)


@pytest.mark.long
async def test_each_moment_has_its_row_asleep_contaminated_or_clean_of_the_version_that_was_read_at_the_start(
    home: Path,
) -> None:
    """Of five moments `wake` lets two through: an early one, of which a model may know the sequel, and a later one.

    In `make test`, `test_asleep.py` has moments that are asleep, `tests/runner/test_recorder.py` what a model may know,
    and `tests/scoring` what is left out for it.
    """
    folders = StrategyFolders(Home(home), examples_folder())
    first = {"synthesis_logic": "The first version.", "rules": {"timeframe": "1h", "buy": "close > 0"}}
    before = watching(wake="close > open", **first)
    folders.write(before)
    texts: list[str] = []

    def edits(request: Request) -> Step | None:
        if not texts:
            folders.write(watching(rules={"timeframe": "1h", "sell": "close > 0"}, synthesis_logic="The second one."))
        texts.append(request.text)
        return None

    prices = Prices(flat, before=edits)
    request = replay_of(5, strategy=before, since=EARLY, moments=(EARLY, *moments(4)), contaminated=True)
    done = await replayed(home, None, request, prices)
    awake = done.by_status[Status.SUCCESS]
    assert (done.asleep, done.runs, done.contaminated) == (5 - awake, awake, 1)
    assert 1 < awake < 5
    assert sum(prices.asked.values()) == awake * REQUESTS_A_RUN
    statuses = {row.status for row in rows_of(home, done).values()}
    assert statuses == {Status.SUCCESS, Status.SKIPPED_GATE}

    assert not any("The second one." in text for text in texts)
    versions = "SELECT DISTINCT strategy_version FROM executions"
    database = parts_of(home).database
    assert database.read(lambda connection: connection.execute(versions).fetchall()) == [(before.version,)]
    told = {json.loads(row[6])["twin"]["signal"] for row in repeated(home, done.replay_id) if row[6]}
    assert told == {"BUY"}

    async with Client(build_server(ServerSettings(home=home, exchange="simulated"))) as client:
        score = answer_of(await client.call_tool("get_performance", {"replay": done.replay_id}))
    assert (score["signals"]["buy"], score["left_out"]["runs"]) == (awake - 1, 1)

    again = await replayed(home, None, request, prices)
    assert (again.asleep, again.runs) == (done.asleep, 0)
