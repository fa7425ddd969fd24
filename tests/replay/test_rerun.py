"""What was recorded runs again for nothing: on another day, in another folder, without a credential, the API gone.

In `make test` the rerun of `test_documentation.py` is such a one, of a moment that ends well.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.rigs import warm
from tests.rigs.replay_command import write
from tests.rigs.replays import FIRST, MODEL, asking, looking, moment_of, read, repeated
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

TOOLS = {"price-monitor": "get_price", "rsi-analyzer": "calculate_rsi"}


class Plan(NamedTuple):
    """How many moments there are, and when the orchestrator does what."""

    moments: int
    overlong: int
    """At this moment it uses up its turns."""
    unfit: int
    """At this one it gives no answer that fits the schema."""
    undecided: int | None = None
    """And at this one it cannot decide."""

    def ends(self) -> list[str]:
        """Return the status of each moment."""
        odd = {self.overlong: "error", self.unfit: "abstained", self.undecided: "abstained"}
        return [odd.get(number, "success") for number in range(self.moments)]


TWENTY, THREE = Plan(20, overlong=8, unfit=13, undecided=3), Plan(3, overlong=1, unfit=2)

MOST_TURNS = 6
LIMIT_S = 400
AT_ONCE = {"TRADER_MAX_CLAUDE_RUNS": "3"}
"""More would take the machine from the tests beside this one, and be no sooner done."""

FAR_EAST, FAR_WEST = "Pacific/Kiritimati", "Etc/GMT+12"
"""Between their clocks lie 26 hours: it is never the same day there."""

COSTS = "SELECT cost_usd, recorded_usd FROM executions WHERE replay_id = ? ORDER BY as_of"


def number_of(request: Request) -> int:
    return round((moment_of(request) - FIRST) / timedelta(hours=1))


def decided(plan: Plan, request: Request, step: Step) -> Step:
    """Let what the orchestrator says depend on the moment, and on what was reported."""
    number = number_of(request)
    if request.role != ORCHESTRATOR or request.turn == 0:
        return step
    if number == plan.overlong:
        return Reply(calls=[start("price-monitor", f"Look again, {request.turn}.")])
    if number == plan.unfit:
        unfit = answer({"signal": "PERHAPS"})
        return replace(unfit, at_once=True)  # the agent CLI gives up in the midst of the last one, which is to be kept
    findings = {name: {"report": name in request.text, "number": number} for name in TOOLS}
    return answer(
        {
            "signal": ("BUY", "SELL", "HOLD")[number % 3],
            "confidence": 50 + number,
            "reasoning": f"At {moment_of(request):%H:%M} “{number}” decided.\n\tSo it is.",
            "sub_agent_results": findings,
            "decided": number != plan.undecided,
        }
    )


def script() -> Mapping[str, list[Step]]:
    starts = Reply(calls=[start(name, f"Look at BTC/USDT for {name}.") for name in TOOLS])
    return {ORCHESTRATOR: [starts, *[say("") for _ in range(12)]], **looking(TOOLS)}


def replayed(plan: Plan, home: Path, folder: Path, *options: str, **environment: str) -> dict[str, Any]:
    """Run the command in a folder of its own, to its end; return its JSON."""
    until = FIRST + timedelta(hours=plan.moments - 1)
    times = (f"--from={FIRST.isoformat()}", f"--to={until.isoformat()}", "--every=1h")
    scratch = folder / "tmp"
    scratch.mkdir(parents=True)
    arguments = ["replay", "dip", *times, "--contaminated", "--json", *options]
    variables = {**os.environ, **environment, **AT_ONCE, "TRADER_HOME": str(home), "TMPDIR": str(scratch)}
    code, output, errors = warm.run(arguments, variables, folder, LIMIT_S, "tests.rigs.unhurried")
    assert code == 0, output + errors
    assert KEY not in output + errors
    report: dict[str, Any] = json.loads(output)
    return report


@pytest.mark.long
@pytest.mark.parametrize("plan", [THREE, TWENTY], ids=["three", "twenty"])
def test_moments_of_two_sub_agents_run_again_for_nothing_as_they_were_recorded(tmp_path: Path, plan: Plan) -> None:
    home, moved = tmp_path / "home", tmp_path / "elsewhere" / "another home"
    write(home, strategy(asking(TOOLS), exchange="simulated", model=MODEL, max_turns=MOST_TURNS))
    with ScriptedMessagesApi(script(), partial(decided, plan)) as api:
        then = replayed(
            plan,
            home,
            tmp_path / "here",
            "--max-usd=50",
            TZ=FAR_EAST,
            ANTHROPIC_BASE_URL=api.url,
            ANTHROPIC_API_KEY=KEY,
        )
    shutil.copytree(home, moved)
    now = replayed(plan, moved, tmp_path / "there", "--rerun", TZ=FAR_WEST)
    assert (then["runs"], then["requests_asked"], then["requests_from_cassette"]) == (
        plan.moments,
        len(api.requests),
        0,
    )
    assert (now["runs"], now["requests_asked"], now["requests_from_cassette"]) == (plan.moments, 0, len(api.requests))
    assert now["by_status"] == then["by_status"] == Counter(plan.ends())

    before, after = repeated(home, then["replay_id"]), repeated(moved, now["replay_id"])
    assert len(after) == plan.moments
    assert after == before
    assert [row[1] for row in after] == plan.ends()
    assert {row[2] for row in after} == ({"BUY", None} if plan is THREE else {"BUY", "SELL", "HOLD", None})
    assert "'max_turns' is 6" in after[plan.overlong][7]
    assert "schema" in after[plan.unfit][7]

    paid, free = read(home, COSTS, then["replay_id"]), read(moved, COSTS, now["replay_id"])
    assert now["spent_usd"] == sum(cost for cost, _ in free) == 0
    assert all(recorded == cost > 0 for cost, recorded in paid)
    del (
        paid[plan.unfit],
        free[plan.unfit],
    )  # the agent CLI gives up in the midst of the last reply, and may count a part of it
    assert [recorded for _, recorded in free] == [cost for cost, _ in paid]
