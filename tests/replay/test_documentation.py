"""The commands of the page on replays, as a reader types them one after the other; and what they say as JSON.

In `make test` each is read by the command line, and one moment is recorded and run again. `test_estimate.py` has the
price and its refusal, `tests/runner/test_recorded_requests.py` what is derived where a sub-agent is left out.
"""

import gzip
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
import typer.main

from mcp_server.app import build_server
from mcp_server.domain.strategy.parse import parse_strategy
from mcp_server.http.serve import mcp_app
from mcp_server.settings import ServerSettings
from mcp_server.storage.database import Database
from mcp_server.storage.home import Home, examples_folder
from mcp_server.storage.strategies.folders import StrategyFolders
from runner.cli.app import app
from runner.replay import course, moments
from tests.rigs.loopback import served
from tests.rigs.replays import MODEL, Prices
from tests.rigs.scripted_messages_api import Reply, Request, ScriptedMessagesApi, answer, start
from tests.runner.claude_runs import GOOD_ANSWER, KEY, PRICE, RSI, script
from tests.runner.conftest import Done, trader_in

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "replay.md").read_text()
NAME = "btc-two-analysts"
LONG = "2026-08-21"
"""The end of the range on the page, which has 121 moments."""


class Size(NamedTuple):
    """How many moments are tried in the place of those of the page, and how many of them are pilots.

    Attributes:
        all_end: the end of the range of all moments, and `few_end` of those that are run again.
        cap_usd: more than the pilots cost, and less than all.
        beforehand: what is said of all moments.
    """

    pilots: int
    moments: int
    all_end: str
    few: int
    few_end: str
    cap_usd: str
    beforehand: str


THREE = Size(
    *(2, 3, "2026-08-01T08:00Z", 1, "2026-08-01T03:00Z", "0.065"),
    "3 moments from 2026-08-01 00:00 to 2026-08-01 08:00 UTC. 1 signal whose horizons do not overlap",
)
SEVEN = Size(
    *(5, 7, "2026-08-02T00:00Z", 2, "2026-08-01T04:00Z", "0.15"),
    "7 moments from 2026-08-01 00:00 to 2026-08-02 00:00 UTC. 2 signals whose horizons do not overlap",
)


def commands() -> list[tuple[str, ...]]:
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    split = [shlex.split(line, comments=True) for line in lines if line.startswith("claude-trader ")]
    return [tuple(arguments) for _, *arguments in split]


def until(end: str, arguments: Sequence[str], *more: str) -> list[str]:
    assert LONG in arguments
    return [end if argument == LONG else argument for argument in arguments] + [*more]


FAR_EAST, FAR_WEST = "Pacific/Kiritimati", "Etc/GMT+12"
"""Between their clocks lie 26 hours: it is never the same day there."""

ROW = """
SELECT status, cost_usd, recorded_usd, knowledge_cutoff, contaminated, data
FROM executions e JOIN analysis_results a ON a.execution_id = e.id
"""

REQUESTS = 6
"""Of a run: two of the orchestrator, and two of each sub-agent."""


def usage(moment: datetime, request: Request) -> Mapping[str, int]:
    """Give prices that differ by moment, role and turn."""
    chance = Random(f"{moment} {request.role} {request.turn}")  # noqa: S311 (the same prices every time)
    return {"input_tokens": chance.randrange(600, 1400), "output_tokens": chance.randrange(60, 140)}


class Reader:
    """Types commands in a home of their own, where the example asks a scripted model about the invented market."""

    def __init__(self, size: Size, home: Path, prices: Prices, api_url: str, server_url: str) -> None:
        self.size = size
        self.home = home
        self.prices = prices
        self.database = Database(Home(home).database)
        self._urls = {"ANTHROPIC_BASE_URL": api_url, "TRADER_SERVER_URL": f"{server_url}/mcp"}

    def types(self, *arguments: str, home: Path | None = None, **environment: str) -> Done:
        return trader_in(home or self.home)(*arguments, **{**self._urls, "ANTHROPIC_API_KEY": KEY, **environment})


@contextmanager
def reading(home: Path, size: Size) -> Iterator[Reader]:
    """Write the example into an empty home, and let a scripted model and a tool server run."""
    prices = Prices(usage)
    agents = {
        "price-analyst": {"description": "Watches it.", "prompt": f"You watch. {PRICE}", "tools": ["get_price"]},
        "momentum-analyst": {"description": "Reads it.", "prompt": f"You read. {RSI}", "tools": ["calculate_rsi"]},
    }
    config: dict[str, Any] = {"trading_pair": "BTC/USDT", "interval": "4h", "exchange": "simulated", "model": MODEL}
    config |= {"rules": {"buy": "close > 0", "sell": "close < 0"}, "wake": "close > 0"}
    StrategyFolders(Home(home), examples_folder()).write(parse_strategy(NAME, config, agents))
    steps = script([Reply(calls=[start(name, "BTC/USDT") for name in agents]), answer(GOOD_ANSWER)])
    server = build_server(ServerSettings(home=home, exchange="simulated"))
    with ScriptedMessagesApi(steps, prices) as api, served(mcp_app(server)) as server_url:
        yield Reader(size, home, prices, api.url, server_url)


@pytest.fixture(scope="module", params=[THREE, SEVEN], ids=["three", "seven"])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with reading(tmp_path_factory.mktemp("reader"), request.param) as reader:
        yield reader


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader who has recorded one moment, which was no pilot of others."""
    with reading(tmp_path_factory.mktemp("recorded"), THREE) as reader:
        yield reader


def test_the_command_line_reads_every_command_of_the_page() -> None:
    command = typer.main.get_command(app).commands["replay"].whole()  # type: ignore[attr-defined]
    for name, *arguments in commands():
        assert name == "replay"
        with command.make_context("replay", arguments) as read:
            assert read.params["name"] == NAME
            assert bool(read.params["max_usd"]) is not read.params["rerun"]
            assert read.params["every"] == "4h"
    options = set(re.findall(r"^\| (`--.*?) \|", PAGE, re.MULTILINE))
    named = {option for row in options for option in re.findall(r"--[a-z-]+", row)}
    assert named == {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def test_one_moment_is_recorded_and_a_rerun_elsewhere_needs_neither_key_nor_api(recorded: Reader) -> None:
    record, rerun, _ = commands()
    done = recorded.types(*until(THREE.few_end, record), TZ=FAR_EAST)
    assert done.code == 0, done
    assert done.err.startswith("1 moment from 2026-08-01 00:00")
    assert re.search(r"^ +BUY +1\b", done.out, re.MULTILINE)
    assert "claude-trader score --replay" in done.out
    assert len(recorded.prices.costs) == REQUESTS
    check_replies(recorded, "20260801T000000Z")
    nowhere = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": ""}
    moved = shutil.copytree(recorded.home, recorded.home.with_name("recorded elsewhere") / "another home")
    repeated = recorded.types(*until(THREE.few_end, rerun, "--json"), home=moved, TZ=FAR_WEST, **nowhere).json
    assert (repeated["status"], repeated["by_status"], repeated["requests_asked"]) == ("done", {"success": 1}, 0)
    assert repeated["spent_usd"] == 0
    assert repeated["recorded_usd"] == pytest.approx(float(sum(recorded.prices.costs)), abs=1e-5)
    (row,) = recorded.database.read(lambda connection: connection.execute(ROW).fetchall())
    cost = sum(recorded.prices.costs)
    assert (row[0], row[1]) == ("success", row[2])
    assert row[1] == pytest.approx(cost, abs=Decimal("1e-5"))
    assert (row[3], row[4]) == ("2025-01", False)
    assert json.loads(row[5])["twin"]["signal"] == "BUY"


@pytest.fixture(scope="module")
def told(reader: Reader) -> Iterator[dict[str, Done]]:
    """What each command of the page says, and what the first says before and after it with other options."""
    record, rerun, without = commands()
    assert [shlex.join(arguments).partition(" --every 4h ")[2] for arguments in (record, rerun, without)] == [
        "--max-usd 5",
        "--rerun",
        "--without momentum-analyst --max-usd 3",
    ]
    size, asked = reader.size, reader.prices.costs
    low = [size.cap_usd if argument == "5" else argument for argument in record]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "PILOTS", size.pilots)
        done = {"refused": reader.types(*until(size.all_end, low, "--json"))}
        assert len(asked) == size.pilots * REQUESTS
        done["record"] = reader.types(*until(size.all_end, record), TZ=FAR_EAST)
        done["again"] = reader.types(*until(size.all_end, record, "--json"))
        assert len(asked) == size.moments * REQUESTS, "nothing is asked twice"
        nowhere = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": ""}
        moved = shutil.copytree(reader.home, reader.home.with_name(f"{reader.home.name} elsewhere") / "another home")
        done["rerun"] = reader.types(*until(size.few_end, rerun, "--json"), home=moved, TZ=FAR_WEST, **nowhere)
        done["without"] = reader.types(*until(size.few_end, without))
        assert len(asked) == size.moments * REQUESTS + size.few, "only the turn that weighs the reports is asked anew"
        done["score"] = reader.types(*shlex.split(done["record"].out.rpartition("claude-trader ")[2]))
        yield done


@pytest.mark.long
def test_every_command_of_the_page_does_what_it_says(told: dict[str, Done], reader: Reader) -> None:
    codes = {name: done.code for name, done in told.items()}
    assert codes == {"refused": 2, "record": 0, "again": 0, "rerun": 0, "without": 0, "score": 0}, told
    assert re.search(rf"^ +BUY +{reader.size.moments}\b", told["record"].out, re.MULTILINE)
    assert "without momentum-analyst" in told["without"].out
    assert NAME in told["score"].out
    assert told["record"].err.startswith(reader.size.beforehand)


@pytest.mark.long
def test_the_price_is_told_after_the_pilots_and_holds_within_a_fifth(told: dict[str, Done], reader: Reader) -> None:
    refused, again = told["refused"].json, told["again"].json
    low, high = refused["estimated_usd"]
    count = reader.size.moments
    whole = float(sum(reader.prices.costs[: count * REQUESTS]))
    assert (low + high) / 2 == pytest.approx(whole, rel=0.2)
    assert again["spent_usd"] == pytest.approx(whole, abs=1e-5)
    (line,) = (line for line in told["record"].err.splitlines() if " on cassette: " in line)
    price = rf"{count} moments, 0 on cassette: [\d.]+ to [\d.]+ USD \([\d.]+ of it spent\), about .+"
    assert re.fullmatch(price, line)


@pytest.mark.long
def test_a_price_above_the_cap_is_refused_and_the_pilots_stay_recorded_and_count(
    told: dict[str, Done], reader: Reader
) -> None:
    """In `make test`, `tests/runner/test_replay_command.py` has a refusal."""
    size, refused = reader.size, told["refused"].json
    assert (refused["status"], refused["stopped_by"]) == ("refused", "price")
    assert refused["by_status"] == {"success": size.pilots}
    enough = re.search(r"--max-usd (\d+\.\d\d), a shorter range", refused["stopped_because"])
    assert enough is not None
    assert float(enough[1]) >= refused["estimated_usd"][1]
    assert 0 < refused["spent_usd"] <= float(size.cap_usd)
    again = told["again"].json
    assert (again["status"], again["runs"], again["by_status"]) == ("done", 0, {"success": size.moments})
    assert again["replay_id"] == refused["replay_id"]


@pytest.mark.long
def test_a_rerun_elsewhere_and_on_another_day_needs_neither_key_nor_api_and_costs_nothing(
    told: dict[str, Done], reader: Reader
) -> None:
    rerun = told["rerun"].json
    by_status = {"success": reader.size.few}
    assert (rerun["status"], rerun["by_status"], rerun["requests_asked"]) == ("done", by_status, 0)
    assert (rerun["spent_usd"], rerun["max_usd"], rerun["estimated_usd"]) == (0, None, None)
    assert rerun["recorded_usd"] > 0


@pytest.mark.long
def test_each_reply_lies_where_the_page_says_with_all_that_it_says(told: dict[str, Done], reader: Reader) -> None:
    assert told["record"].code == 0
    check_replies(reader, place_on_the_page())


def place_on_the_page() -> str:
    """Return the folder of a moment that the page names."""
    place = re.search(r"^cassettes/STRATEGY/DECISION_VERSION/(\w+)/KEY\.json ", PAGE, re.MULTILINE)
    assert place is not None
    return place[1]


def check_replies(reader: Reader, moment: str) -> None:
    files = [*(reader.home / "cassettes" / NAME).glob(f"*/{moment}/*.json*")]
    assert len(files) >= REQUESTS
    for file in files:
        assert re.fullmatch("[0-9a-f]{12}", file.parent.parent.name)
        content = file.read_bytes()
        kept = json.loads(gzip.decompress(content) if file.suffix == ".gz" else content)
        assert kept.keys() >= {"request", "reply", "usage", "cutoff"}
        assert KEY not in json.dumps(kept)
        assert "2026-08-01" in json.dumps(kept["request"])


@pytest.mark.long
def test_the_rules_of_a_strategy_are_the_twin_also_where_a_sub_agent_is_left_out(
    told: dict[str, Done], reader: Reader
) -> None:
    assert told["without"].code == 0
    rows = reader.database.read(lambda connection: connection.execute("SELECT data FROM analysis_results").fetchall())
    assert [json.loads(data)["twin"]["signal"] for (data,) in rows] == ["BUY"] * len(rows)
    assert len(rows) == reader.size.moments + reader.size.few, "the rerun is in the home that was moved"


def test_a_moment_that_the_model_may_know_the_sequel_of_is_refused_with_the_first_clean_one(
    recorded: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cutoffs_of` asks the agent CLI, as in the test above."""

    async def cutoffs(*_: object) -> dict[str, str | None]:
        return {MODEL: "2025-01"}

    monkeypatch.setattr(course, "cutoffs_of", cutoffs)
    asked = len(recorded.prices.costs)
    done = recorded.types("replay", NAME, "--from", "2024-06-01", "--to", "2024-06-02", "--max-usd", "5")
    assert (done.code, done.out, len(recorded.prices.costs)) == (2, "", asked)
    assert "The first clean moment is 2025-03-03 00:00 UTC" in done.err
    assert "--contaminated" in done.err
