"""What `up` logs: lines for a person, JSON for a program, and never a secret."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from runner.logs import HIDDEN, start_logging

HIDE_ME = "sk-a-secret-of-the-operator"


@pytest.fixture(autouse=True)
def _root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("runner").setLevel(logging.NOTSET)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    return err


def log_everything() -> None:
    logger = logging.getLogger("runner.somewhere")
    logger.info("it asked with %s", HIDE_ME)
    logging.getLogger("other").info("what others chatter is not told")
    logging.getLogger("other").warning("what others warn of is: %s", HIDE_ME)
    try:
        raise ValueError(f"refused: {HIDE_ME}\x1b[3J")
    except ValueError:
        logger.exception("it failed\x1b[2J\x1b]0;title\x07 in\ntwo lines")


def test_json_has_one_object_a_line_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging([HIDE_ME], human=False)
    log_everything()
    text = said(capsys)
    first, warned, failed = [json.loads(line) for line in text.splitlines()]
    assert (first["event"], first["level"], first["logger"]) == (f"it asked with {HIDDEN}", "info", "runner.somewhere")
    assert first["timestamp"].endswith("Z")
    assert warned["level"] == "warning"
    assert f"ValueError: refused: {HIDDEN}" in failed["exception"]
    assert HIDE_ME not in text


def test_a_person_is_shown_lines_without_what_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging([HIDE_ME], human=True)
    log_everything()
    text = said(capsys)
    assert HIDE_ME not in text
    assert f"it asked with {HIDDEN}" in text
    assert "runner.somewhere" not in text
    assert "\x1b[2J" not in text
    assert "\x1b[3J" not in text
    assert "\x1b]0;" not in text
    assert "\x07" not in text
    assert "chatter" not in text


FIELDS = {"strategy": "dip", "slot": "2026-05-01T00:00:00Z", "price": 42.5, "cost_usd": None, "error": "so"}


def test_facts_are_fields_for_a_program_and_follow_the_words_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    for human in (False, True):
        start_logging([HIDE_ME], human=human)
        logging.getLogger("runner.somewhere").info("slot ended", extra={**FIELDS, "error": f"{HIDE_ME}\u202e so"})
        text = re.sub(r"\x1b\[\d+m", "", said(capsys))
        assert HIDE_ME not in text
        if human:
            assert "slot ended" in text
            assert "strategy=dip" in text
            assert "cost_usd" not in text, "what is not known is not shown"
            assert "\u202e" not in text
        else:
            line = json.loads(text)
            assert {name: line[name] for name in FIELDS} == {**FIELDS, "error": f"{HIDDEN} so"}


def test_what_a_line_quotes_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging([], human=False)
    logging.getLogger("runner.somewhere").error("it said: %s", "x" * 50_000)
    assert len(json.loads(said(capsys))["event"]) == 4_000
