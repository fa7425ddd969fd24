"""What a person reads of a replay: before it, on its way, and at its end."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mcp_server.domain.outcome import Status
from runner.cli.show_replay import as_object, beforehand, progress, summary
from runner.replay.replayed import Replayed, ReplayProgress, ReplayRequest
from tests.runner.claude_runs import strategy

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
REQUEST = ReplayRequest(
    strategy=strategy(),
    since=SINCE,
    until=SINCE + timedelta(days=5),
    every="1h",
    moments=tuple(SINCE + timedelta(hours=hour) for hour in range(121)),
    max_usd=Decimal(10),
)
REPLAYED = Replayed(
    replay_id="1a2b3c4d",
    moments=121,
    left=0,
    asleep=20,
    by_status={Status.SUCCESS: 97, Status.ABSTAINED: 3, Status.ERROR: 1},
    signals={"BUY": 14, "SELL": 3, "HOLD": 80},
    runs=101,
    requests_asked=590,
    requests_from_cassette=16,
    contaminated=0,
    spent_usd=Decimal("4.9321"),
    recorded_usd=Decimal("5.0712"),
    estimated_usd=(Decimal("4.1"), Decimal("6.3")),
)


def console(width: int = 100, **options: Any) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False, emoji=False, **options)


def text(printed: Console) -> str:
    assert isinstance(printed.file, io.StringIO)
    return printed.file.getvalue()


def shown(replayed: Replayed, request: ReplayRequest = REQUEST, go_on: str | None = None, width: int = 100) -> str:
    printed = console(width)
    summary(printed, request, replayed, go_on, Path("/home/cassettes/dip/0123456789ab"))
    return text(printed)


def figure(label: str, replayed: Replayed, request: ReplayRequest = REQUEST) -> str:
    """Give a line without its label, with single spaces."""
    (line,) = (line for line in shown(replayed, request).splitlines() if line.strip().startswith(label))
    return " ".join(line.split()[len(label.split()) :])


def test_before_it_asks_it_says_what_so_many_moments_can_show() -> None:
    line = beforehand(REQUEST, "simulated")
    assert line.startswith("121 moments from 2026-10-01 00:00 to 2026-10-06 00:00 UTC. ")
    assert (
        "6 signals whose horizons do not overlap are too few to show any skill" in line
    )  # a signal is judged after a day
    assert beforehand(replace(REQUEST, moments=(SINCE,)), "simulated").startswith("1 moment from ")


def test_a_whole_replay_shows_every_count_and_the_command_that_judges_it() -> None:
    assert figure("moments", REPLAYED) == "121"
    assert [figure(name, REPLAYED) for name in ("BUY", "SELL", "HOLD")] == ["14", "3", "80"]
    assert figure("abstained", REPLAYED).startswith("3 ")
    assert figure("error", REPLAYED).startswith("1 ")
    assert figure("skipped_gate", REPLAYED).startswith("20 ")
    assert figure("spent", REPLAYED) == "$4.93 of the 10.00 USD that it may cost"
    assert figure("recorded", REPLAYED).startswith("$5.07 ")
    assert figure("requests", REPLAYED) == "590 this time; 16 more from the cassette"
    whole = shown(REPLAYED)
    assert whole.rstrip().endswith("claude-trader score --replay 1a2b3c4d")
    assert "contaminated" not in whole
    assert "not on the cassette" not in whole


def test_what_stopped_it_what_is_left_and_how_to_go_on_are_told() -> None:
    stopped = replace(
        REPLAYED,
        left=61,
        by_status={Status.SUCCESS: 40},
        stopped_by="cap",
        stopped_because="The cap is reached. Raise it.",
    )
    assert figure("moments", stopped) == "121 61 are still to be run"
    told = shown(stopped, go_on="claude-trader replay dip --max-usd 20")
    assert "The cap is reached. Raise it." in told
    assert told.rstrip().endswith("To go on       claude-trader replay dip --max-usd 20")
    assert "score --replay" not in told


def test_contaminated_moments_are_called_so() -> None:
    assert figure("contaminated", replace(REPLAYED, contaminated=101)).startswith("101 may be remembered")


def test_moments_that_drifted_alike_are_told_once_the_most_frequent_first() -> None:
    drifts = {f"The prompt of agent-{number} differs.\nbefore: a\nnow: b": number for number in range(1, 8)}
    drifted = replace(REPLAYED, by_status={Status.DRIFT: 28}, drifts=drifts)
    told = shown(drifted, replace(REQUEST, rerun=True))
    assert told.index("7 moments: The prompt of agent-7 differs.\n    before: a") < told.index("6 moments: ")
    assert "agent-2" not in told
    assert "and 2 other kinds" in told
    assert "of the 10.00 USD" not in told
    assert drifted.drift == 28


def test_a_model_s_text_steers_no_terminal() -> None:
    told = shown(replace(REPLAYED, drifts={"\x1b[31mred [bold]x[/bold]": 1}, notes=("\x1b]0;title\x07note",)))
    assert "\x1b" not in told
    assert "[bold]x[/bold]" in told


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_can_be_read_in_any_terminal(width: int) -> None:
    told = shown(replace(REPLAYED, contaminated=101, drifts={"x" * 300: 1}, notes=("note " * 50,)), width=width)
    commands, text = told.splitlines()[-3:], told.splitlines()[:-3]
    assert all(len(line) <= width for line in text)
    assert [line[15:] for line in commands] == [  # whole, to be copied: the terminal itself wraps them
        "claude-trader signals dip --all --replayed",
        "/home/cassettes/dip/0123456789ab",
        "claude-trader score --replay 1a2b3c4d",
    ]


def test_a_rerun_and_what_was_left_out_are_named_beside_the_id_in_a_line_of_its_own() -> None:
    assert shown(REPLAYED, width=80).splitlines()[1] == "replay 1a2b3c4d"
    request = replace(REQUEST, rerun=True, without=("price-monitor",))
    assert shown(REPLAYED, request, width=80).splitlines()[1] == "rerun 1a2b3c4d, without price-monitor"


def test_no_meaning_of_a_figure_is_broken_into_two_lines_in_80_columns() -> None:
    every = dict.fromkeys((Status.ABSTAINED, Status.ERROR, Status.TIMEOUT, Status.DRIFT, Status.SKIPPED_BUDGET), 1)
    figures = shown(replace(REPLAYED, contaminated=9, by_status=every), width=80).partition("\n\n")[2]
    assert all(line.startswith("  ") for line in figures.partition("\n\n")[0].splitlines())


def test_progress_tells_what_is_spent_what_is_left_and_the_signals_so_far_in_80_columns() -> None:
    printed = console(80, force_terminal=True)
    price = "121 moments, 0 on cassette: 4.10 to 6.30 USD"
    signals: dict[Any, int] = {"HOLD": 51, "BUY": 39, "SELL": 10}
    with progress(printed) as tell:
        tell(ReplayProgress("wake", 50, 121))
        tell(ReplayProgress("pilots", 5, 5, Decimal("0.21"), Decimal("9.79"), {"BUY": 1}, price))
        tell(ReplayProgress("runs", 100, 121, Decimal("2.5"), Decimal("7.5"), signals))
    assert price in text(printed)
    frames = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "\n", text(printed)).replace("\r", "\n")
    assert "$2.50 spent, $7.50 left · 39 BUY, 10 SELL, 51 HOLD" in frames
    assert "100/121" in frames
    assert "…" not in frames
    assert "$0.00" not in frames, "nothing is said of money where none is spent"


def test_without_a_terminal_only_news_are_told_and_with_json_nothing() -> None:
    for quiet, expected in ((False, "121 moments: 4.10 to 6.30 USD\n"), (True, "")):
        printed = console(quiet=quiet)
        with progress(printed) as tell:
            tell(ReplayProgress("wake", 50, 121))
            tell(ReplayProgress("pilots", 5, 5, note="121 moments: 4.10 to 6.30 USD"))
            tell(ReplayProgress("runs", 60, 101))
        assert text(printed) == expected


@pytest.mark.parametrize(
    ("stopped_by", "refused", "status"), [(None, False, "done"), ("cap", False, "stopped"), ("price", True, "refused")]
)
def test_the_json_object_has_everything(stopped_by: Any, status: str, *, refused: bool) -> None:
    why = "why" if stopped_by else ""
    told = replace(REPLAYED, stopped_by=stopped_by, stopped_because=why, drifts={"x": 2}, notes=("n",))
    value = as_object(REQUEST, told, refused=refused)
    assert value["status"] == status
    assert (value["stopped_by"], value["stopped_because"]) == (stopped_by, why or None)
    assert value["by_status"] == {"success": 97, "abstained": 3, "error": 1}
    assert value["signals"] == {"BUY": 14, "SELL": 3, "HOLD": 80}
    assert (value["from"], value["to"]) == ("2026-10-01T00:00Z", "2026-10-06T00:00Z")
    assert value["estimated_usd"] == [4.1, 6.3]
    assert value["drifts"] == [{"moments": 2, "what": "x"}]
    assert value["max_usd"] == 10
    assert as_object(replace(REQUEST, rerun=True), replace(told, estimated_usd=None), refused=False)["max_usd"] is None
