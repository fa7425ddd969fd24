"""What is written in the page's sources and in the server's: both know the same names and colours."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from mcp_server.charts.chart import ThemeName
from mcp_server.charts.theme import THEMES
from mcp_server.domain.chart_lines import COLORS
from mcp_server.domain.outcome import SignalName, Status, Trigger
from mcp_server.domain.scoring.keys import Evidence
from mcp_server.domain.scoring.known_outcome import SignalVerdict
from mcp_server.domain.timeframes import TIMEFRAMES
from mcp_server.http.sign_in import MARK_COOKIE
from mcp_server.storage.assets import asset, page_module, page_style


def source(file: str) -> str:
    """Return a source of the page."""
    return asset(f"page/{file}")


def keys_of(file: str, name: str) -> set[str]:
    """Return the keys of an object that is a constant of a source."""
    literal = re.search(rf"const {name} = \{{(.*?)\}};", source(file), re.DOTALL)
    assert literal is not None
    return set(re.findall(r"(\w+): \[?[\"\[]", literal[1]))


def token(name: str, theme: ThemeName) -> str:
    """Return a colour of the page's style, as `#rrggbb`."""
    pair = re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\)", page_style())
    assert pair is not None
    color = pair[1 if theme == "light" else 2]
    return color if len(color) == 7 else "#" + "".join(2 * digit for digit in color[1:])


@pytest.mark.parametrize("theme", THEMES)
def test_a_chart_on_the_page_has_the_colours_of_a_chart_as_a_picture(theme: ThemeName) -> None:
    colors = THEMES[theme]
    names = {"panel": "background", "grid": "grid", "text": "text", "chart-up": "up", "chart-down": "down"}
    assert {name: token(name, theme) for name in names} == {name: getattr(colors, own) for name, own in names.items()}
    assert tuple(token(f"line-{number}", theme) for number in range(1, COLORS + 1)) == colors.lines[:COLORS]


@pytest.mark.parametrize("theme", THEMES)
def test_a_browsers_own_bar_has_the_colour_of_the_page(theme: ThemeName) -> None:
    bar = re.search(rf'content="(#\w+)" media="\(prefers-color-scheme: {theme}\)"', source("page.html"))
    assert bar is not None
    assert bar[1] == token("panel", theme)


def test_the_page_has_words_for_each_way_in_which_a_run_ends() -> None:
    signals = set(get_args(SignalName))
    assert keys_of("slots.js", "KINDS") == {*map(str, Status), *signals} - {str(Status.SUCCESS)}


def test_the_page_has_words_for_each_trigger_and_for_each_degree_of_evidence() -> None:
    assert keys_of("signals.js", "TRIGGERS") == set(get_args(Trigger))
    assert keys_of("record.js", "EVIDENCE") == set(get_args(Evidence))


def test_a_signal_that_was_right_or_wrong_has_a_tone_as_a_run_that_failed_has() -> None:
    assert keys_of("signals.js", "TONES") <= {*map(str, Status), *get_args(SignalVerdict)}


def test_the_page_offers_each_timeframe() -> None:
    assert f'"{" ".join(TIMEFRAMES)}"' in source("market.js")


def test_the_page_looks_for_the_cookie_that_the_server_sets() -> None:
    assert f'"{MARK_COOKIE}="' in source("login.js")


def test_each_class_and_name_of_the_styles_occurs_in_the_page() -> None:
    """A style that nothing has any more would be sent to every reader."""
    selectors = re.sub(r"/\*.*?\*/|\{[^{}]*\}|\"[^\"]*\"", " ", page_style(), flags=re.DOTALL)
    sources = source("page.html") + page_module()
    names = set(re.findall(r"[.#]([a-zA-Z][\w-]*)", selectors))
    assert len(names) > 50
    assert [name for name in sorted(names) if not re.search(rf"(?<![\w-]){name}(?![\w-])", sources)] == []


def test_the_page_explains_words_as_the_documentation_does() -> None:
    shown = json.loads(
        re.sub(r",\n$", "\n}", "{" + source("words.js").partition("const WORDS = {")[2].partition("};")[0])
    )
    documented = re.findall(
        r"^\| (.+?) \| (.+) \|$", (Path(__file__).parents[2] / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(shown) > 15
    assert shown.items() <= {*documented}
