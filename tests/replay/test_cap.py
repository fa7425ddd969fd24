"""The cap of a replay is passed by one turn of one run at most, whatever replies cost and however many run at once."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mcp_server.domain.outcome import Status
from tests.replay.playing import play
from tests.rigs.played_runs import PlayedApi
from tests.rigs.replays import replay_of, watching

DIP = watching(budget={"usd_per_run": "0.30"})


def seeds(count: int) -> list[Any]:
    """Return one seed, and as many as that in all for `make long`."""
    return [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, count))]


@pytest.mark.parametrize("seed", seeds(4))
async def test_what_passes_the_cap_is_less_than_the_dearest_turn(home: Path, seed: int) -> None:
    api = PlayedApi(seed, together=3)
    cap = Decimal("1.5") + Decimal(seed) / 7
    played = await play(home, replay_of(12, str(cap), strategy=DIP), api)
    assert api.spent_usd - cap < max(api.paid.values())
    assert (played.stop.by, played.spent_usd) == ("cap", api.spent_usd)
    assert api.spent_usd > cap - max(cost.usd or 0 for cost in played.tally.costs), "no run would have fitted in"
    assert api.most_at_once >= 3


@pytest.mark.parametrize("seed", seeds(3))
async def test_a_cap_below_the_cost_of_the_very_first_run_holds_too(home: Path, seed: int) -> None:
    api, cap = PlayedApi(seed, most_tokens=4_000), Decimal("0.035")
    played = await play(home, replay_of(2, str(cap), strategy=DIP), api)
    assert (played.stop.by, played.spent_usd) == ("cap", api.spent_usd)
    assert 0 <= api.spent_usd - cap < max(api.paid.values())


async def test_of_requests_that_would_be_made_at_once_only_one_passes_the_cap(home: Path) -> None:
    api = PlayedApi(same_tokens=17_000)  # after 5 replies 0.255 is spent, and both sub-agents want to ask
    played = await play(home, replay_of(1, "0.30", strategy=DIP), api)
    assert (played.stop.by, played.spent_usd) == ("cap", Decimal("0.306"))


async def test_a_run_that_ends_by_the_limit_that_was_left_for_it_is_none_of_the_strategys_failures(home: Path) -> None:
    api = PlayedApi(same_tokens=10_000)
    played = await play(home, replay_of(1, "0.02", strategy=DIP), api)
    (row,) = played.tally.rows.values()
    assert (played.stop.by, len(api.asked), row.cost_usd) == ("cap", 1, Decimal("0.03"))
    assert (row.is_open, row.own_failure) == (True, None)
    assert "what is left of --max-usd, 0.02 USD, is too little for a run" in (row.error or "")


async def test_what_the_cap_has_cut_off_is_taken_up_again_in_its_row_once_it_is_higher(home: Path) -> None:
    cut = await play(home, replay_of(4, "0.31", strategy=DIP), PlayedApi(most_tokens=8_000))
    assert cut.stop.by == "cap"
    assert "--max-usd" in cut.stop.because
    open_ones = [row for row in cut.tally.rows.values() if row.is_open]
    assert open_ones
    assert all(not row.own_failure for row in open_ones), "it is not the strategy's failure"
    more = PlayedApi(most_tokens=8_000)
    done = await play(home, replay_of(4, "5", strategy=DIP), more)
    assert (done.stop.by, done.tally.by_status) == (None, {Status.SUCCESS: 4})
    assert {moment for moment, _ in more.asked} == set(done.tally.moments) - cut.tally.final
    before, after = ({row.execution_id for row in one.tally.rows.values()} for one in (cut, done))
    assert before <= after
    assert len(after) == 4


async def test_a_replay_stops_where_less_is_left_than_a_run_has_cost(home: Path) -> None:
    api = PlayedApi(same_tokens=10_000)
    played = await play(home, replay_of(6, "0.60", strategy=DIP), api, at_once=1)
    dearest = max(cost.usd or Decimal(0) for cost in played.tally.costs)
    left = Decimal("0.60") - played.spent_usd
    assert played.stop.by == "cap"
    assert left < dearest
    (last,) = (row for row in played.tally.rows.values() if row.is_open)
    assert (last.status, last.cost_usd) == (Status.SKIPPED_BUDGET, Decimal(0))
