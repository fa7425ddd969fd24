from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from mcp_server.domain.outcome import Ended, Outcome, Signal, SignalName, Status
from mcp_server.domain.strategy.parse import parse_strategy
from runner.notify.events import (
    FIELDS,
    Event,
    broken_edit,
    budget_reached,
    clean,
    no_skill,
    not_judged,
    run_failed,
    server_trouble,
    signal_changed,
    strategy_paused,
)
from runner.notify.weekly import weekly_summary
from runner.notify.wording import BUILT_IN, worded

NOON = datetime(2026, 5, 20, 12, 0, 5, tzinfo=UTC)
DIP = parse_strategy("dip", {"trading_pair": "PEPE/USD", "interval": "1h", "rules": {"buy": "close > 1"}}, None)
FAILED = Outcome(Status.ERROR, error="the exchange is down: see https://example.com/?key=secret")


def executed(outcome: Outcome, number: int = 7) -> Ended:
    return Ended(number, "rules", NOON, outcome, NOON, NOON)


def said(name: SignalName, reasoning: str = "it rose") -> Ended:
    return executed(Outcome(Status.SUCCESS, Signal(name, Decimal("62.50"), reasoning, 0.0000081)))


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [(None, "BUY", True), (None, "HOLD", False), ("BUY", "BUY", False), ("BUY", "HOLD", True), ("SELL", "BUY", True),
     ("HOLD", "HOLD", False)],
)  # fmt: skip
def test_a_signal_is_told_when_it_differs_from_the_last_one(
    before: SignalName | None, now: SignalName, told: bool
) -> None:
    assert (signal_changed(DIP, said(now), before) is not None) == told


def test_a_failure_is_told_and_no_decision_is_none() -> None:
    assert run_failed(DIP, executed(FAILED)) is not None
    assert run_failed(DIP, executed(Outcome(Status.TIMEOUT, error="x"))) is not None
    assert run_failed(DIP, executed(Outcome(Status.ABSTAINED, error="x"))) is None
    assert run_failed(DIP, said("BUY")) is None
    assert signal_changed(DIP, executed(FAILED), "BUY") is None


STOPPED = {"judged": 41, "mean_net_pct": -0.43, "minimum_edge_pct": 0, "highest": 23.5, "limit": 20.0}

EVENTS: list[Event | None] = [
    signal_changed(DIP, said("BUY"), "SELL"),
    run_failed(DIP, executed(FAILED)),
    strategy_paused(DIP, executed(FAILED), 5),
    budget_reached("dip", Decimal("1.05"), Decimal(1), date(2026, 5, 20)),
    broken_edit("dip", "config.json interval: '2h' does not fit."),
    server_trouble("it ended three times", NOON),
    no_skill(DIP, {"stop": STOPPED}, NOON),
    not_judged("The exchange is down.", NOON),
    weekly_summary([{"strategy_name": "dip", "runs": 1, "signals": 1, "judged": 0, "cost_usd": 0.5}], NOON),
    Event("test", "test", {}),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event and event.kind))
def test_each_event_has_a_wording_that_says_all_of_it(event: Event | None, home: Path) -> None:
    assert event is not None
    assert tuple(sorted(event.fields)) == tuple(sorted(FIELDS[event.kind]))
    title, body, problem = worded(event.kind, event.fields, home)
    assert problem is None
    assert "$" not in title + body
    assert "\n" not in title
    assert "https://" not in title + body


def test_the_wording_of_a_signal(home: Path) -> None:
    event = signal_changed(DIP, said("BUY"), "SELL")
    assert event is not None
    assert worded("signal", event.fields, home)[:2] == (
        "dip: BUY (before: SELL)",
        "PEPE/USD at 0.0000081, confidence 62.50, as of 2026-05-20T12:00Z.\nit rose\nexecution 7",
    )


def test_a_signal_names_the_record_so_far_and_nothing_where_it_is_not_known(home: Path) -> None:
    event = signal_changed(DIP, said("BUY"), "SELL", "12 judged: too few to say")
    assert event is not None
    lines = worded("signal", event.fields, home).body.splitlines()
    assert lines[1:] == ["it rose", "Record so far: 12 judged: too few to say.", "execution 7"]
    hostile = signal_changed(DIP, said("BUY"), "SELL", "@everyone https://evil.example")
    assert hostile is not None
    assert "https://" not in hostile.fields["record"]


def test_the_pause_of_a_strategy_without_skill_says_what_was_seen_and_how_to_go_on(home: Path) -> None:
    title, body, _ = worded("no_skill", no_skill(DIP, {"stop": STOPPED}, NOON).fields, home)
    assert title == "dip is paused: no skill"
    for fact in ("41 judged signals", "-0.43 %", "in at most 5 %", "e-value 23.5, limit 20"):
        assert fact in body
    assert "claude-trader strategies resume dip" in body


def test_events_are_one_where_their_keys_are() -> None:
    keys = [event.key for event in EVENTS if event]
    assert len(set(keys)) == len(keys)
    assert run_failed(DIP, executed(FAILED, 8)) != run_failed(DIP, executed(FAILED))
    assert broken_edit("dip", "a").key != broken_edit("dip", "b").key
    assert broken_edit("dip", "a").key == broken_edit("dip", "a").key


def test_what_a_model_wrote_neither_links_nor_calls_anyone_nor_steers() -> None:
    text = "up\u202e\x1b[31m <b>now</b> @everyone\nsee https://evil.example/x?y and ftp://a" + "z" * 1000
    assert clean(text, 80) == "up[31m <b>now</b> @\u200beveryone see [address] and [address]"
    assert len(clean("z" * 2000)) == 600


def test_every_kind_has_a_built_in_wording_of_its_own_names() -> None:
    assert set(BUILT_IN) == set(FIELDS)


def own(home: Path, kind: str, content: str | bytes) -> None:
    (home / "templates").mkdir(exist_ok=True)
    (home / "templates" / f"{kind}.txt").write_bytes(content.encode() if isinstance(content, str) else content)


def test_the_users_own_template_is_used(home: Path) -> None:
    own(home, "budget", "Genug für $day\n\n${strategy}: $$$spent_usd\n")
    event = EVENTS[3]
    assert event is not None
    assert worded("budget", event.fields, home / "templates") == ("Genug für 2026-05-20", "dip: $1.05", None)


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "an unknown name": ("$strategy $colour", r"unknown name \$colour; it may use \$strategy, \$spent_usd"),
    "a lone dollar": ("costs $ 5", "Invalid placeholder"),
    "no text": (b"\xff\xfe\x00", "not UTF-8"),
    "nothing": ("  \n ", "it is empty"),
    "a whole book": ("x" * 20_000, "longer than 10000"),
}


@pytest.mark.parametrize(("content", "problem"), BROKEN.values(), ids=BROKEN.keys())
def test_a_template_that_cannot_be_used_gives_way_to_the_built_in_one_and_says_so(
    home: Path, content: str | bytes, problem: str
) -> None:
    own(home, "budget", content)
    event = EVENTS[3]
    assert event is not None
    said = worded("budget", event.fields, home / "templates")
    assert said.title == "dip: the day's budget is spent"
    assert "(templates/budget.txt was not used:" in said.body
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(said.problem)
