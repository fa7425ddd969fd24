"""A replay without a sub-agent, from end to end: what it says beforehand, what it asks, and that it is judged apart."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.outcome import Status
from mcp_server.domain.strategy.strategy import Strategy
from mcp_server.storage.home import examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.claude.cassette.ablation import MomentReuse, without_agents
from runner.claude.cassette.cassettes import Recorded, TokenCounts
from runner.replay.replay import _terms, replay
from runner.replay.replayed import ReplayProgress, ReplayRequest
from runner.replay.reuse import afterwards, beforehand
from runner.replay.token_prices import TokenPrices
from runner.tool_server.server import Address
from tests.replay.playing import play
from tests.rigs.played_runs import PlayedApi
from tests.rigs.replays import FIRST, MODEL, asking, looking, moments, parts_of, replay_of
from tests.rigs.scripted_messages_api import (
    ORCHESTRATOR,
    Reply,
    Request,
    ScriptedMessagesApi,
    Step,
    answer,
    say,
    start,
)
from tests.runner.claude_runs import KEY, strategy

LEFT_OUT, KEPT = "rsi-analyzer", "price-monitor"
TOOLS = {KEPT: "get_price", LEFT_OUT: "calculate_rsi"}
SCRIPT: dict[str, Sequence[Step]] = {
    ORCHESTRATOR: [Reply(calls=[start(name, f"Look for {name}.") for name in TOOLS]), say("in the place of an answer")],
    **looking(TOOLS),
}


def two(**config: Any) -> Strategy:
    return strategy(asking(TOOLS), exchange="simulated", model=MODEL, **config)


def weighed(request: Request, step: Step) -> Step:
    """Let the orchestrator say BUY with both reports, and SELL where one is missing."""
    if request.role != ORCHESTRATOR or request.turn == 0:
        return step
    reports = [name for name in TOOLS if f"Seen by {name}." in request.text]
    return answer(
        {
            "signal": "BUY" if len(reports) == 2 else "SELL",
            "confidence": 60,
            "reasoning": "They say so.",
            "sub_agent_results": {name: {"seen": True} for name in reports},
        }
    )


@pytest.mark.long
async def test_it_asks_one_turn_a_moment_says_so_and_is_a_replay_of_its_own(home: Path, address: Address) -> None:
    whole = replay_of(2, strategy=two(), contaminated=True)
    less = replace(whole, strategy=without_agents(two(), [LEFT_OUT]), without=(LEFT_OUT,), whole=two())
    notes: list[str] = []

    def tell(progress: ReplayProgress) -> None:
        notes.append(progress.note)

    with ScriptedMessagesApi(SCRIPT, weighed) as api:
        parts = parts_of(
            home, server_url=address.url, token=address.token, max_claude_runs=2,
            ANTHROPIC_BASE_URL=api.url, ANTHROPIC_API_KEY=KEY,
        )  # fmt: skip
        first = await replay(whole, parts, lambda _: None)
        assert (first.requests_asked, first.signals) == (12, {"BUY": 2})
        done = await replay(less, parts, tell)
        asked = [(request.role, request.turn) for request in api.requests[12:]]
    assert asked == [(ORCHESTRATOR, 1)] * 2
    assert (done.requests_asked, done.requests_from_cassette, done.signals) == (2, 6, {"SELL": 2})
    (told,) = [note for note in notes if note.startswith("Without rsi-analyzer")]
    assert "4 recorded and 2 derived replies are used again, at 2 of 2 moments. 2 turns of the orchestrator" in told
    assert "such turns cost 0.0012 USD when they were recorded" in told
    assert done.spent_usd == Decimal("0.0012")
    assert done.recorded_usd == Decimal("0.0048")
    (note,) = done.notes
    assert note.startswith("2 runs began with a derived reply")

    assert first.replay_id != done.replay_id
    until = FIRST + timedelta(days=30)
    for each, signals in ((first, [1, 1]), (done, [-1, -1])):
        (record,) = parts.journal.outcomes(StrategyFolders(parts.home, examples_folder()), "simulated").records(
            until, replay=each.replay_id
        )
        assert record.signal.tolist() == signals

    rerun = replace(less, rerun=True)
    again = await replay(rerun, parts_of(home, server_url=address.url, token=address.token, max_claude_runs=2), tell)
    assert (again.requests_asked, again.requests_from_cassette, again.signals) == (0, 8, {"SELL": 2})
    assert again.recorded_usd == done.recorded_usd
    assert any(note.startswith("2 runs began with a derived reply") for note in again.notes)


@pytest.mark.long
async def test_a_rerun_that_has_ended_is_followed_by_another_that_sees_what_has_changed_since(
    home: Path, address: Address
) -> None:
    """In `make test`, `tests/runner/test_drift.py` has what has changed, and `test_documentation.py` a rerun."""
    one = replay_of(1, strategy=two(), contaminated=True)
    with ScriptedMessagesApi(SCRIPT, weighed) as api:
        parts = parts_of(
            home, server_url=address.url, token=address.token, ANTHROPIC_BASE_URL=api.url, ANTHROPIC_API_KEY=KEY
        )
        await replay(one, parts, lambda _: None)
    alone = parts_of(home, server_url=address.url, token=address.token)
    first = await replay(replace(one, rerun=True), alone, lambda _: None)
    assert (first.runs, first.by_status) == (1, {Status.SUCCESS: 1})
    what = two(description="Buy low.")  # it decides nothing, so the version is the same; but Claude is told
    second = await replay(replace(one, rerun=True, strategy=what), alone, lambda _: None)
    assert (second.runs, second.by_status) == (1, {Status.DRIFT: 1})
    assert len({first.replay_id, second.replay_id, one.terms("simulated").id}) == 3
    (what_differs,) = second.drifts
    assert "Buy low." in what_differs


async def test_a_rerun_that_has_ended_is_done_anew_under_another_name(home: Path) -> None:
    one, parts = replay_of(1, rerun=True), parts_of(home)
    assert _terms(one, parts) == one.terms("simulated")
    done = await play(home, one, PlayedApi())
    assert done.tally.by_status == {Status.SUCCESS: 1}
    again = _terms(one, parts)
    assert (again.repeat, again.id != one.terms("simulated").id) == (1, True)
    recording = replace(one, rerun=False)
    assert _terms(recording, parts) == recording.terms("simulated")


def request(**config: Any) -> ReplayRequest:
    return replay_of(3, strategy=without_agents(two(**config), [LEFT_OUT]), without=(LEFT_OUT,), whole=two(**config))


def recorded(tokens: int) -> Recorded:
    return Recorded(
        key="k", model=f"{MODEL}[1m]", request={}, status=200, content_type="text/event-stream", reply="",
        usage=TokenCounts(input=tokens), cutoff=None, asked_at=FIRST, paid_by="a run", credential="ANTHROPIC_API_KEY",
    )  # fmt: skip


def test_beforehand_it_counts_replies_and_tells_what_such_turns_cost() -> None:
    reuse = [MomentReuse(4, 1, 2, (recorded(1000), recorded(500))), MomentReuse(5, 1, 0), MomentReuse(0, 0, None)]
    told = beforehand(request(), dict(zip(moments(3), reuse, strict=True)), TokenPrices({MODEL: Decimal("0.0002")}))
    assert "9 recorded and 2 derived replies are used again, at 2 of 3 moments. 2 turns of the orchestrator" in told
    assert "such turns cost 0.30 USD" in told
    assert "At 1 moment nothing can be used again" in told
    assert "synthesis_logic" not in told


def test_beforehand_an_unknown_price_is_not_told_as_none() -> None:
    reuse = {moment: MomentReuse(4, 1, 1, (recorded(1000),)) for moment in moments(1)}
    assert "USD" not in beforehand(request(), reuse, TokenPrices())


def test_beforehand_nothing_is_promised_where_nothing_is_recorded() -> None:
    told = beforehand(request(), dict.fromkeys(moments(2), MomentReuse(0, 0, None)), TokenPrices())
    assert told == "At 2 moments nothing can be used again, so whole runs are asked."


def test_a_synthesis_that_still_names_the_missing_sub_agent_is_pointed_out() -> None:
    what = request(synthesis_logic=f"Follow {LEFT_OUT}.")
    told = beforehand(what, {moment: MomentReuse(4, 1, 1) for moment in moments(1)}, TokenPrices())
    assert "'synthesis_logic' still names rsi-analyzer" in told


def test_afterwards_a_derived_reply_is_called_so() -> None:
    assert afterwards(request(), 1).startswith("1 run began with a derived reply")
    assert "the starts of a and b" in afterwards(replace(request(), without=("a", "b")), 2)
