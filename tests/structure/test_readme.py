"""The README: short, with a picture of the page, and with no command and no figure that nothing shows to be so."""

import re
from pathlib import Path

from PIL import Image

from mcp_server.domain.backtest.look_ahead import CUTS
from mcp_server.domain.backtest.random_entries import SETS
from runner.settings import RunnerSettings
from tests.rigs.typed_page import blocks
from tests.structure.page_pictures import PICTURES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
MOST_WORDS = 600
FIGURES = {
    "at {} moments or\n  more": CUTS,
    "{:,} sets of random trades": SETS,
    "at most {:g} US dollars a day": float(RunnerSettings.model_fields["budget_usd_per_day"].default),
}
PROVEN = {
    "best looked real in at least 90 of 100 draws, and in at most 5 once\n  all tries were counted": (
        "tests/backtest/test_worth.py",
        "test_of_fifty_strategies_of_noise_the_best_fools_the_plain_figure_and_not_the_deflated_one",
    ),
    'a strategy without skill\n  ever reaches "proven" in at most one of 20 cases': (
        "tests/scoring/test_e_value.py",
        "test_at_most_one_in_twenty_strategies_without_skill_is_ever_proven",
    ),
    "Each scheduled time leaves exactly one record, even if the program is killed": (
        "tests/scheduler/test_crash_harness.py",
        "test_after_kills_at_random_moments_no_slot_is_lost_or_doubled_and_no_process_is_left",
    ),
}
"""What it claims → the test that shows it."""


def test_it_is_read_in_three_minutes() -> None:
    assert len(README.split()) <= MOST_WORDS


def test_it_shows_the_page_in_light_colours_at_a_sensible_size() -> None:
    (picture,) = re.findall(r'<img src="docs/page/([\w.-]+)" width="760" alt="[^"]{40,}">', README)
    shown = PICTURES[picture]
    assert shown.keys() == {"place", "size"}, "the home as it opens, and not in dark colours"
    with Image.open(ROOT / "docs" / "page" / picture) as drawn:
        assert drawn.size == shown["size"]
        darkest_of_the_header, _ = drawn.convert("L").crop((600, 0, 1000, 50)).getextrema()
        assert darkest_of_the_header == 255


def test_each_command_is_one_that_the_tutorials_test_types() -> None:
    typed = {c for block in blocks((ROOT / "docs" / "tutorial.md").read_text("utf-8")) for c in block.commands}
    commands = [re.sub(r"^\.venv/bin/", "", line) for line in re.findall(r"^ *(\S.*)$", _shell(), re.MULTILINE)]
    assert [command for command in commands if command not in typed] == []
    assert len(commands) == 3


def test_each_figure_is_what_the_code_and_the_tests_say() -> None:
    for sentence, value in FIGURES.items():
        assert re.sub(r"\s+", " ", sentence.format(value)) in re.sub(r"\s+", " ", README)
    for sentence, (file, test) in PROVEN.items():
        assert re.sub(r"\s+", " ", sentence) in re.sub(r"\s+", " ", README)
        assert f"def {test}(" in (ROOT / file).read_text("utf-8")


def test_it_claims_nothing_that_is_not_published_and_gives_no_advice() -> None:
    assert "Nothing is published yet." in README
    before, _, after = README.partition("pip install claude-trader")
    assert before.rstrip().endswith("(docs/project/releasing.md#what-changes-with-the-first-release) `")
    assert "pip install claude-trader" not in after
    assert "no financial advice" in README


def _shell() -> str:
    return "".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
